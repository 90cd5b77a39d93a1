"""What the duties of a node share: whose they are, whom it asks, what signs, who is told how they went."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dvtfast.duties.fork_schedule import ForkSchedule
from dvtfast.duties.presets import Preset
from dvtfast.duties.validator_messages import SignedValidatorRegistration
from dvtfast.duties.wrappers import SignedValue
from dvtfast.qbft.messages import Duty

from ..chain.beacon.duties import DutiesClient
from ..process.offload import Workers
from .consensus.consensus import Consensus
from .deadlines import Deadlines
from .exchange import ClusterMembers, Exchange, Gathered
from .partial_signatures import PartialSignatures, Positions
from .slots import SlotClock
from .tracker import Tracker


@dataclass(frozen=True)
class Signed:
    """What a signer signed of what it was asked to.

    Attributes:
        validators: positions in the cluster, as in what follows.
        values: with this node's partial signatures.
        refused: why it did not sign, by the validator's position.
    """

    validators: Positions
    values: Sequence[SignedValue]
    refused: Mapping[int, str]


class Signer(Protocol):
    """Signs with this node's key shares. What could be slashed is on disk before it is signed."""

    async def sign(self, duty: Duty, validators: Positions, values: Sequence[SignedValue]) -> Signed:
        """Sign a value for each validator; what must not be signed is left out, and said why."""
        ...


@dataclass(frozen=True)
class ActiveValidators:
    """Validators of the cluster that have duties now.

    Attributes:
        indices: on the chain, by position in the cluster.
        positions: in the cluster, by index on the chain.
    """

    indices: Mapping[int, int]
    positions: Mapping[int, int]

    @classmethod
    def of(cls, indices: Mapping[int, int]) -> ActiveValidators:
        """By position."""
        return cls(indices, {index: position for position, index in indices.items()})


@dataclass(frozen=True, eq=False)
class NodeParts:
    """All that a duty needs.

    Attributes:
        fee_recipients: addresses, by the validator's position in the cluster.
        registrations: with builders, signed by the cluster, by position; there may be none.
        deadlines: how long which duty matters.
        workers: for what is slow.
        graffiti: 32 bytes.
        builder: whether blocks of builders are wanted.
        plural_contributions: whether, in a slot, all nodes read several sync contributions of one validator.
        voted_heads: what this node's sync committee messages of the last slots vote for, by slot.
    """

    cluster: ClusterMembers
    fee_recipients: Sequence[str]
    registrations: Sequence[SignedValidatorRegistration]
    beacon: DutiesClient
    consensus: Consensus
    exchange: Exchange
    partials: PartialSignatures[Gathered]
    signer: Signer
    tracker: Tracker
    slots: SlotClock
    deadlines: Deadlines
    schedule: ForkSchedule
    preset: Preset
    workers: Workers
    graffiti: bytes = bytes(32)
    builder: bool = False
    plural_contributions: Callable[[int], bool] = lambda slot: False
    voted_heads: dict[int, bytes] = field(default_factory=dict)
