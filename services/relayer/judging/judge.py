"""Due messages of one group: as arrays, judged, and made ready. Runs on a thread, touches no database."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from math import comb
from time import perf_counter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dvtfast import (
    HashedRoots,
    Network,
    PublicKeys,
    RecoveryStatus,
    ShareStatus,
    check_signatures,
    deposit_signing_roots,
    encrypt_to_oracles,
    exit_signing_roots,
    recover_in_steps,
    split_exit_signatures,
)
from dvtfast.constants import ROOT_BYTES, SIGNATURE_BYTES
from dvtfast.protocol_config import OracleConfig
from dvtfast.recovery import MAX_SUBSETS

from ..clusters.announced import Claimed, KeyShares, proven
from ..clusters.served import Group
from ..store.judging.verdicts import DueMessage, DueShare, EarlierMessage, ReadyMessage, SplitExit
from ..store.subjects import Deposit, Exit, Subject, withdrawal_credentials
from ..store.tables import MessageStatus

CHECKED_TOGETHER = 128  # shares, in a step
SPLIT_TOGETHER = 1024  # shares for oracles, in a step

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that stops after each step of some tens of milliseconds; see `Workers.run_in_pieces`."""


@dataclass
class Judged:
    """What was found out about a batch.

    Attributes:
        not_ready: the messages that are not, under their new status.
        good: shares that are proven right for their message, each by itself.
        bad: shares that are proven wrong for their message.
        good_counts: how many shares are proven right, by share index.
        closer_looks: at how many messages, since the first attempt to recover them failed.
        seconds: spent by stage.
    """

    ready: list[ReadyMessage] = field(default_factory=list)
    not_ready: defaultdict[MessageStatus, list[DueMessage]] = field(default_factory=lambda: defaultdict(list))
    good: list[tuple[DueMessage, DueShare]] = field(default_factory=list)
    bad: list[tuple[DueMessage, DueShare]] = field(default_factory=list)
    good_counts: Counter[int] = field(default_factory=Counter)
    closer_looks: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def took(self, stage: str, seconds: float) -> None:
        """Add to the duration of a stage."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def timed_steps(self, stage: str, steps: Steps[T]) -> Steps[T]:
        """Add the duration of each step to the stage; not of what others do in between."""
        while True:
            begin = perf_counter()
            try:
                next(steps)
            except StopIteration as end:
                value: T = end.value
                return value
            finally:
                self.took(stage, perf_counter() - begin)
            yield

    def without(self, message_ids: Collection[int]) -> Judged:
        """What was found out about the other messages, those that are not ready among them."""
        return replace(
            self,
            not_ready=defaultdict(
                list,
                {
                    status: [message for message in due if message.id not in message_ids]
                    for status, due in self.not_ready.items()
                },
            ),
            good=[place for place in self.good if place[0].id not in message_ids],
            bad=[place for place in self.bad if place[0].id not in message_ids],
        )


@dataclass(frozen=True)
class Candidate:
    """A bad share, and an earlier message of the same validator that it may have been made for."""

    public_key: bytes
    share: DueShare
    earlier: EarlierMessage


class Judge:
    """Recovers and checks signatures on one network; splits and encrypts those of exits for oracles."""

    def __init__(self, network: Network, *, threads: int | None) -> None:
        self._network = network
        self._threads = threads

    def judge(
        self,
        group: Group,
        due: Sequence[DueMessage],
        oracles: OracleConfig,
        suspects: Collection[int],
        max_subsets: int | None,
    ) -> Steps[Judged]:
        """Judge messages of one group.

        Where public key shares are known, those of suspects are left out, and where there are too few others
        they are checked by themselves before anything is recovered. Where not, they are used last, and
        finding bad shares may take `max_subsets` attempts per message, milliseconds each; those that need
        more come back as `TO_SEARCH`. So do all that need a closer look when `max_subsets` is None: no share
        is judged then.
        """
        judged = Judged()
        if group.knows_key_shares:
            due = yield from self._without_suspects(judged, group, due, suspects, max_subsets is not None)
            suspects = ()
            if not due:
                return judged
        places = max(len(message.shares) for message in due)
        share_indices = np.zeros((len(due), places), dtype=np.uint64)  # 0 where there is no share
        partial_signatures = np.zeros((len(due), places, SIGNATURE_BYTES), dtype=np.uint8)
        for row, message in enumerate(due):
            for place, share in enumerate(message.shares):
                share_indices[row, place] = share.share_index
                partial_signatures[row, place] = np.frombuffer(share.signature, dtype=np.uint8)
        keys = [message.public_key for message in due]
        public_keys = group.public_keys(keys)
        roots = HashedRoots(
            self._signing_roots([(m.public_key, m.subject) for m in due]), threads=self._threads
        )
        yield
        recovering = recover_in_steps(
            public_keys,
            roots,
            partial_signatures,
            share_indices,
            threshold=group.threshold,
            present=share_indices != 0,
            public_key_shares=group.public_key_shares(keys, share_indices),
            suspects=suspects,
            max_subsets=max_subsets or 0,
            threads=self._threads,
            closer_look=max_subsets is not None,
        )
        recovered = yield from judged.timed_steps("recover", recovering)
        ok = np.flatnonzero(recovered.ok).tolist()
        exits = [row for row in ok if isinstance(due[row].subject, Exit)]
        split = yield from self._split(
            judged, recovered.signatures[exits], public_keys[exits], roots[exits], oracles
        )
        of_row = dict(zip(exits, split, strict=True))
        judged.ready = [
            ReadyMessage(due[row].id, recovered.signatures[row].tobytes(), of_row.get(row)) for row in ok
        ]
        for row in np.flatnonzero(~recovered.ok).tolist():
            subsets = min(comb(len(due[row].shares), group.threshold), MAX_SUBSETS)
            if recovered.statuses[row] != RecoveryStatus.INCONSISTENT:
                status = MessageStatus.COLLECTING
            elif max_subsets is None or subsets > max(max_subsets, 1):  # one is always tried
                status = MessageStatus.TO_SEARCH
            else:
                status = MessageStatus.UNDECIDED
            judged.not_ready[status].append(due[row])
        judged.bad += [
            (due[row], due[row].shares[place])
            for row, place in np.argwhere(recovered.share_statuses == ShareStatus.BAD).tolist()
        ]
        judged.good_counts.update(share_indices[recovered.share_statuses == ShareStatus.GOOD].tolist())
        looked_at = recovered.share_statuses.any(axis=1)
        if max_subsets is not None:
            undecided = recovered.statuses == RecoveryStatus.INCONSISTENT
            judged.closer_looks = int(np.count_nonzero(looked_at | undecided))
        return judged

    def _without_suspects(
        self,
        judged: Judged,
        group: Group,
        due: Sequence[DueMessage],
        suspects: Collection[int],
        closer_look: bool,
    ) -> Steps[list[DueMessage]]:
        """The messages that have enough shares without those of suspects, or with their good ones if there is
        a closer look; and without the others, which are judged once the message is ready."""
        enough, short = [], []
        for message in due:
            trusted = tuple(s for s in message.shares if not _is_suspect(group, message, s, suspects))
            if len(trusted) >= group.threshold:
                enough.append(replace(message, shares=trusted))
            else:
                short.append(message)
        if not closer_look:
            judged.not_ready[MessageStatus.TO_SEARCH] += short
            return enough
        checked = yield from self.check(group, short, suspects)
        judged.good, judged.bad = checked.good, checked.bad
        judged.good_counts, judged.seconds = checked.good_counts, checked.seconds
        bad = {(message.id, share.share_index) for message, share in judged.bad}
        for message in short:
            shares = tuple(s for s in message.shares if (message.id, s.share_index) not in bad)
            if len(shares) >= group.threshold:
                enough.append(replace(message, shares=shares))
            else:
                judged.not_ready[MessageStatus.COLLECTING].append(message)
        return enough

    def split(
        self, exits: Sequence[tuple[bytes, int, bytes]], oracles: OracleConfig
    ) -> Steps[list[SplitExit]]:
        """Split verified exit signatures: (public key, validator index, signature) each."""
        if not exits:
            return []
        keys, indices, signatures = zip(*exits, strict=True)
        roots = HashedRoots(exit_signing_roots(indices, self._network), threads=self._threads)
        rows = np.stack([np.frombuffer(signature, dtype=np.uint8) for signature in signatures])
        public_keys = PublicKeys(keys, threads=self._threads)
        yield
        return (yield from self._split(Judged(), rows, public_keys, roots, oracles))

    def _split(
        self,
        judged: Judged,
        signatures: NDArray[np.uint8],
        public_keys: PublicKeys,
        roots: HashedRoots,
        oracles: OracleConfig,
    ) -> Steps[list[SplitExit]]:
        made: list[SplitExit] = []
        size = max(1, SPLIT_TOGETHER // len(oracles.public_keys))
        for some in (slice(begin, begin + size) for begin in range(0, len(signatures), size)):
            split_begin = perf_counter()
            split = split_exit_signatures(
                signatures[some],
                public_keys[some],
                roots[some],
                total=len(oracles.public_keys),
                threshold=oracles.exit_signature_recover_threshold,
                threads=self._threads,
            )
            encrypt_begin = perf_counter()
            encrypted = encrypt_to_oracles(split.signature_shares, oracles.public_keys)
            judged.took("split", encrypt_begin - split_begin)
            judged.took("encrypt", perf_counter() - encrypt_begin)
            made += [
                SplitExit(keys.tobytes(), ciphertexts.tobytes())
                for keys, ciphertexts in zip(split.public_key_shares, encrypted, strict=True)
            ]
            yield
        return made

    def check(
        self, group: Group, messages: Sequence[DueMessage], share_indices: Collection[int] | None = None
    ) -> Steps[Judged]:
        """Judge shares by themselves, in a group that knows key shares: all that were not proven right
        before, or those of suspects among them."""
        judged = Judged()
        shares = [
            (message, share)
            for message in messages
            for share in message.shares
            if not share.is_verified
            and (share_indices is None or _is_suspect(group, message, share, share_indices))
        ]
        if not shares:
            return judged
        of_shares = [(m.public_key, m.subject, share) for m, share in shares]
        ok = yield from judged.timed_steps("check", self._check(group, of_shares))
        judged.good = list(compress(shares, ok))
        judged.bad = [place for place, good in zip(shares, ok, strict=True) if not good]
        judged.good_counts.update(share.share_index for _, share in judged.good)
        return judged

    def proven(self, base: Group, claims: Mapping[bytes, KeyShares]) -> Claimed | None:
        """The validators whose claimed public key shares are theirs; None when there are none."""
        return proven(base, claims, threads=self._threads)

    def fitting(self, group: Group, candidates: Sequence[Candidate]) -> Steps[list[Candidate]]:
        """The candidates whose share is right for the earlier message; [] when key shares are unknown."""
        ok = yield from self._check(group, [(c.public_key, c.earlier.subject, c.share) for c in candidates])
        return list(compress(candidates, ok))

    def _check(self, group: Group, made: Sequence[tuple[bytes, Subject, DueShare]]) -> Steps[list[bool]]:
        """Which shares are right for a message of a validator; none when key shares are unknown."""
        ok: list[bool] = []
        for begin in range(0, len(made), CHECKED_TOGETHER):
            ok += self._check_some(group, made[begin : begin + CHECKED_TOGETHER])
            yield
        return ok

    def _check_some(self, group: Group, made: Sequence[tuple[bytes, Subject, DueShare]]) -> list[bool]:
        keys, subjects, shares = zip(*made, strict=True)
        share_indices = np.array([[share.share_index] for share in shares], dtype=np.uint64)
        key_shares = group.public_key_shares(keys, share_indices)
        if key_shares is None:
            return [False] * len(made)
        ok = check_signatures(
            key_shares[:, 0],
            self._signing_roots(list(zip(keys, subjects, strict=True))),
            [share.signature for share in shares],
            threads=self._threads,
        )
        return [
            bool(fits) and group.has_share(key, share.share_index)
            for fits, key, share in zip(ok, keys, shares, strict=True)
        ]

    def _signing_roots(self, messages: Sequence[tuple[bytes, Subject]]) -> NDArray[np.uint8]:
        """Signing roots uint8[n, 32] of messages: public keys, and what is said."""
        roots = np.zeros((len(messages), ROOT_BYTES), dtype=np.uint8)
        exits = [(row, s.validator_index) for row, (_, s) in enumerate(messages) if isinstance(s, Exit)]
        deposits = [(row, key, s) for row, (key, s) in enumerate(messages) if isinstance(s, Deposit)]
        if exits:
            rows, indices = zip(*exits, strict=True)
            roots[list(rows)] = exit_signing_roots(indices, self._network)
        if deposits:
            rows, keys, subjects = zip(*deposits, strict=True)
            roots[list(rows)] = deposit_signing_roots(
                keys,
                [withdrawal_credentials(s.validator_type, s.vault) for s in subjects],
                [s.amount_gwei for s in subjects],
                self._network,
            )
        return roots


def _is_suspect(group: Group, message: DueMessage, share: DueShare, share_indices: Collection[int]) -> bool:
    """Whether a share is of one of these indices, or of one that no node has, and was not proven right."""
    if share.is_verified:
        return False
    return share.share_index in share_indices or not group.has_share(message.public_key, share.share_index)
