"""SQLite: one thread and connection that writes, one that reads beside it; durable when it returns."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError

from dvtfast.files import reason

from ....files.locks import lock_beside
from ....files.paths import of_database
from ....process import logs
from ....process.offload import UnavailableError, Workers

QUEUE_LIMIT = 1024
BUSY_SECONDS = 5  # how long another process may hold the file
LOOK_SECONDS = 0.05  # between two looks whether another relayer has ended

OWNER_MAY_READ_AND_WRITE = 0o600
OTHERS = stat.S_IRWXG | stat.S_IRWXO

T = TypeVar("T")

log = logs.get("database")


class SQLite:
    """A SQLite file of one relayer."""

    is_shared = False

    def __init__(self, url: str) -> None:
        self._path = sqlalchemy.make_url(url).database or ""
        _make_for_owner(self._path)
        self._file: tuple[int, int] | None = None  # device and inode
        self._lock: int | None = None  # descriptor
        self._writer = _engine(url, "BEGIN IMMEDIATE", "journal_mode=WAL", "synchronous=FULL")
        self._reader = _engine(url, "BEGIN", "query_only=ON")
        self._writing = Workers("database", threads=1, queue_limit=QUEUE_LIMIT)
        self._reading = Workers("database-read", threads=1, queue_limit=QUEUE_LIMIT)

    async def take(self) -> None:
        """Lock a file beside the database; the lock ends with the process."""
        await self._writing.run(self._take)

    async def write(self, transaction: Callable[[Connection], T], then: Callable[[T], None]) -> T:
        """Run a transaction and commit, then call `then` with its result on the same thread."""

        def work() -> T:
            result = self._run(self._writer, transaction)
            then(result)
            return result

        return await self._writing.run(work)

    async def read(self, transaction: Callable[[Connection], T]) -> T:
        """Run a transaction that only reads; it sees what was committed before the call."""
        return await self._reading.run(self._run, self._reader, transaction)

    async def listen(self, latest: Callable[[Connection], int], changed: Callable[[int], None]) -> None:
        """Nobody else writes to the file."""

    def notify(self, connection: Connection, revision: int) -> None:
        """Nobody else reads it."""

    async def close(self) -> None:
        """Finish the transactions under way and disconnect."""
        await self._reading.close()
        await self._writing.close()
        self._reader.dispose()
        self._writer.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take(self) -> None:
        deadline = time.monotonic() + BUSY_SECONDS  # perhaps the one before is about to end
        try:
            while (lock := lock_beside(Path(self._path))) is None:
                if time.monotonic() > deadline:
                    raise UnavailableError(
                        f"database: another relayer has {self._path}; several can share PostgreSQL only"
                    )
                time.sleep(LOOK_SECONDS)
        except OSError as error:
            lock_path = Path(f"{self._path}.lock")
            raise UnavailableError(f"database: {lock_path}: {reason(error, lock_path)}") from None
        self._lock = lock
        self._warn_of_readers()

    def _warn_of_readers(self) -> None:
        mode = stat.S_IMODE(Path(self._path).stat().st_mode)
        if mode & OTHERS:
            log.warning(
                "file is open to others", file=self._path, mode=f"{mode:03o}", do=f"chmod 600 {self._path}*"
            )

    def _run(self, engine: Engine, transaction: Callable[[Connection], T]) -> T:
        try:
            self._require_file()
            with engine.begin() as connection:
                result = transaction(connection)
            self._require_file()
        except DBAPIError as error:
            said = error.orig
            if isinstance(said, sqlite3.OperationalError):
                raise UnavailableError(f"database: {of_database(said, Path(self._path))}") from error
            raise UnavailableError(f"database: {said}") from error
        return result

    def _require_file(self) -> None:
        """What is written to a file that was removed, or replaced, is lost as soon as it is closed."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - once per transaction
        except OSError as error:
            if self._file is None:
                return  # it is made by the first transaction
            raise UnavailableError(f"database: {self._path} is gone: {error.strerror}") from None
        file = status.st_dev, status.st_ino
        self._file = self._file or file
        if file != self._file:
            raise UnavailableError(f"database: {self._path} was replaced; start the relayer again")


def _make_for_owner(path: str) -> None:
    """Make the file, if there is none, for nobody else to read: what it will hold can exit validators.

    SQLite gives the files beside it the same mode. One that is there is left alone: to close it ends locks.
    """
    with suppress(OSError):  # it is there, or SQLite says why it cannot be made
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, OWNER_MAY_READ_AND_WRITE))


def _engine(url: str, begin: str, *pragmas: str) -> Engine:
    engine = sqlalchemy.create_engine(url, hide_parameters=True)  # errors are logged

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        for pragma in (f"busy_timeout={BUSY_SECONDS * 1000}", "foreign_keys=ON", *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def set_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
