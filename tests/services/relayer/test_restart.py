"""What survives: a restart, kill -9, another configuration; and how the process starts and stops."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from dvtfast import HOODI
from dvtfast.obol import build_cluster_lock, write_cluster_lock
from dvtfast.protocol_config import write_oracle_config
from dvtfast.services.process.offload import UnavailableError
from dvtfast.services.relayer.store.engine.database import Database, ForeignDatabaseError
from dvtfast.services.relayer_client.client import RelayerClient

from ..conftest import START_INDEX, Oracles, Relayer, Start, make_cluster
from ..patience import PATIENCE_SECONDS
from .test_shares import wrong

INDICES = range(START_INDEX, START_INDEX + 3)


async def test_everything_is_there_after_a_restart(start: Start) -> None:
    cluster = make_cluster()
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        await relayer.post(2, wrong(cluster.exit_shares(2, INDICES)))
        await relayer.fill(cluster, INDICES, 1, 3)
        exits = await relayer.until(lambda e: all(x.share_indexes_rejected for x in e.values()))
    async with start(cluster) as relayer:
        assert await relayer.exits() == exits
        await relayer.fill(cluster, INDICES, 4)
        answer = await relayer.until_ready(cluster)
    async with start(cluster, start_index=5) as relayer:
        assert await relayer.ask(cluster) == answer


async def test_shares_that_wait_for_a_lower_threshold(start: Start) -> None:
    """What a new configuration can decide is decided at start."""
    cluster = make_cluster(threshold=2)
    async with start(signature_threshold=4) as relayer:
        await relayer.ask(cluster)
        await relayer.fill(cluster, INDICES, 1, 3)
    async with start(signature_threshold=2) as relayer:
        await relayer.until_ready(cluster)


async def test_a_cluster_that_becomes_known_finds_its_culprits(start: Start) -> None:
    cluster = make_cluster()
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster)
        await relayer.post(2, wrong(cluster.exit_shares(2, INDICES)))
        await relayer.fill(cluster, INDICES, 1, 3)
        await asyncio.sleep(0.2)
    async with start(cluster) as relayer:
        await relayer.until(lambda e: all(x.share_indexes_rejected == [2] for x in e.values()))


async def test_shares_of_no_node_keep_no_node_of_a_cluster_out(start: Start) -> None:
    cluster = make_cluster()
    async with start(signature_threshold=4) as relayer:
        await relayer.ask(cluster)
        for share_index in (5, 6, 7, 8):
            await relayer.post(share_index, wrong(cluster.exit_shares(1, INDICES)))
    async with start(cluster) as relayer:
        await relayer.fill(cluster, INDICES, 1, 2, 3, 4)
        await relayer.until_ready(cluster)


async def test_a_cluster_that_is_gone_holds_up_nobody(start: Start) -> None:
    gone, here = make_cluster(name="gone"), make_cluster(name="here")
    async with start(gone, here) as relayer:
        await relayer.ask(gone)
        await relayer.ask(here)
        await relayer.fill(gone, INDICES, 1, 2)
    async with start(here) as relayer:
        await relayer.fill(here, range(START_INDEX + 3, START_INDEX + 6), 1, 2, 3)
        await relayer.until_ready(here)
        assert len(await relayer.post(3, gone.exit_shares(3, INDICES))) == 3


def files_in(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


async def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """It may be in use: nothing of it changes, the mode of its journal neither. Others use alembic, too."""
    path = tmp_path / "other.db"
    for table in ("validators (id INTEGER)", "alembic_version (version_num TEXT)"):
        with sqlite3.connect(path) as other:
            other.execute(f"CREATE TABLE {table}")
        other.close()
        before = path.read_bytes()
        with pytest.raises(ForeignDatabaseError, match=r"tables of another program: .*validators"):
            await Database.open(f"sqlite:///{path}")
        assert path.read_bytes() == before
        assert files_in(tmp_path) == [path]


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/newer.db")
    await database.close()
    with sqlite3.connect(tmp_path / "newer.db") as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
        newer.execute("PRAGMA journal_mode=DELETE")
    newer.close()
    before = (tmp_path / "newer.db").read_bytes()
    wanted = "a newer version of dvtfast made it: its schema is 9999, and this version knows those up to 0"
    with pytest.raises(ForeignDatabaseError, match=wanted):
        await Database.open(f"sqlite:///{tmp_path}/newer.db")
    assert (tmp_path / "newer.db").read_bytes() == before


async def test_a_database_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="unable to open"):
        await Database.open(f"sqlite:///{tmp_path}/no/such/directory/relayer.db")


async def test_a_database_is_for_one_network(tmp_path: Path, oracles: Oracles) -> None:
    relayers = Process(tmp_path, oracles)
    async with relayers.running():
        pass
    process = await launch(
        tmp_path,
        *("--network", "mainnet", "--oracles", "oracles.json", "--signature-threshold", "3", "--port", "0"),
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"the database is for hoodi, not for mainnet" in errors
    async with relayers.running():
        pass


async def launch(directory: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "dvtfast.services", "relayer", "--log-format", "json", *arguments),
        stderr=asyncio.subprocess.PIPE,
        cwd=directory,
    )


class Process:
    """`dvtfast relayer` on real files, as a process of its own."""

    def __init__(self, directory: Path, oracles: Oracles) -> None:
        self.directory = directory
        self.cluster = make_cluster()
        lock = build_cluster_lock(
            self.cluster.secret_keys,
            self.cluster.key_shares,
            threshold=3,
            network=HOODI,
            node_secret_keys=[bytes([i]) * 32 for i in range(1, 5)],
            withdrawal_address=bytes(20),
            fee_recipient=bytes(20),
        )
        write_cluster_lock(directory / "cluster-lock.json", lock)
        write_oracle_config(directory / "oracles.json", oracles.config)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[asyncio.subprocess.Process, Relayer]]:
        process = await launch(
            self.directory,
            *("--network", "hoodi", "--oracles", "oracles.json", "--cluster-lock", "cluster-lock.json"),
            *("--port", "0", "--start-index", str(START_INDEX)),
        )
        assert process.stderr is not None
        try:
            line = json.loads(await process.stderr.readline())
            assert line["event"] == "listening"
            url = f"http://127.0.0.1:{line['port']}"
            async with (
                RelayerClient(url, timeout_seconds=20, attempts=1) as client,
                aiohttp.ClientSession() as session,
            ):
                yield process, Relayer(url, client, session)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, oracles: Oracles) -> None:
    relayers = Process(tmp_path, oracles)
    cluster = relayers.cluster
    async with relayers.running() as (process, relayer):
        await relayer.ask(cluster)
        await relayer.fill(cluster, INDICES, 1)
        process.kill()
    async with relayers.running() as (process, relayer):
        assert all(e.share_indexes_ready == [1] for e in (await relayer.exits()).values())
        await relayer.fill(cluster, INDICES, 2)
        await relayer.fill(cluster, INDICES, 4)
        process.kill()  # in the middle of the batch
    async with relayers.running() as (process, relayer):
        answer = await relayer.until_ready(cluster)
        process.kill()
    async with relayers.running() as (process, relayer):
        assert await relayer.ask(cluster) == answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_when_told(tmp_path: Path, oracles: Oracles, number: signal.Signals) -> None:
    relayers = Process(tmp_path, oracles)
    async with relayers.running() as (process, relayer):
        await relayer.ask(relayers.cluster)
        process.send_signal(number)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await process.wait() == 0


async def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "junk.json").write_text("{")
    process = await launch(
        tmp_path,
        *("--network", "hoodi", "--oracles", "junk.json", "--cluster-lock", "junk.json"),
        *("--ssv-keyshares", "junk.json"),
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert errors.count(b"error: ") == 3
