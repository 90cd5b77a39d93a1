"""Attester: all validators of a slot vote for what the cluster agreed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from dvtfast.duties.attestations import AttestationData, AttestationDuty
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.forks import Fork
from dvtfast.duties.signables import single_attestation, vote
from dvtfast.duties.wrappers import AgreedValue, AttesterValue, SignedValue, Versioned
from dvtfast.qbft.messages import Duty

from ...chain.beacon.duty_answers import AttesterDuty
from ..parts import ActiveValidators, NodeParts
from .agreeing import Agreed, Objection, agree, send
from .gathering import gather
from .votes import OwnVote, why_no_source, why_not_cast, why_not_proposed


async def attest(
    node: NodeParts, active: ActiveValidators, slot: int, duties: Sequence[AttesterDuty]
) -> None:
    """Vote for all validators of a slot."""
    duty = Duty(slot, DutyType.ATTESTER)
    ours = {active.positions[each.validator_index]: _duty(each) for each in duties}
    node.tracker.expect(duty, ours)
    own = OwnVote(node, slot)

    async def fetch() -> Mapping[int, AgreedValue]:
        data = await own.known()
        return {position: AttesterValue(data, each) for position, each in ours.items()}

    async def why_not(values: Mapping[int, AgreedValue]) -> Objection | None:
        return await why_not_proposed(node, slot, _votes(values), ours, own)

    try:
        agreed = await agree(node, duty, fetch, ours, why_not)
        values = _castable(node, agreed, ours, await own.known_soon())
    finally:
        own.end()
    fork = node.schedule.at(node.schedule.epoch_of(slot)).fork
    if fork is None or not values:
        return
    votes = [vote(fork, value, node.preset) for value in values.values()]
    async for part in gather(node, duty, np.array(list(values), np.intp), votes):
        await _send(node, duty, part, fork)


async def _send(node: NodeParts, duty: Duty, part: Sequence[tuple[int, SignedValue]], fork: Fork) -> None:
    votes = [single_attestation(value) for _, value in part if isinstance(value, Versioned)]
    validators = [position for position, _ in part]
    await send(node, duty, validators, lambda: node.beacon.send_attestations(votes, fork))


def _duty(duty: AttesterDuty) -> AttestationDuty:
    return AttestationDuty(
        duty.public_key,
        duty.slot,
        duty.validator_index,
        duty.committee_index,
        duty.committee_length,
        duty.committees_at_slot,
        duty.validator_committee_index,
    )


def _votes(values: Mapping[int, AgreedValue]) -> Mapping[int, AttesterValue]:
    return cast(Mapping[int, AttesterValue], values)  # what is agreed on for this duty is nothing else


def _castable(
    node: NodeParts, agreed: Agreed, duties: Mapping[int, AttestationDuty], own: AttestationData | None
) -> dict[int, AttesterValue]:
    """What is signed of what was agreed on."""
    good: dict[int, AttesterValue] = {}
    refused: dict[Objection, list[int]] = {}
    for position, value in _votes(agreed.values).items():
        why = why_not_cast(node.schedule, agreed.duty.slot, value, duties.get(position))
        why = why or why_no_source(value.data, own)
        if why is not None:
            refused.setdefault(why, []).append(position)
        else:
            good[position] = value
    for why, positions in refused.items():
        agreed.refuse(positions, why)
    return good
