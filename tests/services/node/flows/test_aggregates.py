"""Aggregators of one node: who is selected, and what of the agreed aggregates it signs and what not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dvtfast import aggregate as aggregate_signatures
from dvtfast import sign
from dvtfast.duties.attestations import AttestationData, AttestationDuty, AttestationElectra
from dvtfast.duties.bits import bitlist, bitvector
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.forks import ELECTRA, FULU
from dvtfast.duties.signed_sets import signed_set
from dvtfast.duties.wrappers import AttesterValue, Versioned
from dvtfast.qbft.leaders import leader
from dvtfast.qbft.messages import Duty
from dvtfast.services.chain.beacon.duty_answers import AttesterDuty
from dvtfast.services.node.flows import aggregates
from dvtfast.services.node.flows.aggregates import aggregate, select_aggregators
from dvtfast.services.node.flows.agreeing import LEFT_OUT_OF_SELECTED
from dvtfast.services.node.partial_signatures import Fault
from dvtfast.services.node.tracker import Step
from tests.services.node.flows.flow_parts import (
    DATA,
    FIRST_INDEX,
    KEYS,
    NODES,
    NOT_FOUND,
    SECRETS,
    SLOT,
    STRANGERS,
    VALIDATORS,
    Alone,
    alone,
)
from tests.unit.duties.test_duty_sets import SCHEDULE

LENGTH = 15  # of a committee in which everybody aggregates
LEADER = leader(Duty(SLOT, DutyType.AGGREGATOR), 1, NODES)
ROOT_OF_DATA = codec(AttestationData).root(DATA)


def duties(length: int = LENGTH) -> list[AttesterDuty]:
    """Two in each committee, of committees 1 to 3."""
    return [
        AttesterDuty(
            public_key=KEYS.public_keys.encoded[position].tobytes(),
            validator_index=FIRST_INDEX + position,
            slot=SLOT,
            committee_index=1 + position // 2,
            committee_length=length,
            committees_at_slot=4,
            validator_committee_index=position,
        )
        for position in range(VALIDATORS)
    ]


def place(duty: AttesterDuty) -> AttestationDuty:
    return AttestationDuty(
        duty.public_key,
        SLOT,
        duty.validator_index,
        duty.committee_index,
        10,
        4,
        duty.validator_committee_index,
    )


def of_committee(
    committee: int,
    *,
    fork: Any = FULU,
    data: AttestationData = DATA,
    length: int = LENGTH,
    voters: Sequence[int] = (9,),
    signature: bytes = STRANGERS,
) -> Any:
    """Of a stranger's vote, where nothing else is said."""
    return Versioned(
        fork, AttestationElectra(bitlist(voters, length), data, signature, bitvector([committee], 64))
    )


def signed_by(*positions: int) -> bytes:
    """The votes of some validators as one."""
    root = signed_set(DutyType.ATTESTER, [of_committee(1)], SCHEDULE).signing_roots
    return aggregate_signatures(sign(SECRETS[list(positions)], np.repeat(root, len(positions), 0))).tobytes()


GOOD = {position: of_committee(1 + position // 2) for position in range(VALIDATORS)}


async def run(found: Alone, *, length: int = LENGTH, votes: Any = None) -> None:
    """Selections, and then aggregates; votes were agreed on before."""
    known = duties(length)
    values = {position: AttesterValue(DATA, place(each)) for position, each in enumerate(known)}
    found.agree_on(DutyType.ATTESTER, values if votes is None else votes)
    found.beacon.answers.setdefault(
        "aggregate_attestation", lambda slot, root, committee: of_committee(committee).message
    )
    await select_aggregators(found.node, found.active, SLOT, known)
    await aggregate(found.node, found.active, SLOT, known)


def sent(found: Alone) -> dict[int, Any]:
    """By the validator's position."""
    return {
        each.message.aggregator_index - FIRST_INDEX: Versioned(fork, each)
        for (messages, fork), _ in found.beacon.sent.get("send_aggregates", [])
        for each in messages
    }


async def test_what_this_node_proposes() -> None:
    async with alone() as found:
        await run(found)
        out = sent(found)
        assert sorted(out) == list(range(VALIDATORS))
        found.check(DutyType.AGGREGATOR, list(out.items()))
        for position, each in out.items():
            assert each.message.message.aggregate == GOOD[position].message
        assert set(found.report(DutyType.AGGREGATOR).steps.values()) == {Step.SENT}
        asked = [each for each in found.beacon.asked if each[0] == "aggregate_attestation"]
        assert sorted(asked) == [("aggregate_attestation", SLOT, ROOT_OF_DATA, each) for each in (1, 2, 3)]


async def test_beacon_nodes_are_told_whose_votes_are_to_be_aggregated() -> None:
    async with alone() as found:
        await run(found)
        told = {
            int(each["validator_index"]): each
            for (subscriptions,), _ in found.beacon.sent["subscribe_committees"]
            for each in subscriptions
        }
        assert sorted(told) == [FIRST_INDEX + position for position in range(VALIDATORS)]
        assert told[FIRST_INDEX] == {
            "validator_index": str(FIRST_INDEX),
            "committee_index": "1",
            "committees_at_slot": "4",
            "slot": str(SLOT),
            "is_aggregator": True,
        }
        assert set(found.report(DutyType.PREPARE_AGGREGATOR).steps.values()) == {Step.SENT}


async def test_the_proofs_are_the_clusters() -> None:
    async with alone() as found:
        await run(found)
        for position, each in sent(found).items():
            [value] = [
                value
                for duty, validator, value in found.signer.signed
                if duty.type is DutyType.PREPARE_AGGREGATOR and validator == position
            ]
            proof = each.message.message.selection_proof
            found.check(DutyType.PREPARE_AGGREGATOR, [(position, replace(value, selection_proof=proof))])


async def test_where_nobody_is_selected_nothing_is_agreed_on() -> None:
    """One of 2**58 is selected in such a committee, if it were one."""
    async with alone() as found:
        await run(found, length=2**62)
        assert found.consensus.asked == []
        assert not sent(found)
        [((subscriptions,), _)] = found.beacon.sent["subscribe_committees"]
        assert not any(each["is_aggregator"] for each in subscriptions)


async def test_whose_proof_is_late_is_left_out() -> None:
    async with alone(seconds_per_slot=1.0) as found:
        found.signer.silent = {0}
        known = duties()
        found.agree_on(
            DutyType.ATTESTER,
            {position: AttesterValue(DATA, place(each)) for position, each in enumerate(known)},
        )
        found.beacon.answers["aggregate_attestation"] = lambda _, __, committee: (
            of_committee(committee).message
        )
        # Selections of validator 0 never come, so that who waits for all would wait for ever.
        await select_aggregators(found.node, found.active, SLOT, known[1:])
        found.signer.silent = set()
        await aggregate(found.node, found.active, SLOT, known)
        assert sorted(sent(found)) == list(range(1, VALIDATORS))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (of_committee(2), "another committee"),
        (of_committee(1, data=replace(DATA, slot=SLOT - 1)), "other votes"),
        (of_committee(1, data=replace(DATA, beacon_block_root=bytes(32))), "other votes"),
        (of_committee(1, data=replace(DATA, target=DATA.source)), "other votes"),
        (of_committee(1, length=LENGTH + 1), "another length"),
        (of_committee(1, fork=ELECTRA), "another fork"),
        (b"\xff" * 300, "nothing that is signed"),
        (of_committee(1, voters=()), "of nobody"),
        (of_committee(1, signature=bytes(96)), "none that anybody"),
        (of_committee(1, signature=b"\xc0" + bytes(95)), "none that anybody"),
        (of_committee(1, signature=b"\xa0" + b"\x11" * 95), "none that anybody"),
        (of_committee(1, voters=(0, 1), signature=signed_by(0)), "of those who are in it"),
        (of_committee(1, voters=(0,), signature=signed_by(0, 1)), "of those who are in it"),
        (of_committee(1, voters=(0, 1)), "of those who are in it"),
    ],
    ids=[
        "committee",
        "slot",
        "head",
        "target",
        "length",
        "fork",
        "noise",
        "nobody",
        "zeros",
        "infinity",
        "junk",
        "one of two",
        "two for one",
        "others'",
    ],
)
async def test_one_wrong_aggregate_costs_one_validator(value: Any, why: str) -> None:
    async with alone() as found:
        found.agree_on(DutyType.AGGREGATOR, GOOD | {0: value})
        await run(found)
        assert sorted(sent(found)) == list(range(1, VALIDATORS))
        report = found.report(DutyType.AGGREGATOR)
        assert why in report.reasons[0]
        assert not found.consensus.accepted[DutyType.AGGREGATOR]
        [(node, validators, _)] = found.blamed(DutyType.AGGREGATOR)
        assert (node, validators) == (LEADER, (0,))


@pytest.mark.parametrize("voters", [(0,), (0, 1), (0, 1, 9), (9,)], ids=str)
async def test_who_voted_is_looked_at_where_all_are_ours(voters: tuple[int, ...]) -> None:
    """Of others' keys nothing is known here."""
    ours = [each for each in voters if each in (0, 1)]
    value = of_committee(1, voters=voters, signature=signed_by(*ours) if ours else STRANGERS)
    async with alone() as found:
        found.agree_on(DutyType.AGGREGATOR, GOOD | {0: value})
        await run(found)
        assert sent(found)[0].message.message.aggregate == value.message
        assert found.consensus.accepted[DutyType.AGGREGATOR]


async def test_what_our_beacon_nodes_make_is_proposed_only_if_it_is_good() -> None:
    """Junk of its own would cost a round, and this node its name."""

    def answer(slot: int, root: bytes, committee: int) -> Any:
        return of_committee(committee, voters=() if committee == 2 else (9,)).message

    async with alone() as found:
        found.beacon.answers["aggregate_attestation"] = answer
        await run(found)
        assert sorted(sent(found)) == [0, 1, 4, 5]
        assert found.report(DutyType.AGGREGATOR).faults == []


async def test_an_aggregate_of_two_committees() -> None:
    both = replace(GOOD[0].message, committee_bits=bitvector([1, 2], 64))
    async with alone() as found:
        found.agree_on(DutyType.AGGREGATOR, {0: Versioned(FULU, both)})
        await run(found)
        assert not sent(found)
        assert "another committee" in found.report(DutyType.AGGREGATOR).reasons[0]


@pytest.mark.parametrize("there", [range(VALIDATORS), range(5), range(2)], ids=len)
async def test_what_leaves_out_somebody_is_not_voted_for(there: range) -> None:
    """What a quorum agrees on all the same is signed; the leader may have had no proof, or no aggregate."""
    missing = tuple(range(len(there), VALIDATORS))
    async with alone() as found:
        found.agree_on(DutyType.AGGREGATOR, {position: GOOD[position] for position in there})
        await run(found)
        assert found.consensus.accepted[DutyType.AGGREGATOR] is not bool(missing)
        assert sorted(sent(found)) == list(there)
        report, why = found.report(DutyType.AGGREGATOR), LEFT_OUT_OF_SELECTED.why
        assert report.reasons == dict.fromkeys(missing, why)
        assert report.doubts == [Fault(LEADER, missing, why)] * bool(missing)
        assert report.faults == []


async def test_where_this_node_leads_without_an_aggregate_nobody_is_doubted() -> None:
    def answer(slot: int, root: bytes, committee: int) -> Any:
        if committee == 2:
            raise NOT_FOUND
        return of_committee(committee).message

    async with alone() as found:
        leads = replace(found.node.cluster, position=LEADER)
        found.node = replace(found.node, cluster=leads)
        found.beacon.answers["aggregate_attestation"] = answer
        await run(found)
        report = found.report(DutyType.AGGREGATOR)
        assert sorted(report.reasons) == [2, 3]
        assert report.doubts == report.faults == []


async def test_an_aggregator_that_is_not_selected() -> None:
    """Five aggregate in a small committee; in a large one nobody is selected. The proof says so."""
    async with alone() as found:
        found.agree_on(DutyType.AGGREGATOR, GOOD)
        known = duties()
        known[5] = replace(known[5], committee_length=2**62)
        values = {position: AttesterValue(DATA, place(each)) for position, each in enumerate(known)}
        found.agree_on(DutyType.ATTESTER, values)
        await select_aggregators(found.node, found.active, SLOT, known)
        found.beacon.answers["aggregate_attestation"] = NOT_FOUND
        await aggregate(found.node, found.active, SLOT, known)
        assert sorted(sent(found)) == list(range(5))
        assert not found.consensus.accepted[DutyType.AGGREGATOR]
        assert found.report(DutyType.AGGREGATOR).reasons[5] == aggregates.NOT_SELECTED
        assert found.blamed(DutyType.AGGREGATOR) == [(LEADER, (5,), aggregates.NOT_SELECTED)]


@pytest.mark.parametrize(
    ("known", "why"), [(6, aggregates.NO_PROOF), (5, aggregates.NO_DUTY)], ids=["no proof", "no duty"]
)
async def test_an_aggregator_of_which_nothing_is_known_here_is_left_out(known: int, why: str) -> None:
    """Others may have the proof that did not come here, or a beacon node that knows more: nobody lies."""
    async with alone(seconds_per_slot=1.0) as found:
        found.agree_on(DutyType.AGGREGATOR, GOOD)
        all_of_them = duties()
        values = {position: AttesterValue(DATA, place(each)) for position, each in enumerate(all_of_them)}
        found.agree_on(DutyType.ATTESTER, values)
        found.beacon.answers["aggregate_attestation"] = NOT_FOUND
        await select_aggregators(found.node, found.active, SLOT, all_of_them[:5])
        await aggregate(found.node, found.active, SLOT, all_of_them[:known])
        assert sorted(sent(found)) == list(range(5))
        assert found.consensus.accepted[DutyType.AGGREGATOR]
        report = found.report(DutyType.AGGREGATOR)
        assert report.reasons == {5: why}
        assert report.faults == []
        assert report.doubts == [Fault(LEADER, (5,), why)]


async def test_nothing_is_aggregated_of_votes_that_were_not_signed() -> None:
    """What the cluster agreed that validator 0 votes for is of another slot."""
    known = duties()
    votes: dict[int, Any] = {
        position: AttesterValue(DATA, place(each)) for position, each in enumerate(known)
    }
    votes[0] = replace(votes[0], data=replace(DATA, slot=SLOT - 1))
    votes[1] = b"\xff"
    async with alone() as found:
        await run(found, votes=votes)
        assert sorted(sent(found)) == list(range(2, VALIDATORS))


async def test_a_committee_of_which_beacon_nodes_have_nothing() -> None:
    """The others are proposed without it."""

    def answer(slot: int, root: bytes, committee: int) -> Any:
        if committee == 2:
            raise NOT_FOUND
        return of_committee(committee).message

    async with alone() as found:
        found.beacon.answers["aggregate_attestation"] = answer
        await run(found)
        assert sorted(sent(found)) == [0, 1, 4, 5]
        asked = [each[-1] for each in found.beacon.asked if each[0] == "aggregate_attestation"]
        assert (asked.count(1), asked.count(2)) == (1, 3)


async def test_what_beacon_nodes_refuse_is_told() -> None:
    async with alone() as found:
        found.beacon.answers["send_aggregates"] = NOT_FOUND
        await run(found)
        report = found.report(DutyType.AGGREGATOR)
        assert set(report.steps.values()) == {Step.RECOVERED}
        assert report.reasons == dict.fromkeys(range(VALIDATORS), "not found")
