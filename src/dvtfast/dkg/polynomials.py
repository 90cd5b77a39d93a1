"""Secret polynomials, commitments to their coefficients, and shares: verifiable secret sharing in batch.

A dealer draws a polynomial f(x) = sum of a_k x^k for each validator and commits to A_k = a_k G. The share of
the node at position j is f(j + 1). Nodes add up what all dealers gave: shares, and commitments B_k. So
the key of a validator is B_0, and the public key share of index x is the sum of x^k B_k.

m validators, threshold t. Scalars are 32 bytes, big-endian; points 48 bytes, compressed. Commitments that are
known to be in G1 are PublicKeys of shape (m, t); those that came from a dealer are `Commitments`, or bytes.

Source: Feldman, A practical scheme for non-interactive verifiable secret sharing, 1987; Pedersen, 1991.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from dvtfast._arrays import Bools, Bytes, Uint64s, as_rows, flat
from dvtfast._backend import lanes_for
from dvtfast._native import commitments as _kernel
from dvtfast._native import scalars as _scalars
from dvtfast._native.generator import Comb, multiply_generator
from dvtfast._native.lanes import find
from dvtfast._native.status import Status
from dvtfast._parallel import for_slices
from dvtfast._secrets import secret_rows, wiped
from dvtfast._statuses import OK, require_ok, words_of
from dvtfast.constants import PUBLIC_KEY_BYTES, SECRET_KEY_BYTES
from dvtfast.dkg.coefficients import Coefficients, scalars_of
from dvtfast.dkg.commitments import (
    CHUNK_ROWS,
    Commitments,
    CommitmentsLike,
    as_commitments,
    as_parts,
    curve_points,
)
from dvtfast.errors import BadDealerError, InputError
from dvtfast.keys import POINT_WORDS, PublicKeys, keys_of_points, points_of
from dvtfast.points import check_public_key_encodings
from dvtfast.threshold import checked_share_indices

__all__ = [
    "Coefficients",
    "CommitmentSums",
    "Commitments",
    "CommitmentsLike",
    "add_shares",
    "check_subgroup",
    "commit",
    "evaluate",
    "find_bad_shares",
    "find_mismatches",
    "multiply_base",
    "public_shares",
    "sum_commitments",
]

# Of a random weight of a batch check: a wrong share passes with probability 2^-128.
WEIGHT_BYTES = 16
# Share indices of a small cluster.
FEW_INDICES = 16
# The flag of the first byte of a compressed point.
INFINITE = 0x40


def multiply_base(scalars: Any, *, threads: int | None = None) -> Bytes:
    """Points uint8[k, 48], scalars uint8[k, 32] times the generator of G1; constant-time in the scalars.

    0 gives infinity.

    Raises:
        EncodingError: a scalar is not below r.
    """
    with secret_rows("scalars", scalars, SECRET_KEY_BYTES) as (rows, lone):
        status = np.zeros(len(rows), dtype=np.uint8)
        _scalars.check_scalars(rows, status)
        require_ok("scalars", status)
        encoded = _encode(multiples(rows, threads), threads)
    return encoded[0] if lone else encoded


def commit(coefficients: Coefficients, *, threads: int | None = None) -> PublicKeys:
    """Commitments of shape (m, t), decoded; `.encoded` is what others get, uint8[m, t, 48].

    Constant-time in the coefficients.
    """
    rows = scalars_of(coefficients)
    return _keys(multiples(flat(rows), threads).reshape(*rows.shape[:2], POINT_WORDS), threads)


def evaluate(coefficients: Coefficients, index: Any, *, threads: int | None = None) -> Bytes:
    """Shares uint8[m, 32] of the node with this share index, or uint8[n, m, 32] of n share indices.

    They are secret; constant-time in the coefficients.

    Raises:
        ThresholdError: an index is not of 1..2^64-1, or repeated.
    """
    lone = np.ndim(index) == 0
    rows, indices = scalars_of(coefficients), checked_share_indices([index] if lone else index)
    shares = np.zeros((len(indices), len(rows), SECRET_KEY_BYTES), dtype=np.uint8)

    def evaluate_rows(s: slice) -> None:
        own = np.zeros((len(indices), s.stop - s.start, SECRET_KEY_BYTES), dtype=np.uint8)
        with wiped(own):
            _scalars.evaluate_each(rows[s], indices, own)
            shares[:, s] = own

    for_slices(len(rows), evaluate_rows, threads=threads, chunk_rows=CHUNK_ROWS)
    return shares[0] if lone else shares


def sum_commitments(parts: Sequence[CommitmentsLike], *, threads: int | None = None) -> PublicKeys:
    """Commitments of shape (m, t) to the sums of the dealers' polynomials.

    Every entry of a part must be a finite point of the curve, and every sum in G1: what is not in G1 and
    cancels among dealers has no effect, as sums alone are used.

    Raises:
        BadDealerError: the first dealer with an entry that is no such point; or, of the first sum that is not
            in G1, the first dealer whose entry is not; or, by all dealers together, a sum that is infinite.
        InputError: no parts, or parts of different shapes.
    """
    decoded = as_parts(parts, threads=threads)
    sums = CommitmentSums()
    sums.add(decoded, threads=threads)
    try:
        return sums.total(threads=threads)
    except BadDealerError as error:
        status = np.zeros(1, dtype=np.uint8)
        for dealer, part in enumerate(decoded):
            point = curve_points(part)[error.validator, error.coefficient]
            _kernel.check_in_g1(point[np.newaxis], status, None)
            if status[0] != OK:
                raise BadDealerError(
                    dealer, error.validator, error.coefficient, words_of(status[0])
                ) from None
        raise


class CommitmentSums:
    """Sums of commitments of dealers who come one after the other, so that not all are held decoded."""

    __slots__ = ("_shape", "_totals")

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = ()
        self._totals: Uint64s | None = None

    def add(self, parts: Sequence[Commitments | PublicKeys], *, threads: int | None = None) -> None:
        """Add dealers' commitments of shape (m, t), of one shape in all."""
        each = [flat(curve_points(part)) for part in parts]
        if self._totals is None:
            self._shape, self._totals = parts[0].shape, each.pop(0).copy()
        if any(part.shape != self._shape for part in parts):
            raise InputError(f"parts: expected dealers of one shape, {self._shape}")
        totals = self._totals

        def add(s: slice) -> None:
            lanes = lanes_for("decode", s.stop - s.start)
            for terms in each:
                _kernel.add_points(totals[s], terms[s], lanes)

        for_slices(len(totals), add, threads=threads, chunk_rows=CHUNK_ROWS)

    def total(self, *, threads: int | None = None) -> PublicKeys:
        """The sums, of shape (m, t).

        Raises:
            BadDealerError: of no dealer: the first sum that is infinite or not in G1; in that case a dealer's
                entry at its place is not in G1.
        """
        assert self._totals is not None
        totals, status = self._totals, np.zeros(len(self._totals), dtype=np.uint8)

        def check(s: slice) -> None:
            _kernel.check_in_g1(totals[s], status[s], lanes_for("decode", s.stop - s.start))

        for_slices(len(totals), check, threads=threads, chunk_rows=CHUNK_ROWS)
        bad = np.flatnonzero(status != OK)
        if bad.size:
            validator, coefficient = divmod(int(bad[0]), self._shape[1])
            raise BadDealerError(None, validator, coefficient, words_of(int(Status.IS_INFINITY)))
        return _keys(totals.reshape(*self._shape, POINT_WORDS), threads)


def add_shares(parts: Sequence[Bytes]) -> Bytes:
    """Shares uint8[m, 32] modulo r, the sums of what all dealers gave, uint8[m, 32] each; constant-time.

    Raises:
        BadDealerError: the first share of the first dealer that is not below r; or, by all dealers together,
            a sum that is 0.
        InputError: no parts, or parts of different shapes.
    """
    if len(parts) == 0:
        raise InputError("parts: expected one at least")
    totals = np.zeros((len(parts[0]), SECRET_KEY_BYTES), dtype=np.uint8)
    status = np.zeros(len(totals), dtype=np.uint8)
    for dealer, part in enumerate(parts):
        with secret_rows("parts", part, SECRET_KEY_BYTES) as (rows, lone):
            if lone or len(rows) != len(totals):
                raise InputError(f"parts: expected uint8[{len(totals)}, 32] of each dealer")
            _scalars.add_scalars(totals, rows, status)
        bad = np.flatnonzero(status != OK)
        if bad.size:
            totals.fill(0)
            raise BadDealerError(dealer, int(bad[0]), None, "not a scalar below r")
    zero = np.flatnonzero(~totals.any(axis=1))
    if zero.size:
        totals.fill(0)
        raise BadDealerError(None, int(zero[0]), None, "the sum is 0")
    return totals


def public_shares(commitments: PublicKeys, indices: Any, *, threads: int | None = None) -> PublicKeys:
    """Public key shares of shape (n, m): of each share index, all validators.

    Args:
        commitments: of shape (m, t), as `sum_commitments` gives them; bytes are checked first.
        indices: n share indices; consecutive ones from 1 on are the fastest.

    Raises:
        EncodingError: a commitment is not in G1, or a public key share is infinite.
        ThresholdError: bad share indices.
    """
    given = commitments if isinstance(commitments, PublicKeys) else PublicKeys(commitments, threads=threads)
    points, xs = curve_points(as_commitments(given)), checked_share_indices(indices)
    values = _values(points, xs, threads)
    keys = _keys(values, threads)
    infinite = flat(keys.encoded)[:, 0] & INFINITE
    require_ok("public_shares", np.where(infinite, int(Status.IS_INFINITY), OK).astype(np.uint8))
    return keys


def find_bad_shares(
    shares: Bytes, commitments: CommitmentsLike, index: int, *, threads: int | None = None
) -> Uint64s:
    """Positions of the validators whose share uint8[m, 32] does not fit, ascending; usually none.

    A share fits when it is below r, all its commitments are in G1, and it is the value at this share index.
    One sum with random weights of 128 bits judges all; it is halved only when it fails. Constant-time in the
    shares but for the answer.

    Args:
        commitments: of one dealer, or sums; bytes and `Commitments` are checked to be in G1.

    Raises:
        EncodingError: bytes that are no finite points of the curve.
        ThresholdError: a bad share index.
    """
    given = as_commitments(commitments, threads=threads)
    points = curve_points(given)
    values = _values(points, checked_share_indices([index]), threads)[0]
    known = isinstance(given, PublicKeys)
    in_g1 = np.ones(points.shape[:2], dtype=np.bool_) if known else _in_g1(points, threads)
    return _mismatches(shares, values, np.logical_and.reduce(in_g1, axis=1))


def find_mismatches(secret_keys: Bytes, public_keys: PublicKeys) -> Uint64s:
    """Positions at which a public key is not that of the secret key uint8[m, 32]; see `find_bad_shares`."""
    if len(public_keys.shape) != 1:
        raise InputError(f"public_keys: expected keys of shape (m,), got {public_keys.shape}")
    return _mismatches(secret_keys, points_of(public_keys), np.ones(len(public_keys), dtype=np.bool_))


def _mismatches(scalars: Any, points: Uint64s, can_fit: Bools) -> Uint64s:
    """Where points uint64[m, 12], or infinity, are not scalars times the generator, or cannot fit."""
    with secret_rows("shares", scalars, SECRET_KEY_BYTES) as (rows, lone):
        if lone or len(rows) != len(points):
            raise InputError(f"shares: expected uint8[{len(points)}, 32], got {list(np.shape(scalars))}")
        status = np.zeros(len(rows), dtype=np.uint8)
        _scalars.check_scalars(rows, status)
        can_fit = can_fit & (status == OK)

        def fits(members: Any) -> bool:
            weights = np.frombuffer(os.urandom(WEIGHT_BYTES * len(members)), dtype=np.uint8)
            weights = weights.reshape(-1, WEIGHT_BYTES)
            total, own = np.zeros((1, SECRET_KEY_BYTES), np.uint8), rows[members]
            with wiped(total, own):
                _scalars.weigh_scalars(own, weights, total[0])
                wanted = multiples(total)[0]
            return np.array_equal(weighted_sum(points[members], weights), wanted)

        def bad(members: Any) -> list[int]:
            if len(members) == 0 or fits(members):
                return []
            if len(members) == 1:
                return [int(members[0])]
            middle = len(members) // 2
            return bad(members[:middle]) + bad(members[middle:])

        found = bad(np.flatnonzero(can_fit)) + np.flatnonzero(~can_fit).tolist()
    return np.array(sorted(found), dtype=np.uint64)


def check_subgroup(commitments: CommitmentsLike, *, threads: int | None = None) -> Bools:
    """Which of commitments uint8[m, t, 48] are points of G1, not infinite: bool[m, t], exact."""
    if isinstance(commitments, PublicKeys):
        return np.ones(as_commitments(commitments).shape, dtype=np.bool_)
    if isinstance(commitments, Commitments):
        return _in_g1(curve_points(commitments), threads)
    rows, _ = as_rows("commitments", commitments, PUBLIC_KEY_BYTES, leading=2)
    return check_public_key_encodings(flat(rows), threads=threads).reshape(rows.shape[:2])


@cache
def _comb(build: str | None) -> Comb:
    """The table for these lanes, made once: 4,096 points."""
    return Comb(find(build) if build else None)


def multiples(scalars: Bytes, threads: int | None = None) -> Uint64s:
    """Points uint64[n, 12] of scalars uint8[n, 32] below r; constant-time. For the library only."""
    points = np.zeros((len(scalars), POINT_WORDS), dtype=np.uint64)

    def multiply(s: slice) -> None:
        lanes = lanes_for("generator", s.stop - s.start)
        multiply_generator(scalars[s], points[s], _comb(lanes.name if lanes else None), lanes)

    for_slices(len(scalars), multiply, threads=threads, chunk_rows=CHUNK_ROWS)
    return points


def weighted_sum(points: Uint64s, weights: Bytes) -> Uint64s:
    """The sum of weights uint8[n, 16] times points uint64[n, 12]; for the library only."""
    total = np.zeros(POINT_WORDS, dtype=np.uint64)
    _kernel.weighted_sum(points, weights, total, lanes_for("weighted_sum", len(points)))
    return total


def _encode(points: Uint64s, threads: int | None) -> Bytes:
    """uint8[..., 48] of points uint64[..., 12]."""
    rows, each = np.zeros((*points.shape[:-1], PUBLIC_KEY_BYTES), dtype=np.uint8), flat(points)
    encoded = flat(rows)
    for_slices(
        len(each), lambda s: _kernel.encode(each[s], encoded[s]), threads=threads, chunk_rows=CHUNK_ROWS
    )
    return rows


def _keys(points: Uint64s, threads: int | None) -> PublicKeys:
    return keys_of_points(_encode(points, threads), points)


def _values(points: Uint64s, indices: Uint64s, threads: int | None) -> Uint64s:
    """Values uint64[n, m, 12] at n share indices of points uint64[m, t, 12]."""
    last = int(indices.max(initial=0))
    # Up to there all values are had for less than a few are by multiplications.
    in_turn = last <= max(FEW_INDICES, 2 * len(indices))
    values = np.zeros((len(points), last if in_turn else len(indices), POINT_WORDS), dtype=np.uint64)

    def evaluate_rows(s: slice) -> None:
        if in_turn:
            _kernel.evaluate_in_turn(points[s], values[s], lanes_for("decode", s.stop - s.start))
        else:
            _kernel.evaluate(points[s], indices, values[s])

    for_slices(len(points), evaluate_rows, threads=threads, chunk_rows=CHUNK_ROWS)
    by_index = values.transpose(1, 0, 2)
    return np.ascontiguousarray(by_index[indices.astype(np.intp) - 1] if in_turn else by_index)


def _in_g1(points: Uint64s, threads: int | None) -> Bools:
    each = flat(points)
    status = np.zeros(len(each), dtype=np.uint8)

    def check(s: slice) -> None:
        _kernel.check_in_g1(each[s], status[s], lanes_for("decode", s.stop - s.start))

    for_slices(len(each), check, threads=threads, chunk_rows=CHUNK_ROWS)
    ok: Bools = (status == OK).reshape(points.shape[:-1])
    return ok
