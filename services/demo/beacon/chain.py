"""Blocks, states and the head, as the specification's fork choice has them."""

from __future__ import annotations

import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ...chain.encoding import write_data
from .clock import Clock

STATES_KEPT: Final = 8  # of those that were taken to a later slot than that of their block

Listener = Callable[[str, dict[str, Any]], None]


class NotAllowedError(Exception):
    """The specification does not allow it; the message is the line that says so."""


@dataclass(frozen=True)
class Link:
    """What the fork choice wants to know of a block: it asks so often that the whole block would be slow."""

    slot: Any
    parent_root: Any


@dataclass(frozen=True)
class IncludedVotes:
    """An attestation in a block.

    Attributes:
        flags: which of its votes count: 0 for the source, 1 for the target, 2 for the head.
    """

    slot: int
    distance: int
    flags: frozenset[int]
    validators: tuple[int, ...]


@dataclass(frozen=True)
class BlockSummary:
    """What a block did for its chain."""

    slot: int
    parent: bytes
    proposer: int
    inclusions: tuple[IncludedVotes, ...]
    sync_bits: int
    is_late: bool


class JudgingChain:
    """One chain, from its genesis on.

    Attributes:
        head: root of the latest block.
        proposers: who was to propose in which slot, by what the chain knew when the slot began.
        listeners: told of events, by their names in the beacon API.
    """

    def __init__(self, spec: Any, genesis: Any, clock: Clock) -> None:
        self.spec = spec
        self.clock = clock
        self.genesis = genesis
        self.slot = 0
        self.proposers: dict[int, int] = {}
        self.listeners: list[Listener] = []
        anchor = spec.BeaconBlock(state_root=spec.hash_tree_root(genesis), body=spec.BeaconBlockBody())
        self.head: Any = spec.hash_tree_root(anchor)
        self.genesis_root: Any = self.head
        self.store = spec.get_forkchoice_store(genesis, anchor)
        self.store.blocks[self.head] = Link(anchor.slot, anchor.parent_root)
        self.blocks: dict[Any, Any] = {self.head: spec.SignedBeaconBlock(message=anchor)}
        self.summaries: dict[Any, BlockSummary] = {}
        self._votes: list[Any] = []  # for the fork choice, when their slot is over
        self._states: OrderedDict[tuple[bytes, int], Any] = OrderedDict()

    def tick(self) -> None:
        """Let the chain know what time it is."""
        now = self.clock.slot()
        while self.slot < now:
            self._begin(self.slot + 1)

    def state(self, root: Any, slot: int | None = None) -> Any:
        """The state after a block, or the one that it becomes until a later slot; not to be changed."""
        state = self.store.block_states[root]
        if slot is None or slot <= state.slot:
            return state
        if (key := (bytes(root), slot)) not in self._states:
            earlier = [each for each in self._states if each[0] == key[0] and each[1] < slot]
            state = (self._states[max(earlier)] if earlier else state).copy()
            self.spec.process_slots(state, self.spec.Slot(slot))
            self._states[key] = state
            if len(self._states) > STATES_KEPT:
                self._states.popitem(last=False)
        return self._states[key]

    def ancestor(self, root: Any, slot: int) -> Any:
        """The last block of a chain that is not later than a slot; its first one for a slot before that."""
        while self.store.blocks[root].slot > max(slot, 0):
            root = self.store.blocks[root].parent_root
        return root

    def line(self, root: Any) -> Iterator[Any]:
        """The blocks of a chain, from its last one to genesis."""
        while root in self.store.blocks:
            yield root
            root = self.store.blocks[root].parent_root

    def dependent_root(self, root: Any, epoch: int) -> Any:
        """The last block before an epoch, which what is shuffled for a later one depends on."""
        return self.ancestor(root, epoch * int(self.spec.SLOTS_PER_EPOCH) - 1)

    def add(self, signed: Any) -> Any:
        """Add a block; its root.

        Raises:
            NotAllowedError: the specification does not allow it.
        """
        block = signed.message
        # How late it is counts, but no slot begins here.
        last = self.clock.genesis_time + (self.slot + 1) * self.clock.seconds_per_slot - 1
        now = max(int(self.store.time), min(self.clock.now() // 1000, last))
        try:
            self.spec.on_tick(self.store, self.spec.Uint64(now))
            self.spec.on_block(self.store, signed)
        except Exception as error:  # a failed assertion, or an index that is out of range
            raise NotAllowedError(reason(error)) from None
        root = self.spec.hash_tree_root(block)
        state = self.store.block_states[root]
        is_late = not self.store.block_timeliness[root]
        self.store.blocks[root] = Link(block.slot, block.parent_root)
        self.blocks[root] = signed
        self.summaries[root] = self._summary(block, state, is_late)
        for attestation in block.body.attestations:
            self._vote(attestation, is_from_block=True)
        facts = {"slot": str(int(block.slot)), "block": write_data(root)}
        self._tell("block_gossip", facts)
        self._tell("block", {**facts, "execution_optimistic": False})
        self._choose_head()
        return root

    def add_vote(self, attestation: Any) -> None:
        """An attestation that came by itself; it counts for the head when its slot is over."""
        self._votes.append(attestation)

    def _begin(self, slot: int) -> None:
        spec = self.spec
        seconds = self.clock.genesis_time + slot * self.clock.seconds_per_slot
        spec.on_tick(self.store, spec.Uint64(seconds))
        self.slot = slot
        ready = [each for each in self._votes if each.data.slot < slot]
        self._votes = [each for each in self._votes if each.data.slot >= slot]
        for attestation in ready:
            self._vote(attestation, is_from_block=False)
        self._choose_head()
        self.proposers[slot] = int(spec.get_beacon_proposer_index(self.state(self.head, slot)))

    def _vote(self, attestation: Any, *, is_from_block: bool) -> None:
        try:
            self.spec.on_attestation(self.store, attestation, is_from_block=is_from_block)
        except AssertionError:  # such as one whose block nobody knows: it counts for nothing
            return

    def _choose_head(self) -> None:
        before, head = self.head, self.spec.get_head(self.store).root
        if head == before:
            return
        self.head = head
        slot, state = int(self.store.blocks[head].slot), self.state(head)
        epoch = slot // int(self.spec.SLOTS_PER_EPOCH)
        if (shared := self._fork(before, head)) != before:
            old = int(self.store.blocks[before].slot)
            self._tell("chain_reorg", {
                "slot": str(slot),
                "depth": str(old - int(self.store.blocks[shared].slot)),
                "old_head_block": write_data(before),
                "new_head_block": write_data(head),
                "old_head_state": write_data(self.blocks[before].message.state_root),
                "new_head_state": write_data(self.blocks[head].message.state_root),
                "epoch": str(epoch),
                "execution_optimistic": False,
            })  # fmt: skip
        self._tell("head", {
            "slot": str(slot),
            "block": write_data(head),
            "state": write_data(self.blocks[head].message.state_root),
            "epoch_transition": int(self.store.blocks[before].slot) // int(self.spec.SLOTS_PER_EPOCH) < epoch,
            "previous_duty_dependent_root": write_data(self.dependent_root(head, epoch - 1)),
            "current_duty_dependent_root": write_data(self.dependent_root(head, epoch)),
            "execution_optimistic": False,
        })  # fmt: skip
        finalized = state.finalized_checkpoint
        if finalized.epoch > self.state(before).finalized_checkpoint.epoch:
            self._tell("finalized_checkpoint", {
                "block": write_data(finalized.root),
                "state": write_data(self.blocks[finalized.root].message.state_root),
                "epoch": str(int(finalized.epoch)),
                "execution_optimistic": False,
            })  # fmt: skip

    def _fork(self, one: Any, other: Any) -> Any:
        """The last block that two chains share."""
        blocks = self.store.blocks
        while one != other:
            if blocks[one].slot > blocks[other].slot:
                one = blocks[one].parent_root
            else:
                other = blocks[other].parent_root
        return one

    def _summary(self, block: Any, state: Any, is_late: bool) -> BlockSummary:
        inclusions = []
        for attestation in block.body.attestations:
            distance = int(block.slot - attestation.data.slot)
            flags = self.spec.get_attestation_participation_flag_indices(
                state, attestation.data, self.spec.Uint64(distance)
            )
            validators = sorted(map(int, self.spec.get_attesting_indices(state, attestation)))
            inclusions.append(
                IncludedVotes(
                    int(attestation.data.slot), distance, frozenset(map(int, flags)), tuple(validators)
                )
            )
        return BlockSummary(
            slot=int(block.slot),
            parent=bytes(block.parent_root),
            proposer=int(block.proposer_index),
            inclusions=tuple(inclusions),
            sync_bits=sum(map(bool, block.body.sync_aggregate.sync_committee_bits)),
            is_late=is_late,
        )

    def _tell(self, name: str, facts: dict[str, Any]) -> None:
        for listener in self.listeners:
            listener(name, facts)


def reason(error: Exception) -> str:
    """What of the specification does not hold: its own line, for a failed assertion says nothing."""
    frames = traceback.extract_tb(error.__traceback__)
    inner = [frame for frame in frames if "eth_consensus_specs" in frame.filename] or frames
    said = f"{inner[-1].name}: {inner[-1].line}"
    return said if isinstance(error, AssertionError) else f"{said} ({type(error).__name__}: {error})"
