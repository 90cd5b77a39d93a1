"""What nodes say to each other, and what a machine wants done. A value is its hash, as everywhere here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final, Self, TypeAlias

from dvtfast.duties.duty_types import DutyType

HASH_BYTES: Final = 32
FIRST_ROUND: Final = 1


class Kind(IntEnum):
    """Of a message, as it is numbered on the wire."""

    PRE_PREPARE = 1
    PREPARE = 2
    COMMIT = 3
    ROUND_CHANGE = 4
    DECIDED = 5


@dataclass(frozen=True, slots=True, order=True)
class Duty:
    """What is agreed on: one duty of the whole cluster in a slot."""

    slot: int
    type: DutyType


@dataclass(frozen=True, slots=True)
class Message:
    """What a node says.

    Attributes:
        peer: who says it, a position from 0.
        round: from 1.
        value_hash: 32 bytes; None in a ROUND-CHANGE.
        prepared_round: of a ROUND-CHANGE: the last round in which the node saw a quorum of PREPAREs; 0: none.
        prepared_value_hash: what these PREPAREs were for.
        justification: messages that allow this one to be sent; they have none of their own.
        signed: the message as its node signed it, without justification. Opaque here, and carried along, so
            that the message can justify others.
    """

    kind: Kind
    duty: Duty
    peer: int
    round: int
    value_hash: bytes | None = None
    prepared_round: int = 0
    prepared_value_hash: bytes | None = None
    justification: tuple[Message, ...] = ()
    signed: bytes = field(default=b"", repr=False, compare=False)

    @property
    def is_well_formed(self) -> bool:
        """Whether it says what its kind has to say, and nothing else, which would go along with it."""
        if self.kind == Kind.ROUND_CHANGE:
            return self.value_hash is None and (self.has_prepared or self.has_prepared_nothing)
        return self.value_hash is not None and self.has_prepared_nothing

    @property
    def has_prepared(self) -> bool:
        """Whether a ROUND-CHANGE says that a value was prepared."""
        return self.prepared_round > 0 and self.prepared_value_hash is not None

    @property
    def has_prepared_nothing(self) -> bool:
        """Whether it says that none was."""
        return self.prepared_round == 0 and self.prepared_value_hash is None

    def bare(self) -> Self:
        """The same without justification, as it justifies another."""
        return replace(self, justification=()) if self.justification else self

    def value_hashes(self) -> frozenset[bytes]:
        """All values that it, or what justifies it, speaks of."""
        return frozenset(
            value
            for each in (self, *self.justification)
            for value in (each.value_hash, each.prepared_value_hash)
            if value is not None
        )


@dataclass(frozen=True)
class Broadcast:
    """To be signed, and given to every node: to this one as well, by `receive`."""

    message: Message


@dataclass(frozen=True)
class Reply:
    """To be signed, and sent to one peer."""

    peer: int
    message: Message


@dataclass(frozen=True)
class SetTimer:
    """`timer(round)` is to be called at the end of a round; takes the place of what was set before.

    Attributes:
        extended: whether the round has a proposal now, and gets its time once more.
    """

    round: int
    extended: bool = False


@dataclass(frozen=True)
class Decided:
    """The nodes have agreed.

    Attributes:
        commits: of a quorum, which prove it to anybody.
    """

    value_hash: bytes
    round: int
    commits: tuple[Message, ...]


Outputs: TypeAlias = list[Broadcast | Reply | SetTimer | Decided]
