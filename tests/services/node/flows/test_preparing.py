"""What beacon nodes are told in each epoch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dvtfast.duties.validator_messages import SignedValidatorRegistration
from dvtfast.services.chain.beacon.client import BeaconError
from dvtfast.services.chain.beacon.duty_answers import SyncDuty
from dvtfast.services.node.flows import preparing
from dvtfast.services.node.flows.preparing import prepare
from tests.services.node.flows.flow_parts import EPOCH, FEE_RECIPIENTS, FIRST_INDEX, VALIDATORS, Alone, alone
from tests.unit.duties.test_duty_sets import REGISTRATION, SIGNATURE

MEMBERS = [SyncDuty(bytes(48), FIRST_INDEX, (1, 200))]
REGISTRATIONS = [
    SignedValidatorRegistration(replace(REGISTRATION, timestamp=position), SIGNATURE)
    for position in range(VALIDATORS)
]
QUICK = 0.1  # seconds of a slot, so that three quarters of it are soon over


def told(found: Alone, name: str) -> list[Any]:
    return [given for (given,), _ in found.beacon.sent.get(name, [])]


async def test_all_is_told() -> None:
    async with alone(seconds_per_slot=QUICK, builder=True, registrations=REGISTRATIONS) as found:
        await prepare(found.node, found.active, EPOCH, MEMBERS)
        fees = {FIRST_INDEX + position: address for position, address in enumerate(FEE_RECIPIENTS)}
        assert told(found, "prepare_proposers") == [fees]
        assert told(found, "register_validators") == [REGISTRATIONS]
        [[member]] = told(found, "subscribe_sync_committees")
        assert member == {
            "validator_index": str(FIRST_INDEX),
            "sync_committee_indices": ["1", "200"],
            "until_epoch": str(EPOCH + 2),
        }


async def test_builders_are_told_nothing_where_none_is_wanted() -> None:
    async with alone(seconds_per_slot=QUICK, registrations=REGISTRATIONS) as found:
        await prepare(found.node, found.active, EPOCH, ())
        assert found.beacon.sent.keys() == {"prepare_proposers"}


async def test_locks_without_registrations() -> None:
    async with alone(seconds_per_slot=QUICK, builder=True) as found:
        await prepare(found.node, found.active, EPOCH, ())
        assert found.beacon.sent.keys() == {"prepare_proposers"}


async def test_many_are_told_in_parts(monkeypatch: Any) -> None:
    monkeypatch.setattr(preparing, "VALIDATORS_AT_ONCE", 4)
    async with alone(seconds_per_slot=QUICK, builder=True, registrations=REGISTRATIONS) as found:
        await prepare(found.node, found.active, EPOCH, ())
        assert [len(each) for each in told(found, "prepare_proposers")] == [4, VALIDATORS - 4]
        parts = told(found, "register_validators")
        assert [*parts[0], *parts[1]] == REGISTRATIONS


async def test_a_refusal_of_some_is_none_of_the_others(monkeypatch: Any) -> None:
    monkeypatch.setattr(preparing, "VALIDATORS_AT_ONCE", 4)
    async with alone(seconds_per_slot=QUICK) as found:
        found.beacon.answers["prepare_proposers"] = BeaconError("no", refused=True, status=400)
        await prepare(found.node, found.active, EPOCH, MEMBERS)
        assert len(told(found, "prepare_proposers")) == 2
        assert len(told(found, "subscribe_sync_committees")) == 1


async def test_beacon_nodes_that_are_away_are_asked_again_until_the_epoch_is_over() -> None:
    async with alone(seconds_per_slot=QUICK) as found:
        found.beacon.answers["prepare_proposers"] = BeaconError("down")
        await prepare(found.node, found.active, EPOCH, MEMBERS)
        assert found.node.slots.epoch(found.node.slots.slot()) == EPOCH + 1
        assert len(told(found, "prepare_proposers")) > 2
