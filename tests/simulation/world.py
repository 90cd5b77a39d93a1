"""What beacon nodes take of what the cluster signed, and what of it counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from dvtfast.duties.attestations import AttestationData, AttestationElectra
from dvtfast.duties.bits import bitvector
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.forks import Fork
from dvtfast.duties.wrappers import Versioned
from tests.simulation.chain import PRESET, SLOTS_PER_EPOCH, Block, Chain
from tests.simulation.signatures import Signatures


@dataclass
class World:
    """What all beacon nodes share.

    Attributes:
        performed: told of what was accepted, and may count: type, slot, position.
        slot: now, of true time.
        later: calls something after so many seconds.
    """

    chain: Chain
    keys: Sequence[bytes]
    signatures: Signatures
    random: Random
    performed: Callable[[DutyType, int, int], None]
    slot: Callable[[], int]
    later: Callable[..., object]
    votes: set[tuple[int, AttestationData]] = field(default_factory=set)

    def take(self, type: DutyType, slot: int, index: int, value: Any, *, counts: bool = True) -> str:
        """Something signed; why it is refused, or empty."""
        position = index - Chain.FIRST_INDEX
        if not 0 <= position < self.chain.validators:
            return "there is no such validator here"
        why = self.signatures.whole(type, position, value)
        if not why and counts:
            self.performed(type, slot, position)
        return why

    def take_vote(self, fork: Fork, single: Any) -> str:
        """The same of an attestation, which counts if it is for this chain."""
        data = single.data
        message = AttestationElectra(b"\x01", data, single.signature, bitvector([single.committee_index], 64))
        value = Versioned(fork, message, validator_index=single.attester_index)
        epochs = data.target.epoch, data.slot // SLOTS_PER_EPOCH
        right = (
            epochs[0] == epochs[1]
            and data.source.epoch < data.target.epoch + (epochs[0] == 0)
            and all(root in self.chain.blocks for root in (data.source.root, data.target.root))
        )
        why = self.take(DutyType.ATTESTER, data.slot, single.attester_index, value, counts=right)
        if not why:
            self.votes.add((single.committee_index, data))
        return why

    def take_block(self, fork: Fork, contents: Any) -> str:
        """The same of a block, which counts if it comes in its slot."""
        signed = contents.signed_block
        block = signed.message
        value = Versioned(fork, contents)
        root = codec(type(block), PRESET).root(block)
        known = self.chain.blocks.get(block.parent_root)
        right = (
            known is not None
            and known.slot < block.slot == self.slot()
            and self.chain.proposer(self.chain.truth.seed(block.slot // SLOTS_PER_EPOCH), block.slot)
            == block.proposer_index - Chain.FIRST_INDEX
        )
        why = self.take(DutyType.PROPOSER, block.slot, block.proposer_index, value, counts=right)
        if not why and right:
            self.chain.add(Block(block.slot, root, block.parent_root))
        return why
