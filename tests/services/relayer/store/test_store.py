"""The schema, and what the database holds."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from pathlib import Path

import pytest
import sqlalchemy
import structlog
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, select

from dvtfast.services.process.offload import UnavailableError
from dvtfast.services.relayer.store.engine.database import Database, latest_revision, touch
from dvtfast.services.relayer.store.judging.due import set_status, take_stock
from dvtfast.services.relayer.store.judging.verdicts import (
    HeldShare,
    ReadyMessage,
    SplitExit,
    Verdicts,
    lease_due,
    record,
)
from dvtfast.services.relayer.store.nodes.partial_signatures import OfferedShare, add_shares
from dvtfast.services.relayer.store.operators.asked_validators import remember_validators
from dvtfast.services.relayer.store.operators.index_assignment import make_current
from dvtfast.services.relayer.store.operators.removal import forget
from dvtfast.services.relayer.store.subjects import Exit
from dvtfast.services.relayer.store.tables import (
    MessageKind,
    MessageStatus,
    ShareState,
    from_uint64,
    messages,
    metadata,
    oracle_shares,
    shares,
    signatures,
    uint64,
)
from tests.services.patience import PATIENCE_SECONDS


async def test_migrations_make_the_tables(each_database: str) -> None:
    database = await Database.open(each_database)

    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    assert await database.run(differences) == []
    await database.close()
    again = await Database.open(each_database)
    await again.close()


async def test_others_on_the_machine_cannot_read_the_file(tmp_path: Path) -> None:
    """What it holds can exit validators. One that was made open to others is told of."""
    path = tmp_path / "relayer.db"
    before = os.umask(0o022)
    try:
        database = await Database.open(f"sqlite:///{path}")
        with structlog.testing.capture_logs() as lines:
            await database.take()
        files = list(tmp_path.glob("relayer.db*"))  # noqa: ASYNC240 - a test has no one to keep waiting
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert not lines
        await database.close()
    finally:
        os.umask(before)
    path.chmod(0o644)
    database = await Database.open(f"sqlite:///{path}")
    with structlog.testing.capture_logs() as lines:
        await database.take()
    await database.close()
    assert [(line["event"], line["mode"]) for line in lines] == [("file is open to others", "644")]


async def test_a_commit_survives_a_power_loss(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/relayer.db")

    def pragmas(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.scalar(sqlalchemy.text(f"PRAGMA {name}")) for name in names]

    full = 2
    assert await database.run(pragmas) == ["wal", full, 1]
    await database.close()


def test_integers_of_64_bits_sort_as_numbers() -> None:
    numbers = [0, 1, 255, 256, 2**32, 2**63 - 1, 2**63, 2**64 - 1]
    assert sorted(map(uint64, numbers)) == list(map(uint64, numbers))
    assert list(map(from_uint64, map(uint64, numbers))) == numbers


async def test_who_waits_for_a_change_learns_of_it(each_database: str) -> None:
    database = await Database.open(each_database)
    revision = await database.read(latest_revision)
    waiting = asyncio.create_task(database.wait_for_change(revision, 2 * PATIENCE_SECONDS))
    await database.run(remember_validators, [bytes(48)], 1)  # no message is changed
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await database.run(make_current, {bytes(48): Exit(1)}, 1)
    async with asyncio.timeout(PATIENCE_SECONDS):  # less than the wait
        await waiting
        await database.wait_for_change(revision, 2 * PATIENCE_SECONDS)
    assert await database.read(latest_revision) == revision + 1
    await database.wait_for_change(revision + 1, 0.01)
    await database.run(forget, [bytes(48)])
    await database.wait_for_change(revision + 1, 2 * PATIENCE_SECONDS)
    await database.run(forget, [bytes(48)])
    await database.run(touch, [1])
    assert await database.read(latest_revision) == revision + 2
    await database.close()


async def test_readers_do_not_wait_for_a_writer(each_database: str) -> None:
    database = await Database.open(each_database)
    begun, go_on = threading.Event(), threading.Event()

    def write(connection: Connection) -> None:
        make_current(connection, {bytes(48): Exit(1)}, 1)
        begun.set()
        while not go_on.is_set():  # as long as this statement takes, the thread is free for others
            connection.execute(select(1) if is_sqlite else select(func.pg_sleep(0.01)))

    is_sqlite = each_database.startswith("sqlite")
    writing = asyncio.create_task(database.run(write))
    await asyncio.to_thread(begun.wait, 60)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await database.read(latest_revision) == 0
    go_on.set()
    await writing
    assert await database.read(latest_revision) == 1
    with pytest.raises(UnavailableError, match=r"readonly|read-only"):
        await database.read(make_current, {bytes(48): Exit(2)}, 1)
    await database.close()


async def test_a_relayer_that_is_alone_takes_everything_at_its_start(tmp_path: Path) -> None:
    """It was killed, or lost its database: nobody else works on what it leased."""
    database = await Database.open(f"sqlite:///{tmp_path}/relayer.db")
    await database.run(make_current, {bytes(48): Exit(1)}, 1)
    await database.run(set_status, [1], MessageStatus.DUE)
    await database.run(lease_due, b"A" * 16, MessageStatus.DUE, 1, lambda _: True)
    assert await database.run(lease_due, b"B" * 16, MessageStatus.DUE, 1, lambda _: True) == []
    await database.run(take_stock, lambda _: 1)
    await database.run(set_status, [1], MessageStatus.DUE)
    assert len(await database.run(lease_due, b"B" * 16, MessageStatus.DUE, 1, lambda _: True)) == 1
    await database.close()


async def test_what_is_forgotten_while_it_is_judged_leaves_nothing(each_database: str) -> None:
    """Nor does it reach the validator that gets its row id."""
    database = await Database.open(each_database)
    old, new, holder = bytes([1]) * 48, bytes([2]) * 48, bytes(16)

    def make_due(connection: Connection, key: bytes) -> int:
        remember_validators(connection, [key], 1)
        make_current(connection, {key: Exit(5)}, 1)
        offered = [OfferedShare(key, MessageKind.EXIT, bytes(96), Exit(5), None)]
        add_shares(connection, 1, offered, threshold_of=lambda _: 1, now=1)
        return int(connection.scalars(select(messages.c.id).where(messages.c.public_key == key)).one())

    message_id = await database.run(make_due, old)
    due = await database.run(lease_due, holder, MessageStatus.DUE, 1, lambda _: True)
    assert [message.id for message in due] == [message_id]
    await database.run(forget, [old])
    other_id = await database.run(make_due, new)
    for verdicts in (
        Verdicts(ready=[ReadyMessage(message_id, b"x" * 96, SplitExit(b"x" * 48, b"x" * 193))]),
        Verdicts(not_ready={MessageStatus.UNDECIDED: due}, rejected=[HeldShare(message_id, 1)]),
    ):
        await database.run(record, holder, verdicts, config_digest=bytes(32), threshold_of=lambda _: 1, now=1)
    assert await database.read(lambda c: c.execute(select(signatures)).all()) == []
    assert await database.read(lambda c: c.execute(select(oracle_shares)).all()) == []
    states = await database.read(lambda c: c.execute(select(shares.c.message_id, shares.c.state)).all())
    assert states == [(other_id, ShareState.STORED)]
    statuses = await database.read(lambda c: c.execute(select(messages.c.id, messages.c.status)).all())
    assert statuses == [(other_id, MessageStatus.DUE)]
    await database.close()
