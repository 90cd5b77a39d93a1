"""Due exits of one group: as arrays, judged, and made ready. Runs on a thread, touches no database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import compress
from math import comb
from time import perf_counter

import numpy as np

from dvtfast import (
    HashedRoots,
    Network,
    RecoveryStatus,
    ShareStatus,
    check_signatures,
    encrypt_to_oracles,
    exit_signing_roots,
    recover_and_check,
    split_exit_signatures,
)
from dvtfast.constants import SIGNATURE_BYTES
from dvtfast.protocol_config import OracleConfig
from dvtfast.recovery import MAX_SUBSETS

from .clusters import Group
from .store.tables import ExitStatus
from .store.verdicts import DueExit, DueShare, EarlierExit, ReadyExit


@dataclass
class Judged:
    """What was found out about a batch.

    Attributes:
        not_ready: the exits that are not, under their new status.
        good: shares that are proven right for their exit, which is ready.
        bad: shares that are proven wrong for their exit.
        good_indices: share indices at which some share is proven right.
        seconds: spent by stage.
    """

    ready: list[ReadyExit] = field(default_factory=list)
    not_ready: defaultdict[ExitStatus, list[DueExit]] = field(default_factory=lambda: defaultdict(list))
    good: list[tuple[DueExit, DueShare]] = field(default_factory=list)
    bad: list[tuple[DueExit, DueShare]] = field(default_factory=list)
    good_indices: set[int] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the duration of the block to its stage."""
        begin = perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + perf_counter() - begin


@dataclass(frozen=True)
class Candidate:
    """A bad share, and an earlier exit of the same validator that it may have been made for."""

    public_key: bytes
    share: DueShare
    earlier: EarlierExit


class Judge:
    """Recovers, checks, splits and encrypts exits of one network, for the oracles of one config."""

    def __init__(self, network: Network, oracles: OracleConfig, *, threads: int | None) -> None:
        self._network = network
        self._oracles = oracles
        self._threads = threads

    def judge(
        self, group: Group, due: Sequence[DueExit], suspects: Collection[int], max_subsets: int
    ) -> Judged:
        """Judge exits of one group; the shares of suspects are used last.

        Where public key shares are unknown, finding bad shares may take `max_subsets` attempts per exit,
        milliseconds each; the exits that need more come back as `TO_SEARCH`.
        """
        judged = Judged()
        places = max(len(exit_.shares) for exit_ in due)
        share_indices = np.zeros((len(due), places), dtype=np.uint64)  # 0 where there is no share
        partial_signatures = np.zeros((len(due), places, SIGNATURE_BYTES), dtype=np.uint8)
        for row, exit_ in enumerate(due):
            for place, share in enumerate(exit_.shares):
                share_indices[row, place] = share.share_index
                partial_signatures[row, place] = np.frombuffer(share.signature, dtype=np.uint8)
        with judged.timed("recover"):
            keys = [exit_.public_key for exit_ in due]
            public_keys = group.public_keys(keys)
            exit_roots = exit_signing_roots([exit_.validator_index for exit_ in due], self._network)
            roots = HashedRoots(exit_roots, threads=self._threads)
            recovered = recover_and_check(
                public_keys,
                roots,
                partial_signatures,
                share_indices,
                threshold=group.threshold,
                present=share_indices != 0,
                public_key_shares=group.public_key_shares(keys, share_indices),
                suspects=suspects,
                max_subsets=max_subsets,
                threads=self._threads,
            )
        ok = np.flatnonzero(recovered.ok).tolist()
        with judged.timed("split"):
            split = split_exit_signatures(
                recovered.signatures[ok],
                public_keys[ok],
                roots[ok],
                total=len(self._oracles.public_keys),
                threshold=self._oracles.exit_signature_recover_threshold,
                threads=self._threads,
            )
        with judged.timed("encrypt"):
            encrypted = encrypt_to_oracles(split.signature_shares, self._oracles.public_keys)
        judged.ready = [
            ReadyExit(due[row].id, split.public_key_shares[i].tobytes(), encrypted[i].tobytes())
            for i, row in enumerate(ok)
        ]
        for row in np.flatnonzero(~recovered.ok).tolist():
            subsets = min(comb(len(due[row].shares), group.threshold), MAX_SUBSETS)
            if recovered.statuses[row] != RecoveryStatus.INCONSISTENT:
                status = ExitStatus.COLLECTING
            elif subsets > max(max_subsets, 1):  # one is always tried
                status = ExitStatus.TO_SEARCH
            else:
                status = ExitStatus.UNDECIDED
            judged.not_ready[status].append(due[row])
        judged.bad = [
            (due[row], due[row].shares[place])
            for row, place in np.argwhere(recovered.share_statuses == ShareStatus.BAD).tolist()
        ]
        judged.good_indices = set(share_indices[recovered.share_statuses == ShareStatus.GOOD].tolist())
        return judged

    def verify(self, group: Group, exits: Sequence[DueExit]) -> Judged:
        """Judge every share of ready exits by itself, in a group that knows key shares."""
        judged = Judged()
        shares = [(exit_, share) for exit_ in exits for share in exit_.shares]
        with judged.timed("verify"):
            ok = self._check(group, [(e.public_key, e.validator_index, share) for e, share in shares])
        judged.good = list(compress(shares, ok))
        judged.bad = [place for place, good in zip(shares, ok, strict=True) if not good]
        judged.good_indices = {share.share_index for _, share in judged.good}
        return judged

    def fitting(self, group: Group, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates whose share is right for the earlier exit; [] when key shares are unknown."""
        ok = self._check(group, [(c.public_key, c.earlier.validator_index, c.share) for c in candidates])
        return list(compress(candidates, ok))

    def _check(self, group: Group, made: Sequence[tuple[bytes, int, DueShare]]) -> list[bool]:
        """Which shares are right for a validator at a validator index; none when key shares are unknown."""
        if not made:
            return []
        keys, validator_indices, shares = zip(*made, strict=True)
        share_indices = np.array([[share.share_index] for share in shares], dtype=np.uint64)
        key_shares = group.public_key_shares(keys, share_indices)
        if key_shares is None:
            return [False] * len(made)
        ok = check_signatures(
            key_shares[:, 0],
            exit_signing_roots(validator_indices, self._network),
            [share.signature for share in shares],
            threads=self._threads,
        )
        return [bool(fits) for fits in ok]
