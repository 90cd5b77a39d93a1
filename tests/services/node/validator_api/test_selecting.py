"""Selection proofs: the clients' parts in, the cluster's out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.signed_sets import NO_SIGNATURE
from dvtfast.duties.sync_committees import (
    SyncCommitteeSelection,
)
from dvtfast.duties.validator_messages import (
    BeaconCommitteeSelection,
)
from dvtfast.qbft.messages import Duty
from dvtfast.services.node.flows import gathering
from dvtfast.services.node.validator_api.intake import NOT_NOW, WRONG_SIGNATURE
from dvtfast.services.process.offload import OverloadedError
from tests.services.node.flows.flow_parts import FIRST_INDEX, SLOT
from tests.services.node.validator_api.client_before_node import (
    client_before_node,
    signed,
)
from tests.services.node.validator_api.handed_in import (
    NOT_OURS,
    validators_at,
)


async def test_selection_proofs_of_several_slots() -> None:
    async with client_before_node() as found:
        wanted = [(slot, position) for slot in (SLOT, SLOT + 1) for position in (0, 1)]
        values = [
            BeaconCommitteeSelection(FIRST_INDEX + position, slot, NO_SIGNATURE) for slot, position in wanted
        ]
        positions = [position for _, position in wanted]
        sent = signed(DutyType.PREPARE_AGGREGATOR, positions, values)
        kind = codec(BeaconCommitteeSelection)
        body = [kind.to_json(each) for each in sent]
        path = "/eth/v1/validator/beacon_committee_selections"
        asking = asyncio.create_task(found.send("POST", path, json=body))
        for slot in (SLOT, SLOT + 1):
            for node in found.alone.signer.others:
                of_slot = [each for each in values if each.slot == slot]
                duty = Duty(slot, DutyType.PREPARE_AGGREGATOR)
                await found.alone.signer._sign_as(node, duty, validators_at(0, 1), of_slot)
        proofs = [kind.from_json(each) for each in (await asking)["data"]]
        assert [(each.slot, each.validator_index - FIRST_INDEX) for each in proofs] == wanted
        found.alone.check(DutyType.PREPARE_AGGREGATOR, list(zip(positions, proofs, strict=True)))


@pytest.mark.parametrize(("left_out", "seconds"), [("stranger", 10.0), ("foreign", 10.0), ("alone", 2.0)])
async def test_selection_proofs_are_given_without_those_that_are_not_to_be_had(
    left_out: str, seconds: float
) -> None:
    """What is refused, there twice, or not signed by enough in time, costs no other one."""
    async with client_before_node(seconds=seconds) as found:
        kind, path = codec(BeaconCommitteeSelection), "/eth/v1/validator/beacon_committee_selections"
        ours = [BeaconCommitteeSelection(FIRST_INDEX + each, SLOT, NO_SIGNATURE) for each in range(3)]
        first, second, alone = signed(DutyType.PREPARE_AGGREGATOR, [0, 1, 2], ours)
        [foreign] = signed(DutyType.PREPARE_AGGREGATOR, [2], [ours[2]], node=3)
        stranger = replace(ours[0], validator_index=7)
        for node in found.alone.signer.others:
            duty = Duty(SLOT, DutyType.PREPARE_AGGREGATOR)
            await found.alone.signer._sign_as(node, duty, validators_at(0, 1), ours[:2])
        wrong = {"stranger": stranger, "foreign": foreign, "alone": alone}[left_out]
        body = [kind.to_json(each) for each in (wrong, first, first, second)]
        told = await found.send("POST", path, json=body)
        proofs = [kind.from_json(each) for each in told["data"]]
        found.alone.check(DutyType.PREPARE_AGGREGATOR, [(0, proofs[0]), (1, proofs[1])])
        assert [each.validator_index for each in proofs] == [FIRST_INDEX, FIRST_INDEX + 1]
        if wrong is alone:
            await found.send("POST", path, json=body[:1], status=408)


@pytest.mark.parametrize(
    ("error", "status"), [(OverloadedError("too much to do"), 503), (TimeoutError(), 408)]
)
async def test_selection_proofs_where_there_is_too_much_to_do(
    error: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(gathering, "_signing_roots", refuse)
    async with client_before_node() as found:
        ours = [BeaconCommitteeSelection(FIRST_INDEX, slot, NO_SIGNATURE) for slot in (SLOT, SLOT + 1)]
        kind, path = codec(BeaconCommitteeSelection), "/eth/v1/validator/beacon_committee_selections"
        body = [kind.to_json(each) for each in signed(DutyType.PREPARE_AGGREGATOR, [0, 0], ours)]
        assert (await found.send("POST", path, json=body, status=status))["code"] == status


async def test_selection_proofs_that_are_wrong() -> None:
    async with client_before_node() as found:
        ours = BeaconCommitteeSelection(FIRST_INDEX, SLOT, NO_SIGNATURE)
        over, ahead = replace(ours, slot=SLOT - 3 * 32), replace(ours, slot=SLOT + 4 * 32)
        [signed_over] = signed(DutyType.PREPARE_AGGREGATOR, [0], [over])
        [signed_ahead] = signed(DutyType.PREPARE_AGGREGATOR, [0], [ahead])
        [foreign] = signed(DutyType.PREPARE_AGGREGATOR, [0], [ours], node=3)
        sent = [signed_over, signed_ahead, foreign, replace(ours, validator_index=7)]
        path = "/eth/v1/validator/beacon_committee_selections"
        refused = await found.hand_in(path, BeaconCommitteeSelection, sent)
        assert refused == {0: NOT_NOW, 1: NOT_NOW, 2: WRONG_SIGNATURE, 3: NOT_OURS}
        path = "/eth/v1/validator/sync_committee_selections"
        fifth = SyncCommitteeSelection(FIRST_INDEX, SLOT, 4, NO_SIGNATURE)
        refused = await found.hand_in(path, SyncCommitteeSelection, [fifth])
        assert refused == {0: "there is no subcommittee 4"}


# Keys.
