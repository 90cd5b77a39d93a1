"""All signatures are sealed anew: for the first time, or under another key."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from ..engine.database import KEYS_PER_QUERY
from ..seals import Identity, Seal
from ..tables import AT_PLACE, messages, shares, signatures, storage


def reseal(connection: Connection, old: Seal, new: Seal) -> int:
    """Seal every signature with `new` instead of `old`, and note it; how many there are.

    Raises:
        OtherKeyError: `old` is not what the database is sealed with.
        DamagedError: naming the first signature that does not open.
    """
    count = 0
    last = 0
    page = select(messages.c.id, messages.c.public_key, messages.c.kind, messages.c.subject)
    while rows := connection.execute(
        page.where(messages.c.id > last).order_by(messages.c.id).limit(KEYS_PER_QUERY)
    ).all():
        last = rows[-1].id
        count += _reseal(connection, {row.id: Identity(*row[1:]) for row in rows}, old, new)
    connection.execute(delete(storage))
    connection.execute(insert(storage).values(key_id=new.key_id, is_rewritten=False))
    return count


def _reseal(connection: Connection, of_message: dict[int, Identity], old: Seal, new: Seal) -> int:
    def resealed(identity: Identity, kept: bytes) -> bytes:
        return new.seal(identity, old.open(identity, kept))

    columns = shares.c.message_id, shares.c.share_index, shares.c.signature
    of_shares = [
        {
            "at_message": message_id,
            "at_index": index,
            "resealed": resealed(of_message[message_id]._replace(share_index=index), kept),
        }
        for message_id, index, kept in connection.execute(
            select(*columns).where(shares.c.message_id.in_(of_message))
        )
    ]
    if of_shares:
        write = update(shares).where(*AT_PLACE).values(signature=bindparam("resealed"))
        connection.execute(write, of_shares)
    of_signatures = [
        {"at_message": message_id, "resealed": resealed(of_message[message_id], kept)}
        for message_id, kept in connection.execute(
            select(signatures.c.message_id, signatures.c.signature).where(
                signatures.c.message_id.in_(of_message)
            )
        )
    ]
    if of_signatures:
        is_there = signatures.c.message_id == bindparam("at_message")
        write = update(signatures).where(is_there).values(signature=bindparam("resealed"))
        connection.execute(write, of_signatures)
    return len(of_shares) + len(of_signatures)
