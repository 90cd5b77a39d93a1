"""The database fails under a running relayer: clear answers, nothing half written, recovery by itself."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from dvtfast.services.process.offload import UnavailableError
from dvtfast.services.relayer.store.engine import sqlite
from dvtfast.services.relayer.store.engine.database import Database

from ... import postgres as postgres_
from ...conftest import START_INDEX, Cluster, Relayer, Start, make_cluster
from ...patience import PATIENCE_SECONDS

INDICES = range(START_INDEX, START_INDEX + 3)


async def test_two_relayers_do_not_share_a_file(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    cluster = make_cluster(1)
    async with start(cluster):
        with pytest.raises(UnavailableError, match="another relayer has"):
            async with start(cluster):
                pass
    async with start(cluster) as relayer:
        assert await relayer.exits() == {}


async def require_put_off(relayer: Relayer, path: str = "/exits") -> None:
    status, answer = await relayer.raw("GET", path)
    assert status == 503
    assert answer["error"] == "not possible now, try again"


async def until_taken(relayer: Relayer, cluster: Cluster, share_index: int) -> None:
    """Post until it is acknowledged; every other answer is 503."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await status_of_post(relayer, cluster, share_index) != 200:  # noqa: ASYNC110 - the database comes back
            await asyncio.sleep(0.1)


async def status_of_post(relayer: Relayer, cluster: Cluster, share_index: int) -> int:
    shares = cluster.exit_shares(share_index, range(START_INDEX, START_INDEX + len(cluster.keys)))
    items = [
        {"public_key": s.public_key.to_wire(), "exit_signature": s.exit_signature.to_wire()} for s in shares
    ]
    async with relayer.session.post(
        f"{relayer.url}/exit-signature", json={"share_index": share_index, "shares": items}
    ) as answer:
        assert answer.status in (200, 503), await answer.text()
        assert answer.content_type == "application/json"
        return answer.status


@pytest.fixture
def server() -> Iterator[postgres_.Server]:
    with postgres_.server() as running:
        yield running


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_postgresql_that_is_stopped_and_started(
    start: Start, server: postgres_.Server, mode: str
) -> None:
    cluster = make_cluster()
    with capture_logs() as logs:
        async with start(cluster, database=await server.database()) as relayer:
            await relayer.ask(cluster)
            await relayer.fill(cluster, INDICES, 1)
            await asyncio.to_thread(server.stop, mode)
            await require_put_off(relayer)
            assert await status_of_post(relayer, cluster, 2) == 503
            await asyncio.to_thread(server.start)
            await until_taken(relayer, cluster, 2)
            assert all(e.share_indexes_ready == [1, 2] for e in (await relayer.exits()).values())
            await relayer.fill(cluster, INDICES, 3)
            await relayer.until_ready(cluster)
    assert postgres_.PASSWORD not in repr(logs)
    assert any("Connect call failed" in str(line.get("error")) for line in logs)


async def test_sessions_that_the_server_ends(start: Start, server: postgres_.Server) -> None:
    """As a failover, or an administrator, does it."""
    cluster = make_cluster()
    async with start(cluster, database=await server.database()) as relayer:
        await relayer.ask(cluster)
        for share_index in (1, 2, 3):
            await server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dvtfast'",
                "postgres",
            )
            await until_taken(relayer, cluster, share_index)
        await relayer.until_ready(cluster)


async def test_a_server_without_free_connections(start: Start) -> None:
    with postgres_.server("-c max_connections=8 -c superuser_reserved_connections=0") as server:
        cluster = make_cluster()
        url = await server.database()
        async with start(cluster, database=url) as relayer:
            await relayer.ask(cluster)
            others = []
            with suppress(asyncpg.TooManyConnectionsError):
                while True:
                    others.append(await server.connect("postgres"))
            with pytest.raises(UnavailableError, match="too many clients"):
                await Database.open(url)
            await until_taken(relayer, cluster, 1)  # it has its connections
            for other in others:
                await other.close()


async def test_a_postgresql_that_is_not_there() -> None:
    with pytest.raises(UnavailableError, match="Connect call failed") as caught:
        await Database.open("postgresql+asyncpg://me:open-sesame@127.0.0.1:1/relayer")
    assert "open-sesame" not in str(caught.value)


async def test_a_wrong_password_is_not_told(postgres: postgres_.Server) -> None:
    url = (await postgres.database()).replace(postgres_.PASSWORD, "other-word")
    with pytest.raises(UnavailableError, match="password authentication failed") as caught:
        await Database.open(url)
    assert "other-word" not in str(caught.value)


async def test_commits_are_durable_whatever_the_server_says(postgres: postgres_.Server) -> None:
    url = await postgres.database()
    name = postgres_.name_of(url)
    await postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = off", "postgres")
    database = await Database.open(url)
    setting = "SHOW synchronous_commit"
    assert await database.run(lambda c: c.exec_driver_sql(setting).scalar()) == "on"
    await database.close()


async def test_a_locked_sqlite_file(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    cluster = make_cluster()
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        with closing(sqlite3.connect(tmp_path / "relayer.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await status_of_post(relayer, cluster, 1) == 503
            assert all(e.share_indexes_ready == [] for e in (await relayer.exits()).values())  # readable
            other.execute("ROLLBACK")
        await relayer.fill(cluster, INDICES, 1, 2, 3)
        await relayer.until_ready(cluster)


async def test_a_sqlite_file_that_vanishes(start: Start, tmp_path: Path) -> None:
    """What is written to a file without a name is lost when it is closed."""
    cluster = make_cluster()
    path, elsewhere = tmp_path / "relayer.db", tmp_path / "elsewhere.db"
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        path.rename(elsewhere)
        assert await status_of_post(relayer, cluster, 1) == 503
        await require_put_off(relayer)
        path.write_bytes(elsewhere.read_bytes())
        assert await status_of_post(relayer, cluster, 1) == 503  # another file, older than what is served
        elsewhere.rename(path)
        await relayer.fill(cluster, INDICES, 1, 2, 3)
        await relayer.until_ready(cluster)


async def test_a_full_disk(tmp_path: Path, start: Start) -> None:
    """The process may write no larger files: SQLite is told what a full disk tells."""
    cluster = make_cluster()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        size = max(p.stat().st_size for p in tmp_path.glob("relayer.db*"))  # noqa: ASYNC240
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            assert await status_of_post(relayer, cluster, 1) == 503
            assert all(e.share_indexes_ready == [] for e in (await relayer.exits()).values())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        await relayer.fill(cluster, INDICES, 1, 2, 3)
        await relayer.until_ready(cluster)


async def test_a_postgresql_without_space(start: Start, postgres: postgres_.Server) -> None:
    """A trigger says what the server says; its own disk is the tests' disk."""
    cluster = make_cluster()
    url = await postgres.database()
    name = postgres_.name_of(url)
    async with start(cluster, database=url) as relayer:
        await relayer.ask(cluster)
        await postgres.execute(
            'CREATE FUNCTION "full"() RETURNS trigger LANGUAGE plpgsql AS'
            " $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;",
            name,
        )
        trigger = 'CREATE TRIGGER "full" AFTER INSERT ON shares FOR EACH ROW EXECUTE FUNCTION "full"()'
        await postgres.execute(trigger, name)
        assert await status_of_post(relayer, cluster, 1) == 503
        assert all(e.share_indexes_ready == [] for e in (await relayer.exits()).values())
        await postgres.execute('DROP TRIGGER "full" ON shares', name)
        await relayer.fill(cluster, INDICES, 1, 2, 3)
        await relayer.until_ready(cluster)
