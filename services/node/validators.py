"""Which validators of the cluster have duties, and which, epoch by epoch, as the chain says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..chain.beacon.client import EXITED_STATUSES, BeaconError
from ..chain.beacon.duties import DutiesClient
from ..chain.beacon.duty_answers import AttesterDuty, ProposerDuty, SyncDuty
from ..chain.beacon.duty_cache import DutyCache
from ..process import logs
from .exchange import ClusterMembers
from .parts import ActiveValidators

T = TypeVar("T", AttesterDuty, ProposerDuty, SyncDuty)
D = TypeVar("D", AttesterDuty, ProposerDuty)
L = TypeVar("L")

log = logs.get("node")


@dataclass(frozen=True)
class EpochDuties:
    """The duties of the cluster's validators in an epoch.

    Attributes:
        active: those that may have some.
        attesters, proposers: by slot.
        members: of the sync committee, by slot: in the last slot of a period those of the next one, for it is
            the block after it that has their messages.
        is_whole: whether beacon nodes have told all of it; otherwise it is asked for again.
    """

    epoch: int
    active: ActiveValidators
    attesters: Mapping[int, Sequence[AttesterDuty]]
    proposers: Mapping[int, Sequence[ProposerDuty]]
    members: Mapping[int, Sequence[SyncDuty]]
    is_whole: bool = True


class Validators:
    """The validators of a cluster on the chain.

    What cannot be found out now is what it was before, where that is known. Each kind of duty is asked for by
    itself: one that is not told stops no other.
    """

    def __init__(self, cluster: ClusterMembers, beacon: DutiesClient) -> None:
        self._cluster, self._beacon = cluster, beacon
        self._of_epoch = -1
        self._active: ActiveValidators | None = None
        self._cache: DutyCache | None = None
        self._told: dict[int, EpochDuties] = {}

    async def duties(self, epoch: int) -> EpochDuties:
        """Of an epoch: this or the next one; of what no beacon node tells now, what was told before.

        Raises:
            BeaconError: no beacon node tells anything.
        """
        active = await self._find_active(epoch)
        if self._cache is None:
            self._cache = DutyCache(self._beacon, sorted(active.positions))
        cache = self._cache
        if not active.indices:
            return EpochDuties(epoch, active, {}, {}, {})
        per_epoch = self._beacon.chain.slots_per_epoch

        errors: list[BeaconError] = []
        before = self._told.get(epoch, EpochDuties(epoch, active, {}, {}, {}))

        async def attesters() -> Mapping[int, Sequence[AttesterDuty]]:
            return _by_slot(self._ours(active, (await cache.attesters(epoch)).duties))

        async def proposers() -> Mapping[int, Sequence[ProposerDuty]]:
            return _by_slot(self._ours(active, (await cache.proposers(epoch)).duties))

        async def members() -> Mapping[int, Sequence[SyncDuty]]:
            slots = range(epoch * per_epoch, (epoch + 1) * per_epoch)
            found = dict.fromkeys(slots[:-1], self._ours(active, await cache.members(epoch)))
            try:
                found[slots[-1]] = self._ours(active, await cache.members(epoch + 1))
            except BeaconError as error:
                errors.append(error)
            return found

        async def told(ask: Awaitable[L], otherwise: L) -> L:
            try:
                return await ask
            except BeaconError as error:
                errors.append(error)
                return otherwise

        found = await asyncio.gather(
            told(attesters(), before.attesters),
            told(proposers(), before.proposers),
            told(members(), before.members),
        )
        if len(errors) == len(found):
            raise errors[0]
        for error in errors:
            log.warning("some duties are not known", epoch=epoch, error=str(error))
        duties = EpochDuties(epoch, active, *found, is_whole=not errors and not cache.is_old)
        self._told = {each: of for each, of in self._told.items() if abs(each - epoch) <= 1} | {epoch: duties}
        return duties

    def begin(self, epoch: int) -> None:
        """An epoch begins: what may have changed since its duties were asked for is asked for again."""
        if self._cache is not None:
            self._cache.begin(epoch)

    def saw_head(self, event: Mapping[str, object]) -> set[int]:
        """The epochs whose duties a new head has changed; the event is what a beacon node says of it."""
        return set() if self._cache is None else self._cache.saw_head(event)

    async def _find_active(self, epoch: int) -> ActiveValidators:
        """Those that are active in an epoch, asked for once in each."""
        if self._active is not None and self._of_epoch - 1 <= epoch <= self._of_epoch:
            return self._active
        keys = list(self._cluster.validators)
        try:
            found = await self._beacon.details(keys, state="head")
        except BeaconError:
            if self._active is None:
                raise
            return self._active
        active = ActiveValidators.of(
            {
                position: found[key].index
                for key, position in self._cluster.validators.items()
                if key in found
                and found[key].activation_epoch <= epoch
                and found[key].status not in EXITED_STATUSES
            }
        )
        if self._active is None or active.indices != self._active.indices:
            log.info("validators", active=len(active.indices), all=len(keys))
            self._cache, self._told = None, {}
        self._of_epoch, self._active = epoch, active
        return active

    def _ours(self, active: ActiveValidators, duties: Iterable[T]) -> list[T]:
        """Those of validators of this cluster; a key of another index is not believed."""
        ours = []
        for duty in duties:
            position = active.positions.get(duty.validator_index)
            if position is not None and self._cluster.validators.get(duty.public_key) == position:
                ours.append(duty)
        return ours


def _by_slot(duties: Iterable[D]) -> dict[int, list[D]]:
    found: dict[int, list[D]] = {}
    for duty in duties:
        found.setdefault(duty.slot, []).append(duty)
    return found
