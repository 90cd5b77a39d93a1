"""PostgreSQL: connections in one thread of their own; writers of all relayers go one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any, TypeVar

import asyncpg
import sqlalchemy.exc
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ....process import logs
from ....process.offload import DEADLINE_SECONDS, OverloadedError, UnavailableError
from ....settings import postgres_url

WRITERS_LOCK = 0x6476_7466_6173_7400  # "dvtfast"; whoever writes holds this advisory lock
CHANNEL = "dvtfast"
QUEUE_LIMIT = 1024
DRIVER = "postgresql+asyncpg://"  # the address is the driver's business
CONNECTIONS = 4  # one writes, one listens, the others read
CONNECT_SECONDS = 5
RECONNECT_SECONDS = 1.0
LOOK_SECONDS = 5.0  # between two looks whether the connection that listens is alive, and who hangs
CLOSE_SECONDS = 5.0
# A relayer that hangs, or whose machine is gone, must not keep the writers' lock.
HANG_SECONDS = 10.0
SESSION = {
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": f"{HANG_SECONDS:.0f}s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
READ_ONLY = "25006"  # the server was demoted
# PostgreSQL's own timeout does not see who hangs between two parts of a long statement.
END_WHO_HANGS = text(
    """
    SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32 | objid::bigint) = :key
        AND usename = current_user AND wait_event_type = 'Client'
        AND state_change < clock_timestamp() - make_interval(secs => :seconds)
    """
)

T = TypeVar("T")

log = logs.get("database")


class PostgreSQL:
    """A PostgreSQL database, which several relayers may share."""

    is_shared = True

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(
            DRIVER,
            hide_parameters=True,  # errors are logged
            pool_pre_ping=True,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=DEADLINE_SECONDS,
            connect_args=connect_arguments(url) | {"command_timeout": DEADLINE_SECONDS + CONNECT_SECONDS},
        )
        event.listen(self._engine.sync_engine, "connect", _set_up)
        # As serial as the lock makes them, writers see all that was committed before they got it.
        self._writing = self._engine.execution_options(isolation_level="READ COMMITTED")
        self._reading = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._under_way = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._writer = asyncio.Lock()  # a waiting transaction needs no connection
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="database", daemon=True)
        self._thread.start()

    async def take(self) -> None:
        """Other relayers may have it, too."""

    async def write(self, transaction: Callable[[Connection], T], then: Callable[[T], None]) -> T:
        """Run a transaction and commit, then call `then` with its result on the same thread."""

        def locked(connection: Connection) -> T:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITERS_LOCK})
            return transaction(connection)

        async def work() -> T:
            async with self._writer:
                return await self._begun(self._transact(self._writing, locked, then))

        return await self._run(work())

    async def read(self, transaction: Callable[[Connection], T]) -> T:
        """Run a transaction that only reads; it sees what was committed before the call."""
        return await self._run(self._transact(self._reading, transaction))

    async def listen(self, latest: Callable[[Connection], int], changed: Callable[[int], None]) -> None:
        """From now on call `changed` with the revisions that other relayers commit, on our thread.

        Args:
            latest: reads the latest revision, since some may be committed while nobody listens.
        """

        async def begin() -> None:
            self._listening = asyncio.create_task(self._listen(latest, changed))

        await self._run(begin())

    def notify(self, connection: Connection, revision: int) -> None:
        """Tell other relayers of the revision when the transaction is committed."""
        parameters = {"channel": CHANNEL, "payload": str(revision)}
        connection.execute(text("SELECT pg_notify(:channel, :payload)"), parameters)

    async def close(self) -> None:
        """Finish the transactions under way and disconnect."""
        if self._loop.is_closed():
            return
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._close(), self._loop))
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()

    async def _close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                # Reads that nobody waits for any more, too: their connections are being closed.
                while others := asyncio.all_tasks() - {asyncio.current_task()}:
                    await asyncio.wait(others)
        with suppress(TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._engine.dispose()

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """On our thread. What has not begun when its time is over is dropped."""
        if self._under_way >= QUEUE_LIMIT:
            work.close()
            raise OverloadedError("too much to do")
        self._under_way += 1
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
        finally:
            self._under_way -= 1

    async def _begun(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it to its end, though perhaps nobody waits for it any more."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # perhaps nobody else asks for it

    async def _transact(
        self,
        engine: AsyncEngine,
        transaction: Callable[[Connection], T],
        then: Callable[[T], None] | None = None,
    ) -> T:
        try:
            with _unavailable():
                async with engine.begin() as connection:
                    result = await connection.run_sync(transaction)
        except UnavailableError as error:
            if getattr(getattr(error.__cause__, "orig", None), "sqlstate", None) == READ_ONLY:
                await self._engine.dispose()  # perhaps new connections reach the server that can write
            raise
        if then is not None:
            then(result)
        return result

    async def _listen(self, latest: Callable[[Connection], int], changed: Callable[[int], None]) -> None:
        is_lost = False
        while True:
            try:
                with _unavailable():
                    async with self._reading.connect() as connection:
                        raw = (await connection.get_raw_connection()).driver_connection
                        assert raw is not None
                        lost = asyncio.Event()
                        raw.add_termination_listener(lambda _, lost=lost: lost.set())
                        try:
                            await raw.add_listener(CHANNEL, lambda *notice: changed(int(notice[3])))
                            while not lost.is_set():
                                changed(await connection.run_sync(latest))
                                await connection.run_sync(_end_who_hangs)
                                await connection.rollback()
                                if is_lost:
                                    log.info("listening to other relayers again")
                                    is_lost = False
                                with suppress(TimeoutError):
                                    await asyncio.wait_for(lost.wait(), LOOK_SECONDS)
                        finally:
                            await connection.invalidate()  # it listens; nobody else may have it
            except UnavailableError as error:
                if not is_lost:
                    log.warning("cannot listen to other relayers", error=str(error))
                is_lost = True
            await asyncio.sleep(RECONNECT_SECONDS)


def _end_who_hangs(connection: Connection) -> None:
    ended = connection.execute(END_WHO_HANGS, {"key": WRITERS_LOCK, "seconds": HANG_SECONDS}).all()
    if ended:
        log.warning("a relayer hung while it was writing: its connection was ended", connections=len(ended))


def connect_arguments(url: str) -> dict[str, Any]:
    """What asyncpg is told to connect to an address, which has libpq's options.

    Raises:
        UnavailableError: the address is none; the settings see to it.
    """
    try:
        address = postgres_url.read(url)
    except ValueError as error:
        raise UnavailableError(f"database: {error}") from None
    return {
        **address.arguments,
        "timeout": min(address.connect_seconds or CONNECT_SECONDS, DEADLINE_SECONDS),
        "server_settings": {"application_name": "dvtfast", **address.server_settings},
    }


def _set_up(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for name, value in SESSION.items():
        cursor.execute(f"SET {name} = '{value}'")
    cursor.execute("SELECT current_setting('synchronous_commit'), current_setting('fsync')")
    synchronous_commit, fsync = cursor.fetchone()
    if synchronous_commit == "off":
        cursor.execute("SET synchronous_commit = on")
    if fsync == "off":
        log.warning("the server runs with fsync=off: a power loss can lose what was acknowledged")
    cursor.close()
    connection.commit()


@contextmanager
def _unavailable() -> Iterator[None]:
    """Whatever the server or the network does is an UnavailableError; none of it has the password."""
    try:
        yield
    except sqlalchemy.exc.DBAPIError as error:
        cause = getattr(error.orig, "__cause__", None) or error.orig
        raise UnavailableError(f"database: {cause}") from error
    except (
        sqlalchemy.exc.TimeoutError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,  # TimeoutError is one
    ) as error:
        raise UnavailableError(f"database: {str(error) or type(error).__name__}") from error
