"""Whether a vote is one that a validator may cast: in its committee, and for a chain that there is.

A leader may lie. What it proposes is therefore looked at twice.

Before this node votes for a proposal, each of its validators has to be in its committee, and the source has
to be the one that our beacon node says. So has the target, but for the first slots of an epoch, whose first
block may not have come everywhere: there it has to fit the head. Where head or target differ, they have to be
blocks that our beacon node knows, and the head none on which several others stand. So where f + 1 nodes look,
a lie costs a round, which is a second, and no vote. A beacon node that says nothing soon is not waited for:
its node goes along with the others; so it does some rounds later where its beacon node knows nobody's head.

What a quorum agreed on all the same is signed, validator by validator, unless it is nothing that one may
cast, or our beacon node says another source. A wrong head or target is just worth nothing; a source from the
future would be on record for epochs, in which no honest vote could be signed beside it.

A leader is blamed for what is wrong whatever our beacon node has seen: source and target follow from the
head, so that who has our head has to have ours. What may as well be our beacon node's fault is a doubt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from dvtfast.duties.attestations import AttestationData, AttestationDuty, SingleAttestation
from dvtfast.duties.fork_schedule import ForkSchedule
from dvtfast.duties.wrappers import AttesterValue

from ...chain.beacon.client import BeaconError
from ...process.background import start_task
from ..parts import NodeParts
from .agreeing import Objection, persistently
from .heads import doubt, why_no_head

UNSETTLED_SLOTS: Final = 2  # of an epoch, in which its first block may not have come everywhere
MOST_DATA: Final = 64  # as there are committees, each of which some nodes ask for by itself
# From the beginning of a duty on, in which our beacon node may say what it would vote for; a round has one.
PATIENCE_SECONDS: Final = 0.4

NO_DUTY: Final = "it is for a validator that does not vote in this slot"
OTHER_SOURCE: Final = "its source is not what our beacon node says"
OTHER_TARGET: Final = "its target is not what our beacon node says"
NOT_ITS_TARGET: Final = "its target is not that of its head"
LATER_BLOCK: Final = "it votes for a block that comes after its slot"
OTHER_HEAD: Final = ", which has another head"


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
) -> Objection | None:
    """Why a validator does not cast a vote, whatever there is on the chain.

    Args:
        duty: of the validator, as our beacon node has it.
    """
    data, epoch = value.data, schedule.epoch_of(slot)
    fork = schedule.at(epoch).fork
    if duty is None:
        return Objection(NO_DUTY, is_certain=False)  # or our beacon node has not heard of it
    if value.duty != duty:
        return Objection("it has another committee for a validator")
    if fork is None:
        return Objection("it is of a fork that is not known here: update dvtfast", is_certain=False)
    index = 0 if fork.single_attestation is SingleAttestation else duty.committee_index
    if (data.slot, data.index, data.target.epoch) != (slot, index, epoch) or data.source.epoch > epoch:
        return Objection("its vote is of another slot, committee or epoch")
    return None


def why_no_source(vote: AttestationData, own: AttestationData | None) -> Objection | None:
    """Why a vote's source is none; what our beacon node would vote for may be unknown."""
    if own is None or vote.source == own.source:
        return None
    if vote.beacon_block_root == own.beacon_block_root:
        return Objection(OTHER_SOURCE)
    return Objection(OTHER_SOURCE + OTHER_HEAD, is_certain=False)


async def why_not_proposed(
    node: NodeParts,
    slot: int,
    values: Mapping[int, AttesterValue],
    duties: Mapping[int, AttestationDuty],
    own: OwnVote,
) -> Objection | None:
    """Why this node does not vote for a proposal.

    Args:
        values: by the validator's position.
        duties: as our beacon node has them.
        own: what our beacon node would vote for.
    """
    for position in duties.keys() & values.keys():
        if (why := why_not_cast(node.schedule, slot, values[position], duties[position])) is not None:
            return why
    votes = {value.data for value in values.values()}
    if len(votes) > MOST_DATA:
        return Objection("it has more votes than there are committees")
    mine = await own.known_soon()
    if mine is None:
        return None
    for vote in votes:
        try:
            why = why_no_source(vote, mine) or await _why_no_chain(node, slot, vote, mine)
        except BeaconError:
            continue
        if why is not None:
            return why
    return None


async def _why_no_chain(
    node: NodeParts, slot: int, vote: AttestationData, mine: AttestationData
) -> Objection | None:
    """What there is to be said against head and target of a vote."""
    if vote.beacon_block_root == mine.beacon_block_root:
        return None if vote.target == mine.target else Objection(OTHER_TARGET)
    is_settled = slot % node.slots.slots_per_epoch >= UNSETTLED_SLOTS
    if is_settled and vote.target != mine.target:
        return doubt(OTHER_TARGET + OTHER_HEAD)
    header, why = await why_no_head(node, mine.beacon_block_root, vote.beacon_block_root)
    if header is None or why is not None:
        return why
    if header.slot > slot:
        return Objection(LATER_BLOCK)
    if is_settled:
        return None
    first = node.slots.first_slot(vote.target.epoch)
    # So early a block after the epoch's first slot is the one after it.
    target = header.parent_root if header.slot > first else vote.beacon_block_root
    return None if vote.target.root == target else Objection(NOT_ITS_TARGET)
