"""Aggregator: who is selected hands in the votes of its committee as one, as the cluster agreed on it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from dvtfast.duties.aggregators import are_aggregators
from dvtfast.duties.attestations import AttestationData
from dvtfast.duties.bits import bitlist_length, set_positions
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.signables import aggregate_and_proof
from dvtfast.duties.signed_sets import NO_SIGNATURE, signature_of, signed_set
from dvtfast.duties.validator_messages import BeaconCommitteeSelection
from dvtfast.duties.wrappers import AgreedValue, AttesterValue, Versioned
from dvtfast.qbft.messages import Duty

from ...chain.beacon.duty_answers import AttesterDuty
from ...process import logs
from ..parts import ActiveValidators, NodeParts
from .aggregate_signatures import signers_of, why_not_signed
from .agreeing import LEFT_OUT_OF_SELECTED, Objection, agree, decoded, send
from .gathering import Part, gather, recovered_by_now
from .questions import what_there_is

# Before an epoch, so that validator clients of other nodes, who ask for the proofs of all its slots when it
# begins, get them; and again before a slot, where some are missing by then. In as many a beacon node finds
# those who vote in a committee.
SLOTS_AHEAD: Final = 2
NO_DUTY: Final = "it is for a validator that does not vote in this slot"
NOT_SELECTED: Final = "it is for a validator that is not selected"
NO_VOTE: Final = "it is for a validator for which nothing was agreed to be voted for"
NO_PROOF: Final = "it is for a validator of which no selection proof has come here"

log = logs.get("node")


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
    proved = await recovered_by_now(node, selecting, *_selections(slot, by_position))
    selected = _selected(proved, by_position)
    if not selected:
        return
    duty = Duty(slot, DutyType.AGGREGATOR)
    node.tracker.expect(duty, selected)
    votes = await _agreed_votes(node, slot, by_position)
    proofs = {position: proof for position, proof in selected.items() if position in votes}
    if not proofs:
        node.tracker.fail(duty, selected, "nothing that may be signed was agreed to be voted for")
        return
    known = _Known(node, by_position, {position for position, _ in proved}, selected, votes)

    async def fetch() -> Mapping[int, AgreedValue]:
        good, refused = await known.judged(await _fetched(node, slot, known))
        for why, positions in refused.items():
            log.warning("beacon nodes' aggregates are not proposed", slot=slot, why=why.why, of=positions)
        return good

    async def why_not(values: Mapping[int, AgreedValue]) -> Objection | None:
        _, refused = await known.judged(values)
        return next((why for why in refused if why.is_certain), None)

    agreed = await agree(node, duty, fetch, proofs, why_not, left_out=LEFT_OUT_OF_SELECTED)
    good, refused = await known.judged(agreed.values)
    for why, positions in refused.items():
        agreed.refuse(positions, why)
    values = {
        position: aggregate_and_proof(value, by_position[position].validator_index, proofs[position])
        for position, value in good.items()
    }
    async for part in gather(node, duty, np.array(list(values), np.intp), list(values.values())):
        await _send(node, duty, part)


@dataclass(frozen=True)
class _Known:
    """What this node knows of a slot, by which an aggregate is judged.

    Attributes:
        duties: of all validators of the cluster that vote in it, by position.
        proved: whose selection proofs are there.
        selected: who of them aggregates.
        votes: that was agreed on, by position.
    """

    node: NodeParts
    duties: Mapping[int, AttesterDuty]
    proved: Collection[int]
    selected: Collection[int]
    votes: Mapping[int, AttestationData]

    async def judged(
        self, values: Mapping[int, AgreedValue]
    ) -> tuple[dict[int, Versioned], dict[Objection, list[int]]]:
        """What may be signed, and why who else is left out."""
        good: dict[int, Versioned] = {}
        refused: dict[Objection, list[int]] = {}
        for position, value in values.items():
            assert isinstance(value, Versioned)
            if (why := self._why_not(position, value)) is not None:
                refused.setdefault(why, []).append(position)
            else:
                good[position] = value
        if not good:
            return good, refused
        signers = [self._signers(position, value) for position, value in good.items()]
        for position, text in zip(
            list(good),
            await self.node.workers.run(self._why_not_signed, list(good.values()), signers),
            strict=True,
        ):
            if text:
                refused.setdefault(Objection(text), []).append(position)
                del good[position]
        return good, refused

    def _why_not(self, position: int, value: Versioned) -> Objection | None:
        """Why an aggregate is not signed, whatever its signature is."""
        if (duty := self.duties.get(position)) is None:
            return Objection(NO_DUTY, is_certain=False)
        if position not in self.proved:
            return Objection(NO_PROOF, is_certain=False)
        if position not in self.selected:
            return Objection(NOT_SELECTED)
        if position not in self.votes:
            return Objection(NO_VOTE, is_certain=False)
        why = _why_not(self.node, value, duty, self.votes[position])
        return Objection(why) if why else None

    def _signers(self, position: int, value: Versioned) -> tuple[int, ...] | None:
        committee = self.duties[position].committee_index
        ours = {
            each.validator_committee_index: other
            for other, each in self.duties.items()
            if each.committee_index == committee
        }
        return signers_of(_voters(value.message), ours)

    def _why_not_signed(
        self, values: Sequence[Versioned], signers: Sequence[tuple[int, ...] | None]
    ) -> list[str]:
        node = self.node
        signed = signed_set(DutyType.ATTESTER, values, node.schedule, node.preset)
        return why_not_signed(node.cluster.keys.public_keys, signed, signers)


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


async def _fetched(node: NodeParts, slot: int, known: _Known) -> dict[int, AgreedValue]:
    """What beacon nodes have of each committee, for those who are selected in it."""
    fork = node.schedule.at(node.schedule.epoch_of(slot)).fork
    assert fork is not None  # or nothing was voted for
    data = {position: known.votes[position] for position in known.selected if position in known.votes}
    different = list(dict.fromkeys(data.values()))
    roots = dict(zip(different, codec(AttestationData).roots(different), strict=True))
    wanted = {
        position: (roots[each].tobytes(), known.duties[position].committee_index)
        for position, each in data.items()
    }
    found = await what_there_is(
        node, set(wanted.values()), lambda each: node.beacon.aggregate_attestation(slot, *each)
    )
    return {position: Versioned(fork, found[each]) for position, each in wanted.items() if each in found}


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
    if not _voters(message):
        return "its aggregate is of nobody"
    return ""


def _voters(message: Any) -> list[int]:
    """The places in their committee of those whose votes an aggregate has."""
    return set_positions(message.aggregation_bits)[:-1]  # the last bit is where the list ends


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
