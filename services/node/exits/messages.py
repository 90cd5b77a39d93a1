"""Exits, as they are kept: which is ordered, what a node has signed, and what the cluster has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from dvtfast.duties.signed_sets import NO_SIGNATURE
from dvtfast.duties.validator_messages import SignedVoluntaryExit, VoluntaryExit


@dataclass(frozen=True)
class ExitMessage:
    """Which validator leaves, from which epoch on.

    Attributes:
        validator: its key, 48 bytes.
        index: on the chain.
    """

    validator: bytes
    epoch: int
    index: int

    @classmethod
    def of(cls, validator: bytes, signed: SignedVoluntaryExit) -> Self:
        """What is signed in an exit of this validator."""
        return cls(validator, signed.message.epoch, signed.message.validator_index)

    def signed(self, signature: bytes = NO_SIGNATURE) -> SignedVoluntaryExit:
        """As the chain has it."""
        return SignedVoluntaryExit(VoluntaryExit(self.epoch, self.index), signature)


@dataclass(frozen=True)
class PartialExit:
    """An exit signed by one node, which is named by its position."""

    message: ExitMessage
    node: int
    signature: bytes = field(repr=False)


@dataclass(frozen=True)
class WholeExit:
    """An exit signed by the cluster.

    Attributes:
        sent_at: when a beacon node took it, Unix seconds; None: none did.
        problem: why none did, when it was tried last.
    """

    message: ExitMessage
    signature: bytes = field(repr=False)
    sent_at: float | None = None
    problem: str = ""


@dataclass(frozen=True)
class Order:
    """An operator's wish that this node signs an exit."""

    validator: bytes
    epoch: int
    problem: str = ""
