"""What a message says about its validator, and the form in which that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, TypeAlias

from .tables import ADDRESS_BYTES, MessageKind, from_uint64, uint64


@dataclass(frozen=True)
class Exit:
    """A voluntary exit of the validator with this index."""

    validator_index: int


@dataclass(frozen=True)
class Deposit:
    """A deposit that withdraws to a vault; `validator_type` is the first byte of the credentials."""

    vault: bytes
    validator_type: int
    amount_gwei: int

    @classmethod
    def of(cls, value: bytes) -> Self:
        """From the form in which it is kept."""
        return cls(value[:ADDRESS_BYTES], value[ADDRESS_BYTES], from_uint64(value[ADDRESS_BYTES + 1 :]))


Subject: TypeAlias = Exit | Deposit


def kind_of(subject: Subject) -> MessageKind:
    """Exit or deposit."""
    return MessageKind.EXIT if isinstance(subject, Exit) else MessageKind.DEPOSIT


def to_bytes(subject: Subject) -> bytes:
    """As the column `subject` has it; those of exits sort by validator index."""
    if isinstance(subject, Exit):
        return uint64(subject.validator_index)
    return subject.vault + bytes([subject.validator_type]) + uint64(subject.amount_gwei)


def from_bytes(kind: int, value: bytes) -> Subject:
    """The subject again."""
    if kind == MessageKind.EXIT:
        return Exit(from_uint64(value))
    return Deposit.of(value)


def withdrawal_credentials(validator_type: int, vault: bytes) -> bytes:
    """The 32 bytes that a deposit names as its withdrawal credentials."""
    return bytes([validator_type]) + bytes(11) + vault
