"""Validators move to other indices, and deposits to other amounts: how often, and what is left behind.

Each move is a signature of every node, which have limits for a day, so those of one token and of one
validator are bounded, in the database, for all relayers that share it. What nobody signed at the place that
is left goes at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Connection, delete, exists, select, update

from ..engine.bulk import execute_with, insert_into, rows_with
from ..engine.database import chunks
from ..tables import MessageKind, messages, movers, oracle_shares, shares, signatures, validators
from .pending import Asker

DAY_SECONDS = 86_400
MILLISECONDS = 1000
OF_ONE_VALIDATOR = 64  # moves at once
ONE_MORE_SECONDS = 120  # until a validator may move once more
KEPT_WITH_SHARES = 32  # messages of a validator and kind that it left, since it may come back
NOBODYS = "-"  # instead of the id of a token, which are longer


class TooManyMovesError(Exception):
    """Somebody would move validators too often; the transaction is to be given up.

    Attributes:
        retry_after_seconds: when the same may be all right.
    """

    def __init__(self, what: str, retry_after_seconds: float) -> None:
        super().__init__(what)
        self.retry_after_seconds = retry_after_seconds


def count_moves(connection: Connection, public_keys: Collection[bytes], asker: Asker, now: int) -> None:
    """Count that these validators move to where they have not been.

    What is kept is when all that was counted is worn off, which says how much there is.

    Raises:
        TooManyMovesError: they, or the asker, moved too often.
    """
    if asker.moves_per_day is None or not public_keys:
        return
    _count_of_asker(connection, len(public_keys), asker, asker.moves_per_day, now)
    query = select(validators.c.public_key, validators.c.moves_until)
    most = now + OF_ONE_VALIDATOR * ONE_MORE_SECONDS
    rows: defaultdict[int, list[bytes]] = defaultdict(list)
    for key, until in rows_with(connection, query, validators.c.public_key, public_keys):
        rows[max(until or 0, now) + ONE_MORE_SECONDS].append(key)
    if rows and (longest := max(rows)) > most:
        raise TooManyMovesError(
            f"a validator may move to {OF_ONE_VALIDATOR} other indices or amounts at once, and to one more"
            f" each {ONE_MORE_SECONDS} seconds",
            longest - most,
        )
    for until, keys in rows.items():
        change = update(validators).values(moves_until=until)
        execute_with(connection, change, validators.c.public_key, keys)


def _count_of_asker(connection: Connection, count: int, asker: Asker, moves_per_day: int, now: int) -> None:
    of = asker.token_id or NOBODYS
    now_ms, day = now * MILLISECONDS, DAY_SECONDS * MILLISECONDS
    before = connection.scalar(select(movers.c.until).where(movers.c.asked_by == of).with_for_update())
    until = max(before or 0, now_ms) + count * day // moves_per_day
    if until - now_ms > day:
        raise TooManyMovesError(
            f"at most {moves_per_day} moves of validators to other indices or amounts in a day, these"
            f" {count} would make more",
            (until - now_ms - day) / MILLISECONDS,
        )
    put = insert_into(connection, movers).values(asked_by=of, until=until)
    connection.execute(put.on_conflict_do_update(index_elements=["asked_by"], set_={"until": until}))


def drop_left(
    connection: Connection,
    kind: MessageKind,
    moved: Collection[bytes],
    left: Mapping[bytes, bytes],
    kept: Mapping[bytes, tuple[bytes, bytes]],
) -> None:
    """Remove messages of one kind that validators have left.

    Those without shares go, but for the last one, for which shares may be under way; of the others the
    last that changed stay, and what was handed out.

    Args:
        moved: the validators; those that were given back, and are taken again, have left something, too.
        left: what was current until now, by validator, if anything was.
        kept: from and to what messages are prepared, which stay too, by validator.
    """
    for chunk in chunks(moved):
        _drop_left(connection, kind, chunk, left, kept)


def _drop_left(
    connection: Connection,
    kind: MessageKind,
    public_keys: Collection[bytes],
    left: Mapping[bytes, bytes],
    kept: Mapping[bytes, tuple[bytes, bytes]],
) -> None:
    of_message = messages.c.id
    query = (
        select(
            messages.c.id,
            messages.c.public_key,
            messages.c.subject,
            (
                exists().where(shares.c.message_id == of_message)
                | exists().where(signatures.c.message_id == of_message)
            ).label("has_shares"),
            exists()
            .where(oracle_shares.c.message_id == of_message, oracle_shares.c.handed_out_at.is_not(None))
            .label("was_handed_out"),
        )
        .where(messages.c.kind == kind, messages.c.is_current.is_(False))
        .where(messages.c.public_key.in_(public_keys))
        .order_by(messages.c.revision.desc(), messages.c.id.desc())
    )
    with_shares: defaultdict[bytes, int] = defaultdict(int)
    gone: list[int] = []
    for row in connection.execute(query).all():
        first, last = kept.get(row.public_key, (b"\x01", b"\x00"))
        if row.was_handed_out or left.get(row.public_key) == row.subject or first <= row.subject <= last:
            continue
        if row.has_shares:
            with_shares[row.public_key] += 1
            if with_shares[row.public_key] <= KEPT_WITH_SHARES:
                continue
        gone.append(row.id)
    remove_messages(connection, gone)


def remove_messages(connection: Connection, message_ids: Iterable[int]) -> None:
    """Remove messages with all that belongs to them."""
    for ids in chunks(message_ids):
        for table in (oracle_shares, signatures, shares):
            connection.execute(delete(table).where(table.c.message_id.in_(ids)))
        connection.execute(delete(messages).where(messages.c.id.in_(ids)))
