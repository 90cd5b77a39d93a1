"""How far everything is: counts for who watches over the relayer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from sqlalchemy import Connection, func, select

from .database import latest_revision
from .tables import Kind, MessageStatus, messages


@dataclass(frozen=True)
class MessageCounts:
    """Messages that are asked for now.

    Attributes:
        counts: by kind and status; what is not there is zero.
        oldest_waiting_at: when the oldest that is not ready was made, in unix seconds; 0 when all are.
    """

    counts: dict[tuple[Kind, MessageStatus], int]
    oldest_waiting_at: int

    def places(self) -> Iterator[tuple[Kind, MessageStatus]]:
        """All there can be."""
        return product(Kind, MessageStatus)


def count_messages(connection: Connection) -> MessageCounts:
    """Count all of them."""
    rows = connection.execute(
        select(messages.c.kind, messages.c.status, func.count())
        .where(messages.c.is_current)
        .group_by(messages.c.kind, messages.c.status)
    ).all()
    counts = {(Kind(kind), MessageStatus(status)): count for kind, status, count in rows}
    return MessageCounts(counts, _oldest_waiting(connection))


def round_under_way(connection: Connection) -> tuple[int, int]:
    """The latest revision, and since when something that is asked for now waits; 0 when nothing does."""
    return latest_revision(connection), _oldest_waiting(connection)


def _oldest_waiting(connection: Connection) -> int:
    waiting = messages.c.status < MessageStatus.READY, messages.c.is_current
    return connection.scalar(select(func.min(messages.c.created_at)).where(*waiting)) or 0
