"""Shamir out, Lagrange back: split and recover keys and signatures, in batch.

Every rule about share indices lives here: they are unique integers of 1..2^64-1, in any order and
with any gaps (Obol: node index + 1; SSV: operator ids). Index 0 would be the secret itself.

The scheme: share i of a secret is f(i) for a polynomial f of degree below the threshold with f(0) the
secret; public keys and signatures interpolate with the same coefficients (BLS is linear).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, overload

import numpy as np

from dvtfast import _lagrange
from dvtfast._arrays import Bools, Bytes, LoneRow, ManyRows, Rows, Uint64s, as_count, as_rows, as_uint64s
from dvtfast._backend import lanes_for
from dvtfast._native import threshold as _kernel
from dvtfast._parallel import for_slices
from dvtfast._secrets import secret_rows, wiped
from dvtfast._statuses import require_ok
from dvtfast.constants import PUBLIC_KEY_BYTES, SECRET_KEY_BYTES, SIGNATURE_BYTES
from dvtfast.errors import InputError, ThresholdError
from dvtfast.keys import (
    KeysLike,
    PublicKeys,
    as_public_keys,
    points_of,
    random_scalars,
    random_weights,
    require_secret_keys,
)


def checked_share_indices(values: Any) -> Uint64s:
    """Share indices uint64[k]: unique, of 1..2^64-1.

    Raises:
        ThresholdError: an index is 0, too large or repeated; `indices` are the positions.
    """
    array = _as_share_indices(values)
    if array.ndim != 1:
        raise ThresholdError(f"share_indices: expected uint64[k], got uint64{list(array.shape)}")
    zero = np.flatnonzero(array == 0)
    if zero.size:
        raise ThresholdError("share_indices: 0 is never a share index", zero.tolist())
    first = np.unique(array, return_index=True)[1]
    if first.size != array.size:
        repeated = np.setdiff1d(np.arange(array.size), first)
        raise ThresholdError("share_indices: an index is repeated", repeated.tolist())
    return array


def checked_index_rows(values: Any, here: Bools) -> Uint64s:
    """Share indices uint64[n, k], given as such or as uint64[k] for all rows, where `here` bool[n, k].

    Raises:
        ThresholdError: where a share is, an index is 0, or repeated in its row; `indices` are rows.
    """
    indices = _as_share_indices(values)
    if indices.shape not in (here.shape, here.shape[1:]):
        n, k = here.shape
        raise InputError(
            f"share_indices: expected uint64[{k}] or uint64[{n}, {k}], got uint64{list(indices.shape)}"
        )
    rows = np.empty(here.shape, dtype=np.uint64)
    rows[:] = indices
    if indices.ndim == 1 and len(distinct := set(indices.tolist())) == len(indices) and 0 not in distinct:
        return rows
    zero = np.flatnonzero((here & (rows == 0)).any(axis=1))
    if zero.size:
        raise ThresholdError("share_indices: 0 is never a share index", zero.tolist())
    ascending = np.sort(np.where(here, rows, 0), axis=1)
    repeated = np.flatnonzero(((np.diff(ascending, axis=1) == 0) & (ascending[:, 1:] != 0)).any(axis=1))
    if repeated.size:
        raise ThresholdError("share_indices: an index is repeated", repeated.tolist())
    return rows


def _as_share_indices(values: Any) -> Uint64s:
    try:
        return as_uint64s("share_indices", values)
    except InputError as error:
        raise ThresholdError(str(error)) from None


def lagrange_coefficients(share_indices: Any, *, at: int = 0) -> list[int]:
    """Coefficients modulo r that interpolate shares at these indices to the value at `at`."""
    return _lagrange.coefficients(checked_share_indices(share_indices).tolist(), at)


def split_secret_keys(
    secret_keys: Rows, *, threshold: int, share_indices: Any, threads: int | None = None
) -> Bytes:
    """Key shares uint8[n, k, 32] at k share indices, any `threshold` of which recover the secret key.

    Constant-time in the secret keys; coefficients come from the operating system.

    Raises:
        EncodingError: a secret key is 0 or not below r.
        ThresholdError: bad share indices, or fewer of them than `threshold`.
    """
    with secret_rows("secret_keys", secret_keys, SECRET_KEY_BYTES) as (keys, lone):
        indices = checked_share_indices(share_indices)
        threshold = _checked_threshold(threshold, len(indices))
        require_secret_keys(keys)
        shares = np.zeros((len(keys), len(indices), SECRET_KEY_BYTES), dtype=np.uint8)
        random = random_scalars(len(keys), threshold - 1)
        coefficients = np.concatenate([keys[:, np.newaxis], random], axis=1)
        with wiped(random, coefficients):
            for_slices(
                len(keys), lambda s: _kernel.evaluate(coefficients[s], indices, shares[s]), threads=threads
            )
    return shares[0] if lone else shares


def recover_secret_keys(
    key_shares: Rows, share_indices: Any, *, threshold: int, threads: int | None = None
) -> Bytes:
    """Secret keys uint8[n, 32] from key shares uint8[n, k, 32]; constant-time in the shares.

    `share_indices` is uint64[k], or uint64[n, k]. The first `threshold` shares are used.

    Raises:
        ThresholdError: bad share indices, or fewer than `threshold`.
        EncodingError: a key share is 0 or not below r; `indices` are validators.
    """

    def kernel(xs: tuple[int, ...], shares: Bytes, out: Bytes, status: Bytes) -> None:
        _kernel.recover_secret_keys(shares, _lagrange.coefficient_rows(xs, 0), out, status)

    with secret_rows("key_shares", key_shares, SECRET_KEY_BYTES, leading=2) as (rows, lone):
        keys, status = _recover(
            rows, share_indices, threshold, SECRET_KEY_BYTES, kernel, threads, are_secret=True
        )
    require_ok("key_shares", status)
    return keys[0] if lone else keys


def recover_public_keys(
    public_key_shares: Rows | PublicKeys, share_indices: Any, *, threshold: int, threads: int | None = None
) -> Bytes:
    """Public keys uint8[n, 48] from public key shares uint8[n, k, 48]; see `recover_secret_keys`.

    Raises:
        ThresholdError: bad share indices, or fewer than `threshold`.
        EncodingError: a public key share is invalid, or the result is infinity.
    """

    def kernel(xs: tuple[int, ...], shares: Uint64s, out: Bytes, status: Bytes) -> None:
        _kernel.recover_public_keys(shares, _lagrange.coefficient_rows(xs, 0), out, status)

    lone = False
    if not isinstance(public_key_shares, PublicKeys):
        rows, lone = as_rows("public_key_shares", public_key_shares, PUBLIC_KEY_BYTES, leading=2)
        public_key_shares = PublicKeys(rows, threads=threads)
    points = points_of(public_key_shares)
    keys, status = _recover(points, share_indices, threshold, PUBLIC_KEY_BYTES, kernel, threads)
    require_ok("public_key_shares", status)
    return keys[0] if lone else keys


def recover_signatures(
    partial_signatures: Rows, share_indices: Any, *, threshold: int, threads: int | None = None
) -> Bytes:
    """Signatures uint8[n, 96] from partial signatures uint8[n, k, 96]; see `recover_secret_keys`.

    Each share used is checked to be in G2. Wrong shares give a well-formed, wrong signature: verify it,
    or use `recover_and_check`.

    Raises:
        ThresholdError: bad share indices, or fewer than `threshold`.
        EncodingError: a share does not decode or is outside G2, or the result is infinity.
    """

    def kernel(xs: tuple[int, ...], shares: Bytes, out: Bytes, status: Bytes) -> None:
        _kernel.recover_signatures(shares, _lagrange.rule(xs), out, status, lanes_for("recover", len(out)))

    rows, lone = as_rows("partial_signatures", partial_signatures, SIGNATURE_BYTES, leading=2)
    signatures, status = _recover(rows, share_indices, threshold, SIGNATURE_BYTES, kernel, threads)
    require_ok("partial_signatures", status)
    return signatures[0] if lone else signatures


@overload
def check_public_key_shares(
    public_keys: PublicKeys | ManyRows,
    public_key_shares: Rows | PublicKeys,
    share_indices: Any,
    *,
    threshold: int,
    threads: int | None = None,
) -> Bools: ...
@overload
def check_public_key_shares(
    public_keys: LoneRow,
    public_key_shares: Rows | PublicKeys,
    share_indices: Any,
    *,
    threshold: int,
    threads: int | None = None,
) -> np.bool_: ...
def check_public_key_shares(
    public_keys: KeysLike,
    public_key_shares: Rows | PublicKeys,
    share_indices: Any,
    *,
    threshold: int,
    threads: int | None = None,
) -> Bools | np.bool_:
    """Which validators' public key shares all interpolate to their public key.

    All k shares of a row must lie on the one polynomial of degree below `threshold` that has the public
    key at 0. The whole batch is judged by one random combination, and halved only when that fails.

    Args:
        public_keys: uint8[n, 48].
        public_key_shares: uint8[n, k, 48], k at least `threshold`.
        share_indices: uint64[k], the same for all validators.

    Raises:
        EncodingError: a key is invalid.
        ThresholdError: bad share indices, or fewer than `threshold`.
    """
    keys, lone = as_public_keys(public_keys, threads=threads)
    if not isinstance(public_key_shares, PublicKeys):
        shares, _ = as_rows("public_key_shares", public_key_shares, PUBLIC_KEY_BYTES, leading=2)
        public_key_shares = PublicKeys(shares, threads=threads)
    indices = checked_share_indices(share_indices)
    threshold = _checked_threshold(threshold, len(indices))
    if public_key_shares.shape != (len(keys), len(indices)):
        raise InputError(
            f"public_key_shares: expected shape {(len(keys), len(indices))}, got {public_key_shares.shape}"
        )
    # The public key is the value at 0; it and the first threshold - 1 shares determine the others.
    xs = [0, *indices.tolist()]
    coefficients = np.stack([_lagrange.coefficient_rows(xs[:threshold], x) for x in xs[threshold:]])
    points = np.concatenate([points_of(keys)[:, np.newaxis], points_of(public_key_shares)], axis=1)
    ok = np.zeros(len(keys), dtype=np.bool_)

    def judge(rows: slice) -> None:
        size = rows.stop - rows.start
        if _kernel.on_polynomial(points[rows], random_weights(size), coefficients):
            ok[rows] = True
        elif size > 1:
            middle = rows.start + size // 2
            judge(slice(rows.start, middle))
            judge(slice(middle, rows.stop))

    for_slices(len(keys), judge, threads=threads)
    return ok[0] if lone else ok


def _recover(
    rows: Any,
    share_indices: Any,
    threshold: int,
    width: int,
    kernel: Callable[[tuple[int, ...], Any, Bytes, Bytes], None],
    threads: int | None,
    *,
    are_secret: bool = False,
) -> tuple[Bytes, Bytes]:
    """Run `kernel` on the first `threshold` shares of rows [n, k, ...], by set of share indices."""
    n, k = rows.shape[:2]
    indices = _as_share_indices(share_indices)
    if indices.ndim == 1:  # one set for all is checked also when there are no rows
        checked_share_indices(indices)
    indices = checked_index_rows(indices, np.ones((n, k), dtype=np.bool_))
    threshold = _checked_threshold(threshold, k)
    out = np.zeros((n, width), dtype=np.uint8)
    status = np.zeros(n, dtype=np.uint8)

    def recover(xs: tuple[int, ...], members: Any) -> None:
        shares = np.ascontiguousarray(rows[members, :threshold])
        results = np.zeros((len(shares), width), dtype=np.uint8)
        verdicts = np.zeros(len(shares), dtype=np.uint8)
        with wiped(shares, results) if are_secret else nullcontext():
            for_slices(len(shares), lambda s: kernel(xs, shares[s], results[s], verdicts[s]), threads=threads)
            out[members], status[members] = results, verdicts

    sets, of_row = np.unique(indices[:, :threshold], axis=0, return_inverse=True)
    for number, xs in enumerate(sets):
        recover(tuple(xs.tolist()), np.flatnonzero(of_row.reshape(-1) == number))
    return out, status


def as_share_count(name: str, value: Any) -> int:
    """A threshold, or how many shares there are: 1 or more.

    Raises:
        InputError: it is no integer.
        ThresholdError: it is below 1.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value < 1:
        raise ThresholdError(f"{name}: expected at least 1, got {value}")
    return as_count(name, value, least=1)


def _checked_threshold(value: Any, count: int) -> int:
    threshold = as_share_count("threshold", value)
    if count < threshold:
        raise ThresholdError(f"share_indices: expected at least threshold = {threshold} shares, got {count}")
    return threshold
