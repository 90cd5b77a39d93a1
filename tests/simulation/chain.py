"""A beacon chain as far as a node of a cluster sees one: blocks, reorganisations, and whose duty what is.

Others' blocks come late, not at all, or on another parent than the last one. Committees follow from the
block that they depend on in the specification, so that a reorganisation over it changes them. Justified is
the epoch before the head's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from dvtfast.duties.attestations import AttestationData, Checkpoint
from dvtfast.duties.fork_schedule import ForkEpoch
from dvtfast.duties.forks import ELECTRA, FULU
from dvtfast.duties.presets import GNOSIS_PRESET, SYNC_COMMITTEE_SUBNET_COUNT
from dvtfast.services.chain.beacon.chain_constants import ChainConstants

GENESIS_TIME: Final = 1_700_000_000
SLOTS_PER_EPOCH: Final = 16
SECONDS_PER_SLOT: Final = 12
EPOCHS_PER_PERIOD: Final = 4
FULU_EPOCH: Final = 3
PRESET: Final = GNOSIS_PRESET
SUBCOMMITTEE: Final = PRESET.sizes["SYNC_COMMITTEE_SIZE"] // SYNC_COMMITTEE_SUBNET_COUNT
COMMITTEES: Final = 2
COMMITTEE_LENGTH: Final = 20
KEPT_EPOCHS: Final = 6

MISSING, LATE, ON_ANOTHER, DEEP = 0.05, 0.05, 0.06, 0.004  # of others' blocks
OURS = 0.05  # of all blocks
IN_SYNC_COMMITTEE = 0.05  # of a validator, in a period

CONSTANTS: Final = ChainConstants(
    genesis_time=GENESIS_TIME,
    genesis_validators_root=hashlib.sha256(b"simulated validators").digest(),
    genesis_fork_version=bytes.fromhex("70000001"),
    capella_fork_version=bytes.fromhex("70000004"),
    chain_id=1337,
    slots_per_epoch=SLOTS_PER_EPOCH,
    milliseconds_per_slot=1000 * SECONDS_PER_SLOT,
    epochs_per_sync_committee_period=EPOCHS_PER_PERIOD,
    sync_committee_size=PRESET.sizes["SYNC_COMMITTEE_SIZE"],
    preset=PRESET,
    forks=(
        ForkEpoch(0, bytes.fromhex("70000006"), ELECTRA),
        ForkEpoch(FULU_EPOCH, bytes.fromhex("70000007"), FULU),
    ),
)


@dataclass(frozen=True)
class Block:
    """A block, as far as others build on it."""

    slot: int
    root: bytes
    parent: bytes


@dataclass(frozen=True)
class Place:
    """Where a validator of the cluster attests, by its position."""

    slot: int
    committee: int
    place: int


@dataclass
class View:
    """What one beacon node has seen; its head is the block of the highest slot.

    Attributes:
        lag: how much later than others it sees blocks, seconds.
        told: called when the head changes.
    """

    chain: Chain
    head: Block
    lag: float = 0.0
    known: set[bytes] = field(default_factory=set)
    told: Callable[[Block], None] = lambda _: None

    def see(self, block: Block) -> None:
        """A block arrives."""
        self.known.add(block.root)
        if block.slot > self.head.slot:
            self.head = block
            self.told(block)

    def at(self, slot: int) -> Block:
        """The head as it was for a slot: not after it."""
        return self.chain.ancestor(self.head, slot)

    def data(self, slot: int) -> AttestationData:
        """What to vote for in a slot."""
        chain, head, epoch = self.chain, self.at(slot), slot // SLOTS_PER_EPOCH
        justified = max(0, min(epoch, head.slot // SLOTS_PER_EPOCH + 1) - 1)
        source = chain.ancestor(head, justified * SLOTS_PER_EPOCH)
        target = chain.ancestor(head, epoch * SLOTS_PER_EPOCH)
        return AttestationData(
            slot, 0, head.root, Checkpoint(justified, source.root), Checkpoint(epoch, target.root)
        )

    def seed(self, epoch: int) -> bytes:
        """The block that an epoch's duties depend on."""
        return self.chain.ancestor(self.head, (epoch - 1) * SLOTS_PER_EPOCH - 1).root


class Chain:
    """All blocks of late, of all forks.

    Args:
        call_later: of the loop.
        validators: how many the cluster has; index i on the chain is `FIRST_INDEX` + i.
    """

    FIRST_INDEX = 100

    def __init__(
        self, random: Random, validators: int, call_later: Callable[..., object], views: int
    ) -> None:
        self.random, self.validators, self._later = random, validators, call_later
        self._salt = random.randbytes(8)
        self.genesis = Block(0, self._hash("genesis"), bytes(32))
        self.blocks: dict[bytes, Block] = {self.genesis.root: self.genesis}
        self.views = [View(self, self.genesis, known={self.genesis.root}) for _ in range(views)]
        self.truth = View(self, self.genesis, known={self.genesis.root})
        self.came: Callable[[Block], None] = lambda _: None  # told of each block
        self.reorganised: dict[int, int] = {}  # epochs whose duties have changed, by the slot in which

    def _hash(self, *what: object) -> bytes:
        return hashlib.sha256(repr((self._salt, *what)).encode()).digest()

    def _draw(self, *what: object) -> Random:
        return Random(self._hash(*what))

    def ancestor(self, block: Block, slot: int) -> Block:
        """The last block of a block's chain that is not after a slot; what is forgotten is the genesis."""
        while block.slot > slot and block.slot:
            block = self.blocks.get(block.parent, self.genesis)
        return block

    # Blocks.

    def begin(self, slot: int) -> None:
        """A slot begins: its block comes, unless it is one of ours."""
        self._forget(slot)
        if self.proposer(self.truth.seed(slot // SLOTS_PER_EPOCH), slot) is not None:
            return
        random = self.random
        chance = random.random()
        if chance < MISSING:
            return
        delay = random.uniform(4, 11) if chance < MISSING + LATE else random.uniform(0.3, 3)
        back = 0
        if random.random() < ON_ANOTHER:
            back = random.randint(1, 2)
        elif random.random() < DEEP:
            back = random.randint(3, SLOTS_PER_EPOCH + 4)
        parent = self.truth.head
        for _ in range(back):
            parent = self.blocks.get(parent.parent, parent)
        block = Block(slot, self._hash("block", slot, parent.root), parent.root)
        self._later(delay, self.add, block)

    def add(self, block: Block) -> None:
        """A block is known; each node sees it a moment later."""
        if block.root in self.blocks:
            return
        self.blocks[block.root] = block
        self.came(block)
        epoch = block.slot // SLOTS_PER_EPOCH
        before = {each: self.truth.seed(each) for each in range(epoch - 2, epoch + 2)}
        last = self.truth.head
        self.truth.see(block)
        if self.ancestor(block, last.slot) is not last:
            for each, seed in before.items():
                if self.truth.seed(each) != seed:
                    self.reorganised[each] = block.slot
        for view in self.views:
            self._later(view.lag + self.random.uniform(0, 0.3), view.see, block)

    def _forget(self, slot: int) -> None:
        least = slot - KEPT_EPOCHS * SLOTS_PER_EPOCH
        if slot % SLOTS_PER_EPOCH == 0 and least > 0:
            views = *self.views, self.truth
            # Deep reorganisations in a row leave a chain without blocks for epochs: what duties depend on is
            # the block before.
            last = {view.at(least).root for view in views}
            self.blocks = {
                root: block
                for root, block in self.blocks.items()
                if block.slot >= least or not block.slot or root in last
            }
            for view in views:
                view.known &= self.blocks.keys()
            self.reorganised = {epoch: at for epoch, at in self.reorganised.items() if at >= least}

    # Duties.

    def proposer(self, seed: bytes, slot: int) -> int | None:
        """The position of the validator whose block a slot has, if it is of the cluster."""
        draw = self._draw("proposer", seed, slot)
        return draw.randrange(self.validators) if slot and draw.random() < OURS else None

    def attester(self, seed: bytes, epoch: int, position: int) -> Place:
        """Where a validator attests in an epoch."""
        draw = self._draw("attester", seed, epoch, position)
        slot = epoch * SLOTS_PER_EPOCH + draw.randrange(SLOTS_PER_EPOCH)
        # Two of one committee have different places.
        place = draw.randrange(COMMITTEE_LENGTH // self.validators) * self.validators + position
        return Place(slot, draw.randrange(COMMITTEES), place)

    def seats(self, epoch: int, position: int) -> tuple[int, ...]:
        """A validator's seats in the sync committee of an epoch."""
        draw = self._draw("sync", epoch // EPOCHS_PER_PERIOD, position)
        if draw.random() >= IN_SYNC_COMMITTEE:
            return ()
        return tuple(sorted(draw.sample(range(4 * SUBCOMMITTEE), draw.choice([1, 1, 2]))))
