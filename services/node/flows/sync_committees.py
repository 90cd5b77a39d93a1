"""Sync committee: each member's vote for the head, and what those who are selected make of a subcommittee's.

Messages are not agreed on: nodes that see different heads sign different messages, and enough of one count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import numpy as np

from dvtfast.duties.aggregators import are_sync_aggregators
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.presets import Preset
from dvtfast.duties.signables import contribution_and_proof
from dvtfast.duties.signed_sets import NO_SIGNATURE, signature_of
from dvtfast.duties.sync_committees import (
    SignedContributionAndProof,
    SyncCommitteeContribution,
    SyncCommitteeMessage,
    SyncCommitteeSelection,
)
from dvtfast.duties.wrappers import AgreedValue
from dvtfast.qbft.messages import Duty

from ...chain.beacon.duty_answers import SyncDuty
from ...process import logs
from ..partial_signatures import Positions
from ..parts import ActiveValidators, NodeParts
from ..tracker import Step
from .agreeing import LEFT_OUT_OF_SELECTED, Objection, agree, persistently, send
from .contributions import SlotContributions
from .gathering import Part, gather, recovered, recovered_by_now
from .questions import what_there_is

SLOTS_AHEAD: Final = 2
ROOTS_KEPT: Final = 4  # slots
TOO_LATE: Final = "the cluster signed it when its slot was over"

log = logs.get("node")

Seats = dict[int, dict[int, int]]
"""By subcommittee, and by the validator's position in the cluster, its index."""

Proofs = dict[int, dict[int, bytes]]
"""By the same, the proofs of those who are selected."""


async def send_sync_messages(
    node: NodeParts, active: ActiveValidators, slot: int, members: Sequence[SyncDuty]
) -> None:
    """Vote for the head that this node sees."""
    duty = Duty(slot, DutyType.SYNC_MESSAGE)
    indices = {active.positions[each.validator_index]: each.validator_index for each in members}
    node.tracker.expect(duty, indices)
    # A validator client may have been first, and have seen another head.
    root = node.voted_heads.setdefault(slot, await persistently(node, node.beacon.head_root))
    for old in sorted(node.voted_heads)[:-ROOTS_KEPT]:
        del node.voted_heads[old]
    values = [SyncCommitteeMessage(slot, root, index, NO_SIGNATURE) for index in indices.values()]
    async for part in gather(node, duty, _array(indices), values):
        messages = [value for _, value in part if isinstance(value, SyncCommitteeMessage)]
        await _send(node, duty, part, partial(node.beacon.send_sync_messages, messages))


async def send_recovered(
    node: NodeParts, duty: Duty, validators: Positions, values: Sequence[SyncCommitteeMessage]
) -> None:
    """Send what validator clients signed for another head than this node's, once the cluster has."""
    with suppress(TimeoutError):
        async with asyncio.timeout(node.deadlines.seconds_until(node.deadlines.deadline(duty))):
            async for part in recovered(node, duty, validators, values):
                messages = [value for _, value in part if isinstance(value, SyncCommitteeMessage)]
                await _send(node, duty, part, partial(node.beacon.send_sync_messages, messages))


async def select_contributors(
    node: NodeParts, active: ActiveValidators, slot: int, members: Sequence[SyncDuty]
) -> None:
    """Sign selection proofs ahead of a slot."""
    await node.slots.wait_until(node.slots.start(slot - SLOTS_AHEAD))
    duty, seats = Duty(slot, DutyType.PREPARE_SYNC_CONTRIBUTION), _seats(node.preset, active, members)
    node.tracker.expect(duty, {position for of_one in seats.values() for position in of_one})

    async def select(subcommittee: int) -> None:
        async for part in gather(node, duty, *_selections(slot, subcommittee, seats[subcommittee])):
            # It goes along with a contribution: `contribute` asks for the same.
            node.tracker.reach(duty, Step.SENT, [position for position, _ in part])

    async with asyncio.TaskGroup() as group:
        for subcommittee in seats:
            group.create_task(select(subcommittee))


async def contribute(
    node: NodeParts, active: ActiveValidators, slot: int, members: Sequence[SyncDuty]
) -> None:
    """Hand in the contributions of a slot, if anybody is selected."""
    seats = _seats(node.preset, active, members)
    proved = await _proved(node, slot, seats)
    proofs = {subcommittee: _selected(part, node.preset) for subcommittee, part in proved.items()}
    selected = {position for of_one in proofs.values() for position in of_one}
    if not selected:
        return
    duty = Duty(slot, DutyType.SYNC_CONTRIBUTION)
    node.tracker.expect(duty, selected)
    known = SlotContributions(
        node,
        slot,
        _places(node.preset, active, members),
        {subcommittee: {position for position, _ in part} for subcommittee, part in proved.items()},
        proofs,
    )

    async def fetch() -> Mapping[int, AgreedValue]:
        good, refused = await known.judged(await _fetched(node, slot, proofs))
        for why, positions in refused.items():
            log.warning("beacon nodes' contributions are not proposed", slot=slot, why=why.why, of=positions)
        most = None if node.plural_contributions(slot) else 1
        several: dict[int, list[SyncCommitteeContribution]] = {}
        for subcommittee in sorted(good):
            for position, each in good[subcommittee].items():
                several.setdefault(position, []).append(each)
        return {position: tuple(contributions[:most]) for position, contributions in several.items()}

    async def why_not(values: Mapping[int, AgreedValue]) -> Objection | None:
        _, refused = await known.judged(values)
        certain = next((why for why in refused if why.is_certain), None)
        return certain or await known.why_no_heads(values)

    agreed = await agree(node, duty, fetch, selected, why_not, left_out=LEFT_OUT_OF_SELECTED)
    good, refused = await known.judged(agreed.values)
    for why, positions in refused.items():
        agreed.refuse(sorted(set(positions)), why)

    async def finish(subcommittee: int) -> None:
        indices, of_one, contributions = seats[subcommittee], proofs[subcommittee], good[subcommittee]
        values = [
            contribution_and_proof(contribution, indices[position], of_one[position])
            for position, contribution in contributions.items()
        ]
        async for part in gather(node, duty, _array(contributions), values):
            signed = [value for _, value in part if isinstance(value, SignedContributionAndProof)]
            await _send(node, duty, part, partial(node.beacon.send_contributions, signed))

    async with asyncio.TaskGroup() as group:
        for subcommittee in good:
            group.create_task(finish(subcommittee))


async def _send(node: NodeParts, duty: Duty, part: Part, give: Callable[[], Awaitable[None]]) -> None:
    """Give it to beacon nodes in its slot, after which nobody takes it."""
    positions = [position for position, _ in part]
    if node.slots.slot() > duty.slot:
        node.tracker.fail(duty, positions, TOO_LATE)
    else:
        await send(node, duty, positions, give)


async def _proved(node: NodeParts, slot: int, seats: Seats) -> dict[int, Part]:
    """The selection proofs of each subcommittee, as far as the cluster has signed them."""
    duty = Duty(slot, DutyType.PREPARE_SYNC_CONTRIBUTION)
    parts = await asyncio.gather(
        *(
            recovered_by_now(node, duty, *_selections(slot, subcommittee, of_one))
            for subcommittee, of_one in seats.items()
        )
    )
    return dict(zip(seats, parts, strict=True))


async def _fetched(node: NodeParts, slot: int, proofs: Proofs) -> dict[int, AgreedValue]:
    """What beacon nodes have of each subcommittee, for those who are selected in it."""
    voted = node.voted_heads.get(slot)
    root: bytes = await persistently(node, node.beacon.head_root) if voted is None else voted
    wanted = [subcommittee for subcommittee, of_one in proofs.items() if of_one]
    found = await what_there_is(
        node, wanted, lambda each: node.beacon.sync_committee_contribution(slot, each, root)
    )
    several: dict[int, list[SyncCommitteeContribution]] = {}
    for subcommittee, contribution in found.items():
        for position in proofs[subcommittee]:
            several.setdefault(position, []).append(contribution)
    return {position: tuple(contributions) for position, contributions in several.items()}


def _seats(preset: Preset, active: ActiveValidators, members: Sequence[SyncDuty]) -> Seats:
    size, found = preset.sizes["SYNC_SUBCOMMITTEE_SIZE"], dict[int, dict[int, int]]()
    for each in members:
        for subcommittee in {seat // size for seat in each.seats}:
            found.setdefault(subcommittee, {})[active.positions[each.validator_index]] = each.validator_index
    return found


def _places(
    preset: Preset, active: ActiveValidators, members: Sequence[SyncDuty]
) -> dict[int, dict[int, int]]:
    """By subcommittee and place in it, the position of a validator."""
    size, found = preset.sizes["SYNC_SUBCOMMITTEE_SIZE"], dict[int, dict[int, int]]()
    for each in members:
        for seat in each.seats:
            found.setdefault(seat // size, {})[seat % size] = active.positions[each.validator_index]
    return found


def _selections(
    slot: int, subcommittee: int, indices: Mapping[int, int]
) -> tuple[Positions, list[SyncCommitteeSelection]]:
    """What is signed by whom."""
    values = [SyncCommitteeSelection(index, slot, subcommittee, NO_SIGNATURE) for index in indices.values()]
    return _array(indices), values


def _selected(part: Part, preset: Preset) -> dict[int, bytes]:
    """The proofs of those who are to contribute."""
    proofs = np.frombuffer(b"".join(signature_of(value) for _, value in part), np.uint8).reshape(-1, 96)
    chosen = are_sync_aggregators(proofs, preset).tolist()
    return {
        position: signature_of(value)
        for (position, value), is_selected in zip(part, chosen, strict=True)
        if is_selected
    }


def _array(positions: Mapping[int, object]) -> Positions:
    return np.array(list(positions), np.intp)
