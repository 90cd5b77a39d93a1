"""Who works on a message: a relayer leases it first, since others may have the same database.

A relayer renews its leases while it works. One that is killed gives nothing back, but its leases end. What
a relayer finds out about a message that it holds no more is dropped: another one has taken it, and finds out
itself. A lease is no change that anybody sees; the revision stays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from time import time
from typing import Any

from sqlalchemy import Connection, Row, Select, extract, func, or_, select, update

from ..engine.bulk import execute_with, rows_with
from ..tables import messages

LEASE_SECONDS = 20
NO_LEASE = {"leased_by": None, "leased_until": 0}

IsServed = Callable[[bytes], bool]
"""Whether a relayer can work for the validator with this public key."""


def lease(
    connection: Connection, holder: bytes, query: Select[Any], limit: int, is_served: IsServed
) -> list[Row[Any]]:
    """The first rows of the query that nobody else works on, which are the holder's from now on.

    Args:
        holder: 16 bytes that no other relayer has.
        query: of messages, with `id` and `public_key`.
    """
    now = _now(connection)
    free = query.where(or_(messages.c.leased_until <= now, messages.c.leased_by == holder))
    rows = connection.execute(free.limit(limit)).all()
    if not all(is_served(row.public_key) for row in rows):  # another relayer has other clusters
        rows = [row for row in connection.execute(free) if is_served(row.public_key)][:limit]
    _extend(connection, holder, [row.id for row in rows], now)
    return list(rows)


def renew(connection: Connection, holder: bytes, message_ids: Collection[int]) -> None:
    """Keep what is leased still."""
    _extend(connection, holder, leased(connection, holder, message_ids), _now(connection))


def leased(connection: Connection, holder: bytes, message_ids: Iterable[int]) -> set[int]:
    """Those of these messages that are the holder's still."""
    query = select(messages.c.id).where(messages.c.leased_by == holder)
    return {message_id for (message_id,) in rows_with(connection, query, messages.c.id, message_ids)}


def give_back(connection: Connection, holder: bytes, message_ids: Iterable[int] | None = None) -> None:
    """Let others have these messages, or all that the holder has."""
    change = update(messages).where(messages.c.leased_by == holder).values(NO_LEASE)
    if message_ids is None:
        connection.execute(change)
        return
    execute_with(connection, change, messages.c.id, message_ids)


def forget_leases(connection: Connection) -> None:
    """No relayer works on this database: whoever leased anything is gone."""
    connection.execute(update(messages).where(messages.c.leased_until > 0).values(NO_LEASE))


def seconds_until_free(connection: Connection, holder: bytes) -> int | None:
    """When the first lease of another relayer ends, unless it is renewed; None when there is none."""
    now = _now(connection)
    is_others = messages.c.leased_until > now, messages.c.leased_by != holder
    first = connection.scalar(select(func.min(messages.c.leased_until)).where(*is_others))
    return None if first is None else first - now


def is_free(connection: Connection) -> Any:
    """A condition: nobody works on the message."""
    return messages.c.leased_until <= _now(connection)


def _extend(connection: Connection, holder: bytes, message_ids: Iterable[int], now: int) -> None:
    held = {"leased_by": holder, "leased_until": now + LEASE_SECONDS}
    execute_with(connection, update(messages).values(held), messages.c.id, message_ids)


def _now(connection: Connection) -> int:
    """By the clock that all relayers of the database have in common."""
    if connection.dialect.name == "sqlite":
        return int(time())
    return int(connection.scalar(select(extract("epoch", func.clock_timestamp()))) or 0)
