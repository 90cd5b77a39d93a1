"""Sync committee members of one node: messages for the head it sees, and what of contributions it signs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from dvtfast.duties.bits import bitvector
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.message_sizes import ENTRY_BYTES
from dvtfast.duties.presets import MAINNET_PRESET
from dvtfast.duties.sync_committees import SyncCommitteeContribution, SyncCommitteeMessage
from dvtfast.duties.wrappers import decode_agreed
from dvtfast.qbft import wire
from dvtfast.qbft.messages import Duty
from dvtfast.qbft.quorums import leader
from dvtfast.services.chain.beacon.duty_answers import SyncDuty
from dvtfast.services.node.flows import sync_committees
from dvtfast.services.node.flows.sync_committees import contribute, select_contributors, send_sync_messages
from dvtfast.services.node.tracker import Step
from tests.services.node.flow_parts import (
    FIRST_INDEX,
    KEYS,
    NODES,
    NOT_FOUND,
    ROOT,
    SLOT,
    Alone,
    alone,
)

LEADER = leader(Duty(SLOT, DutyType.SYNC_CONTRIBUTION), 1, NODES)
SUBCOMMITTEE = MAINNET_PRESET.sizes["SYNC_SUBCOMMITTEE_SIZE"]
SEATS = {0: (1, 2 * SUBCOMMITTEE), 1: (2, 3), 2: (2 * SUBCOMMITTEE + 5,)}  # of subcommittees 0 and 2
MEMBERS = [
    SyncDuty(KEYS.public_keys.encoded[position].tobytes(), FIRST_INDEX + position, seats)
    for position, seats in SEATS.items()
]
BOTH = {(0, 0), (0, 1), (2, 0), (2, 2)}  # subcommittees, and who is in them


def of_subcommittee(number: int, **more: Any) -> SyncCommitteeContribution:
    made = SyncCommitteeContribution(SLOT, ROOT, number, bitvector([3], SUBCOMMITTEE), bytes(96))
    return replace(made, **more)


ZERO, TWO = of_subcommittee(0), of_subcommittee(2)


@pytest.fixture
def all_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    """In mainnet's preset one in eight is."""
    monkeypatch.setattr(sync_committees, "are_sync_aggregators", lambda proofs, preset: proofs.any(axis=1))


async def run(found: Alone, *, messages: bool = True) -> None:
    found.beacon.answers = {
        "head_root": ROOT,
        "sync_committee_contribution": lambda slot, number, root: of_subcommittee(
            number, beacon_block_root=root
        ),
    } | found.beacon.answers
    args = (found.node, found.active, SLOT, MEMBERS)
    await select_contributors(*args)
    if messages:
        await send_sync_messages(*args)
    await contribute(*args)


def sent(found: Alone) -> dict[tuple[int, int], Any]:
    """By subcommittee and the validator's position."""
    return {
        (each.message.contribution.subcommittee_index, each.message.aggregator_index - FIRST_INDEX): each
        for (contributions,), _ in found.beacon.sent.get("send_contributions", [])
        for each in contributions
    }


async def test_messages_are_for_the_head() -> None:
    async with alone() as found:
        found.beacon.answers["head_root"] = ROOT
        await send_sync_messages(found.node, found.active, SLOT, MEMBERS)
        out = [each for (some,), _ in found.beacon.sent["send_sync_messages"] for each in some]
        assert [replace(each, signature=b"") for each in out] == [
            SyncCommitteeMessage(SLOT, ROOT, FIRST_INDEX + position, b"") for position in SEATS
        ]
        found.check(DutyType.SYNC_MESSAGE, list(zip(SEATS, out, strict=True)))
        assert set(found.report(DutyType.SYNC_MESSAGE).steps.values()) == {Step.SENT}


async def test_what_comes_when_its_slot_is_over_is_not_sent() -> None:
    async with alone(seconds_per_slot=0.2) as found:
        found.beacon.answers["head_root"] = ROOT
        await found.node.slots.wait_until(found.node.slots.start(SLOT + 1))
        await send_sync_messages(found.node, found.active, SLOT, MEMBERS)
        assert not found.beacon.sent
        report = found.report(DutyType.SYNC_MESSAGE)
        assert set(report.steps.values()) == {Step.RECOVERED}
        assert set(report.reasons.values()) == {sync_committees.TOO_LATE}


async def test_what_is_kept_of_heads_does_not_grow() -> None:
    async with alone() as found:
        found.beacon.answers["head_root"] = ROOT
        for slot in range(SLOT, SLOT + 20):
            await send_sync_messages(found.node, found.active, slot, MEMBERS[:1])
        assert sorted(found.node.voted_heads) == list(range(SLOT + 16, SLOT + 20))


@pytest.mark.usefixtures("all_selected")
async def test_several_subcommittees_where_all_nodes_read_them() -> None:
    async with alone(plural_contributions=lambda slot: slot == SLOT) as found:
        await run(found)
        out = sent(found)
        assert out.keys() == BOTH
        for (_, position), each in out.items():
            found.check(DutyType.SYNC_CONTRIBUTION, [(position, each)])
        assert {key: each.message.contribution for key, each in out.items()} == {
            key: of_subcommittee(key[0]) for key in BOTH
        }
        asked = [each[2] for each in found.beacon.asked if each[0] == "sync_committee_contribution"]
        assert sorted(asked) == [0, 2]  # once for all members


@pytest.mark.usefixtures("all_selected")
async def test_one_subcommittee_where_a_node_reads_no_more() -> None:
    async with alone() as found:
        await run(found)
        assert sent(found).keys() == {(0, 0), (0, 1), (2, 2)}
        [value] = [each for duty, each in found.consensus.provided.items()]
        for data in wire.decode_data_set(value.content).values():
            assert len(data) == 160  # SSZ, as all releases of charon read
            assert len(decode_agreed(DutyType.SYNC_CONTRIBUTION, data)) == 1


@pytest.mark.usefixtures("all_selected")
async def test_contributions_are_to_the_block_that_the_messages_were_for() -> None:
    """Though another one came after them."""
    heads = iter([ROOT, bytes(32), bytes(32)])
    async with alone() as found:
        found.beacon.answers["head_root"] = lambda: next(heads)
        await run(found)
        assert {each.message.contribution.beacon_block_root for each in sent(found).values()} == {ROOT}


@pytest.mark.usefixtures("all_selected")
async def test_without_messages_of_its_own_it_takes_the_head() -> None:
    async with alone() as found:
        await run(found, messages=False)
        assert {each.message.contribution.beacon_block_root for each in sent(found).values()} == {ROOT}


async def test_where_nobody_is_selected_nothing_is_agreed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_committees, "are_sync_aggregators", lambda proofs, preset: ~proofs.any(axis=1))
    async with alone() as found:
        await run(found)
        assert found.consensus.asked == []
        assert not sent(found)


async def test_who_is_selected_is_told_by_the_proof() -> None:
    """In the library, of whose rule the specification is the judge elsewhere."""
    async with alone(plural_contributions=lambda slot: True) as found:
        await run(found)
        chosen = set()
        for duty, position, value in found.signer.signed:
            if duty.type is DutyType.PREPARE_SYNC_CONTRIBUTION:
                chosen.add((value.subcommittee_index, position))
        assert chosen == BOTH
        assert sent(found).keys() <= BOTH


JSON = codec(SyncCommitteeContribution, MAINNET_PRESET).to_json


@pytest.mark.usefixtures("all_selected")
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ((TWO,), "not selected"),
        ((of_subcommittee(2**64 - 1),), "not selected"),
        ((replace(ZERO, slot=SLOT + 1),), "another slot"),
        ((replace(ZERO, aggregation_bits=bytes(16)),), "nobody"),
        (b"[]", "nothing that is signed"),
        (b"[1]", "nothing that is signed"),
        (b"\0" * 159, "nothing that is signed"),
    ],
    ids=["subcommittee", "no subcommittee", "slot", "nobody", "none", "number", "short"],
)
async def test_one_wrong_contribution_costs_one_validator(value: Any, why: str) -> None:
    """Validator 1 is in subcommittee 0 only."""
    async with alone() as found:
        found.agree_on(DutyType.SYNC_CONTRIBUTION, {0: (ZERO, TWO), 1: value, 2: (TWO,)})
        await run(found)
        assert sent(found).keys() == BOTH - {(0, 1)}
        report = found.report(DutyType.SYNC_CONTRIBUTION)
        assert why in report.reasons[1]
        is_late = why == "not selected"
        assert found.consensus.accepted[DutyType.SYNC_CONTRIBUTION] is is_late
        [(node, validators, _)] = found.blamed(DutyType.SYNC_CONTRIBUTION)
        assert (node, validators) == (LEADER, (1,))


@pytest.mark.usefixtures("all_selected")
async def test_many_contributions_of_one_subcommittee_are_one() -> None:
    other = replace(ZERO, aggregation_bits=bitvector([4], SUBCOMMITTEE))
    many = json.dumps([JSON(ZERO), *[JSON(other)] * 6]).encode()
    assert len(many) <= ENTRY_BYTES
    async with alone() as found:
        found.agree_on(DutyType.SYNC_CONTRIBUTION, {0: many})
        await run(found)
        [(key, each)] = sent(found).items()
        assert (key, each.message.contribution) == ((0, 0), ZERO)
        assert found.blamed(DutyType.SYNC_CONTRIBUTION) == [
            (LEADER, (0,), "it has two contributions of one subcommittee")
        ]


@pytest.mark.usefixtures("all_selected")
async def test_a_member_whose_node_did_not_sign_in_one_subcommittee_contributes_in_the_other() -> None:
    """What never comes of one subcommittee does not hold up another one."""
    async with alone(plural_contributions=lambda slot: True) as found:
        sign = found.signer.sign

        async def silent_in_zero(duty: Duty, validators: Any, values: Any) -> Any:
            is_of_zero = duty.type is DutyType.SYNC_CONTRIBUTION and (
                values[0].message.contribution.subcommittee_index == 0
            )
            found.signer.silent = {0} if is_of_zero else set()
            return await sign(duty, validators, values)

        found.signer.sign = silent_in_zero
        done = asyncio.ensure_future(run(found))
        while sent(found).keys() != BOTH - {(0, 0)}:
            await found.node.slots.sleep(0.01)
        done.cancel()


@pytest.mark.usefixtures("all_selected")
async def test_a_subcommittee_of_which_beacon_nodes_have_nothing() -> None:
    def answer(slot: int, number: int, root: bytes) -> Any:
        if number == 0:
            raise NOT_FOUND
        return of_subcommittee(number)

    async with alone() as found:
        found.beacon.answers["sync_committee_contribution"] = answer
        await run(found)
        assert sent(found).keys() == {(2, 0), (2, 2)}
