"""Proposals of one node: what it signs of what was agreed on, what not, whose fault it is, what goes out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from dvtfast.duties import blocks
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.forks import ELECTRA, FULU
from dvtfast.duties.wrappers import Versioned, encode_agreed
from dvtfast.qbft import wire
from dvtfast.qbft.leaders import leader
from dvtfast.qbft.messages import Duty
from dvtfast.services.chain.beacon.client import BeaconError
from dvtfast.services.chain.beacon.duties import BlockHeader
from dvtfast.services.chain.beacon.duty_answers import ProposerDuty
from dvtfast.services.node.consensus.instance import Agreement
from dvtfast.services.node.flows.blocks import propose, reveal
from dvtfast.services.node.flows.heads import LOOKS
from dvtfast.services.node.partial_signatures import Fault
from dvtfast.services.node.tracker import Step
from tests.services.node.flows.flow_parts import (
    FEE_RECIPIENTS,
    FIRST_INDEX,
    KEYS,
    NODES,
    SLOT,
    Alone,
    Settled,
    alone,
    proposed,
)
from tests.unit.duties.test_duty_sets import BLINDED, BLOCK

POSITION = 2
INDEX = FIRST_INDEX + POSITION
PROPOSER = ProposerDuty(KEYS.public_keys.encoded[POSITION].tobytes(), INDEX, SLOT)
DUTY = Duty(SLOT, DutyType.PROPOSER)
LEADER = leader(DUTY, 1, NODES)
PARENT, OTHER_PARENT, GRANDPARENT, MIDDLE = (bytes([number]) * 32 for number in range(7, 11))


def body_with(body: Any, **more: Any) -> Any:
    payload = replace(body.execution_payload, fee_recipient=bytes.fromhex(FEE_RECIPIENTS[POSITION][2:]))
    return replace(body, execution_payload=payload, **more)


FULL = replace(BLOCK, slot=SLOT, proposer_index=INDEX, parent_root=PARENT, body=body_with(BLOCK.body))
CONTENTS = blocks.BlockContentsFulu(FULL, (bytes(48),) * 128, (bytes(131072),))
WITHOUT_PAYLOAD = replace(BLINDED, slot=SLOT, proposer_index=INDEX, parent_root=PARENT)


def whole(block: Any = FULL, **more: Any) -> Versioned:
    return Versioned(FULU, replace(CONTENTS, block=block), **more)


async def run(found: Alone, *, contents: Any = CONTENTS, blinded: bool = False) -> None:
    """All that is done for a block; beacon nodes have this one."""
    found.beacon.answers = {
        "block": lambda *_, **__: proposed(contents, blinded=blinded),
        "block_header": lambda root: BlockHeader(SLOT - 1, GRANDPARENT) if root == PARENT else None,
    } | found.beacon.answers
    args = (found.node, found.active, SLOT, [PROPOSER])
    await asyncio.gather(reveal(*args), propose(*args))


def published(found: Alone) -> list[Versioned]:
    out = []
    for (fork, data), more in found.beacon.sent.get("publish_block", []):
        kind = fork.signed_blinded_block if more["is_blinded"] else fork.signed_contents
        out.append(Versioned(fork, codec(kind).decode(data), blinded=more["is_blinded"]))
    return out


def refused(found: Alone) -> str:
    """Why nothing was signed, which is the leader's fault."""
    assert not found.beacon.sent
    assert [duty.type for duty, _, _ in found.signer.signed] == [DutyType.RANDAO]
    assert not found.consensus.accepted[DutyType.PROPOSER]
    report = found.report(DutyType.PROPOSER)
    why = report.reasons[POSITION]
    assert (LEADER, why) in [(fault.node, fault.reason) for fault in report.faults]
    return why


@pytest.mark.parametrize("blinded", [False, True])
async def test_what_this_node_proposes(blinded: bool) -> None:
    async with alone(graffiti=b"g" * 32, builder=blinded) as found:
        await run(found, contents=WITHOUT_PAYLOAD if blinded else CONTENTS, blinded=blinded)
        [block] = published(found)
        found.check(DutyType.PROPOSER, [(POSITION, block)])
        message = block.message if blinded else block.message.signed_block
        assert message.message == (WITHOUT_PAYLOAD if blinded else FULL)
        if not blinded:
            assert (block.message.blobs, block.message.kzg_proofs) == (CONTENTS.blobs, CONTENTS.kzg_proofs)
        report = found.report(DutyType.PROPOSER)
        assert (report.steps, report.reasons, report.faults) == ({POSITION: Step.SENT}, {}, [])
        assert found.report(DutyType.RANDAO).steps == {POSITION: Step.SENT}


async def test_a_beacon_node_is_given_the_clusters_reveal_and_what_the_operator_wants() -> None:
    async with alone(graffiti=b"g" * 32, builder=True) as found:
        asked = []

        def block(slot: int, randao_reveal: bytes, **more: Any) -> Any:
            asked.append((slot, randao_reveal, more))
            return proposed(CONTENTS)

        found.beacon.answers["block"] = block
        await run(found)
        [(slot, randao_reveal, more)] = asked
        assert slot == SLOT
        assert more == {"graffiti": b"g" * 32, "builder_boost_factor": 2**64 - 1}
        [(_, position, value)] = [each for each in found.signer.signed if each[0].type is DutyType.RANDAO]
        found.check(DutyType.RANDAO, [(position, replace(value, signature=randao_reveal))])


async def test_the_block_of_another_node() -> None:
    """Whatever this node has, all sign what was agreed on."""
    other = replace(FULL, body=replace(FULL.body, graffiti=b"o" * 32))
    async with alone() as found:
        found.agree_on(DutyType.PROPOSER, {POSITION: whole(other)})
        await run(found)
        assert [each.message.signed_block.message for each in published(found)] == [other]


async def test_without_a_block_of_its_own() -> None:
    async with alone() as found:
        found.beacon.answers["block"] = BeaconError("down")
        found.agree_on(DutyType.PROPOSER, {POSITION: whole()})
        await run(found)
        assert len(published(found)) == 1


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (whole(replace(FULL, slot=SLOT + 1)), "another slot"),
        (whole(replace(FULL, slot=SLOT - 1)), "another slot"),
        (whole(replace(FULL, proposer_index=INDEX + 1)), "another proposer"),
        (whole(replace(FULL, proposer_index=2**64 - 1)), "another proposer"),
        (Versioned(ELECTRA, blocks.BlockContentsElectra(FULL, (), ())), "another fork"),
        (Versioned(FULU, replace(WITHOUT_PAYLOAD, proposer_index=1), blinded=True), "another proposer"),
    ],
    ids=["later", "earlier", "stranger", "nobody", "old fork", "blinded"],
)
async def test_a_leader_that_proposes_what_is_not_to_be_signed(value: Versioned, why: str) -> None:
    async with alone() as found:
        found.agree_on(DutyType.PROPOSER, {POSITION: value})
        await run(found)
        assert why in refused(found)


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([SLOT], "is not before it"),
        ([SLOT + 1], "is not before it"),
        ([None] * LOOKS, "none that our beacon node knows"),
        ([SLOT - 1], ""),
        ([None, SLOT - 1], ""),
        ([BeaconError("down")], ""),
    ],
    ids=["this slot", "later", "unknown", "known", "known later", "who knows"],
)
async def test_what_has_a_bad_parent_is_not_voted_for(answers: list[Any], why: str) -> None:
    """The leader may hear of a block first. What the others agree on all the same is signed here, too."""
    told = iter(answers)

    def answer(root: bytes) -> Any:
        found_out = next(told)
        if isinstance(found_out, Exception):
            raise found_out
        return None if found_out is None else BlockHeader(found_out, GRANDPARENT)

    async with alone() as found:
        found.beacon.answers["block_header"] = answer
        found.agree_on(DutyType.PROPOSER, {POSITION: whole()})
        await run(found)
        assert len(published(found)) == 1
        assert found.consensus.accepted[DutyType.PROPOSER] is not bool(why)
        report = found.report(DutyType.PROPOSER)
        # That our beacon node does not know a block may be its own fault.
        is_certain = None not in answers
        said, others = (report.faults, report.doubts) if is_certain else (report.doubts, report.faults)
        assert [(fault.node, why in fault.reason) for fault in said] == [(LEADER, True)] * bool(why)
        assert not others


class Later(Settled):
    """The leader proposes when this node has a block, too."""

    def __init__(self, made: asyncio.Event) -> None:
        super().__init__()
        self._made = made

    async def agree(self, *args: Any, **more: Any) -> Agreement:
        await self._made.wait()
        return await super().agree(*args, **more)


LEAVES_OUT = "it leaves out a block on which our beacon node builds"


async def judged(headers: dict[bytes, BlockHeader], *, rounds: int = 1, **answers: Any) -> Alone:
    """Leaders build on PARENT, our own beacon node on OTHER_PARENT."""
    async with alone() as found:
        made = asyncio.Event()
        found.consensus = Later(made)
        found.consensus.round, found.consensus.refusable = rounds, range(1, rounds)
        found.node = replace(found.node, consensus=found.consensus)

        def own(*_: Any, **__: Any) -> Any:
            made.set()
            return proposed(replace(CONTENTS, block=replace(FULL, parent_root=OTHER_PARENT)))

        found.beacon.are_several = bool(answers)
        found.beacon.answers = {"block": own, "block_header": headers.get} | answers
        found.agree_on(DutyType.PROPOSER, {POSITION: whole()})
        await run(found)
        assert len(published(found)) == 1  # as a quorum agreed on it
        return found


@pytest.mark.parametrize(
    ("headers", "faults", "doubts"),
    [
        ({PARENT: (SLOT - 3, b""), OTHER_PARENT: (SLOT - 1, MIDDLE), MIDDLE: (SLOT - 2, PARENT)}, 1, 0),
        ({PARENT: (SLOT - 3, b""), OTHER_PARENT: (SLOT - 1, PARENT)}, 0, 1),
        ({PARENT: (SLOT - 9, b""), OTHER_PARENT: (SLOT - 8, PARENT)}, 0, 1),
        ({PARENT: (SLOT - 3, b""), OTHER_PARENT: (SLOT - 1, MIDDLE), MIDDLE: (SLOT - 4, b"")}, 0, 1),
        ({PARENT: (SLOT - 1, b""), OTHER_PARENT: (SLOT - 3, b"")}, 0, 0),
        ({PARENT: (SLOT - 1, b""), OTHER_PARENT: (SLOT - 1, b"")}, 0, 0),
        ({PARENT: (SLOT - 1, b"")}, 0, 0),
        ({PARENT: (SLOT - 1, b""), OTHER_PARENT: (SLOT, b"")}, 0, 0),
    ],
    ids=[
        "behind ours",
        "without a late one",
        "without one, slots ago",
        "on another",
        "ahead of ours",
        "beside ours",
        "ours is unknown",
        "ours cannot be",
    ],
)
async def test_a_leader_whose_beacon_node_is_behind(
    headers: dict[bytes, tuple[int, bytes]], faults: int, doubts: int
) -> None:
    """A block on an old parent would be in nobody's chain. One that is left out may have been late."""
    found = await judged({root: BlockHeader(*each) for root, each in headers.items()})
    assert found.consensus.accepted[DutyType.PROPOSER] is (faults + doubts == 0)
    report = found.report(DutyType.PROPOSER)
    assert report.faults == [Fault(LEADER, (), LEAVES_OUT)] * faults
    assert report.doubts == [Fault(LEADER, (), LEAVES_OUT)] * doubts


@pytest.mark.parametrize(
    ("headers", "wears_off"),
    [
        ({OTHER_PARENT: (SLOT - 1, MIDDLE), MIDDLE: (SLOT - 2, PARENT)}, True),
        ({PARENT: (SLOT - 3, b""), OTHER_PARENT: (SLOT - 1, MIDDLE), MIDDLE: (SLOT - 4, b"")}, True),
        ({PARENT: (SLOT - 3, b""), OTHER_PARENT: (SLOT - 1, MIDDLE), MIDDLE: (SLOT - 2, PARENT)}, False),
    ],
    ids=["unknown", "on another", "behind ours"],
)
@pytest.mark.parametrize("rounds", [1, 2])
async def test_a_parent_that_is_doubted_in_more_rounds_than_there_may_be_liars(
    headers: dict[bytes, tuple[int, bytes]], wears_off: bool, rounds: int
) -> None:
    """It may be our beacon node that is behind, and the node may be needed."""
    found = await judged({root: BlockHeader(*each) for root, each in headers.items()}, rounds=rounds)
    assert found.consensus.accepted[DutyType.PROPOSER] is (wears_off and rounds > 1)
    report = found.report(DutyType.PROPOSER)
    assert bool(report.doubts) is wears_off  # it is said all the same
    assert bool(report.faults) is not wears_off


@pytest.mark.parametrize(("head", "is_good"), [(PARENT, True), (OTHER_PARENT, True), (bytes(32), False)])
async def test_of_several_beacon_nodes_one_that_is_fast_does_not_judge(head: bytes, is_good: bool) -> None:
    """Its own block may be on whatever it likes: what counts is the head that two of them say."""
    headers = {
        PARENT: BlockHeader(SLOT - 3, b""),
        OTHER_PARENT: BlockHeader(SLOT - 4, b""),
        bytes(32): BlockHeader(SLOT - 1, MIDDLE),
        MIDDLE: BlockHeader(SLOT - 2, PARENT),
    }
    found = await judged(headers, head_root=head)
    assert found.consensus.accepted[DutyType.PROPOSER] is is_good
    assert found.report(DutyType.PROPOSER).faults == [Fault(LEADER, (), LEAVES_OUT)] * (not is_good)


FULL_BYTES = encode_agreed(DutyType.PROPOSER, whole())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        FULL_BYTES[:8] + b"\1" + FULL_BYTES[9:],
        FULL_BYTES[:8] + b"\2" + FULL_BYTES[9:],
        FULL_BYTES[:-1],
        b"\xff" * 100,
    ],
    ids=["nothing", "no fields", "full said to be blinded", "neither", "short", "noise"],
)
async def test_bytes_that_are_no_block(data: bytes) -> None:
    async with alone() as found:
        found.agree_on(DutyType.PROPOSER, {POSITION: data})
        await run(found)
        assert "nothing that is signed" in refused(found)


async def test_a_block_of_another_validator_costs_nobody_else_his() -> None:
    async with alone() as found:
        found.agree_on(DutyType.PROPOSER, {POSITION: whole(), POSITION + 1: whole()})
        await run(found)
        assert len(published(found)) == 1
        assert [each[:2] for each in found.blamed(DutyType.PROPOSER)] == [(LEADER, (POSITION + 1,))]
        assert {position for duty, position, _ in found.signer.signed} == {POSITION}


async def test_a_value_without_the_proposer_or_of_another_kind() -> None:
    for value in (wire.Value(wire.DATA_SET, b""), wire.Value(wire.PRIORITY_RESULT, b"")):
        async with alone() as found:
            found.consensus.agreed[DutyType.PROPOSER] = value
            await run(found)
            assert "no block of the proposer" in refused(found)


ELSEWHERE = replace(
    FULL,
    body=replace(FULL.body, execution_payload=replace(FULL.body.execution_payload, fee_recipient=b"f" * 20)),
)


@pytest.mark.parametrize(
    ("value", "builder", "why"),
    [
        (whole(), False, ""),
        (whole(), True, ""),
        (whole(ELSEWHERE), False, "fees elsewhere"),
        (whole(ELSEWHERE), True, "fees elsewhere"),
        (Versioned(FULU, WITHOUT_PAYLOAD, blinded=True), False, "a builder's"),
        (Versioned(FULU, WITHOUT_PAYLOAD, blinded=True), True, ""),
    ],
)
async def test_what_nobody_wants_is_not_voted_for(value: Versioned, builder: bool, why: str) -> None:
    """What a quorum agreed on all the same is signed, and its leader named."""
    async with alone(builder=builder) as found:
        found.agree_on(DutyType.PROPOSER, {POSITION: value})
        await run(found)
        assert found.consensus.accepted[DutyType.PROPOSER] is not bool(why)
        assert len(published(found)) == 1
        report = found.report(DutyType.PROPOSER)
        # Who wants builders' blocks is a setting of each node; where fees go is not.
        said, others = (report.doubts, report.faults) if value.blinded else (report.faults, report.doubts)
        assert {(fault.node, why in fault.reason) for fault in said} == ({(LEADER, True)} if why else set())
        assert not others


@pytest.mark.parametrize(("block", "blinded"), [(ELSEWHERE, False), (WITHOUT_PAYLOAD, True)])
async def test_what_nobody_wants_is_not_proposed(block: Any, blinded: bool) -> None:
    contents = block if blinded else replace(CONTENTS, block=block)
    async with alone() as found:
        found.agree_on(DutyType.PROPOSER, {POSITION: whole()})
        await run(found, contents=contents, blinded=blinded)
        assert DutyType.PROPOSER not in {duty.type for duty in found.consensus.provided}
        assert [each.message.signed_block.message for each in published(found)] == [FULL]


async def test_in_a_later_round_nobody_is_blamed_for_what_was_agreed_on() -> None:
    async with alone() as found:
        found.consensus.round = 2
        found.agree_on(DutyType.PROPOSER, {POSITION: whole(replace(FULL, slot=SLOT + 1))})
        await run(found)
        report = found.report(DutyType.PROPOSER)
        assert (report.round, found.blamed(DutyType.PROPOSER)) == (2, [])
        assert "another slot" in report.reasons[POSITION]


async def test_what_slashing_protection_refuses_here_is_published_all_the_same() -> None:
    async with alone() as found:
        found.signer.refused[POSITION] = "it was signed already"
        found.signer.others = (1, 2, 3)
        await run(found)
        assert len(published(found)) == 1
        assert found.report(DutyType.PROPOSER).reasons == {POSITION: "it was signed already"}


@pytest.mark.parametrize(("is_there", "step"), [(True, Step.SENT), (False, Step.RECOVERED)])
async def test_a_refusal_is_none_where_another_node_was_first(is_there: bool, step: Step) -> None:
    async with alone() as found:
        root = codec(type(FULL)).root(FULL)
        found.beacon.answers["publish_block"] = BeaconError("known, or bad", refused=True, status=400)
        headers = {PARENT: BlockHeader(SLOT - 1, GRANDPARENT)}
        if is_there:
            headers[root] = BlockHeader(SLOT, PARENT)
        found.beacon.answers["block_header"] = headers.get
        await run(found)
        report = found.report(DutyType.PROPOSER)
        assert report.steps[POSITION] is step
        assert ("known, or bad" in report.reasons.get(POSITION, "")) is not is_there


async def test_a_block_of_two_megabytes() -> None:
    """It is hashed and written on threads, and goes out as it came."""
    transactions = tuple(bytes([number]) * 100_000 for number in range(20))
    large = replace(FULL, body=replace(FULL.body, execution_payload=replace(
        FULL.body.execution_payload, transactions=transactions)))  # fmt: skip
    async with alone() as found:
        await run(found, contents=replace(CONTENTS, block=large))
        [block] = published(found)
        found.check(DutyType.PROPOSER, [(POSITION, block)])
        [value] = [each for duty, each in found.consensus.provided.items() if duty == DUTY]
        assert 2_000_000 < len(value.content) < 2_300_000
