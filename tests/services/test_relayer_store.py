"""The schema, and what the database holds."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from dvtfast.services.relayer.store.database import Database
from dvtfast.services.relayer.store.tables import from_uint64, metadata, uint64


async def test_migrations_make_the_tables(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/relayer.db")

    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    assert await database.run(differences) == []
    await database.close()
    again = await Database.open(f"sqlite:///{tmp_path}/relayer.db")
    await again.close()


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
