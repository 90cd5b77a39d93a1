"""The database: one writing transaction at a time, durable when it returns; readers do not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Concatenate, ParamSpec, Protocol, Self, TypeVar

import alembic.command
import alembic.config
import sqlalchemy
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select, update

from ..seals import PLAIN, Seal, hand_seal
from ..tables import forgotten, made_for, messages, tokens
from .revision_watch import RevisionWatch
from .sqlite import SQLite

MIGRATIONS = Path(__file__).parents[2] / "migrations"
VERSIONS = "alembic_version"  # the table that says which migrations were made
KEYS_PER_QUERY = 1000  # databases bound the parameters of a statement

TimedTransaction = Callable[[str, float, float], None]
"""Told of each transaction: "read" or "write", the seconds it waited for its turn, and those it took."""

P = ParamSpec("P")
T = TypeVar("T")


class ForeignDatabaseError(Exception):
    """The database holds what is not ours: other tables, or another network."""


class Engine(Protocol):
    """What runs transactions off the event loop; see sqlite.py and postgres.py.

    Attributes:
        is_shared: whether other relayers may have the same database.
    """

    is_shared: bool

    async def take(self) -> None:
        """Keep other relayers away where they cannot share the database."""

    async def write(self, transaction: Callable[[Connection], T], then: Callable[[T], None]) -> T:
        """Run a transaction and commit, then call `then` with its result on the same thread."""

    async def read(self, transaction: Callable[[Connection], T]) -> T:
        """Run a transaction that only reads; it sees what was committed before the call."""

    async def listen(self, latest: Callable[[Connection], int], changed: Callable[[int], None]) -> None:
        """From now on call `changed`, on any thread, with the revisions that other relayers commit.

        Args:
            latest: reads the latest revision.
        """

    def notify(self, connection: Connection, revision: int) -> None:
        """Tell other relayers of the revision when the transaction is committed."""

    async def close(self) -> None:
        """Finish the transactions under way and disconnect."""


class Database:
    """Runs transactions off the event loop, those that write one after the other."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._watch = RevisionWatch()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seal: Seal = PLAIN
        self._timed: TimedTransaction = lambda *_: None

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect and bring the schema up to date.

        Raises:
            ForeignDatabaseError: some other program's database, or a newer version's; it is left as it was.
            ImportError: PostgreSQL needs the extra `postgres`.
            UnavailableError: it cannot be opened.
        """
        database = cls(url)
        try:
            await database.read(_require_ours)
            await database.run(_migrate)
            database._note(await database.read(latest_revision), is_ours=True)
            await database._engine.listen(latest_revision, database._note)
        except BaseException:
            await database.close()
            raise
        return database

    async def take(self) -> None:
        """Have the database for one relayer, until it is closed, unless several may share it.

        Raises:
            UnavailableError: another relayer has it.
        """
        await self._engine.take()

    def use_seal(self, seal: Seal) -> None:
        """From now on transactions read and write signatures with this seal."""
        self._seal = seal

    def tell_times(self, timed: TimedTransaction) -> None:
        """From now on call this, on the event loop, when a transaction is over."""
        self._timed = timed

    @property
    def is_shared(self) -> bool:
        """Whether other relayers may have the same database."""
        return self._engine.is_shared

    async def run(
        self, transaction: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `transaction(connection, ...)` and commit; what it wrote then survives a power loss.

        Raises:
            UnavailableError: the database cannot do it now; nothing was written, or everything where
                the connection broke during the commit.
        """
        self._loop = asyncio.get_running_loop()
        asked = begun = perf_counter()

        def work(connection: Connection) -> tuple[T, int | None]:
            nonlocal begun
            begun = perf_counter()
            connection.info.pop(_REVISION, None)
            hand_seal(connection, self._seal)
            result = transaction(connection, *args, **kwargs)
            revision: int | None = connection.info.pop(_REVISION, None)
            if revision is not None:
                self._engine.notify(connection, revision)
            return result, revision

        def then(outcome: tuple[T, int | None]) -> None:
            if outcome[1] is not None:
                self._note(outcome[1], is_ours=True)

        try:
            return (await self._engine.write(work, then))[0]
        finally:
            self._timed("write", begun - asked, perf_counter() - begun)

    async def read(
        self, transaction: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `transaction(connection, ...)`, which only reads: what was committed before the call.

        Raises:
            UnavailableError: the database cannot do it now.
        """

        asked = begun = perf_counter()

        def work(connection: Connection) -> T:
            nonlocal begun
            begun = perf_counter()
            hand_seal(connection, self._seal)
            return transaction(connection, *args, **kwargs)

        try:
            return await self._engine.read(work)
        finally:
            self._timed("read", begun - asked, perf_counter() - begun)

    async def wait_for_change(self, revision: int, timeout_seconds: float) -> None:
        """Return as soon as anybody commits a revision above this one, or the time is over."""
        await self._watch.wait(revision, timeout_seconds)

    def when_others_change(self, callback: Callable[[], None]) -> None:
        """Call this, on the event loop, whenever another relayer changed something."""
        self._watch.call(callback)

    async def close(self) -> None:
        """Finish the transaction under way and disconnect."""
        await self._engine.close()

    def _note(self, revision: int, *, is_ours: bool = False) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(lambda: self._watch.note(revision, is_ours=is_ours))


def _engine(url: str) -> Engine:
    if url.startswith("sqlite"):
        return SQLite(url)
    from .postgres import PostgreSQL  # needs the extra `postgres`

    return PostgreSQL(url)


_REVISION = "dvtfast_revision"  # in `Connection.info`: what this transaction's changes have
# Made once: every transaction asks for it, and to make the statement takes longer than to run it.
_LATEST_REVISIONS = select(
    *(select(func.max(table.c.revision)).scalar_subquery() for table in (messages, forgotten, tokens))
)


def latest_revision(connection: Connection) -> int:
    """The revision of the last transaction that changed something; 0 for none."""
    return max(revision or 0 for revision in connection.execute(_LATEST_REVISIONS).one())


def begin_revision(connection: Connection) -> int:
    """The next revision, for what this transaction changes; call it only if it does change something."""
    revision = latest_revision(connection) + 1
    connection.info[_REVISION] = revision
    return revision


def touch(connection: Connection, message_ids: Iterable[int]) -> None:
    """Mark messages as changed: give them the next revision."""
    revision = latest_revision(connection) + 1
    for chunk in chunks(message_ids):
        change = update(messages).where(messages.c.id.in_(chunk)).values(revision=revision)
        if connection.execute(change).rowcount:  # else they were forgotten meanwhile
            connection.info[_REVISION] = revision


def chunks(keys: Iterable[T]) -> Iterator[list[T]]:
    """Keys in lists that fit into one statement."""
    iterator = iter(keys)
    while chunk := list(islice(iterator, KEYS_PER_QUERY)):
        yield chunk


def _require_ours(connection: Connection) -> None:
    """Look at a database before anything is changed in it.

    Raises:
        ForeignDatabaseError: another program made it, or a newer version of this one.
    """
    tables = set(sqlalchemy.inspect(connection).get_table_names())
    if tables and (VERSIONS not in tables or made_for.name not in tables):
        raise ForeignDatabaseError(f"it holds tables of another program: {', '.join(sorted(tables))}")
    if not tables:
        return
    scripts = ScriptDirectory(str(MIGRATIONS))
    known = {script.revision for script in scripts.walk_revisions()}
    versions = sqlalchemy.table(VERSIONS, sqlalchemy.column("version_num", sqlalchemy.String))
    found: set[str] = set(connection.scalars(select(versions.c.version_num)))
    if newer := found - known:
        raise ForeignDatabaseError(
            f"a newer version of dvtfast made it: its schema is {', '.join(sorted(newer))}, and this version"
            f" knows those up to {scripts.get_current_head()}; run the newer one, or restore the backup from"
            " before"
        )


def _migrate(connection: Connection) -> None:
    _require_ours(connection)
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")
