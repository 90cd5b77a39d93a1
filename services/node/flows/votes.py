"""Whether a vote is one that a validator may cast: in its committee, and for a chain that there is.

A leader may lie. What it proposes is therefore looked at twice.

Before this node votes for a proposal, each of its validators has to be in its committee, most of them have to
be there, and the source has to be the one that our beacon node says. So has the target, but for the first
slots of an epoch, whose first block may not have come everywhere: there it has to fit the head. Where head or
target differ, they have to be blocks that our beacon node knows, and the head none of slots ago. So where
f + 1 nodes look, a lie costs a round, which is a second, and no vote. A beacon node that says nothing soon is
not waited for: its node goes along with the others.

What a quorum agreed on all the same is signed, validator by validator, unless it is nothing that one may
cast, or our beacon node says another source. A wrong head or target is just worth nothing; a source from the
future would be on record for epochs, in which no honest vote could be signed beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

from dvtfast.duties.attestations import AttestationData, AttestationDuty, SingleAttestation
from dvtfast.duties.fork_schedule import ForkSchedule
from dvtfast.duties.wrappers import AttesterValue

from ...chain.beacon.client import BeaconError
from ...process.background import start_task
from ..parts import NodeParts
from .agreeing import persistently

UNSETTLED_SLOTS: Final = 2  # of an epoch, in which its first block may not have come everywhere
MOST_DATA: Final = 64  # as there are committees, each of which some nodes ask for by itself
# From the beginning of a duty on, in which our beacon node may say what it would vote for; a round has one.
PATIENCE_SECONDS: Final = 0.4
# How often, and how long apart, it is asked whether it has a block by now.
LOOKS: Final = 3
LOOK_SECONDS: Final = 0.2


class OwnVote:
    """What our beacon node would vote for in a slot; it is asked from the beginning of the duty on."""

    def __init__(self, node: NodeParts, slot: int) -> None:
        self._asking = start_task(persistently(node, lambda: node.beacon.attestation_data(slot)))
        self._until = asyncio.get_running_loop().time() + PATIENCE_SECONDS

    async def known(self) -> AttestationData:
        """Wait for it."""
        return await asyncio.shield(self._asking)

    async def known_soon(self) -> AttestationData | None:
        """The same, unless it is not known soon."""
        left = max(0.0, self._until - asyncio.get_running_loop().time())
        await asyncio.wait([self._asking], timeout=left)
        asking = self._asking
        is_known = asking.done() and not asking.cancelled() and asking.exception() is None
        return asking.result() if is_known else None

    def end(self) -> None:
        """Nobody needs it any more."""
        self._asking.cancel()


def why_not_cast(
    schedule: ForkSchedule, slot: int, value: AttesterValue, duty: AttestationDuty | None
) -> str:
    """Why a validator does not cast a vote, whatever there is on the chain; empty when it may.

    Args:
        duty: of the validator, as our beacon node has it.
    """
    data, epoch = value.data, schedule.epoch_of(slot)
    fork = schedule.at(epoch).fork
    if duty is None:
        return "it is for a validator that does not vote in this slot"
    if value.duty != duty:
        return "it has another committee for a validator"
    if fork is None:
        return "it is of a fork that is not known here: update dvtfast"
    index = 0 if fork.single_attestation is SingleAttestation else duty.committee_index
    if (data.slot, data.index, data.target.epoch) != (slot, index, epoch) or data.source.epoch > epoch:
        return "its vote is of another slot, committee or epoch"
    return ""


async def why_not_proposed(
    node: NodeParts,
    slot: int,
    values: Mapping[int, AttesterValue],
    duties: Mapping[int, AttestationDuty],
    own: OwnVote,
) -> str:
    """Why this node does not vote for a proposal; empty when it does.

    Args:
        values: by the validator's position.
        duties: as our beacon node has them.
        own: what our beacon node would vote for.
    """
    ours = duties.keys() & values.keys()
    for position in ours:
        if why := why_not_cast(node.schedule, slot, values[position], duties[position]):
            return why
    if 2 * len(ours) < len(duties):
        return "it leaves out most validators"
    votes = {value.data for value in values.values()}
    if len(votes) > MOST_DATA:
        return "it has more votes than there are committees"
    mine = await own.known_soon()
    if mine is None:
        return ""
    if any(each.source != mine.source for each in votes):
        return OTHER_SOURCE
    is_settled = slot % node.slots.slots_per_epoch >= UNSETTLED_SLOTS
    if is_settled and any(each.target != mine.target for each in votes):
        return OTHER_TARGET
    heads = {each.beacon_block_root for each in votes} - {mine.beacon_block_root}
    if not await _are_known(node, heads | ({each.target.root for each in votes} - {mine.target.root})):
        return "it votes for a block that our beacon node does not know"
    if await _are_old(node, heads, mine.beacon_block_root):
        return "it votes for an old block"
    if not all([await _has_target(node, each, mine) for each in votes]):
        return OTHER_TARGET
    return ""


OTHER_SOURCE: Final = "its source is not what our beacon node says"
OTHER_TARGET: Final = "its target is not what our beacon node says"


async def _has_target(node: NodeParts, vote: AttestationData, mine: AttestationData) -> bool:
    """Whether a target is ours, or may be that of another head: its last block up to the first slot."""
    if vote.target == mine.target:
        return True
    if vote.beacon_block_root == mine.beacon_block_root:
        return False
    try:
        head, target, ours = [
            await node.beacon.block_slot(root)
            for root in (vote.beacon_block_root, vote.target.root, mine.target.root)
        ]
    except BeaconError:
        return True
    if head is None or target is None:
        return True
    first = node.slots.first_slot(vote.target.epoch)
    if head <= first:
        return vote.target.root == vote.beacon_block_root
    return target <= first and (ours is None or target + 1 >= min(ours, first))


async def _are_old(node: NodeParts, heads: Collection[bytes], ours: bytes) -> bool:
    """Whether one of these blocks is more than a slot before ours; one slot is what a late block makes."""
    try:
        slots = [await node.beacon.block_slot(root) for root in (ours, *heads)] if heads else []
    except BeaconError:
        return False
    known = [slot for slot in slots if slot is not None]
    return bool(known) and slots[0] is not None and min(known) + 1 < slots[0]


async def _are_known(node: NodeParts, roots: Collection[bytes]) -> bool:
    """Whether our beacon node knows all of these blocks, or comes to know them in a moment."""
    left = set(roots)
    for look in range(LOOKS):
        if look:
            await node.slots.sleep(LOOK_SECONDS)
        try:
            for root in list(left):
                if await node.beacon.block_slot(root) is not None:
                    left.discard(root)
        except BeaconError:
            return True
        if not left:
            return True
    return False
