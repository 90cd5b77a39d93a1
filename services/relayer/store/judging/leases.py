"""Who works on a message: a relayer claims it first, since others may have the same database.

A claim is a lease, which its relayer renews while it works. One that is killed gives nothing back, but
its leases end. What a relayer finds out about a message that it holds no more is dropped: another one
has taken it, and finds out itself. To claim is no change that anybody sees; the revision stays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from time import time
from typing import Any

from sqlalchemy import Connection, Row, Select, extract, func, or_, select, update

from ..engine.database import chunks
from ..tables import messages

LEASE_SECONDS = 20
NO_CLAIM = {"claimed_by": None, "claimed_until": 0}

IsServed = Callable[[bytes], bool]
"""Whether a relayer can work for the validator with this public key."""


def claim(
    connection: Connection, claimer: bytes, query: Select[Any], limit: int, is_served: IsServed
) -> list[Row[Any]]:
    """The first rows of the query that nobody else works on, which are the claimer's from now on.

    Args:
        claimer: 16 bytes that no other relayer has.
        query: of messages, with `id` and `public_key`.
    """
    now = _now(connection)
    free = query.where(or_(messages.c.claimed_until <= now, messages.c.claimed_by == claimer))
    rows = connection.execute(free.limit(limit)).all()
    if not all(is_served(row.public_key) for row in rows):  # another relayer has other clusters
        rows = [row for row in connection.execute(free) if is_served(row.public_key)][:limit]
    _lease(connection, claimer, [row.id for row in rows], now)
    return list(rows)


def renew(connection: Connection, claimer: bytes, message_ids: Collection[int]) -> None:
    """Keep what is claimed still."""
    _lease(connection, claimer, claimed(connection, claimer, message_ids), _now(connection))


def claimed(connection: Connection, claimer: bytes, message_ids: Iterable[int]) -> set[int]:
    """Those of these messages that are the claimer's still."""
    query = select(messages.c.id).where(messages.c.claimed_by == claimer)
    return {
        message_id
        for chunk in chunks(message_ids)
        for message_id in connection.scalars(query.where(messages.c.id.in_(chunk)))
    }


def give_back(connection: Connection, claimer: bytes, message_ids: Iterable[int] | None = None) -> None:
    """Let others have these messages, or all that the claimer has."""
    change = update(messages).where(messages.c.claimed_by == claimer).values(NO_CLAIM)
    if message_ids is None:
        connection.execute(change)
        return
    for chunk in chunks(message_ids):
        connection.execute(change.where(messages.c.id.in_(chunk)))


def forget_claims(connection: Connection) -> None:
    """No relayer works on this database: whoever claimed anything is gone."""
    connection.execute(update(messages).where(messages.c.claimed_until > 0).values(NO_CLAIM))


def seconds_until_free(connection: Connection, claimer: bytes) -> int | None:
    """When the first claim of another relayer ends, unless it is renewed; None when there is none."""
    now = _now(connection)
    is_others = messages.c.claimed_until > now, messages.c.claimed_by != claimer
    first = connection.scalar(select(func.min(messages.c.claimed_until)).where(*is_others))
    return None if first is None else first - now


def is_free(connection: Connection) -> Any:
    """A condition: nobody works on the message."""
    return messages.c.claimed_until <= _now(connection)


def _lease(connection: Connection, claimer: bytes, message_ids: Iterable[int], now: int) -> None:
    lease = {"claimed_by": claimer, "claimed_until": now + LEASE_SECONDS}
    for chunk in chunks(message_ids):
        connection.execute(update(messages).where(messages.c.id.in_(chunk)).values(lease))


def _now(connection: Connection) -> int:
    """By the clock that all relayers of the database have in common."""
    if connection.dialect.name == "sqlite":
        return int(time())
    return int(connection.scalar(select(extract("epoch", func.clock_timestamp()))) or 0)
