"""Secret polynomials: drawn from a seed, overwritten in the end."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from dvtfast._arrays import Bytes, as_count, as_rows, flat
from dvtfast._native import scalars as _kernel
from dvtfast._native import threshold as _random
from dvtfast._secrets import secret_rows, wiped
from dvtfast.constants import SECRET_KEY_BYTES
from dvtfast.errors import InputError
from dvtfast.keys import require_secret_keys

SEED_BYTES = 32
# The coefficients of a seed: HKDF-Expand with this, then validator and coefficient, each 4 bytes big-endian.
COEFFICIENT_TAG = b"dvtfast-dkg/1"


class Coefficients:
    """Secret polynomials of m validators: scalars uint8[m, t, 32] of 1..r-1, the constant terms first.

    A context manager that wipes them in the end. What they are is in no repr.
    """

    __slots__ = ("_rows",)

    def __init__(self, rows: Bytes) -> None:
        self._rows = rows

    @classmethod
    def derive(cls, seed: bytes | bytearray | Bytes, validators: int, threshold: int) -> Self:
        """Polynomials from a uniform seed of 32 bytes: the same for the same seed.

        Source: HKDF-Expand, RFC 5869, with SHA-256; 48 bytes for each coefficient, reduced modulo r.

        Raises:
            InputError: a seed of another length, or numbers that are no counts.
        """
        m, t = as_count("validators", validators, least=1), as_count("threshold", threshold, least=1)
        scalars = np.zeros((m * t, SECRET_KEY_BYTES), dtype=np.uint8)
        places = np.stack(np.divmod(np.arange(m * t), t), axis=1).astype(">u4")
        infos = np.empty((m * t, len(COEFFICIENT_TAG) + 8), dtype=np.uint8)
        infos[:, : len(COEFFICIENT_TAG)] = np.frombuffer(COEFFICIENT_TAG, dtype=np.uint8)
        infos[:, len(COEFFICIENT_TAG) :] = places.view(np.uint8)
        with secret_rows("seed", seed, SEED_BYTES) as (rows, lone):
            if not lone:
                raise InputError(f"seed: expected one row of {SEED_BYTES} bytes")
            _kernel.expand_scalars(rows[0], infos, scalars)
        return cls(scalars.reshape(m, t, SECRET_KEY_BYTES))

    @classmethod
    def generate(cls, validators: int, threshold: int) -> Self:
        """Polynomials from a seed of the operating system, which nobody keeps."""
        seed = np.zeros((1, SEED_BYTES), dtype=np.uint8)
        with wiped(seed):
            _random.fill_with_random_bytes(seed)
            return cls.derive(seed[0], validators, threshold)

    @classmethod
    def from_bytes(cls, scalars: Any) -> Self:
        """Polynomials of these scalars uint8[m, t, 32], which are copied.

        Raises:
            EncodingError: a scalar is 0 or not below r; `indices` counts over both axes.
        """
        rows, lone = as_rows("coefficients", scalars, SECRET_KEY_BYTES, leading=2)
        if lone or 0 in rows.shape:
            raise InputError(f"coefficients: expected uint8[m, t, 32], got {list(rows.shape)}")
        require_secret_keys(flat(rows))
        return cls(rows.copy())

    @property
    def validators(self) -> int:
        """How many polynomials."""
        return int(self._rows.shape[0])

    @property
    def threshold(self) -> int:
        """Coefficients of each: shares that determine it."""
        return int(self._rows.shape[1])

    def wipe(self) -> None:
        """Overwrite all of them; what is computed of them afterwards is an error."""
        self._rows.fill(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return f"Coefficients(validators={self.validators}, threshold={self.threshold})"


def scalars_of(coefficients: Coefficients) -> Bytes:
    """The scalars uint8[m, t, 32] themselves, not a copy; for the library only.

    Raises:
        InputError: they were wiped.
    """
    rows = coefficients._rows
    if rows.size and not rows[0, 0].any():
        raise InputError("coefficients: they were wiped")
    return rows
