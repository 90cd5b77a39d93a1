"""Attester: all validators of a slot vote for what the cluster agreed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dvtfast.duties.attestations import AttestationDuty, SingleAttestation
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.forks import Fork
from dvtfast.duties.signables import single_attestation, vote
from dvtfast.duties.wrappers import AgreedValue, AttesterValue, SignedValue, Versioned
from dvtfast.qbft.messages import Duty

from ...chain.beacon.duty_answers import AttesterDuty
from ..parts import ActiveValidators, NodeParts
from .agreeing import Agreed, agree, persistently, send
from .gathering import gather


async def attest(
    node: NodeParts, active: ActiveValidators, slot: int, duties: Sequence[AttesterDuty]
) -> None:
    """Vote for all validators of a slot."""
    duty = Duty(slot, DutyType.ATTESTER)
    by_position = {active.positions[each.validator_index]: _duty(each) for each in duties}
    node.tracker.expect(duty, by_position)

    async def fetch() -> Mapping[int, AgreedValue]:
        data = await persistently(node, lambda: node.beacon.attestation_data(slot))
        return {position: AttesterValue(data, each) for position, each in by_position.items()}

    agreed = await agree(node, duty, fetch)
    values = _checked(node, agreed, by_position)
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


def _checked(
    node: NodeParts, agreed: Agreed, duties: Mapping[int, AttestationDuty]
) -> dict[int, AttesterValue]:
    """What of it is signed: votes for the slot, of validators that are to vote in it, in their committees."""
    good: dict[int, AttesterValue] = {}
    refused: dict[str, list[int]] = {}
    for position, value in agreed.values.items():
        assert isinstance(value, AttesterValue)
        if why := _why_not(node, agreed.duty.slot, value, duties.get(position)):
            refused.setdefault(why, []).append(position)
        else:
            good[position] = value
    for why, positions in refused.items():
        agreed.refuse(positions, why)
    return good


def _why_not(node: NodeParts, slot: int, value: AttesterValue, duty: AttestationDuty | None) -> str:
    """Why a value is not signed; empty when it is."""
    data, epoch = value.data, node.schedule.epoch_of(slot)
    fork = node.schedule.at(epoch).fork
    if duty is None:
        return "the agreed value is of a validator that does not vote in this slot"
    if value.duty != duty:
        return "the agreed committee is not the validator's"
    if fork is None:
        return "the fork is not known here: update dvtfast"
    index = 0 if fork.single_attestation is SingleAttestation else duty.committee_index
    if (data.slot, data.index, data.target.epoch) != (slot, index, epoch) or data.source.epoch > epoch:
        return "the agreed vote is of another slot, committee or epoch"
    return ""
