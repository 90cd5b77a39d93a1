"""Recover signatures from partial ones and check them, for a whole batch; name bad shares.

The fast path recovers every validator from one threshold subset and verifies all results in one
weighted pairing equation. A pass proves the signature (BLS signatures are unique), and nothing about the
single shares: wrong ones can cancel. Only validators that fail pay for a closer look:

* with public key shares each share is verified by itself, and the good ones are used;
* without, threshold subsets are tried until one verifies, suspects last; every other share is then
  compared with the value that the subset interpolates at its index.

A few validators go first: whose shares are bad for half of them is a suspect for all others, whose shares
are then used last, so that one bad node costs little.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import combinations, pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dvtfast import _lagrange
from dvtfast._arrays import UINT64_MAX, Bools, Bytes, Uint64s, as_count, as_rows, same_length
from dvtfast._backend import lanes_for
from dvtfast._native import threshold as _kernel
from dvtfast._parallel import for_slices
from dvtfast._statuses import OK
from dvtfast.constants import SIGNATURE_BYTES
from dvtfast.errors import InputError
from dvtfast.keys import KeysLike, PublicKeys, as_public_keys, points_of, random_weights
from dvtfast.points import check_signature_encodings
from dvtfast.signatures import check_decoded
from dvtfast.signing_roots import HashedRoots, RootsLike, as_roots, hashes_of
from dvtfast.threshold import as_share_count, checked_index_rows

# Threshold subsets tried for one validator whose public key shares are unknown.
MAX_SUBSETS = 2000
# Validators that are looked at before the others, which then know whose shares are bad.
FIRST_VALIDATORS = 64
# Validators whose hashes and copies of shares are in memory at once.
CHUNK_VALIDATORS = 4096
# Failing validators searched together at first; each later wave is twice as large and knows more suspects.
FIRST_WAVE = 16

# What a step does at most: so many shares to recover from, or to verify by themselves.
STEP_SHARES, STEP_VERIFIED = 2048, 128
# What a validator costs beside its shares, in shares.
VALIDATOR_SHARES = 4

# So many validators with the same shares have the subset that is best for them.
MANY_VALIDATORS = 32
# Fewer than these have a rule that is made fast.
FEW_VALIDATORS = 4
# Subsets that a pattern of shares is compared with, to share one of them.
SUBSETS_TRIED = 32

Positions = NDArray[np.intp]
T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that stops after each step, and returns what came of it."""


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


# numpy is slow with members of an enum.
_RECOVERED = int(RecoveryStatus.OK)
_TOO_FEW, _INCONSISTENT = int(RecoveryStatus.TOO_FEW_SHARES), int(RecoveryStatus.INCONSISTENT)
_GOOD, _BAD = int(ShareStatus.GOOD), int(ShareStatus.BAD)


@dataclass(frozen=True, eq=False)
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

    def __getitem__(self, validators: slice) -> RecoveredSignatures:
        """The same of some validators; shares memory."""
        return RecoveredSignatures(
            self.signatures[validators],
            self.statuses[validators],
            self.share_statuses[validators],
            self.share_indices[validators],
        )

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
    signing_roots: RootsLike,
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
    return _run(
        recover_in_steps(
            public_keys, signing_roots, partial_signatures, share_indices, threshold=threshold,
            present=present, public_key_shares=public_key_shares, suspects=suspects, max_subsets=max_subsets,
            threads=threads, small_steps=False,
        )
    )  # fmt: skip


def recover_in_steps(
    public_keys: KeysLike,
    signing_roots: RootsLike,
    partial_signatures: Bytes,
    share_indices: Any,
    *,
    threshold: int,
    present: Bools | None = None,
    public_key_shares: PublicKeys | Bytes | None = None,
    suspects: Collection[int] = (),
    max_subsets: int = MAX_SUBSETS,
    threads: int | None = None,
    closer_look: bool = True,
    small_steps: bool = True,
) -> Steps[RecoveredSignatures]:
    """`recover_and_check` for who has something more urgent to do between two steps.

    A step takes about a fifth of a second of one core at most, whatever was sent.

    Args:
        closer_look: without, no share is judged: validators that fail are `INCONSISTENT`.
        small_steps: without, a step is as large as what is recovered together.
    """
    sizes = _Sizes(STEP_SHARES, STEP_VERIFIED) if small_steps else _Sizes(sys.maxsize, sys.maxsize)
    keys, _ = as_public_keys(public_keys, threads=threads)
    roots = as_roots(signing_roots)
    shares, _ = as_rows("partial_signatures", partial_signatures, SIGNATURE_BYTES, leading=2)
    n, k = shares.shape[:2]
    same_length(public_keys=keys, signing_roots=roots, partial_signatures=shares)
    if public_key_shares is not None and not isinstance(public_key_shares, PublicKeys):
        public_key_shares = PublicKeys(public_key_shares, threads=threads)
    if public_key_shares is not None and public_key_shares.shape != (n, k):
        raise InputError(f"public_key_shares: expected shape {(n, k)}, got {public_key_shares.shape}")
    threshold, max_subsets = as_share_count("threshold", threshold), as_count("max_subsets", max_subsets)
    here = np.ones((n, k), dtype=np.bool_) if present is None else np.array(present, dtype=np.bool_)
    if here.shape != (n, k):
        raise InputError(f"present: expected bool[{n}, {k}], got bool{list(here.shape)}")
    indices = checked_index_rows(share_indices, here)
    found = RecoveredSignatures(
        np.zeros((n, SIGNATURE_BYTES), dtype=np.uint8),
        np.full(n, _TOO_FEW, dtype=np.uint8),
        np.zeros((n, k), dtype=np.uint8),
        indices,
    )
    known = {index for index in suspects if 0 < index <= UINT64_MAX}
    for begin, end in pairwise([0, *range(FIRST_VALIDATORS, n, CHUNK_VALIDATORS), n]):
        rows = slice(begin, end)
        yield from _Chunk(
            keys[rows],
            roots[rows] if isinstance(roots, HashedRoots) else HashedRoots(roots[rows], threads=threads),
            shares[rows],
            here[rows],
            None if public_key_shares is None else public_key_shares[rows],
            found[rows],
            threshold,
            known,
            max_subsets,
            threads,
            sizes,
        ).run(closer_look)
    return found


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Of steps: shares that are recovered from, and shares that are verified."""

    shares: int
    verified: int


def _run(steps: Steps[T]) -> T:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


@dataclass(slots=True)
class _Chunk:
    """Validators that are looked at together; `found` is filled, and `suspects` grows."""

    keys: PublicKeys
    roots: HashedRoots
    shares: Bytes
    here: Bools
    key_shares: PublicKeys | None
    found: RecoveredSignatures
    threshold: int
    suspects: set[int]
    max_subsets: int
    threads: int | None
    sizes: _Sizes

    def run(self, closer_look: bool) -> Steps[None]:
        """Fast path for all, then the closer look for those that failed."""
        failed = yield from self.attempt_best(np.arange(len(self.keys)))
        if not closer_look:
            return
        if self.key_shares is None:
            if failed.size:
                yield from self.search_subsets(failed)
        elif failed.size or self.suspects:
            of_failed = np.zeros_like(self.here)
            of_failed[failed] = self.here[failed]
            named = self.here & ~of_failed & self.of_suspects(self.found.share_indices)
            # Each validator that failed has a bad share.
            yield from self.verify_shares(self.key_shares, of_failed, alone=True)
            yield from self.verify_shares(self.key_shares, named)
            yield from self.attempt_best(failed)
            self.suspect_the_worst()

    def usable(self, validators: Positions) -> Bools:
        """Places of these validators with a share that is not proven bad."""
        usable: Bools = self.here[validators] & (self.found.share_statuses[validators] != _BAD)
        return usable

    def with_enough(self, validators: Positions) -> Positions:
        """Those of `validators` that have at least threshold usable shares; marks the others."""
        usable = self.usable(validators)
        if usable.all() and usable.shape[1] >= self.threshold:
            return validators
        enough = np.count_nonzero(usable, axis=1) >= self.threshold
        self.found.statuses[validators[~enough]] = _TOO_FEW
        found: Positions = validators[enough]
        return found

    def attempt_best(self, validators: Positions) -> Steps[Positions]:
        """Recover and check from the cheapest usable shares, suspects only if need be; the failed ones."""
        k = self.here.shape[1]
        if validators.size and k >= self.threshold and self.nothing_amiss():
            patterns, pattern_of = _distinct(self.found.share_indices[validators])
            ranked = [(indices, [0] * k) for indices in patterns.tolist()]
        else:
            validators = self.with_enough(validators)
            if not validators.size:
                return validators
            indices_and_ranks = [self.found.share_indices[validators], self.ranks(validators)]
            patterns, pattern_of = _distinct(np.concatenate(indices_and_ranks, axis=1))
            ranked = [(pattern[:k], pattern[k:]) for pattern in patterns.tolist()]
        subsets, subset_of = self.best_subsets(ranked, np.bincount(pattern_of).tolist())
        xs = [tuple(indices[place] for place in places) for indices, places in subsets]
        which = np.array(subset_of, dtype=np.uint32)[pattern_of]
        places = np.array([places for _, places in subsets])[which]
        return (yield from self.attempt(validators, places, xs, which))

    def nothing_amiss(self) -> bool:
        """Whether every share is there, and nothing is known against any."""
        if self.suspects or np.count_nonzero(self.found.share_statuses):
            return False
        return bool(np.count_nonzero(self.here) == self.here.size)

    def ranks(self, validators: Positions) -> Uint64s:
        """How gladly each share [m, k] is used: 0 before 1, a suspect's, and 2 is none at all."""
        usable = self.usable(validators)
        ranks = np.zeros(usable.shape, dtype=np.uint64)
        if not usable.all():
            ranks[~usable] = 2
        if self.suspects:
            ranks[usable & self.of_suspects(self.found.share_indices[validators])] = 1
        return ranks

    def best_subsets(
        self, ranked: Sequence[tuple[list[int], list[int]]], counts: Sequence[int]
    ) -> tuple[list[tuple[list[int], list[int]]], list[int]]:
        """Threshold subsets as (share indices, places), and which one each pattern (indices, ranks) is given.

        Patterns of many validators have the subset that is best for them. The others make do with one of
        those, or share one among themselves where they can: each subset needs a rule, and is a batch of its
        own.
        """
        if len(ranked) == 1:
            indices, ranks = ranked[0]
            return [(indices, self.cheapest(indices, _bits(self.best_places(ranks))))], [0]
        subsets: list[tuple[list[int], list[int]]] = []
        subset_of = [0] * len(ranked)
        sharing: dict[tuple[int, ...], list[_Shared]] = {}
        chosen: dict[tuple[int, ...], list[tuple[int, int]]] = {}  # places as bits, number of the subset
        for number in sorted(range(len(ranked)), key=lambda number: -counts[number]):
            indices, ranks = ranked[number]
            same = tuple(indices)
            best = _bits(self.best_places(ranks))
            fitting = (n for bits, n in chosen.get(same, [])[-SUBSETS_TRIED:] if bits & best == bits)
            if (known := next(fitting, None)) is not None:
                subset_of[number] = known
            elif counts[number] >= MANY_VALIDATORS:
                subset_of[number] = len(subsets)
                subsets.append((indices, self.cheapest(indices, best)))
                chosen.setdefault(same, []).append((_bits(subsets[-1][1]), subset_of[number]))
            else:
                groups = sharing.setdefault(same, [])
                for group in groups[-SUBSETS_TRIED:]:
                    if (group.places & best).bit_count() >= self.threshold:
                        group.places &= best
                        break
                else:
                    groups.append(group := _Shared(best, []))
                group.patterns.append(number)
        for same, groups in sharing.items():
            for group in groups:
                for number in group.patterns:
                    subset_of[number] = len(subsets)
                served = min(sum(counts[number] for number in group.patterns), MANY_VALIDATORS)
                products = _lagrange.SUBSET_PRODUCTS * served // MANY_VALIDATORS
                subsets.append((list(same), self.cheapest(list(same), group.places, products)))
        return subsets, subset_of

    def best_places(self, ranks: list[int]) -> list[int]:
        """The places of the lowest rank; with some of the next if these are fewer than `threshold`."""
        order = sorted(range(len(ranks)), key=ranks.__getitem__)
        return order[: max(ranks.count(0), self.threshold)]

    def cheapest(
        self, indices: list[int], places: int, products: int = _lagrange.SUBSET_PRODUCTS
    ) -> list[int]:
        """The cheapest `threshold` of these places, which are bits; `products` as for `cheapest_subset`."""
        some = [place for place in range(places.bit_length()) if places >> place & 1]
        if len(some) == self.threshold:
            return some
        subset = _lagrange.cheapest_subset(tuple(indices[place] for place in some), self.threshold, products)
        return [some[i] for i in subset]

    def attempt(
        self, validators: Positions, places: Positions, xs: list[tuple[int, ...]], which: NDArray[np.uint32]
    ) -> Steps[Positions]:
        """Recover and check from `places` [m, t], whose share indices are xs[which]; the failed ones."""
        size = max(1, self.sizes.shares // (self.threshold + VALIDATOR_SHARES))
        if size >= len(validators):
            failed = self.attempt_some(validators, places, xs, which)
            yield
            return failed
        all_failed: list[Positions] = []
        for begin in range(0, len(validators), size):
            some = slice(begin, begin + size)
            used, of_used = np.unique(which[some], return_inverse=True)
            of_some = [xs[number] for number in used.tolist()]
            all_failed.append(
                self.attempt_some(validators[some], places[some], of_some, of_used.astype(np.uint32))
            )
            yield
        return np.concatenate(all_failed)

    def attempt_some(
        self, validators: Positions, places: Positions, xs: list[tuple[int, ...]], which: NDArray[np.uint32]
    ) -> Positions:
        """The same in one step."""
        counts = np.bincount(which, minlength=len(xs)).tolist()
        rules = [
            _lagrange.rule(row, few=count < FEW_VALIDATORS) for row, count in zip(xs, counts, strict=True)
        ]
        shares = self.shares[validators[:, np.newaxis], places]
        points = points_of(self.keys)[validators]
        hashes = hashes_of(self.roots, slice(None))[validators]
        signatures = np.zeros((len(validators), SIGNATURE_BYTES), dtype=np.uint8)
        verdicts = np.zeros(len(validators), dtype=np.uint8)

        def check(s: slice) -> None:
            size = s.stop - s.start
            _kernel.recover_and_check(
                shares[s], rules, which[s], points[s], hashes[s],
                random_weights(size), signatures[s], verdicts[s], lanes_for("recover", size),
            )  # fmt: skip

        for_slices(len(validators), check, threads=self.threads)
        bad = np.flatnonzero(verdicts != OK)
        failed: Positions = validators[bad]
        signatures[bad] = 0
        self.found.signatures[validators] = signatures
        self.found.statuses[validators] = _RECOVERED
        self.found.statuses[failed] = _INCONSISTENT
        return failed

    def of_suspects(self, indices: Uint64s) -> Bools:
        """Which of these share indices are suspects."""
        if not self.suspects:
            return np.zeros(indices.shape, dtype=np.bool_)
        return np.isin(indices, np.array(sorted(self.suspects), dtype=np.uint64))

    def verify_shares(self, key_shares: PublicKeys, wanted: Bools, *, alone: bool = False) -> Steps[None]:
        """Verify the shares at `wanted` bool[n, k], each by its public key share."""
        validators, places = np.nonzero(wanted)
        for some in self.slices(len(validators), self.sizes.verified):
            rows, columns = validators[some], places[some]
            good = check_decoded(
                key_shares[rows, columns],
                self.roots[rows],
                self.shares[rows, columns],
                alone=alone,
                threads=self.threads,
            )
            self.found.share_statuses[rows, columns] = np.where(good, _GOOD, _BAD)
            yield

    @staticmethod
    def slices(n: int, size: int) -> Iterator[slice]:
        """Steps of at most `size` that cover 0..n-1."""
        yield from (slice(begin, begin + size) for begin in range(0, n, size))

    def suspect_the_worst(self) -> None:
        """Add the share indices that are bad for half of the validators or more."""
        bad = self.found.share_statuses == _BAD
        for index in np.unique(self.found.share_indices[bad]):
            of_index = self.here & (self.found.share_indices == index)
            if 2 * np.count_nonzero(bad & of_index) >= np.count_nonzero(of_index):
                self.suspects.add(int(index))

    def search_subsets(self, failed: Positions) -> Steps[None]:
        """Find a threshold subset that verifies for each failed validator, then its bad shares."""
        rows, places = np.nonzero(self.here[failed])
        validators = failed[rows]
        for some in self.slices(len(validators), self.sizes.shares):
            of_some = validators[some], places[some]
            in_group = check_signature_encodings(self.shares[of_some], threads=self.threads)
            self.found.share_statuses[of_some[0][~in_group], of_some[1][~in_group]] = _BAD
            yield
        waiting, wave = self.with_enough(failed), FIRST_WAVE
        while waiting.size:
            yield from self.search_wave(waiting[:wave])
            waiting, wave = waiting[wave:], 2 * wave

    def search_wave(self, validators: Positions) -> Steps[None]:
        """Try one subset of each validator at a time, together."""
        searches = {int(validator): self.subsets(int(validator)) for validator in validators}
        while searches:
            tried = {
                v: subset for v, search in searches.items() if (subset := next(search, None)) is not None
            }
            if not tried:
                return
            members = np.array(list(tried), dtype=np.intp)
            places = np.array(list(tried.values()), dtype=np.intp)
            distinct, which = _distinct(self.found.share_indices[members[:, np.newaxis], places])
            xs = [tuple(row) for row in distinct.tolist()]
            still_failing = set((yield from self.attempt(members, places, xs, which)).tolist())
            for validator, subset in tried.items():
                if validator not in still_failing:
                    yield from self.compare_others(validator, subset)
            searches = {v: searches[v] for v in still_failing}

    def subsets(self, validator: int) -> Iterator[tuple[int, ...]]:
        """Threshold subsets of a validator's usable places, suspects last, at most `max_subsets`."""
        usable = np.flatnonzero(self.usable(np.array([validator]))[0]).tolist()
        tried: set[tuple[int, ...]] = set()
        known = -1
        while known != len(self.suspects):  # start again when others have given away a suspect
            known = len(self.suspects)
            order = sorted(
                usable, key=lambda place: int(self.found.share_indices[validator, place]) in self.suspects
            )
            for combination in _subsets(order, self.threshold):
                subset = tuple(sorted(combination))
                if subset in tried:
                    continue
                if len(tried) == self.max_subsets:
                    return
                tried.add(subset)
                yield subset
                if known != len(self.suspects):
                    break

    def compare_others(self, validator: int, subset: tuple[int, ...]) -> Steps[None]:
        """Mark the shares that differ from what a verified subset interpolates at their index."""
        inside = np.array(subset)
        base = self.shares[validator, inside][np.newaxis]
        xs = tuple(self.found.share_indices[validator, inside].tolist())
        for place in np.flatnonzero(self.usable(np.array([validator]))[0]):
            if place in subset:
                continue
            index = int(self.found.share_indices[validator, place])
            expected = np.zeros((1, SIGNATURE_BYTES), dtype=np.uint8)
            status = np.zeros(1, dtype=np.uint8)
            _kernel.recover_signatures(base, _lagrange.rule(xs, index, few=True), expected, status, None)
            if status[0] != OK or not np.array_equal(expected[0], self.shares[validator, place]):
                self.found.share_statuses[validator, place] = _BAD
                self.suspects.add(index)
            yield


@dataclass(slots=True)
class _Shared:
    """Patterns that can be given one subset: of `places`, which all of them have, as bits."""

    places: int
    patterns: list[int]


def _bits(places: list[int]) -> int:
    return sum(1 << place for place in places)


def _subsets(places: list[int], size: int) -> Iterator[tuple[int, ...]]:
    """All subsets, the first `size` places first, then those that leave out others, some more than once.

    Whichever share is bad, if it is one alone, is left out after few attempts.
    """
    spare = len(places) - size
    for end in range(len(places), 0, -max(spare, 1)):
        left_out = {places[(end - 1 - i) % len(places)] for i in range(spare)}
        yield tuple(place for place in places if place not in left_out)
    yield from combinations(places, size)


def _distinct(rows: Uint64s) -> tuple[Uint64s, NDArray[np.uint32]]:
    """The distinct rows of uint64[n, w], n not 0, and which of them each row is."""
    if len(rows) == 1 or (rows == rows[0]).all():  # one cluster, every share there
        return rows[:1], np.zeros(len(rows), dtype=np.uint32)
    distinct, which = np.unique(rows, axis=0, return_inverse=True)
    return distinct, which.reshape(-1).astype(np.uint32)
