"""Whose duties there are in an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from dvtfast.services.chain.beacon.client import FAR_FUTURE_EPOCH, BeaconError, ValidatorDetails
from dvtfast.services.chain.beacon.duty_answers import AttesterDuty, Duties, ProposerDuty, SyncDuty
from dvtfast.services.chain.encoding import write_data
from dvtfast.services.node.exchange import ClusterMembers
from dvtfast.services.node.validators import Validators
from tests.services.node.flows.flow_parts import FIRST_INDEX, KEYS, NODES
from tests.services.p2p.hosts import identities

PER_EPOCH, PERIOD = 8, 4


class Beacon:
    """In each period another validator is in the sync committee, and one who is not of the cluster."""

    chain = SimpleNamespace(slots_per_epoch=PER_EPOCH, epochs_per_sync_committee_period=PERIOD)

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def details(self, keys: Sequence[bytes], *, state: str) -> dict[bytes, ValidatorDetails]:
        return {
            key: ValidatorDetails(
                FIRST_INDEX + position, "active_ongoing", 0, 0, bytes(32), False, 0, FAR_FUTURE_EPOCH
            )
            for position, key in enumerate(keys)
        }

    async def attester_duties(self, epoch: int, indices: Sequence[int]) -> Any:
        return Duties(bytes(32), ())

    async def proposer_duties(self, epoch: int) -> Any:
        return Duties(bytes(32), ())

    async def sync_duties(self, epoch: int, indices: Sequence[int]) -> tuple[SyncDuty, ...]:
        self.asked.append(epoch)
        position = epoch // PERIOD
        key = KEYS.public_keys.encoded[position].tobytes()
        return (SyncDuty(key, FIRST_INDEX + position, (position,)), SyncDuty(bytes(48), 1, (9,)))


async def test_in_the_last_slot_of_a_period_the_next_committee_votes() -> None:
    """Source: consensus-specs, altair/validator.md (compute_subnets_for_sync_committee)."""
    members = ClusterMembers.of(KEYS, 0, [key.public_key for key in identities(NODES)])
    beacon = Beacon()
    validators = Validators(members, beacon)
    for epoch in range(2 * PERIOD):
        duties = await validators.duties(epoch)
        assert sorted(duties.members) == list(range(epoch * PER_EPOCH, (epoch + 1) * PER_EPOCH))
        for slot, of_slot in duties.members.items():
            period = (slot + 1) // (PER_EPOCH * PERIOD)
            assert [member.validator_index for member in of_slot] == [FIRST_INDEX + period]
    assert beacon.asked == [0, PERIOD, 2 * PERIOD]  # once in each period


class Untold(Beacon):
    """Tells all but what a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.untold: set[str] = set()

    async def _told(self, what: str, value: Any) -> Any:
        if what in self.untold:
            raise BeaconError(f"no {what}")
        return value

    async def attester_duties(self, epoch: int, indices: Sequence[int]) -> Any:
        key = KEYS.public_keys.encoded[0].tobytes()
        duty = AttesterDuty(key, FIRST_INDEX, epoch * PER_EPOCH, 0, 8, 1, 0)
        return await self._told("attesters", Duties(bytes(32), (duty,)))

    async def proposer_duties(self, epoch: int) -> Any:
        key = KEYS.public_keys.encoded[0].tobytes()
        duty = ProposerDuty(key, FIRST_INDEX, epoch * PER_EPOCH)
        return await self._told("proposers", Duties(bytes(32), (duty,)))

    async def sync_duties(self, epoch: int, indices: Sequence[int]) -> tuple[SyncDuty, ...]:
        return await self._told("members", await super().sync_duties(epoch, indices))


def validators_of(beacon: Beacon) -> Validators:
    members = ClusterMembers.of(KEYS, 0, [key.public_key for key in identities(NODES)])
    return Validators(members, beacon)  # type: ignore[arg-type]


KINDS = ("attesters", "proposers", "members")


@pytest.mark.parametrize("untold", KINDS)
async def test_one_kind_of_duty_that_is_not_told_stops_no_other(untold: str) -> None:
    beacon = Untold()
    validators = validators_of(beacon)
    beacon.untold = {untold}
    duties = await validators.duties(0)
    assert [kind for kind in KINDS if not getattr(duties, kind)] == [untold]
    assert not duties.is_whole
    beacon.untold = set()
    duties = await validators.duties(0)
    assert duties.is_whole
    assert all(getattr(duties, kind) for kind in KINDS)
    validators.begin(0)  # proposers and members are asked for again
    validators.saw_head(head(0, b"\x01" * 32))  # and so are attesters
    beacon.untold = {untold}
    again = await validators.duties(0)
    assert {kind: getattr(again, kind) for kind in KINDS} == {kind: getattr(duties, kind) for kind in KINDS}
    assert not again.is_whole
    beacon.untold = set(KINDS)
    with pytest.raises(BeaconError):
        await validators.duties(2 * PERIOD)


def head(slot: int, root: bytes) -> dict[str, str]:
    names = ("previous_duty_dependent_root", "current_duty_dependent_root")
    return {"slot": str(slot)} | dict.fromkeys(names, write_data(root))


async def test_who_is_in_the_sync_committee_is_asked_in_each_epoch() -> None:
    beacon = Beacon()
    validators = validators_of(beacon)
    for epoch in range(3):
        validators.begin(epoch)
        await validators.duties(epoch)
    assert beacon.asked == [0, 1, 2]
