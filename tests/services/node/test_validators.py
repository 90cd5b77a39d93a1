"""Whose duties there are in an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from dvtfast.services.chain.beacon.client import FAR_FUTURE_EPOCH, ValidatorDetails
from dvtfast.services.chain.beacon.duty_answers import Duties, SyncDuty
from dvtfast.services.node.exchange import ClusterMembers
from dvtfast.services.node.validators import Validators
from tests.services.node.flow_parts import FIRST_INDEX, KEYS, NODES
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
