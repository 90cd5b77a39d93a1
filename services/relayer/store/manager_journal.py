"""What the validators manager signed and refused: rows are added, never changed, never removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Final, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    insert,
    select,
    text,
)

from ...files.append_only import append_only
from .tables import metadata, row_id

DAY_SECONDS = 86_400
ENTRIES_LIMIT = 1000

R = TypeVar("R", bound=Exception)


class ManagerAction(StrEnum):
    """What a vault does with validators."""

    REGISTER = "register"
    FUND = "fund"
    WITHDRAW = "withdraw"
    CONSOLIDATE = "consolidate"


manager_journal = Table(
    "manager_journal",
    metadata,
    Column("id", row_id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("action", String(16), nullable=False),
    Column("vault", LargeBinary(20), nullable=False),
    Column("count", Integer, nullable=False),
    Column("amount_gwei", String(40), nullable=False),  # decimal: a sum exceeds 64 bits
    Column("exits", Integer, nullable=False),
    Column("digest", LargeBinary(32)),
    Column("validators", LargeBinary, nullable=False),
    Column("root_or_nonce", LargeBinary(32)),
    Column("signature", LargeBinary(65)),
    Column("reason", Text, nullable=False),
    Index("manager_journal_spent", "action", "at"),
    Index("manager_journal_digest", "digest"),
)

APPEND_ONLY: Final = append_only("manager_journal")
"""What the database does about changes, by dialect; run once, after the table is made."""


@dataclass(frozen=True)
class Spent:
    """How much of an action was signed."""

    items: int
    amount_gwei: int
    exits: int


@dataclass(frozen=True)
class ManagerEntry:
    """One outcome.

    Attributes:
        at: unix time in seconds.
        exits: how many of the items withdraw everything.
        digest: what was to be signed; None when it was refused before that was known.
        validators: the bytes; of a refused request the beginning, since anybody can make one.
        root_or_nonce: 32 bytes; None when it was refused before it was asked for.
        reason: why there is no signature.
    """

    at: int
    action: ManagerAction
    vault: bytes
    count: int
    amount_gwei: int
    exits: int
    validators: bytes
    digest: bytes | None = None
    root_or_nonce: bytes | None = None
    signature: bytes | None = None
    reason: str = ""
    id: int | None = None


def day_of(at: int) -> int:
    """The number of the day in UTC, from unix seconds."""
    return at // DAY_SECONDS


def spent_today(connection: Connection, action: ManagerAction, day: int) -> Spent:
    """How much of an action was signed on a day, for all vaults."""
    columns = (manager_journal.c["count"], manager_journal.c.amount_gwei, manager_journal.c.exits)
    begin = day * DAY_SECONDS
    query = select(*columns).where(
        manager_journal.c.action == action.value,
        manager_journal.c.at >= begin,
        manager_journal.c.at < begin + DAY_SECONDS,
        manager_journal.c.signature.is_not(None),
    )
    items = amount_gwei = exits = 0
    for count, amount, exits_of_one in connection.execute(query):
        items += count
        amount_gwei += int(amount)
        exits += exits_of_one
    return Spent(items, amount_gwei, exits)


def append(connection: Connection, entry: ManagerEntry) -> None:
    """Write an outcome down."""
    row = asdict(entry)
    del row["id"]
    row["action"] = entry.action.value
    row["amount_gwei"] = str(entry.amount_gwei)
    connection.execute(insert(manager_journal).values(row))


def reserve_and_append(
    connection: Connection,
    entry: ManagerEntry,
    *,
    refuse: Callable[[Spent], R | None],
    sign: Callable[[], bytes],
) -> bytes | R:
    """Sign within the limits, and write the outcome down; what is returned holds once this is committed.

    What was signed before is answered with the same signature: it is there already, and allows
    nothing new. So an operator that lost an answer asks again without using up its limits.

    Args:
        entry: what is wanted, with its digest.
        refuse: says, knowing what was signed that day, why not.
        sign: makes the signature; called within the transaction, and only if it is given out.
    """
    if connection.dialect.name == "postgresql":  # another relayer counts, too; SQLite has one writer
        connection.execute(text("LOCK TABLE manager_journal IN SHARE ROW EXCLUSIVE MODE"))
    if (signature := _signature_of(connection, entry)) is not None:
        return signature
    refusal = refuse(spent_today(connection, entry.action, day_of(entry.at)))
    if refusal is not None:
        append(connection, replace(entry, reason=str(refusal)))
        return refusal
    signature = sign()
    append(connection, replace(entry, signature=signature))
    return signature


def entries(
    connection: Connection, *, after: int = 0, limit: int = ENTRIES_LIMIT, action: ManagerAction | None = None
) -> list[ManagerEntry]:
    """Outcomes in the order in which they were written, those with an id above `after`."""
    query = select(manager_journal).where(manager_journal.c.id > after)
    if action is not None:
        query = query.where(manager_journal.c.action == action.value)
    rows = connection.execute(query.order_by(manager_journal.c.id).limit(limit)).mappings()
    return [
        ManagerEntry(
            **{**row, "action": ManagerAction(row["action"]), "amount_gwei": int(row["amount_gwei"])}
        )
        for row in rows
    ]


def _signature_of(connection: Connection, entry: ManagerEntry) -> bytes | None:
    query = select(manager_journal.c.signature).where(
        manager_journal.c.digest == entry.digest, manager_journal.c.signature.is_not(None)
    )
    return connection.scalar(query.limit(1))
