"""Proposer: its randao reveal, then a block that the cluster agrees on; every node signs and publishes it."""

from __future__ import annotations

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
from .agreeing import Agreed, agree, persistently, send
from .gathering import gather, recovered
from .votes import LOOK_SECONDS, LOOKS

WHATEVER_BUILDERS_OFFER: Final = 2**64 - 1

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

    async def fetch() -> Mapping[int, AgreedValue]:
        async for [(_, randao)] in recovered(node, *_randao(node, active, slot, duties)):
            return {position: await _made(node, slot, signature_of(randao))}
        raise AssertionError("it ends with the last signature")

    async def why_not(values: Mapping[int, AgreedValue]) -> str:
        value = values.get(position)
        if not isinstance(value, Versioned) or len(values) > 1:
            return "it is not the block of the proposer"
        return _why_not(node, value, proposer) or await _why_not_on(node, value)

    agreed = await agree(node, duty, fetch, why_not)
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
    return await node.beacon.block_slot(root) is not None


def _checked(node: NodeParts, agreed: Agreed, position: int, proposer: ProposerDuty) -> Versioned | None:
    """The agreed block, if it may be signed."""
    if others := sorted(agreed.values.keys() - {position}):
        agreed.refuse(others, "a block of a validator that does not propose in this slot")
    value = agreed.values.get(position)
    if not isinstance(value, Versioned):
        agreed.refuse([position], "the agreed value has no block of the proposer")
        return None
    if why := _why_not(node, value, proposer):
        agreed.refuse([position], why)
        return None
    wanted = node.fee_recipients[position]
    if not value.blinded:
        payload = value.message.block.body.execution_payload
        if write_data(payload.fee_recipient) != wanted.lower():
            log.warning("the agreed block pays its fees elsewhere", slot=proposer.slot, wanted=wanted)
            agreed.blame([position], "the agreed block pays its fees elsewhere")
    return value


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


async def _why_not_on(node: NodeParts, value: Versioned) -> str:
    """Why nothing is built on its parent; empty where that is not known to be wrong.

    What a quorum agreed on all the same is signed: this node's beacon node may be behind.
    """
    block = _block(value)
    for look in range(LOOKS):
        if look:
            await node.slots.sleep(LOOK_SECONDS)
        try:
            slot = await node.beacon.block_slot(block.parent_root)
        except BeaconError:
            return ""
        if slot is not None:
            return "" if slot < block.slot else "the parent of its block is not before it"
    return "the parent of its block is none that our beacon node knows"


def _block(value: Versioned) -> Any:
    return value.message if value.blinded else value.message.block


def _randao(
    node: NodeParts, active: ActiveValidators, slot: int, duties: Sequence[ProposerDuty]
) -> tuple[Duty, np.ndarray, list[SignedRandao]]:
    validators = np.array([active.positions[each.validator_index] for each in duties], np.intp)
    value = SignedRandao(node.schedule.epoch_of(slot), NO_SIGNATURE)
    return Duty(slot, DutyType.RANDAO), validators, [value] * len(duties)
