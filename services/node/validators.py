"""Which validators of the cluster have duties, and which, epoch by epoch, as the chain says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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

log = logs.get("node")


@dataclass(frozen=True)
class EpochDuties:
    """The duties of the cluster's validators in an epoch.

    Attributes:
        active: those that may have some.
        attesters, proposers: by slot.
        members: of the sync committee, by slot: in the last slot of a period those of the next one, for it is
            the block after it that has their messages.
    """

    epoch: int
    active: ActiveValidators
    attesters: Mapping[int, Sequence[AttesterDuty]]
    proposers: Mapping[int, Sequence[ProposerDuty]]
    members: Mapping[int, Sequence[SyncDuty]]


class Validators:
    """The validators of a cluster on the chain.

    What cannot be found out now is what it was before, where that is known.
    """

    def __init__(self, cluster: ClusterMembers, beacon: DutiesClient) -> None:
        self._cluster, self._beacon = cluster, beacon
        self._of_epoch = -1
        self._active: ActiveValidators | None = None
        self._cache: DutyCache | None = None

    async def duties(self, epoch: int) -> EpochDuties:
        """Of an epoch: this or the next one.

        Raises:
            BeaconError: no beacon node tells.
        """
        active = await self._find_active(epoch)
        if self._cache is None:
            self._cache = DutyCache(self._beacon, sorted(active.positions))
        cache = self._cache
        if not active.indices:
            return EpochDuties(epoch, active, {}, {}, {})
        per_epoch = self._beacon.chain.slots_per_epoch
        attesters = (await cache.attesters(epoch)).duties
        proposers = (await cache.proposers(epoch)).duties
        members = {
            slot: self._ours(active, await cache.members((slot + 1) // per_epoch))
            for slot in range(epoch * per_epoch, (epoch + 1) * per_epoch)
        }
        return EpochDuties(
            epoch,
            active,
            _by_slot(self._ours(active, attesters)),
            _by_slot(self._ours(active, proposers)),
            members,
        )

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
            self._cache = None
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
