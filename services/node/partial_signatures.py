"""Partial signatures of a duty, gathered by what they sign until enough of them make a signature.

A whole duty is recovered at once: its shares are not looked at one by one. Only where what comes of them is
wrong, each is verified, and who sent the bad ones is named.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dvtfast import HashedRoots, PublicKeys, RecoveredSignatures, ShareStatus, recover_and_check
from dvtfast.constants import ROOT_BYTES, SIGNATURE_BYTES

from ..process.background import Tasks, result_of
from ..process.offload import StoppedError, UnavailableError, Workers

# How much of one node is kept at once. A validator has a few duties in an epoch, and some last for two; those
# in a sync committee, which has 512 seats, of a validator one at most in each of its four parts, prove in
# each slot of four epochs, ahead and back, that they aggregate.
MOST_OF_VALIDATOR: Final = 16
MOST_SEATS: Final = 512
MOST_SEATS_OF_VALIDATOR: Final = 4
MOST_OF_SEAT: Final = 4 * 32 * 2
AGAIN_SECONDS: Final = 0.1  # after which it is tried again where there was too much to do

Positions = NDArray[np.intp]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ClusterKeys:
    """Whose signatures are made of whose.

    Attributes:
        threshold: of n nodes.
        public_keys: m validators' keys.
        key_shares: [m, n]; node i has share index i + 1.
    """

    threshold: int
    public_keys: PublicKeys
    key_shares: PublicKeys

    @property
    def nodes(self) -> int:
        """n."""
        return self.key_shares.shape[1]


@dataclass(frozen=True, eq=False)
class SignedRoots:
    """What a node, or the cluster, signed.

    Attributes:
        validators: intp[k], positions in the cluster.
        roots: uint8[k, 32], signing roots.
        signatures: uint8[k, 96].
    """

    validators: Positions
    roots: Bytes
    signatures: Bytes

    def __len__(self) -> int:
        return len(self.validators)


def hashed_once(roots: Bytes, *, threads: int | None = None) -> HashedRoots:
    """Signing roots uint8[k, 32] of a duty, which are mostly one: a third of what their checks cost."""
    distinct, places = np.unique(roots, axis=0, return_inverse=True)
    return HashedRoots(distinct, threads=threads)[places.reshape(-1)]


@dataclass(frozen=True)
class Fault:
    """What a node did wrong.

    Attributes:
        node: its position.
        validators: of which validators, positions in the cluster.
        reason: for people.
    """

    node: int
    validators: tuple[int, ...]
    reason: str


@dataclass(frozen=True, eq=False)
class DueRows:
    """Partial signatures that may be enough: of k validators by n nodes."""

    keys: ClusterKeys
    validators: Positions
    roots: Bytes
    shares: Bytes
    present: NDArray[np.bool_]

    def recover(self, *, threads: int | None = None) -> RecoveredSignatures:
        """Signatures, as far as the shares are good; slow."""
        return recover_and_check(
            self.keys.public_keys[self.validators],
            hashed_once(self.roots, threads=threads),
            self.shares,
            np.arange(1, self.keys.nodes + 1),
            threshold=self.keys.threshold,
            present=self.present,
            public_key_shares=self.keys.key_shares[self.validators],
            threads=threads,
        )


class DutyShares:
    """The partial signatures of one duty. Of one node and validator the first counts.

    A row is a validator and what is signed for it: there is more than one where nodes disagree, at most one
    for each node. What is kept is bounded by validators times nodes, whatever nodes send.

    Attributes:
        kept: how many of each node.
    """

    def __init__(self, keys: ClusterKeys) -> None:
        self._keys = keys
        self._rows: dict[tuple[int, bytes], int] = {}
        self.kept: Counter[int] = Counter()
        self._given: dict[tuple[int, int], tuple[bytes, bytes]] = {}  # by node and validator
        self._validators = np.empty(0, np.intp)
        self._roots = np.empty((0, ROOT_BYTES), np.uint8)
        self._shares = np.empty((0, keys.nodes, SIGNATURE_BYTES), np.uint8)
        self._present = np.empty((0, keys.nodes), np.bool_)
        self._changed = np.empty(0, np.bool_)  # since it was last tried
        self._signatures = np.empty((0, SIGNATURE_BYTES), np.uint8)
        self._done = np.empty(0, np.bool_)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def add(self, node: int, signed: SignedRoots) -> list[Fault]:
        """Keep what a node signed; that it signed something else before is its fault."""
        rows, places, twice = [], [], []
        roots = [root.tobytes() for root in signed.roots]
        signatures = [signature.tobytes() for signature in signed.signatures]
        for place, validator in enumerate(signed.validators.tolist()):
            entry = roots[place], signatures[place]
            given = self._given.setdefault((node, validator), entry)
            if given is entry:
                rows.append(self._rows.setdefault((validator, roots[place]), len(self._rows)))
                places.append(place)
            elif given != entry:
                twice.append(validator)
        self._grow()
        self.kept[node] += len(rows)
        at = np.array(rows, np.intp)
        self._shares[at, node] = signed.signatures[places]
        self._present[at, node] = True
        self._changed[at] = True
        return [Fault(node, tuple(twice), "it signed something else for this duty before")] if twice else []

    def due(self) -> Positions:
        """Rows that may have enough partial signatures since they were last looked at."""
        enough = np.count_nonzero(self._present, axis=1) >= self._keys.threshold
        rows: Positions = np.flatnonzero(enough & self._changed & ~self._done)
        return rows

    def begin(self, rows: Positions) -> DueRows:
        """What these rows have now, to be recovered; what comes from here on is looked at again."""
        self._changed[rows] = False
        return DueRows(
            self._keys, self._validators[rows], self._roots[rows], self._shares[rows], self._present[rows]
        )

    def again(self, rows: Positions) -> None:
        """These were not recovered after all: they are due as before."""
        self._changed[rows] = True

    def conclude(self, rows: Positions, recovered: RecoveredSignatures) -> list[Fault]:
        """Keep what was recovered of these rows, drop bad shares for good; whose they were."""
        ok = recovered.ok
        self._signatures[rows[ok]] = recovered.signatures[ok]
        self._done[rows[ok]] = True
        bad = recovered.share_statuses == ShareStatus.BAD
        self._present[rows] &= ~bad
        return [
            Fault(
                node,
                tuple(sorted(self._validators[rows[bad[:, node]]].tolist())),
                "a wrong partial signature",
            )
            for node in np.flatnonzero(bad.any(axis=0)).tolist()
        ]

    def of(self, validators: Positions, roots: Bytes) -> tuple[NDArray[np.bool_], Bytes]:
        """Which of these are there, bool[k], and the signatures, uint8[k, 96]."""
        rows = np.array(
            [
                self._rows.get((validator, root.tobytes()), -1)
                for validator, root in zip(validators.tolist(), roots, strict=True)
            ],
            np.intp,
        )
        known = rows >= 0
        there = np.zeros(len(rows), np.bool_)
        there[known] = self._done[rows[known]]
        signatures = np.zeros((len(rows), SIGNATURE_BYTES), np.uint8)
        signatures[there] = self._signatures[rows[there]]
        return there, signatures

    def recovered(self) -> SignedRoots:
        """All that is there, whatever nodes agreed on."""
        rows = np.flatnonzero(self._done)
        return SignedRoots(self._validators[rows], self._roots[rows], self._signatures[rows])

    def signers(self, validator: int) -> list[int]:
        """Nodes whose partial signature for a validator came and is not known to be bad."""
        rows = [row for (of, _), row in self._rows.items() if of == validator]
        return sorted({node for row in rows for node in np.flatnonzero(self._present[row]).tolist()})

    def _grow(self) -> None:
        first, rows = len(self._validators), len(self._rows)
        if rows == first:
            return
        new = list(islice(reversed(self._rows), rows - first))[::-1]  # the order in which they came
        n = self._keys.nodes
        self._validators = _longer(self._validators, (rows,))
        self._validators[first:] = [validator for validator, _ in new]
        self._roots = _longer(self._roots, (rows, ROOT_BYTES))
        added = np.frombuffer(b"".join(root for _, root in new), np.uint8)
        self._roots[first:] = added.reshape(-1, ROOT_BYTES)
        self._shares = _longer(self._shares, (rows, n, SIGNATURE_BYTES))
        self._present = _longer(self._present, (rows, n))
        self._changed = _longer(self._changed, (rows,))
        self._signatures = _longer(self._signatures, (rows, SIGNATURE_BYTES))
        self._done = _longer(self._done, (rows,))


D = TypeVar("D", bound=Hashable)


class PartialSignatures(Generic[D]):
    """The partial signatures of all duties that are under way, of each node as many as it may have duties.

    Args:
        keys: of the cluster.
        workers: threads for cryptography.
        blame: told what nodes did wrong.
    """

    def __init__(self, keys: ClusterKeys, workers: Workers, blame: Callable[[D, Fault], None]) -> None:
        self._keys = keys
        self._workers = workers
        self._blame = blame
        self._duties: dict[D, _Gathering] = {}
        validators = len(keys.public_keys.encoded)
        seats = min(MOST_SEATS, MOST_SEATS_OF_VALIDATOR * validators)
        self._most = MOST_OF_VALIDATOR * validators + MOST_OF_SEAT * seats
        self._kept: Counter[int] = Counter()
        self._recoveries = Tasks()

    async def add(self, duty: D, node: int, signed: SignedRoots) -> None:
        """Keep what a node signed, and recover what can be recovered."""
        if self._kept[node] + len(signed) > self._most:
            self._blame(duty, Fault(node, (), "more partial signatures than it has duties for"))
            return
        gathering = self._duties.setdefault(duty, _Gathering(DutyShares(self._keys)))
        before = gathering.shares.kept[node]
        for fault in gathering.shares.add(node, signed):
            self._blame(duty, fault)
        self._kept[node] += gathering.shares.kept[node] - before
        if gathering.recovering is None or gathering.recovering.done():
            if not len(gathering.shares.due()):
                return
            gathering.recovering = self._recoveries.start(self._recover(duty, gathering))
        # Whoever brought the last share may be cut off: what came is recovered all the same.
        with suppress(StoppedError):
            await result_of(gathering.recovering)

    async def _recover(self, duty: D, gathering: _Gathering) -> None:
        """Recover what is due, until nothing is or the duty is forgotten."""
        shares = gathering.shares
        while len(rows := shares.due()) and self._duties.get(duty) is gathering:
            try:
                recovered = await self._workers.run(shares.begin(rows).recover)
            except (UnavailableError, TimeoutError):
                shares.again(rows)
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            except BaseException:
                shares.again(rows)
                raise
            faults = shares.conclude(rows, recovered)
            gathering.tell()
            for fault in faults:
                self._blame(duty, fault)

    async def signatures(self, duty: D, validators: Positions, roots: Bytes) -> AsyncIterator[SignedRoots]:
        """The cluster's signatures of these as they come, all that are there at a time.

        It ends with the last; whoever asks limits the time.
        """
        gathering = self._duties.setdefault(duty, _Gathering(DutyShares(self._keys)))
        while len(validators):
            change = gathering.change
            there, signatures = gathering.shares.of(validators, roots)
            if there.any():
                yield SignedRoots(validators[there], roots[there], signatures[there])
                validators, roots = validators[~there], roots[~there]
            else:
                await change.wait()

    def shares(self, duty: D) -> DutyShares | None:
        """What came for a duty."""
        gathering = self._duties.get(duty)
        return None if gathering is None else gathering.shares

    async def close(self) -> None:
        """Recover nothing more."""
        await self._recoveries.close()

    def forget(self, is_over: Callable[[D], bool]) -> None:
        """Keep nothing more of duties that are over."""
        for duty in [duty for duty in self._duties if is_over(duty)]:
            self._kept -= self._duties.pop(duty).shares.kept


class _Gathering:
    """A duty under way."""

    def __init__(self, shares: DutyShares) -> None:
        self.shares = shares
        self.recovering: asyncio.Task[None] | None = None
        self.change = asyncio.Event()

    def tell(self) -> None:
        """Something was recovered: wake all who wait."""
        self.change.set()
        self.change = asyncio.Event()


def _longer(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The same with zeros after it; it doubles what it is part of where that is full."""
    room = array.base
    if room is None or len(room) < shape[0]:
        room = np.zeros((max(2 * len(array), shape[0]), *shape[1:]), array.dtype)
        room[: len(array)] = array
    return room[: shape[0]]
