"""The journal: what it counts, what it holds, and that nothing in it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert, select, text, update

from dvtfast.services.process.offload import UnavailableError
from dvtfast.services.relayer.store.engine.database import Database
from dvtfast.services.relayer.store.manager_journal import (
    APPEND_ONLY,
    DAY_SECONDS,
    ManagerAction,
    ManagerEntry,
    Spent,
    append,
    day_of,
    entries,
    manager_journal,
    reserve_and_append,
    spent_today,
)

DAY = 20_000
NOON = DAY * DAY_SECONDS + DAY_SECONDS // 2
ENTRY = ManagerEntry(
    at=NOON,
    action=ManagerAction.WITHDRAW,
    vault=bytes(range(20)),
    count=3,
    amount_gwei=2**64 - 1,
    exits=1,
    validators=b"validators",
    digest=bytes(32),
    root_or_nonce=bytes(31) + b"\1",
)
SIGNED = replace(ENTRY, signature=bytes(65))
REFUSED = replace(ENTRY, digest=None, root_or_nonce=None, reason="vault: not ours")


class TooMuchError(Exception):
    pass


@asynccontextmanager
async def journal_database(path: Path) -> AsyncIterator[Database]:
    """A database with a journal that is append-only."""

    def create(connection: Connection) -> None:
        manager_journal.create(connection)
        for statement in APPEND_ONLY[connection.dialect.name]:
            connection.execute(text(statement))

    database = Database(f"sqlite:///{path}/relayer.db")
    try:
        await database.run(create)
        yield database
    finally:
        await database.close()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with journal_database(tmp_path) as opened:
        yield opened


async def test_what_goes_in_comes_out(database: Database) -> None:
    for entry in (SIGNED, REFUSED, replace(SIGNED, action=ManagerAction.FUND)):
        await database.run(append, entry)
    assert await database.run(entries) == [
        replace(SIGNED, id=1),
        replace(REFUSED, id=2),
        replace(SIGNED, action=ManagerAction.FUND, id=3),
    ]
    assert [entry.id for entry in await database.run(entries, after=1, limit=1)] == [2]
    assert [entry.id for entry in await database.run(entries, action=ManagerAction.FUND)] == [3]


async def test_what_is_spent_is_what_is_signed_on_that_day(database: Database) -> None:
    begin = DAY * DAY_SECONDS
    for at in (begin - 1, begin, begin + DAY_SECONDS - 1, begin + DAY_SECONDS):
        await database.run(append, replace(SIGNED, at=at))
    await database.run(append, REFUSED)
    await database.run(append, replace(SIGNED, action=ManagerAction.FUND))
    assert await database.run(spent_today, ManagerAction.WITHDRAW, DAY) == Spent(6, 2 * (2**64 - 1), 2)
    assert await database.run(spent_today, ManagerAction.WITHDRAW, DAY + 1) == Spent(3, 2**64 - 1, 1)
    assert await database.run(spent_today, ManagerAction.CONSOLIDATE, DAY) == Spent(0, 0, 0)
    assert (day_of(begin - 1), day_of(begin)) == (DAY - 1, DAY)


async def test_it_signs_within_the_limit_only(database: Database) -> None:
    made = []

    def sign() -> bytes:
        made.append(1)
        return bytes(65)

    def refuse(spent: Spent) -> TooMuchError | None:
        return TooMuchError("no more") if spent.items else None

    first = await database.run(reserve_and_append, ENTRY, refuse=refuse, sign=sign)
    other = replace(ENTRY, digest=b"\1" * 32)
    second = await database.run(reserve_and_append, other, refuse=refuse, sign=sign)
    assert (first, str(second), len(made)) == (bytes(65), "no more", 1)
    assert await database.run(entries) == [
        replace(SIGNED, id=1),
        replace(other, reason="no more", id=2),
    ]
    again = await database.run(reserve_and_append, ENTRY, refuse=refuse, sign=sign)
    assert (again, len(made), len(await database.run(entries))) == (bytes(65), 1, 2)


async def test_what_was_refused_may_be_signed_later(database: Database) -> None:
    await database.run(append, replace(ENTRY, reason="the limit"))
    signature = await database.run(reserve_and_append, ENTRY, refuse=lambda _: None, sign=lambda: bytes(65))
    assert signature == bytes(65)


async def test_no_signature_no_entry(database: Database) -> None:
    def sign() -> bytes:
        raise RuntimeError("no key")

    with pytest.raises(RuntimeError, match="no key"):
        await database.run(reserve_and_append, ENTRY, refuse=lambda _: None, sign=sign)
    assert await database.run(entries) == []


async def test_one_limit_for_all_who_ask_at_once(database: Database) -> None:
    def refuse(spent: Spent) -> TooMuchError | None:
        return TooMuchError("no more") if spent.items + ENTRY.count > 10 else None

    outcomes = await asyncio.gather(
        *(
            database.run(
                reserve_and_append,
                replace(ENTRY, digest=bytes([i]) * 32),
                refuse=refuse,
                sign=lambda: bytes(65),
            )
            for i in range(20)
        )
    )
    assert sum(isinstance(outcome, bytes) for outcome in outcomes) == 3
    assert (await database.run(spent_today, ManagerAction.WITHDRAW, DAY)).items == 9
    assert len(await database.run(entries)) == 20


@pytest.mark.parametrize(
    "change",
    [
        update(manager_journal).values(reason=""),
        update(manager_journal).where(manager_journal.c.id == 1).values(signature=None),
        delete(manager_journal),
        delete(manager_journal).where(manager_journal.c.id == 1),
        text("INSERT OR REPLACE INTO manager_journal SELECT * FROM manager_journal"),
        text(
            "INSERT INTO manager_journal SELECT * FROM manager_journal WHERE 1"
            " ON CONFLICT (id) DO UPDATE SET reason = ''"
        ),
        insert(manager_journal).from_select(
            [column.name for column in manager_journal.columns], select(manager_journal)
        ),
    ],
    ids=["update all", "update one", "delete all", "delete one", "replace", "upsert", "same id"],
)
async def test_nothing_changes(database: Database, change: object) -> None:
    await database.run(append, SIGNED)
    with pytest.raises(UnavailableError, match="append-only"):
        await database.run(lambda connection: connection.execute(change) and None)
    assert await database.run(entries) == [replace(SIGNED, id=1)]
