"""Whether a block may be the head, by what our own beacon node has: which of the two is behind?

A node whose beacon node lags must not call liars those that are ahead of it. What is certain follows from the
blocks themselves: one of our chain on which several others stand already is no head, whoever has seen what.
A block that our beacon node does not know, or one of another chain, may be right all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...chain.beacon.duties import BlockHeader
from ..parts import NodeParts
from .agreeing import Objection

# How often, and how long apart, our beacon node is asked whether it has a block by now.
LOOKS: Final = 3
LOOK_SECONDS: Final = 0.2
MOST_BLOCKS: Final = 6  # that are looked back; what is older is old on any chain
LATE_BLOCKS: Final = 1  # that a beacon node may not have yet, however many slots there are between


@dataclass(frozen=True)
class Behind:
    """How far a block is behind the head of our beacon node.

    Attributes:
        blocks: of our chain that came after it; MOST_BLOCKS stands for more.
        is_certain: whether they stand on it, so that there is nothing to be said for it.
    """

    blocks: int
    is_certain: bool


async def header_of(node: NodeParts, root: bytes) -> BlockHeader | None:
    """A block's, which may be known in a moment; None where it is not.

    Raises:
        BeaconError: nobody says.
    """
    for look in range(LOOKS):
        if look:
            await node.slots.sleep(LOOK_SECONDS)
        if (header := await node.beacon.block_header(root)) is not None:
            return header
    return None


async def behind(node: NodeParts, head: bytes, root: bytes, slot: int) -> Behind:
    """How far a block of a slot is behind a head; raises as `header_of`."""
    for blocks in range(MOST_BLOCKS):
        if head == root:
            return Behind(blocks, is_certain=True)
        header = await node.beacon.block_header(head)
        if header is None or header.slot <= slot:
            return Behind(blocks, is_certain=False)
        head = header.parent_root
    return Behind(MOST_BLOCKS, is_certain=True)


def doubt(why: str) -> Objection:
    """What hangs on the head that our beacon node sees, so that it may as well be this one that is wrong."""
    return Objection(why, is_certain=False, wears_off=True)


UNKNOWN_BLOCK: Final = "it votes for a block that our beacon node does not know"
OLD_BLOCK: Final = "it votes for an old block"


async def why_no_head(
    node: NodeParts, head: bytes, root: bytes
) -> tuple[BlockHeader | None, Objection | None]:
    """What there is to be said against a vote for a block where our beacon node has another head."""
    header = await header_of(node, root)
    if header is None:
        return None, doubt(UNKNOWN_BLOCK)
    far = await behind(node, head, root, header.slot)
    if far.blocks > LATE_BLOCKS:
        return header, Objection(OLD_BLOCK) if far.is_certain else doubt(OLD_BLOCK)
    return header, None
