"""Aggregator: who is selected hands in the votes of its committee as one, as the cluster agreed on it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import numpy as np

from dvtfast.duties.aggregators import are_aggregators
from dvtfast.duties.attestations import AttestationData
from dvtfast.duties.bits import bitlist_length, set_positions
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.signables import aggregate_and_proof
from dvtfast.duties.signed_sets import NO_SIGNATURE, signature_of
from dvtfast.duties.validator_messages import BeaconCommitteeSelection
from dvtfast.duties.wrappers import AgreedValue, AttesterValue, Versioned
from dvtfast.qbft.messages import Duty

from ...chain.beacon.duty_answers import AttesterDuty
from ..parts import ActiveValidators, NodeParts
from .agreeing import agree, decoded, send
from .gathering import Part, gather, recovered_by_now
from .questions import what_there_is

# Before an epoch, so that validator clients of other nodes, who ask for the proofs of all its slots when it
# begins, get them; and again before a slot, where some are missing by then. In as many a beacon node finds
# those who vote in a committee.
SLOTS_AHEAD: Final = 2
NOT_SELECTED: Final = "it is for a validator that is not selected"
LEFT_OUT: Final = "it leaves out most who are selected"


async def select_aggregators(
    node: NodeParts, active: ActiveValidators, slot: int, duties: Sequence[AttesterDuty]
) -> None:
    """Sign selection proofs ahead of an epoch, and tell beacon nodes whose votes are to be aggregated."""
    duty, left = Duty(slot, DutyType.PREPARE_AGGREGATOR), _by_position(active, duties)
    node.tracker.expect(duty, left)
    await node.slots.wait_until(_early(node, slot))
    last = node.slots.start(slot - SLOTS_AHEAD)
    if (seconds := last - node.slots.now()) > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _select(node, slot, duty, left)
        if not left:
            return
        await node.slots.wait_until(last)
    await _select(node, slot, duty, left)


def _early(node: NodeParts, slot: int) -> float:
    """When the proofs of a slot are signed: one slot's of an epoch after the other, not all at once."""
    first = node.slots.first_slot(node.slots.epoch(slot))
    return node.slots.start(first - SLOTS_AHEAD, SLOTS_AHEAD * (slot - first) / node.slots.slots_per_epoch)


async def _select(node: NodeParts, slot: int, duty: Duty, left: dict[int, AttesterDuty]) -> None:
    """The same for these validators, until none is left."""
    by_position = dict(left)
    async for part in gather(node, duty, *_selections(slot, by_position)):
        selected = _selected(part, by_position)
        subscriptions = [
            {
                "validator_index": str(each.validator_index),
                "committee_index": str(each.committee_index),
                "committees_at_slot": str(each.committees_at_slot),
                "slot": str(each.slot),
                "is_aggregator": position in selected,
            }
            for position, each in ((position, by_position[position]) for position, _ in part)
        ]
        for position, _ in part:
            del left[position]
        await send(
            node,
            duty,
            [position for position, _ in part],
            partial(node.beacon.subscribe_committees, subscriptions),
        )


async def aggregate(
    node: NodeParts, active: ActiveValidators, slot: int, duties: Sequence[AttesterDuty]
) -> None:
    """Hand in the aggregates of a slot, if anybody is selected."""
    by_position = _by_position(active, duties)
    selecting = Duty(slot, DutyType.PREPARE_AGGREGATOR)
    selected = _selected(
        await recovered_by_now(node, selecting, *_selections(slot, by_position)), by_position
    )
    if not selected:
        return
    duty = Duty(slot, DutyType.AGGREGATOR)
    node.tracker.expect(duty, selected)
    votes = await _agreed_votes(node, slot, by_position)
    proofs = {position: proof for position, proof in selected.items() if position in votes}
    if not proofs:
        node.tracker.fail(duty, selected, "nothing that may be signed was agreed to be voted for")
        return
    aggregators = {position: by_position[position] for position in proofs}

    async def fetch() -> Mapping[int, AgreedValue]:
        return await _fetched(node, slot, aggregators, votes)

    async def why_not(values: Mapping[int, AgreedValue]) -> str:
        good, refused = _judged(node, values, aggregators, votes)
        refused.pop(NOT_SELECTED, None)  # or the proof came late
        return next(iter(refused), "" if 2 * len(good) >= len(aggregators) else LEFT_OUT)

    agreed = await agree(node, duty, fetch, why_not)
    good, refused = _judged(node, agreed.values, aggregators, votes)
    for why, positions in refused.items():
        agreed.refuse(positions, why)
    values = {
        position: aggregate_and_proof(value, by_position[position].validator_index, proofs[position])
        for position, value in good.items()
    }
    async for part in gather(node, duty, np.array(list(values), np.intp), list(values.values())):
        await _send(node, duty, part)


async def _agreed_votes(
    node: NodeParts, slot: int, duties: Mapping[int, AttesterDuty]
) -> dict[int, AttestationData]:
    """What the validators of a slot, by position, were agreed to vote for; nothing of other slots."""
    agreement = await node.consensus.agree(Duty(slot, DutyType.ATTESTER))
    read = await node.workers.run(decoded, DutyType.ATTESTER, agreement.value, node.preset)
    keys, of_slot = node.cluster.keys.public_keys.encoded, (slot, node.schedule.epoch_of(slot))
    return {
        position: value.data
        for position in duties
        if isinstance(value := read.get(keys[position].tobytes()), AttesterValue)
        and (value.data.slot, value.data.target.epoch) == of_slot
    }


async def _send(node: NodeParts, duty: Duty, part: Part) -> None:
    signed = [value for _, value in part if isinstance(value, Versioned)]
    messages, fork = [each.message for each in signed], signed[0].fork
    positions = [position for position, _ in part]
    await send(node, duty, positions, lambda: node.beacon.send_aggregates(messages, fork))


async def _fetched(
    node: NodeParts, slot: int, selected: Mapping[int, AttesterDuty], votes: Mapping[int, AttestationData]
) -> dict[int, AgreedValue]:
    """What beacon nodes have of each committee, for those who are selected in it."""
    fork = node.schedule.at(node.schedule.epoch_of(slot)).fork
    assert fork is not None  # or nothing was voted for
    data = {position: votes[position] for position in selected}
    different = list(dict.fromkeys(data.values()))
    roots = dict(zip(different, codec(AttestationData).roots(different), strict=True))
    wanted = {
        position: (roots[data[position]].tobytes(), duty.committee_index)
        for position, duty in selected.items()
    }
    found = await what_there_is(
        node, set(wanted.values()), lambda each: node.beacon.aggregate_attestation(slot, *each)
    )
    return {position: Versioned(fork, found[each]) for position, each in wanted.items() if each in found}


def _judged(
    node: NodeParts,
    values: Mapping[int, AgreedValue],
    aggregators: Mapping[int, AttesterDuty],
    votes: Mapping[int, AttestationData],
) -> tuple[dict[int, Versioned], dict[str, list[int]]]:
    """What may be signed, and why who else is left out."""
    good: dict[int, Versioned] = {}
    refused: dict[str, list[int]] = {}
    for position, value in values.items():
        assert isinstance(value, Versioned)
        duty = aggregators.get(position)
        why = NOT_SELECTED if duty is None else _why_not(node, value, duty, votes[position])
        if why:
            refused.setdefault(why, []).append(position)
        else:
            good[position] = value
    return good, refused


def _why_not(node: NodeParts, value: Versioned, duty: AttesterDuty, data: AttestationData) -> str:
    """Why an aggregate is not signed; empty when nothing in it is wrong."""
    message: Any = value.message
    if value.fork != node.schedule.at(node.schedule.epoch_of(duty.slot)).fork:
        return "its aggregate is of another fork"
    if message.data != data:
        return "its aggregate is of other votes than those that were agreed on"
    if set_positions(message.committee_bits) != [duty.committee_index]:
        return "its aggregate is of another committee"
    if bitlist_length(message.aggregation_bits) != duty.committee_length:
        return "its aggregate is of a committee of another length"
    return ""


def _by_position(active: ActiveValidators, duties: Sequence[AttesterDuty]) -> dict[int, AttesterDuty]:
    return {active.positions[each.validator_index]: each for each in duties}


def _selections(
    slot: int, duties: Mapping[int, AttesterDuty]
) -> tuple[np.ndarray, list[BeaconCommitteeSelection]]:
    """What is signed by whom."""
    values = [BeaconCommitteeSelection(each.validator_index, slot, NO_SIGNATURE) for each in duties.values()]
    return np.array(list(duties), np.intp), values


def _selected(part: Part, duties: Mapping[int, AttesterDuty]) -> dict[int, bytes]:
    """The proofs of those who are to aggregate."""
    proofs = np.frombuffer(b"".join(signature_of(value) for _, value in part), np.uint8).reshape(-1, 96)
    lengths = [duties[position].committee_length for position, _ in part]
    chosen = are_aggregators(proofs, lengths).tolist()
    return {
        position: signature_of(value)
        for (position, value), is_selected in zip(part, chosen, strict=True)
        if is_selected
    }
