"""Proposer: its randao reveal, then a block that the cluster agrees on; every node signs and publishes it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from dvtfast.duties import signables
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.signed_sets import NO_SIGNATURE, signature_of
from dvtfast.duties.validator_messages import SignedRandao
from dvtfast.duties.wrappers import AgreedValue, Versioned
from dvtfast.qbft.messages import Duty

from ...chain.beacon.client import BeaconError
from ...chain.beacon.duty_answers import ProposerDuty
from ...chain.encoding import write_data
from ...process import logs
from ..parts import ActiveValidators, NodeParts
from ..tracker import Step
from .agreeing import Agreed, Objection, agree, persistently, send
from .gathering import gather, recovered
from .heads import LATE_BLOCKS, behind, doubt, header_of
from .votes import PATIENCE_SECONDS

WHATEVER_BUILDERS_OFFER: Final = 2**64 - 1
LEAVES_OUT: Final = "it leaves out a block on which our beacon node builds"
FEES_ELSEWHERE: Final = Objection("its block pays its fees elsewhere than the lock says")
# Nodes of one cluster may be told different things by those who run them.
A_BUILDERS: Final = Objection(
    "its block is a builder's, which this node does not want (--builder-api)", is_certain=False
)

log = logs.get("node")


async def reveal(
    node: NodeParts, active: ActiveValidators, slot: int, duties: Sequence[ProposerDuty]
) -> None:
    """Sign this node's part of the randao reveal of whoever proposes."""
    duty, validators, values = _randao(node, active, slot, duties)
    node.tracker.expect(duty, validators.tolist())
    async for part in gather(node, duty, validators, values):
        # It goes into the block, for which `propose` waits for the same.
        node.tracker.reach(duty, Step.SENT, [position for position, _ in part])


async def propose(
    node: NodeParts, active: ActiveValidators, slot: int, duties: Sequence[ProposerDuty]
) -> None:
    """Publish the block of a slot."""
    [proposer] = duties
    position = active.positions[proposer.validator_index]
    duty = Duty(slot, DutyType.PROPOSER)
    node.tracker.expect(duty, [position])
    own: asyncio.Future[Versioned] = asyncio.get_running_loop().create_future()

    async def fetch() -> Mapping[int, AgreedValue]:
        async for [(_, randao)] in recovered(node, *_randao(node, active, slot, duties)):
            made = await _made(node, slot, signature_of(randao))
            if (unwanted := _why_not_wanted(node, made, position)) is not None:
                log.warning("the beacon node's block is not proposed", slot=slot, why=unwanted.why)
                return {}
            own.set_result(made)
            return {position: made}
        raise AssertionError("it ends with the last signature")

    async def why_not(values: Mapping[int, AgreedValue]) -> Objection | None:
        value = values.get(position)
        if not isinstance(value, Versioned) or len(values) > 1:
            return Objection("it is not the block of the proposer")
        if why := _why_not(node, value, proposer):
            return Objection(why)
        return _why_not_wanted(node, value, position) or await _why_not_on(node, value, own)

    agreed = await agree(node, duty, fetch, (), why_not)  # where it is left out is looked at above
    value = _checked(node, agreed, position, proposer)
    if value is None:
        return
    async for [(_, signed)] in gather(node, duty, np.array([position], np.intp), [signables.block(value)]):
        assert isinstance(signed, Versioned)
        await _publish(node, duty, position, signed)


async def _made(node: NodeParts, slot: int, randao_reveal: bytes) -> Versioned:
    """A block of this node's beacon nodes, to propose to the others."""
    boost = WHATEVER_BUILDERS_OFFER if node.builder else 0
    made = await persistently(
        node,
        lambda: node.beacon.block(slot, randao_reveal, graffiti=node.graffiti, builder_boost_factor=boost),
    )
    return Versioned(made.fork, await node.workers.run(made.contents, node.preset), blinded=made.is_blinded)


async def _publish(node: NodeParts, duty: Duty, position: int, signed: Versioned) -> None:
    kind = codec(type(signed.message), node.preset)
    data = await node.workers.run(kind.encode, signed.message)

    async def give() -> None:
        try:
            await node.beacon.publish_block(signed.fork, data, is_blinded=signed.blinded)
        except BeaconError as error:
            if not error.refused or not await _is_known(node, signed):
                raise

    await send(node, duty, [position], give)


async def _is_known(node: NodeParts, signed: Versioned) -> bool:
    """Whether another node of the cluster was first."""
    block = (signed.message if signed.blinded else signed.message.signed_block).message
    root = await node.workers.run(codec(type(block), node.preset).root, block)
    return await node.beacon.block_header(root) is not None


def _checked(node: NodeParts, agreed: Agreed, position: int, proposer: ProposerDuty) -> Versioned | None:
    """The agreed block, if it may be signed."""
    if others := sorted(agreed.values.keys() - {position}):
        agreed.refuse(others, Objection("a block of a validator that does not propose in this slot"))
    value = agreed.values.get(position)
    if not isinstance(value, Versioned):
        agreed.refuse([position], Objection("the agreed value has no block of the proposer"))
        return None
    if why := _why_not(node, value, proposer):
        agreed.refuse([position], Objection(why))
        return None
    if (unwanted := _why_not_wanted(node, value, position)) is not None:
        log.warning("the agreed block is signed all the same", slot=proposer.slot, why=unwanted.why)
        agreed.blame([position], unwanted)
    return value


def _why_not_wanted(node: NodeParts, value: Versioned, position: int) -> Objection | None:
    """Why a block that may be signed is neither proposed nor voted for."""
    if value.blinded:
        return None if node.builder else A_BUILDERS
    payload, wanted = value.message.block.body.execution_payload, node.fee_recipients[position]
    return None if write_data(payload.fee_recipient) == wanted.lower() else FEES_ELSEWHERE


def _why_not(node: NodeParts, value: Versioned, proposer: ProposerDuty) -> str:
    """Why a block is not signed, whatever there is on the chain; empty when it may be."""
    block = _block(value)
    if block.slot != proposer.slot:
        return "its block is of another slot"
    if block.proposer_index != proposer.validator_index:
        return "its block is of another proposer"
    if value.fork != node.schedule.at(node.schedule.epoch_of(block.slot)).fork:
        return "its block is of another fork"
    return ""


async def _why_not_on(node: NodeParts, value: Versioned, own: asyncio.Future[Versioned]) -> Objection | None:
    """Why nothing is built on its parent; None where that is not known to be wrong.

    A parent that is older than the one on which our own beacon node builds leaves out a block: the leader's
    beacon node is behind, and its block would be in nobody's chain. What a quorum agreed on all the same is
    signed, as it may be this node's beacon node that is behind, or lies. Nor is one block that is left out
    somebody's fault: it may have been late, and then beacon nodes leave it out on purpose. Of several beacon
    nodes one may be fast and lie: where its block differs from the leader's, what counts is the head that two
    of them say.

    Args:
        own: the block of our beacon node, which is not waited for long.
    """
    block = _block(value)
    try:
        parent = await header_of(node, block.parent_root)
        if parent is None:
            return doubt("the parent of its block is none that our beacon node knows")
        if parent.slot >= block.slot:
            return Objection("the parent of its block is not before it")
        await asyncio.wait([own], timeout=PATIENCE_SECONDS)
        if own.done() and (head := _block(own.result()).parent_root) != block.parent_root:
            if node.beacon.are_several:
                head = await node.beacon.head_root()
            ours = await node.beacon.block_header(head)
            if ours is not None and parent.slot < ours.slot < block.slot:
                far = await behind(node, head, block.parent_root, parent.slot)
                is_certain = far.is_certain and far.blocks > LATE_BLOCKS
                return Objection(LEAVES_OUT) if is_certain else doubt(LEAVES_OUT)
    except BeaconError:
        pass
    return None


def _block(value: Versioned) -> Any:
    return value.message if value.blinded else value.message.block


def _randao(
    node: NodeParts, active: ActiveValidators, slot: int, duties: Sequence[ProposerDuty]
) -> tuple[Duty, np.ndarray, list[SignedRandao]]:
    validators = np.array([active.positions[each.validator_index] for each in duties], np.intp)
    value = SignedRandao(node.schedule.epoch_of(slot), NO_SIGNATURE)
    return Duty(slot, DutyType.RANDAO), validators, [value] * len(duties)
