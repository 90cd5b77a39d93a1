"""Commitments as they come from dealers: decoded, but not yet known to be in G1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, TypeAlias

import numpy as np

from dvtfast._arrays import Bytes, Uint64s, as_rows, flat
from dvtfast._backend import lanes_for
from dvtfast._native import commitments as _kernel
from dvtfast._parallel import for_slices
from dvtfast._statuses import OK, require_ok, words_of
from dvtfast.constants import PUBLIC_KEY_BYTES
from dvtfast.errors import BadDealerError, InputError
from dvtfast.keys import POINT_WORDS, PublicKeys, points_of

# A kernel needs no memory for a row but what it is given.
CHUNK_ROWS = 8192


class Commitments:
    """Commitments of a dealer: points of the curve, none infinite, but perhaps not in G1.

    Args:
        encoded: uint8[m, t, 48].

    Attributes:
        encoded: the same bytes, read-only.

    Raises:
        EncodingError: some are no such points; `indices` counts over both axes.
    """

    __slots__ = ("_points", "encoded")

    encoded: Bytes
    _points: Uint64s

    def __init__(self, encoded: Bytes, *, threads: int | None = None) -> None:
        rows, points, status = _decode(encoded, threads)
        require_ok("commitments", status)
        self._set(rows, points)

    def _set(self, rows: Bytes, points: Uint64s) -> Self:
        rows, points = rows.copy(), points.reshape(*rows.shape[:2], POINT_WORDS)
        rows.flags.writeable = points.flags.writeable = False
        self.encoded, self._points = rows, points
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """Validators and threshold: (m, t)."""
        return self.encoded.shape[:-1]

    def __repr__(self) -> str:
        return f"Commitments(shape={self.shape})"


# PublicKeys of shape (m, t) are commitments that are known to be in G1: own ones, and sums.
CommitmentsLike: TypeAlias = "Commitments | PublicKeys | Bytes"


def _decode(encoded: Any, threads: int | None) -> tuple[Bytes, Uint64s, Bytes]:
    """Rows uint8[m, t, 48], their points uint64[m t, 12] and statuses."""
    rows, lone = as_rows("commitments", encoded, PUBLIC_KEY_BYTES, leading=2)
    if lone or rows.shape[1] == 0:
        raise InputError(f"commitments: expected uint8[m, t, 48], got {list(np.shape(encoded))}")
    each = flat(rows)
    points = np.zeros((len(each), POINT_WORDS), dtype=np.uint64)
    status = np.zeros(len(each), dtype=np.uint8)

    def decode(s: slice) -> None:
        _kernel.decode(each[s], points[s], status[s], lanes_for("decode", s.stop - s.start))

    for_slices(len(each), decode, threads=threads, chunk_rows=CHUNK_ROWS)
    return rows, points, status


def as_commitments(part: CommitmentsLike, *, threads: int | None = None) -> Commitments | PublicKeys:
    """Decoded commitments of shape (m, t).

    Raises:
        EncodingError: as of `Commitments`.
    """
    if not isinstance(part, Commitments | PublicKeys):
        return Commitments(part, threads=threads)
    if len(part.shape) != 2 or part.shape[1] == 0:
        raise InputError(f"commitments: expected shape (m, t), got {part.shape}")
    return part


def as_parts(
    parts: Sequence[CommitmentsLike], *, threads: int | None = None
) -> list[Commitments | PublicKeys]:
    """Decoded commitments of all dealers, of one shape; what is decoded already stays as it is.

    Raises:
        BadDealerError: the first entry that is no finite point of the curve, of the first dealer with one.
        InputError: no parts, or parts of different shapes.
    """
    decoded: list[Commitments | PublicKeys] = []
    for dealer, part in enumerate(parts):
        if isinstance(part, Commitments | PublicKeys):
            decoded.append(as_commitments(part))
        else:
            rows, points, status = _decode(part, threads)
            require_dealer_ok(dealer, status, rows.shape[1])
            decoded.append(Commitments.__new__(Commitments)._set(rows, points))
    if len({part.shape for part in decoded}) != 1:
        raise InputError(f"parts: expected dealers of one shape, got {[part.shape for part in decoded]}")
    return decoded


def require_dealer_ok(dealer: int, status: Bytes, threshold: int) -> None:
    """Raise BadDealerError for the first of statuses uint8[m t] that is not OK."""
    bad = np.flatnonzero(status != OK)
    if bad.size:
        validator, coefficient = divmod(int(bad[0]), threshold)
        raise BadDealerError(dealer, validator, coefficient, words_of(status[bad[0]]))


def curve_points(commitments: Commitments | PublicKeys) -> Uint64s:
    """Points uint64[m, t, 12]; for the library only."""
    return points_of(commitments) if isinstance(commitments, PublicKeys) else commitments._points
