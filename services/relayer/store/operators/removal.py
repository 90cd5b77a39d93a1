"""Validators that nobody asks for any more are removed, with all that belongs to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, insert, select

from ..engine.database import begin_revision, chunks
from ..tables import forgotten, key_share_claims, messages, oracle_shares, shares, signatures, validators
from .asked_validators import known_keys


def expired_validators(
    connection: Connection, asked_before: int, limit: int | None, *, with_handed_out: bool = False
) -> list[bytes]:
    """Validators that were last asked for before this time; without those of which something was handed
    out, unless they are wanted, too."""
    query = select(validators.c.public_key).where(validators.c.asked_at < asked_before).limit(limit)
    if not with_handed_out:
        query = query.where(validators.c.handed_out_at.is_(None))
    return list(connection.scalars(query.with_for_update()))  # nobody asks for them meanwhile


def forget_expired(connection: Connection, asked_before: int, limit: int) -> int:
    """Remove expired validators of which nothing was handed out, at most so many; how many there were."""
    return forget(connection, expired_validators(connection, asked_before, limit))


def forget(connection: Connection, public_keys: Iterable[bytes]) -> int:
    """Remove these validators; how many there were. Readers learn of it by the next revision."""
    known = known_keys(connection, public_keys)
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
    for table in (messages, key_share_claims, validators, forgotten):
        connection.execute(delete(table).where(table.c.public_key.in_(public_keys)))
    connection.execute(insert(forgotten), [{"public_key": key, "revision": revision} for key in public_keys])
