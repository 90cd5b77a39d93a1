"""A database whose signatures are sealed anew, so that nothing of before is left in its files.

Everything is sealed in one transaction: whatever happens, the database is as before or as wanted. Then
its files are written anew, since what was overwritten may still be in free pages, or in the WAL. Until
that is done the database knows that it is not, and the same command does it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, StaticPool, func, select, update
from sqlalchemy.exc import DBAPIError

from ....files import paths
from ....process.offload import UnavailableError
from ..engine.database import Database
from ..seals import PLAIN, KeySeal, Seal, StorageKey, described, sealed_under
from ..tables import shares, signatures, storage
from .key_check import LockedDatabaseError
from .reseal import reseal

BUSY_SECONDS = 2
SIGNATURE_TABLES = (shares, signatures)
# VACUUM FULL would copy rows that were written over, too, as long as any transaction is older. Statistics
# hold samples; they go with the first statement, and databases of today have none: see the migrations.
WRITE_FILES_ANEW = (
    *(
        f"ALTER TABLE {table.name} ALTER COLUMN signature TYPE bytea USING signature || ''::bytea"
        for table in SIGNATURE_TABLES
    ),
    "VACUUM FULL pg_statistic",
)


class InUseError(UnavailableError):
    """Somebody else has the database open."""


async def rewrite(url: str, old: StorageKey | None, new: StorageKey) -> int | None:
    """Seal all signatures under `new`, those that are sealed under `old` or not at all.

    Returns:
        How many there were; None when they were sealed under `new` already, and only the files were
        written anew.

    Raises:
        LockedDatabaseError: it is sealed under yet another key, or not at all.
        InUseError: a relayer, or anybody else, uses it.
        UnavailableError: it cannot be opened, written, or read: see DamagedError.
    """
    path = sqlite_file(url)
    database = await open_existing(url)  # which brings the schema up to date
    await database.close()
    if path is None:
        return await _rewrite_postgres(url, old, new)
    return _rewrite_sqlite(path, old, new)


async def open_existing(url: str) -> Database:
    """Open a database that is there already; raises as `Database.open`."""
    if (path := sqlite_file(url)) is not None and (problem := paths.no_file(path, noun="database")):
        raise UnavailableError(problem)
    return await Database.open(url)


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database; None for one of another kind."""
    return Path(sqlalchemy.make_url(url).database or "") if url.startswith("sqlite") else None


def _reseal(connection: Connection, old: StorageKey | None, new: StorageKey) -> int | None:
    holder = sealed_under(connection)
    if holder == new.id:
        return None
    wanted = None if old is None else old.id
    if holder != wanted:
        raise LockedDatabaseError(f"the database is {described(holder)}, not {described(wanted)}")
    seal: Seal = PLAIN if old is None else KeySeal(old)
    return reseal(connection, seal, KeySeal(new))


def _note_rewritten(connection: Connection) -> None:
    connection.execute(update(storage).values(is_rewritten=True))


def _rewrite_sqlite(path: Path, old: StorageKey | None, new: StorageKey) -> int | None:
    engine = _engine(path)
    try:
        with engine.connect() as connection, _as_unavailable():
            _take_alone(connection, path)
            with _transaction(connection, "BEGIN EXCLUSIVE"):
                count = _reseal(connection, old, new)
            connection.exec_driver_sql("VACUUM")
            with _transaction(connection, "BEGIN EXCLUSIVE"):
                _note_rewritten(connection)
            return count
    finally:
        engine.dispose()


def _take_alone(connection: Connection, path: Path) -> None:
    """Keep everybody else out. Leaving WAL mode needs that nobody has the file open; the relayer returns
    to it at its next start."""
    connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    connection.exec_driver_sql("PRAGMA secure_delete=ON")
    connection.exec_driver_sql("PRAGMA synchronous=FULL")
    connection.exec_driver_sql("PRAGMA foreign_keys=ON")
    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()
    connection.exec_driver_sql("PRAGMA locking_mode=EXCLUSIVE")
    try:
        mode = connection.exec_driver_sql("PRAGMA journal_mode=DELETE").scalar()
    except DBAPIError as error:
        if getattr(error.orig, "sqlite_errorcode", None) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        mode = None
    if mode != "delete":
        raise InUseError(f"{path} is in use; stop the relayer first")


def _engine(path: Path) -> Engine:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    return sqlalchemy.create_engine("sqlite://", creator=connect, poolclass=StaticPool, hide_parameters=True)


@contextmanager
def _transaction(connection: Connection, begin: str) -> Iterator[None]:
    """What SQLAlchemy calls a transaction is none here: the driver begins nothing by itself."""
    connection.exec_driver_sql(begin)
    try:
        yield
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise UnavailableError(f"database: {error.orig}") from error


async def _rewrite_postgres(url: str, old: StorageKey | None, new: StorageKey) -> int | None:
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    from ..engine.postgres import DRIVER, connect_arguments

    engine = create_async_engine(
        DRIVER, connect_args=connect_arguments(url), hide_parameters=True, poolclass=NullPool
    )
    with _as_unavailable():
        try:
            async with engine.begin() as connection:
                await connection.run_sync(_require_alone)
                count = await connection.run_sync(_reseal, old, new)
            async with engine.connect() as connection:
                alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
                for statement in WRITE_FILES_ANEW:
                    await alone.exec_driver_sql(statement)
                await alone.run_sync(_note_rewritten)
            return count
        finally:
            await engine.dispose()


def _require_alone(connection: Connection) -> None:
    """Refuse while others are connected; who comes later waits, and then finds another key: see
    `seal_to_write`."""
    names = ", ".join(table.name for table in (storage, *SIGNATURE_TABLES))
    activity: Any = sqlalchemy.table(
        "pg_stat_activity",
        *map(sqlalchemy.column, ("datname", "pid", "backend_type", "application_name")),
    )
    others = connection.scalars(
        select(activity.c.application_name).where(
            activity.c.datname == func.current_database(),
            activity.c.pid != func.pg_backend_pid(),
            activity.c.backend_type == "client backend",
        )
    ).all()
    if others:
        called = ", ".join(sorted({name or "without a name" for name in others}))
        raise InUseError(f"{len(others)} others are connected to the database ({called}); stop them first")
    connection.exec_driver_sql(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
