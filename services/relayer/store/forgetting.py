"""Validators that nobody asks for any more are removed, with all that belongs to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, insert, select

from .database import begin_revision, chunks
from .tables import forgotten, messages, oracle_shares, shares, signatures, validators


def expired_validators(connection: Connection, asked_before: int, limit: int) -> list[bytes]:
    """Validators that were last asked for before this time, and of which nothing was handed out."""
    query = (
        select(validators.c.public_key)
        .where(validators.c.asked_at < asked_before, validators.c.handed_out_at.is_(None))
        .limit(limit)
    )
    return list(connection.scalars(query))


def forget(connection: Connection, public_keys: Iterable[bytes]) -> int:
    """Remove these validators; how many there were. Readers learn of it by the next revision."""
    query = select(validators.c.public_key)
    known = [
        key
        for chunk in chunks(public_keys)
        for key in connection.scalars(query.where(validators.c.public_key.in_(chunk)))
    ]
    if not known:
        return 0
    revision = begin_revision(connection)
    for chunk in chunks(known):
        _forget(connection, chunk, revision)
    return len(known)


def _forget(connection: Connection, public_keys: Sequence[bytes], revision: int) -> None:
    ids = select(messages.c.id).where(messages.c.public_key.in_(public_keys))
    for table in (oracle_shares, signatures, shares):
        connection.execute(delete(table).where(table.c.message_id.in_(ids)))
    connection.execute(delete(messages).where(messages.c.public_key.in_(public_keys)))
    connection.execute(delete(validators).where(validators.c.public_key.in_(public_keys)))
    connection.execute(delete(forgotten).where(forgotten.c.public_key.in_(public_keys)))
    connection.execute(insert(forgotten), [{"public_key": key, "revision": revision} for key in public_keys])
