"""The database: one thread, one connection, one transaction per call, durable when it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import alembic.command
import alembic.config
import sqlalchemy
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, event, func, select, update
from sqlalchemy.exc import DBAPIError

from ...offload import UnavailableError, Workers
from .tables import forgotten, messages

MIGRATIONS = Path(__file__).parent.parent / "migrations"
QUEUE_LIMIT = 1024
BUSY_SECONDS = 5  # how long another process may hold a SQLite file
KEYS_PER_QUERY = 1000  # databases bound the parameters of a statement

P = ParamSpec("P")
T = TypeVar("T")


class ForeignDatabaseError(Exception):
    """The database holds what is not ours: other tables, or another network."""


class Database:
    """Runs transactions, one after the other, off the event loop."""

    def __init__(self, url: str) -> None:
        self._engine = _durable_engine(url)
        self._workers = Workers("database", threads=1, queue_limit=QUEUE_LIMIT)

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect and bring the schema up to date.

        Raises:
            ForeignDatabaseError: some other program's database.
            UnavailableError: it cannot be opened.
        """
        database = cls(url)
        try:
            await database.run(_migrate)
        except BaseException:
            await database.close()
            raise
        return database

    async def run(
        self, transaction: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `transaction(connection, ...)` and commit; what it wrote then survives a power loss.

        Raises:
            UnavailableError: the database cannot do it now; nothing was written.
        """

        def work() -> T:
            try:
                with self._engine.begin() as connection:
                    return transaction(connection, *args, **kwargs)
            except DBAPIError as error:
                raise UnavailableError(f"database: {error.orig}") from error

        return await self._workers.run(work)

    async def close(self) -> None:
        """Finish the transaction under way and disconnect."""
        await self._workers.close()
        self._engine.dispose()


def latest_revision(connection: Connection) -> int:
    """The revision of the last transaction that changed something; 0 for none."""
    columns = messages.c.revision, forgotten.c.revision
    return max(connection.scalar(select(func.max(column))) or 0 for column in columns)


def touch(connection: Connection, message_ids: Iterable[int]) -> None:
    """Mark messages as changed: give them the next revision."""
    revision = latest_revision(connection) + 1
    for chunk in chunks(message_ids):
        connection.execute(update(messages).where(messages.c.id.in_(chunk)).values(revision=revision))


def chunks(keys: Iterable[T]) -> Iterator[list[T]]:
    """Keys in lists that fit into one statement."""
    iterator = iter(keys)
    while chunk := list(islice(iterator, KEYS_PER_QUERY)):
        yield chunk


def _durable_engine(url: str) -> Engine:
    engine = sqlalchemy.create_engine(url, hide_parameters=True)  # errors are logged

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        for pragma in (
            f"busy_timeout={BUSY_SECONDS * 1000}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _migrate(connection: Connection) -> None:
    tables = set(sqlalchemy.inspect(connection).get_table_names())
    if tables and "alembic_version" not in tables:
        raise ForeignDatabaseError(f"it holds tables of another program: {', '.join(sorted(tables))}")
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    try:
        alembic.command.upgrade(config, "head")
    except CommandError as error:  # a revision that we do not have
        raise ForeignDatabaseError(f"it was made by another program or a newer version: {error}") from None
