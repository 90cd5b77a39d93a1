"""Sync committee members of one node: messages for the head it sees, and what of contributions it signs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dvtfast import aggregate, sign
from dvtfast.duties.bits import bitvector
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.message_sizes import ENTRY_BYTES
from dvtfast.duties.presets import MAINNET_PRESET
from dvtfast.duties.signed_sets import signed_set
from dvtfast.duties.sync_committees import SyncCommitteeContribution, SyncCommitteeMessage
from dvtfast.duties.wrappers import decode_agreed
from dvtfast.qbft import wire
from dvtfast.qbft.leaders import leader
from dvtfast.qbft.messages import Duty
from dvtfast.services.chain.beacon.duties import BlockHeader
from dvtfast.services.chain.beacon.duty_answers import SyncDuty
from dvtfast.services.node.flows import contributions, heads, sync_committees
from dvtfast.services.node.flows.agreeing import LEFT_OUT_OF_SELECTED
from dvtfast.services.node.flows.sync_committees import contribute, select_contributors, send_sync_messages
from dvtfast.services.node.partial_signatures import Fault
from dvtfast.services.node.tracker import Step
from tests.services.node.flows.flow_parts import (
    FIRST_INDEX,
    KEYS,
    NODES,
    NOT_FOUND,
    ROOT,
    SECRETS,
    SLOT,
    STRANGERS,
    Alone,
    alone,
)
from tests.unit.duties.test_duty_sets import SCHEDULE

LEADER = leader(Duty(SLOT, DutyType.SYNC_CONTRIBUTION), 1, NODES)
SUBCOMMITTEE = MAINNET_PRESET.sizes["SYNC_SUBCOMMITTEE_SIZE"]
SEATS = {0: (1, 2 * SUBCOMMITTEE), 1: (2, 3), 2: (2 * SUBCOMMITTEE + 5,)}  # of subcommittees 0 and 2
MEMBERS = [
    SyncDuty(KEYS.public_keys.encoded[position].tobytes(), FIRST_INDEX + position, seats)
    for position, seats in SEATS.items()
]
PARENT, OTHER = bytes([7]) * 32, bytes([8]) * 32
BOTH = {(0, 0), (0, 1), (2, 0), (2, 2)}  # subcommittees, and who is in them


def of_subcommittee(number: int, **more: Any) -> SyncCommitteeContribution:
    """Of a stranger's message, where nothing else is said."""
    made = SyncCommitteeContribution(SLOT, ROOT, number, bitvector([9], SUBCOMMITTEE), STRANGERS)
    return replace(made, **more)


def signed_by(*positions: int) -> bytes:
    """The messages of some members as one."""
    root = signed_set(DutyType.SYNC_MESSAGE, [SyncCommitteeMessage(SLOT, ROOT, 0, b"")], SCHEDULE)
    roots = np.repeat(root.signing_roots, len(positions), 0)
    return aggregate(sign(SECRETS[list(positions)], roots)).tobytes()


def of_seats(*seats: int) -> dict[str, bytes]:
    return {"aggregation_bits": bitvector(seats, SUBCOMMITTEE)}


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
        ((TWO,), "not in the subcommittee"),
        ((of_subcommittee(2**64 - 1),), "not in the subcommittee"),
        ((replace(ZERO, signature=bytes(96)),), "none that anybody"),
        ((replace(ZERO, signature=b"\xc0" + bytes(95)),), "none that anybody"),
        ((of_subcommittee(0, **of_seats(1), signature=signed_by(0, 1)),), "of those who are in it"),
        ((of_subcommittee(0, **of_seats(1, 2, 3), signature=signed_by(0, 1)),), "of those who are in it"),
        ((replace(ZERO, slot=SLOT + 1),), "another slot"),
        ((replace(ZERO, aggregation_bits=bytes(16)),), "nobody"),
        (b"[]", "nothing that is signed"),
        (b"[1]", "nothing that is signed"),
        (b"\0" * 159, "nothing that is signed"),
    ],
    ids=[
        "subcommittee",
        "no subcommittee",
        "zeros",
        "infinity",
        "too many",
        "seat not counted twice",
        "slot",
        "nobody",
        "none",
        "number",
        "short",
    ],
)
async def test_one_wrong_contribution_costs_one_validator(value: Any, why: str) -> None:
    """Validator 1 is in subcommittee 0 only."""
    async with alone() as found:
        found.agree_on(DutyType.SYNC_CONTRIBUTION, {0: (ZERO, TWO), 1: value, 2: (TWO,)})
        await run(found)
        assert sent(found).keys() == BOTH - {(0, 1)}
        report = found.report(DutyType.SYNC_CONTRIBUTION)
        assert why in report.reasons[1]
        assert not found.consensus.accepted[DutyType.SYNC_CONTRIBUTION]
        [(node, validators, _)] = found.blamed(DutyType.SYNC_CONTRIBUTION)
        assert (node, validators) == (LEADER, (1,))


@pytest.mark.usefixtures("all_selected")
@pytest.mark.parametrize(
    ("seats", "signers"),
    [((1,), (0,)), ((2, 3), (1, 1)), ((1, 2, 3), (0, 1, 1))],
    ids=["one", "twice", "all"],
)
async def test_who_voted_is_looked_at_where_all_are_ours(
    seats: tuple[int, ...], signers: tuple[int, ...]
) -> None:
    """A member with two seats signs once, and counts twice."""
    value = of_subcommittee(0, **of_seats(*seats), signature=signed_by(*signers))
    async with alone() as found:
        found.agree_on(DutyType.SYNC_CONTRIBUTION, {0: (value,), 1: (value,), 2: (TWO,)})
        await run(found)
        assert sent(found).keys() == BOTH - {(2, 0)}
        assert found.consensus.accepted[DutyType.SYNC_CONTRIBUTION]


@pytest.mark.usefixtures("all_selected")
@pytest.mark.parametrize("there", [(0, 1, 2), (0, 2), (1,)], ids=str)
async def test_what_leaves_out_somebody_is_not_voted_for(there: tuple[int, ...]) -> None:
    """What a quorum agrees on all the same is signed."""
    values = {0: (ZERO,), 1: (ZERO,), 2: (TWO,)}
    missing = tuple(sorted({0, 1, 2} - set(there)))
    async with alone() as found:
        found.agree_on(DutyType.SYNC_CONTRIBUTION, {position: values[position] for position in there})
        await run(found)
        assert {position for _, position in sent(found)} == set(there)
        assert found.consensus.accepted[DutyType.SYNC_CONTRIBUTION] is not bool(missing)
        report, why = found.report(DutyType.SYNC_CONTRIBUTION), LEFT_OUT_OF_SELECTED.why
        assert report.reasons == dict.fromkeys(missing, why)
        assert (report.faults, report.doubts) == ([], [Fault(LEADER, missing, why)] * bool(missing))


async def test_a_member_that_is_not_selected_and_one_of_which_no_proof_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What its proof does not select is its leader's fault; a proof that did not come here is nobody's."""
    monkeypatch.setattr(
        sync_committees, "are_sync_aggregators", lambda proofs, preset: np.arange(len(proofs)) == 0
    )
    async with alone(seconds_per_slot=24.0) as found:
        found.beacon.answers = {"head_root": ROOT, "sync_committee_contribution": NOT_FOUND}
        found.agree_on(DutyType.SYNC_CONTRIBUTION, {0: (ZERO,), 1: (ZERO,), 2: (TWO,)})
        await select_contributors(found.node, found.active, SLOT, MEMBERS[:2])
        await send_sync_messages(found.node, found.active, SLOT, MEMBERS)
        await contribute(found.node, found.active, SLOT, MEMBERS)
        assert sent(found).keys() == {(0, 0)}
        report = found.report(DutyType.SYNC_CONTRIBUTION)
        assert report.reasons == {1: contributions.NOT_SELECTED, 2: contributions.NO_PROOF}
        assert report.faults == [Fault(LEADER, (1,), contributions.NOT_SELECTED)]
        assert report.doubts == [Fault(LEADER, (2,), contributions.NO_PROOF)]
        assert not found.consensus.accepted[DutyType.SYNC_CONTRIBUTION]


@pytest.mark.usefixtures("all_selected")
@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({OTHER: BlockHeader(SLOT, ROOT)}, ""),
        ({ROOT: BlockHeader(SLOT, OTHER), OTHER: BlockHeader(SLOT - 4, PARENT)}, ""),
        ({}, heads.UNKNOWN_BLOCK),
        (
            {
                ROOT: BlockHeader(SLOT, PARENT),
                PARENT: BlockHeader(SLOT - 1, OTHER),
                OTHER: BlockHeader(SLOT - 2, bytes(32)),
            },
            heads.OLD_BLOCK,
        ),
    ],
    ids=["ahead of ours", "without a late one", "unknown", "old"],
)
async def test_contributions_to_another_block(headers: dict[bytes, BlockHeader], why: str) -> None:
    """It is to be one that may be the head; what is agreed on all the same is signed."""
    value = of_subcommittee(0, beacon_block_root=OTHER)
    async with alone() as found:
        found.beacon.answers["block_header"] = headers.get
        found.agree_on(DutyType.SYNC_CONTRIBUTION, {0: (value,), 1: (value,), 2: (TWO,)})
        await run(found)
        assert sent(found).keys() == BOTH - {(2, 0)}
        assert found.consensus.accepted[DutyType.SYNC_CONTRIBUTION] is not bool(why)
        report = found.report(DutyType.SYNC_CONTRIBUTION)
        said = report.faults if why == heads.OLD_BLOCK else report.doubts
        assert said == [Fault(LEADER, (), why)] * bool(why)


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
