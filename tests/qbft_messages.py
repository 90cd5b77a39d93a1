"""Messages of a cluster that agrees on one duty, written in short."""

from __future__ import annotations

from collections.abc import Iterable

from dvtfast.duties.duty_types import DutyType
from dvtfast.qbft.messages import Duty, Kind, Message

NODES, QUORUM = 4, 3
DUTY = Duty(9, DutyType.ATTESTER)  # 0 leads round 1, 1 round 2, and so on


def value(name: object) -> bytes:
    """The hash of a value that a test calls so."""
    return str(name).encode().ljust(32, b".")


def name(value_hash: bytes) -> str:
    """What the test calls it."""
    return value_hash.rstrip(b".").decode()


A, B = value("A"), value("B")


def proposal(peer: int, round: int, value_hash: bytes = A, because: Iterable[Message] = ()) -> Message:
    return Message(Kind.PRE_PREPARE, DUTY, peer, round, value_hash, justification=tuple(because))


def prepare(peer: int, round: int = 1, value_hash: bytes = A) -> Message:
    return Message(Kind.PREPARE, DUTY, peer, round, value_hash)


def commit(peer: int, round: int = 1, value_hash: bytes = A) -> Message:
    return Message(Kind.COMMIT, DUTY, peer, round, value_hash)


def change(
    peer: int,
    round: int,
    prepared_round: int = 0,
    value_hash: bytes = A,
    because: Iterable[Message] | None = None,
) -> Message:
    """A ROUND-CHANGE; with what justifies it, unless a test says otherwise."""
    if because is None:
        because = prepares(prepared_round, value_hash) if prepared_round else ()
    return Message(
        Kind.ROUND_CHANGE,
        DUTY,
        peer,
        round,
        prepared_round=prepared_round,
        prepared_value_hash=value_hash if prepared_round else None,
        justification=tuple(because),
    )


def decided(peer: int, round: int = 1, value_hash: bytes = A, because: Iterable[Message] = ()) -> Message:
    return Message(Kind.DECIDED, DUTY, peer, round, value_hash, justification=tuple(because))


def prepares(round: int, value_hash: bytes = A, peers: Iterable[int] = range(QUORUM)) -> list[Message]:
    return [prepare(peer, round, value_hash) for peer in peers]


def commits(round: int, value_hash: bytes = A, peers: Iterable[int] = range(QUORUM)) -> list[Message]:
    return [commit(peer, round, value_hash) for peer in peers]


def changes(round: int, peers: Iterable[int] = range(QUORUM)) -> list[Message]:
    """Of nodes that have prepared nothing."""
    return [change(peer, round) for peer in peers]
