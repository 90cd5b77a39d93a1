"""Recover signatures from partial ones and check them, for a whole batch; name bad shares.

The fast path recovers every validator from one threshold subset and verifies all results in one
weighted pairing equation. A pass proves the signature (BLS signatures are unique), and nothing about the
single shares: wrong ones can cancel. Only validators that fail pay for a closer look:

* with public key shares each share is verified by itself, and the good ones are used;
* without, threshold subsets are tried until one verifies, suspects last; every other share is then
  compared with the value that the subset interpolates at its index.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvtfast import _lagrange
from dvtfast._arrays import UINT64_MAX, Bools, Bytes, Rows, Uint64s, as_rows, same_length
from dvtfast._native import threshold as _kernel
from dvtfast._native.status import Status
from dvtfast._parallel import for_slices
from dvtfast.constants import ROOT_BYTES, SIGNATURE_BYTES
from dvtfast.errors import InputError, ThresholdError
from dvtfast.keys import KeysLike, PublicKeys, as_public_keys, points_of, random_weights
from dvtfast.points import check_signature_encodings
from dvtfast.signatures import check_signatures
from dvtfast.threshold import checked_index_rows

# Threshold subsets tried for one validator whose public key shares are unknown.
MAX_SUBSETS = 2000
# Failing validators searched together at first; each later wave is twice as large and knows more suspects.
FIRST_WAVE = 16

Positions = NDArray[np.intp]


class RecoveryStatus(IntEnum):
    """What became of one validator."""

    NOT_CHECKED = 0
    OK = 1
    TOO_FEW_SHARES = 2  # fewer than threshold, or fewer that are not proven bad
    INCONSISTENT = 3  # some share is bad, and more shares are needed to tell which


class ShareStatus(IntEnum):
    """What was proven of one share."""

    NOT_CHECKED = 0
    GOOD = 1
    BAD = 2


@dataclass(frozen=True)
class RecoveredSignatures:
    """What `recover_and_check` found out.

    Attributes:
        signatures: uint8[n, 96], verified; zeros where none was recovered.
        statuses: uint8[n] of RecoveryStatus.
        share_statuses: uint8[n, k] of ShareStatus.
        share_indices: uint64[n, k].
    """

    signatures: Bytes = field(repr=False)
    statuses: Bytes
    share_statuses: Bytes
    share_indices: Uint64s

    @property
    def ok(self) -> Bools:
        """Which validators have a verified signature."""
        ok: Bools = self.statuses == RecoveryStatus.OK
        return ok

    def bad_share_indices(self, validator: int) -> Uint64s:
        """Share indices of one validator that are proven bad."""
        bad: Uint64s = self.share_indices[validator][self.share_statuses[validator] == ShareStatus.BAD]
        return bad


def recover_and_check(
    public_keys: KeysLike,
    signing_roots: Rows,
    partial_signatures: Bytes,
    share_indices: Any,
    *,
    threshold: int,
    present: Bools | None = None,
    public_key_shares: PublicKeys | Bytes | None = None,
    suspects: Collection[int] = (),
    max_subsets: int = MAX_SUBSETS,
    threads: int | None = None,
) -> RecoveredSignatures:
    """Recover n signatures from up to k partial signatures each, verify them, and name bad shares.

    One bad share never blocks a validator that has `threshold` good ones, nor the rest of the batch.
    When public key shares are unknown, a share is called bad if a subset that verifies interpolates to
    another value at its index; this presumes fewer than two colluding senders in that subset.

    Args:
        public_keys: n validators' keys.
        signing_roots: uint8[n, 32].
        partial_signatures: uint8[n, k, 96].
        share_indices: uint64[k], or uint64[n, k]; unique within a validator, never 0 where present.
        present: bool[n, k], which places hold a share; default: all.
        public_key_shares: of the same n validators and k places, if known.
        suspects: share indices to use last; with public key shares all their shares are verified.
        max_subsets: bound of the search for each validator, when public key shares are unknown.

    Raises:
        ThresholdError: bad share indices (`indices` are validators), or threshold below 1.
        EncodingError: a public key or public key share is invalid.
    """
    keys, _ = as_public_keys(public_keys, threads=threads)
    roots, _ = as_rows("signing_roots", signing_roots, ROOT_BYTES)
    shares, _ = as_rows("partial_signatures", partial_signatures, SIGNATURE_BYTES, leading=2)
    n, k = shares.shape[:2]
    same_length(public_keys=keys, signing_roots=roots, partial_signatures=shares)
    if public_key_shares is not None and not isinstance(public_key_shares, PublicKeys):
        public_key_shares = PublicKeys(public_key_shares, threads=threads)
    if public_key_shares is not None and public_key_shares.shape != (n, k):
        raise InputError(f"public_key_shares: expected shape {(n, k)}, got {public_key_shares.shape}")
    if threshold < 1:
        raise ThresholdError(f"threshold: expected at least 1, got {threshold}")
    here = np.ones((n, k), dtype=np.bool_) if present is None else np.array(present, dtype=np.bool_)
    if here.shape != (n, k):
        raise InputError(f"present: expected bool[{n}, {k}], got bool{list(here.shape)}")
    batch = _Batch(
        keys, roots, shares, checked_index_rows(share_indices, here), here, public_key_shares,
        threshold, {index for index in suspects if 0 < index <= UINT64_MAX}, max_subsets, threads,
    )  # fmt: skip
    return batch.run()


class _Batch:
    """One call of `recover_and_check`."""

    def __init__(
        self, keys: PublicKeys, roots: Bytes, shares: Bytes, indices: Uint64s, here: Bools,
        key_shares: PublicKeys | None, threshold: int, suspects: set[int], max_subsets: int,
        threads: int | None,
    ) -> None:  # fmt: skip
        self.keys, self.roots, self.shares, self.indices, self.here = keys, roots, shares, indices, here
        self.key_shares, self.threshold, self.suspects = key_shares, threshold, suspects
        self.max_subsets, self.threads = max_subsets, threads
        n, k = here.shape
        self.signatures = np.zeros((n, SIGNATURE_BYTES), dtype=np.uint8)
        self.statuses = np.full(n, RecoveryStatus.TOO_FEW_SHARES, dtype=np.uint8)
        self.share_statuses = np.zeros((n, k), dtype=np.uint8)

    def run(self) -> RecoveredSignatures:
        """Fast path for all, then the closer look for those that failed."""
        named = self.here & self.of_suspects(self.indices)
        failed = self.attempt(self.with_enough(np.arange(len(self.keys))))
        if self.key_shares is None:
            self.search_subsets(failed)
        else:
            every = np.zeros_like(self.here)
            every[failed] = self.here[failed]
            self.verify_shares(self.key_shares, every | named)
            self.attempt(self.with_enough(failed))
        return RecoveredSignatures(self.signatures, self.statuses, self.share_statuses, self.indices)

    def usable(self, validators: Positions) -> Bools:
        """Places of these validators with a share that is not proven bad."""
        usable: Bools = self.here[validators] & (self.share_statuses[validators] != ShareStatus.BAD)
        return usable

    def with_enough(self, validators: Positions) -> Positions:
        """Those of `validators` that have at least threshold usable shares; marks the others."""
        enough = self.usable(validators).sum(axis=1) >= self.threshold
        self.statuses[validators[~enough]] = RecoveryStatus.TOO_FEW_SHARES
        found: Positions = validators[enough]
        return found

    def attempt(self, validators: Positions, places: Positions | None = None) -> Positions:
        """Recover and check from `places` [m, t], by default the first usable ones; the failed ones."""
        if not validators.size:
            return validators
        if places is None:
            suspect = self.of_suspects(self.indices[validators])
            rank = np.where(self.usable(validators), suspect.astype(np.uint8), 2)
            places = np.argsort(rank, axis=1, kind="stable")[:, : self.threshold]
        xs, rule_of = np.unique(self.indices[validators[:, np.newaxis], places], axis=0, return_inverse=True)
        rules = [_lagrange.rule(tuple(row.tolist())) for row in xs]
        rule_numbers = rule_of.reshape(-1).astype(np.uint32)
        shares = self.shares[validators[:, np.newaxis], places]
        points, roots = points_of(self.keys)[validators], self.roots[validators]
        signatures = np.zeros((len(validators), SIGNATURE_BYTES), dtype=np.uint8)
        verdicts = np.zeros(len(validators), dtype=np.uint8)

        def check(s: slice) -> None:
            _kernel.recover_and_check(
                shares[s], rules, rule_numbers[s], points[s], roots[s], random_weights(s.stop - s.start),
                signatures[s], verdicts[s],
            )  # fmt: skip

        for_slices(len(validators), check, threads=self.threads)
        ok = verdicts == Status.OK
        self.signatures[validators[ok]] = signatures[ok]
        self.statuses[validators[ok]] = RecoveryStatus.OK
        self.statuses[validators[~ok]] = RecoveryStatus.INCONSISTENT
        failed: Positions = validators[~ok]
        return failed

    def of_suspects(self, indices: Uint64s) -> Bools:
        """Which of these share indices are suspects."""
        return np.isin(indices, np.array(sorted(self.suspects), dtype=np.uint64))

    def verify_shares(self, key_shares: PublicKeys, wanted: Bools) -> None:
        """Verify the shares at `wanted` bool[n, k], each by its public key share."""
        validators, places = np.nonzero(wanted)
        good = check_signatures(
            key_shares[validators, places],
            self.roots[validators],
            self.shares[validators, places],
            threads=self.threads,
        )
        self.share_statuses[validators, places] = np.where(good, ShareStatus.GOOD, ShareStatus.BAD)

    def search_subsets(self, failed: Positions) -> None:
        """Find a threshold subset that verifies for each failed validator, then its bad shares."""
        rows, places = np.nonzero(self.here[failed])
        validators = failed[rows]
        in_group = check_signature_encodings(self.shares[validators, places], threads=self.threads)
        self.share_statuses[validators[~in_group], places[~in_group]] = ShareStatus.BAD
        waiting, wave = self.with_enough(failed), FIRST_WAVE
        while waiting.size:
            self.search_wave(waiting[:wave])
            waiting, wave = waiting[wave:], 2 * wave

    def search_wave(self, validators: Positions) -> None:
        """Try one subset of each validator at a time, together."""
        searches = {int(validator): self.subsets(int(validator)) for validator in validators}
        while searches:
            tried = {
                v: subset for v, search in searches.items() if (subset := next(search, None)) is not None
            }
            members = np.array(list(tried), dtype=np.intp)
            still_failing = set(self.attempt(members, np.array(list(tried.values()), dtype=np.intp)).tolist())
            for validator, subset in tried.items():
                if validator not in still_failing:
                    self.compare_others(validator, subset)
            searches = {v: searches[v] for v in still_failing}

    def subsets(self, validator: int) -> Iterator[tuple[int, ...]]:
        """Threshold subsets of a validator's usable places, suspects last, at most `max_subsets`."""
        usable = np.flatnonzero(self.usable(np.array([validator]))[0]).tolist()
        tried: set[tuple[int, ...]] = set()
        known = -1
        while known != len(self.suspects):  # start again when others have given away a suspect
            known = len(self.suspects)
            order = sorted(usable, key=lambda place: int(self.indices[validator, place]) in self.suspects)
            for combination in combinations(order, self.threshold):
                subset = tuple(sorted(combination))
                if subset in tried:
                    continue
                if len(tried) == self.max_subsets:
                    return
                tried.add(subset)
                yield subset
                if known != len(self.suspects):
                    break

    def compare_others(self, validator: int, subset: tuple[int, ...]) -> None:
        """Mark the shares that differ from what a verified subset interpolates at their index."""
        inside = np.array(subset)
        base = self.shares[validator, inside][np.newaxis]
        xs = tuple(self.indices[validator, inside].tolist())
        for place in np.flatnonzero(self.usable(np.array([validator]))[0]):
            if place in subset:
                continue
            index = int(self.indices[validator, place])
            status = np.zeros(1, dtype=np.uint8)
            _kernel.compare_interpolated(
                base, self.shares[validator, place][np.newaxis], _lagrange.rule(xs, index), status
            )
            if status[0] != Status.OK:
                self.share_statuses[validator, place] = ShareStatus.BAD
                self.suspects.add(index)
