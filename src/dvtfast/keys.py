"""Secret keys, their public keys, and public keys that are decoded once and used often."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeAlias, overload

import numpy as np

from dvtfast._arrays import (
    Bools,
    Bytes,
    LoneRow,
    ManyRows,
    Rows,
    Uint64s,
    as_count,
    as_rows,
    flat,
    leading_index,
)
from dvtfast._backend import lanes_for
from dvtfast._native import points as _points
from dvtfast._native import signatures as _kernel
from dvtfast._native import threshold as _scalars
from dvtfast._native.weights import ZERO_WEIGHTS
from dvtfast._parallel import for_slices
from dvtfast._secrets import secret_rows, wiped
from dvtfast._statuses import OK, require_ok
from dvtfast.constants import PUBLIC_KEY_BYTES, SECRET_KEY_BYTES
from dvtfast.errors import InputError
from dvtfast.points import check_public_key_encodings

# Random bytes reduced modulo r: 48 leave a bias below 2^-128 (as IETF KeyGen does).
WIDE_SCALAR_BYTES = 48
# An affine point in blst's own form: two field elements of six words.
POINT_WORDS = 12


class PublicKeys:
    """Public keys that are decoded, in the subgroup and not infinity: checked once, used often.

    Args:
        encoded: uint8[..., 48] with one or two leading axes, or one row.

    Attributes:
        encoded: the same bytes, read-only.

    Raises:
        EncodingError: `indices` counts over all leading axes.
    """

    __slots__ = ("_points", "encoded")

    encoded: Bytes
    _points: Uint64s

    def __init__(self, encoded: Rows, *, threads: int | None = None) -> None:
        leading = 2 if isinstance(encoded, np.ndarray) and encoded.ndim == 3 else 1
        rows, _ = as_rows("public_keys", encoded, PUBLIC_KEY_BYTES, leading=leading)
        points, status = _decode(flat(rows), threads)
        require_ok("public_keys", status)
        self._set(rows.copy(), points.reshape(*rows.shape[:-1], POINT_WORDS))

    def _set(self, encoded: Bytes, points: Uint64s) -> None:
        encoded.flags.writeable = points.flags.writeable = False
        self.encoded, self._points = encoded, points

    @classmethod
    def _of(cls, encoded: Bytes, points: Uint64s) -> PublicKeys:
        keys = cls.__new__(cls)
        keys._set(np.ascontiguousarray(encoded), np.ascontiguousarray(points))
        return keys

    @property
    def shape(self) -> tuple[int, ...]:
        """Leading axes: (n,) or (n, k)."""
        return self.encoded.shape[:-1]

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: Any) -> PublicKeys:
        """The keys at a slice, an index array or a mask over the leading axes, without checking again.

        Raises:
            InputError: the index is for another number of axes, or for one key alone.
            IndexError: there is no such place.
        """
        encoded = self.encoded[leading_index("public_keys", self.shape, index)]
        return self._of(encoded, self._points[index])

    def __repr__(self) -> str:
        return f"PublicKeys(shape={self.shape})"

    @classmethod
    def concatenate(cls, parts: Sequence[PublicKeys]) -> PublicKeys:
        """The keys of all parts, one after the other."""
        if not parts:
            return cls(np.zeros((0, PUBLIC_KEY_BYTES), dtype=np.uint8))
        return cls._of(np.concatenate([p.encoded for p in parts]), np.concatenate([p._points for p in parts]))


def _decode(rows: Bytes, threads: int | None) -> tuple[Uint64s, Bytes]:
    """Points uint64[n, 12] and statuses of uint8[n, 48]."""
    points = np.zeros((len(rows), POINT_WORDS), dtype=np.uint64)
    status = np.zeros(len(rows), dtype=np.uint8)

    def decode(s: slice) -> None:
        lanes = lanes_for("decode", s.stop - s.start)
        _points.decode_public_keys(rows[s], points[s], status[s], lanes)

    for_slices(len(rows), decode, threads=threads)
    return points, status


def valid_public_keys(rows: Bytes, *, threads: int | None = None) -> tuple[PublicKeys, Bools]:
    """Those of uint8[n, 48] that are public keys, and which these are; for the library only."""
    points, status = _decode(rows, threads)
    valid: Bools = status == OK
    return keys_of_points(rows[valid], points[valid]), valid


# What a function accepts where it documents public keys.
KeysLike: TypeAlias = "PublicKeys | Rows"


def as_public_keys(keys: KeysLike, *, threads: int | None = None) -> tuple[PublicKeys, bool]:
    """Decoded keys of shape (n,), and whether a lone row came."""
    if isinstance(keys, PublicKeys):
        if len(keys.shape) != 1:
            raise InputError(f"public_keys: expected keys of shape (n,), got {keys.shape}")
        return keys, False
    rows, lone = as_rows("public_keys", keys, PUBLIC_KEY_BYTES)
    return PublicKeys(rows, threads=threads), lone


def points_of(keys: PublicKeys) -> Uint64s:
    """The decoded points uint64[..., 12], as kernels take them; for the library only."""
    return keys._points


def keys_of_points(encoded: Bytes, points: Uint64s) -> PublicKeys:
    """Keys that were decoded and checked before, from what `points_of` gave; for the library only."""
    return PublicKeys._of(encoded, points)


def random_scalars(*shape: int) -> Bytes:
    """Uniform scalars uint8[*shape, 32] modulo r, from the operating system."""
    count = int(np.prod(shape))
    wide = np.zeros((count, WIDE_SCALAR_BYTES), dtype=np.uint8)
    scalars = np.zeros((count, SECRET_KEY_BYTES), dtype=np.uint8)
    with wiped(wide):
        _scalars.fill_with_random_bytes(wide)
        _scalars.reduce_scalars(wide, scalars)
    return scalars.reshape(*shape, SECRET_KEY_BYTES)


def random_weights(n: int) -> Uint64s:
    """Words that weigh n rows of a batch check: uniform, none of no weight, from the operating system."""
    words = np.frombuffer(bytearray(os.urandom(8 * n)), dtype=np.uint64)
    first, second = ZERO_WEIGHTS
    while (zero := (words == first) | (words == second)).any():  # never seen, n 2^-63
        words[zero] = random_weights(int(zero.sum()))
    return words


def generate_secret_keys(n: int) -> Bytes:
    """Secret keys uint8[n, 32], uniform, from the operating system."""
    keys = random_scalars(as_count("n", n))
    while not (valid := check_secret_keys(keys)).all():  # zero: never seen, 2^-255
        keys[~valid] = random_scalars(int((~valid).sum()))
    return keys


@overload
def check_secret_keys(secret_keys: ManyRows) -> Bools: ...
@overload
def check_secret_keys(secret_keys: LoneRow) -> np.bool_: ...
def check_secret_keys(secret_keys: Rows) -> Bools | np.bool_:
    """Which of uint8[n, 32] are secret keys: scalars of 1..r-1."""
    with secret_rows("secret_keys", secret_keys, SECRET_KEY_BYTES) as (rows, lone):
        ok: Bools = _secret_key_statuses(rows) == OK
    return ok[0] if lone else ok


def require_secret_keys(rows: Bytes) -> None:
    """Raise EncodingError for the rows of uint8[n, 32] that are not secret keys."""
    require_ok("secret_keys", _secret_key_statuses(rows))


def _secret_key_statuses(rows: Bytes) -> Bytes:
    status = np.zeros(len(rows), dtype=np.uint8)
    _kernel.check_secret_keys(rows, status)
    return status


def derive_public_keys(secret_keys: Rows, *, threads: int | None = None) -> Bytes:
    """Public keys uint8[n, 48] of secret keys uint8[n, 32]; constant-time in `secret_keys`.

    Raises:
        EncodingError: a secret key is 0 or not below r.
    """
    with secret_rows("secret_keys", secret_keys, SECRET_KEY_BYTES) as (rows, lone):
        keys = np.zeros((len(rows), PUBLIC_KEY_BYTES), dtype=np.uint8)
        status = np.zeros(len(rows), dtype=np.uint8)
        for_slices(
            len(rows), lambda s: _kernel.derive_public_keys(rows[s], keys[s], status[s]), threads=threads
        )
    require_ok("secret_keys", status)
    return keys[0] if lone else keys


@overload
def check_public_keys(public_keys: ManyRows, *, threads: int | None = None) -> Bools: ...
@overload
def check_public_keys(public_keys: LoneRow, *, threads: int | None = None) -> np.bool_: ...
def check_public_keys(public_keys: Rows, *, threads: int | None = None) -> Bools | np.bool_:
    """Which of uint8[n, 48] are public keys: on the curve, in G1, not infinity (KeyValidate)."""
    return check_public_key_encodings(public_keys, threads=threads)
