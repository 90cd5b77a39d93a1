"""What of a leader's votes is not voted for; what of it is its fault, as our beacon node may lag."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dvtfast.duties.attestations import AttestationData, AttestationDuty, Checkpoint
from dvtfast.duties.fork_schedule import ForkEpoch, ForkSchedule
from dvtfast.duties.forks import FULU
from dvtfast.duties.wrappers import AttesterValue
from dvtfast.services.chain.beacon.client import BeaconError
from dvtfast.services.chain.beacon.duties import BlockHeader
from dvtfast.services.node.flows import votes
from dvtfast.services.node.flows.agreeing import Objection
from dvtfast.services.node.flows.heads import MOST_BLOCKS, OLD_BLOCK, UNKNOWN_BLOCK, doubt
from dvtfast.services.node.slots import SlotClock

FIRST = 3200
SLOT = FIRST + 20  # where all know the target
SCHEDULE = ForkSchedule(bytes(32), 32, [ForkEpoch(0, b"\0\0\0\1", FULU)], b"\0\0\0\1", b"\0\0\0\1")
GENESIS, BEFORE, AT, HEAD, OTHER, BESIDE, PARENT = (bytes([number]) * 32 for number in range(1, 8))
SOURCE, LATER_SOURCE = Checkpoint(99, bytes(32)), Checkpoint(100, AT)
UNKNOWN, OLD = doubt(UNKNOWN_BLOCK), Objection(OLD_BLOCK)
DOUBTED_OLD = doubt(OLD_BLOCK)
NOT_ITS_TARGET, AFTER = Objection(votes.NOT_ITS_TARGET), Objection(votes.LATER_BLOCK)


class BeaconNode:
    """It would vote for something, and knows blocks."""

    def __init__(self, mine: AttestationData, headers: dict[bytes, BlockHeader]) -> None:
        self.mine, self.headers = mine, headers
        self.is_down = False

    async def attestation_data(self, slot: int) -> AttestationData:
        return self.mine

    async def block_header(self, root: bytes) -> BlockHeader | None:
        if self.is_down:
            raise BeaconError("down")
        return self.headers.get(root)


async def objection(
    slot: int, mine: AttestationData, vote: AttestationData, headers: dict[bytes, BlockHeader], **more: Any
) -> Objection | None:
    """What a node says to a proposal that three of its validators vote so."""
    duties = {each: AttestationDuty(bytes(48), slot, each, 1, 64, 2, each) for each in range(3)}
    beacon = BeaconNode(mine, headers)
    vars(beacon).update(more)
    clock = SlotClock(0.0, 12.0, 32)
    node: Any = SimpleNamespace(beacon=beacon, schedule=SCHEDULE, slots=clock)
    own = votes.OwnVote(node, slot)
    proposed = {position: AttesterValue(vote, duty) for position, duty in duties.items()}
    try:
        return await votes.why_not_proposed(node, slot, proposed, duties, own)
    finally:
        own.end()


def early(head: bytes, target: bytes) -> AttestationData:
    """Of the second slot of an epoch."""
    return AttestationData(FIRST + 1, 0, head, SOURCE, Checkpoint(100, target))


BLOCKS = {
    GENESIS: BlockHeader(0, bytes(32)),
    BEFORE: BlockHeader(FIRST - 1, GENESIS),
    AT: BlockHeader(FIRST, BEFORE),
    HEAD: BlockHeader(FIRST + 1, AT),
    OTHER: BlockHeader(FIRST + 1, BEFORE),
    BESIDE: BlockHeader(FIRST + 1, AT),
}


@pytest.mark.parametrize(
    ("head", "target", "why"),
    [
        (HEAD, AT, None),
        (HEAD, GENESIS, Objection(votes.OTHER_TARGET)),
        (HEAD, BEFORE, Objection(votes.OTHER_TARGET)),
        (BESIDE, AT, None),
        (BESIDE, BEFORE, NOT_ITS_TARGET),
        (OTHER, BEFORE, None),
        (OTHER, AT, NOT_ITS_TARGET),
        (OTHER, GENESIS, NOT_ITS_TARGET),
        (OTHER, OTHER, NOT_ITS_TARGET),
        (AT, AT, None),
        (AT, BEFORE, NOT_ITS_TARGET),
        (AT, GENESIS, NOT_ITS_TARGET),
        (b"?" * 32, AT, UNKNOWN),
        (BEFORE, BEFORE, OLD),
        (GENESIS, GENESIS, OLD),
    ],
)
async def test_targets_of_the_first_slots_of_an_epoch(
    head: bytes, target: bytes, why: Objection | None
) -> None:
    """A target follows from the head, whatever our beacon node has seen."""
    assert await objection(FIRST + 1, early(HEAD, AT), early(head, target), BLOCKS) == why


def late(head: bytes, *, source: Checkpoint = SOURCE, target: bytes = AT) -> AttestationData:
    """Of a slot in the middle of an epoch."""
    return AttestationData(SLOT, 0, head, source, Checkpoint(100, target))


@pytest.mark.parametrize(
    ("vote", "why"),
    [
        (late(HEAD), None),
        (late(HEAD, source=LATER_SOURCE), Objection(votes.OTHER_SOURCE)),
        (late(HEAD, target=BEFORE), Objection(votes.OTHER_TARGET)),
        (
            late(OTHER, source=LATER_SOURCE),
            Objection(votes.OTHER_SOURCE + votes.OTHER_HEAD, is_certain=False),
        ),
        (late(OTHER, target=BEFORE), doubt(votes.OTHER_TARGET + votes.OTHER_HEAD)),
        (late(OTHER), UNKNOWN),
    ],
)
async def test_who_has_another_head_may_be_right_about_the_rest(
    vote: AttestationData, why: Objection | None
) -> None:
    """Our beacon node may lag; but of one head there is one source, and one target."""
    headers = {HEAD: BlockHeader(SLOT - 1, PARENT), PARENT: BlockHeader(SLOT - 2, AT)}
    assert await objection(SLOT, late(HEAD), vote, headers) == why


def chain(*slots: int) -> dict[bytes, BlockHeader]:
    """Blocks of these slots, each on the one before; the last one is the head."""
    roots = [bytes([100 + number]) * 32 for number in range(len(slots) - 1)] + [HEAD]
    return {
        root: BlockHeader(slot, before)
        for root, slot, before in zip(roots, slots, [AT, *roots[:-1]], strict=True)
    }


@pytest.mark.parametrize(
    ("slots", "place", "why"),
    [
        ((SLOT - 2, SLOT - 1, SLOT), -1, None),
        ((SLOT - 2, SLOT - 1, SLOT), -2, None),
        ((SLOT - 2, SLOT - 1, SLOT), -3, OLD),
        ((SLOT - 9, SLOT), -2, None),
        ((SLOT - 9, SLOT - 8, SLOT), -2, None),
        ((SLOT - 9, SLOT - 8, SLOT), -3, OLD),
        (tuple(range(SLOT - 15, SLOT)), 0, OLD),
    ],
    ids=["ours", "late", "old", "late after nothing", "the one before", "old after nothing", "very old"],
)
async def test_a_head_on_which_others_stand(
    slots: tuple[int, ...], place: int, why: Objection | None
) -> None:
    """A block may be late, however many slots are empty before it; but not two."""
    headers = chain(*slots)
    assert await objection(SLOT, late(HEAD), late(list(headers)[place]), headers) == why


@pytest.mark.parametrize(
    ("slot", "why"),
    [
        (SLOT + 1, AFTER),
        (SLOT, None),
        (SLOT - 2, None),
        (SLOT - 4, DOUBTED_OLD),
        (SLOT - 6, DOUBTED_OLD),
        (FIRST, OLD),
    ],
)
async def test_a_head_of_another_chain(slot: int, why: Objection | None) -> None:
    """Whoever is on it may be right, unless it is as old as that."""
    headers = chain(*range(SLOT - MOST_BLOCKS - 3, SLOT)) | {OTHER: BlockHeader(slot, GENESIS)}
    assert await objection(SLOT, late(HEAD), late(OTHER), headers) == why


async def test_where_nobody_says_anything_the_others_are_followed() -> None:
    assert await objection(SLOT, late(HEAD), late(OTHER), {}, is_down=True) is None
