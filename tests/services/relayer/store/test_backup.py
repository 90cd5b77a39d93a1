"""A copy of the database while the relayer runs, and what it serves afterwards."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from dvtfast.services.cli import main
from dvtfast.services.process.offload import UnavailableError
from dvtfast.services.relayer.storage_key import make_storage_key
from dvtfast.services.relayer.store.engine.backup import BackupError, back_up
from dvtfast.services.relayer.store.engine.database import ForeignDatabaseError

from ...conftest import START_INDEX, Start, make_cluster

INDICES = range(START_INDEX, START_INDEX + 3)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def test_a_backup_of_a_running_relayer_serves_the_same(start: Start, tmp_path: Path) -> None:
    cluster = make_cluster()
    database, copy = tmp_path / "relayer.db", tmp_path / "copy.db"
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        await relayer.fill(cluster, INDICES, 1, 2, 3)
        answer = await relayer.until_ready(cluster)
        assert (tmp_path / "relayer.db-wal").stat().st_size > 0  # not in the file yet
        await asyncio.to_thread(back_up, database, copy)
        later = make_cluster(1, name="later")
        await relayer.fill(cluster, INDICES, 4)  # it goes on
    assert copy.stat().st_mode & 0o777 == 0o600
    assert {name for name in names(tmp_path) if "copy" in name} == {"copy.db"}
    async with start(cluster, later, database=f"sqlite:///{copy}") as relayer:
        assert await relayer.ask(cluster) == answer
        await relayer.ask(later)


async def test_every_backup_during_a_round_is_whole(start: Start, tmp_path: Path) -> None:
    cluster = make_cluster(40)
    indices = range(START_INDEX, START_INDEX + 40)
    copies = [tmp_path / f"copy{n}.db" for n in range(6)]
    async with start(cluster) as relayer:
        await relayer.ask(cluster)

        async def copy_all() -> None:
            for copy in copies:
                await asyncio.to_thread(back_up, tmp_path / "relayer.db", copy)

        await asyncio.gather(relayer.fill(cluster, indices, 1, 2, 3), copy_all())
        answer = await relayer.until_ready(cluster)
    for copy in copies:
        connection = sqlite3.connect(copy)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        per_node = "SELECT count(*) FROM shares GROUP BY share_index"  # a request is one transaction
        assert {count for (count,) in connection.execute(per_node)} <= {40}
        connection.close()
    async with start(cluster, database=f"sqlite:///{copies[-1]}") as relayer:
        await relayer.fill(cluster, indices, 1, 2, 3)
        assert (await relayer.until_ready(cluster)).ready is answer.ready


async def test_a_sealed_database_has_sealed_backups(start: Start, tmp_path: Path) -> None:
    make_storage_key(key_file := tmp_path / "storage.key")
    cluster = make_cluster()
    posted = {i: cluster.exit_shares(i, INDICES) for i in (1, 2)}
    async with start(cluster, storage_key_file=key_file) as relayer:
        await relayer.ask(cluster)
        await relayer.fill(cluster, INDICES, 1, 2)
        back_up(tmp_path / "relayer.db", tmp_path / "copy.db")
    content = (tmp_path / "copy.db").read_bytes()
    assert not any(share.exit_signature in content for of_index in posted.values() for share in of_index)
    async with start(cluster, storage_key_file=key_file, database=f"sqlite:///{tmp_path}/copy.db") as relayer:
        await relayer.fill(cluster, INDICES, 3)
        await relayer.until_ready(cluster)


async def test_nothing_is_overwritten(start: Start, tmp_path: Path) -> None:
    async with start(make_cluster(1)):
        pass
    copy = tmp_path / "copy.db"
    copy.write_text("mine")
    with pytest.raises(BackupError, match="not overwritten"):
        back_up(tmp_path / "relayer.db", copy)
    assert copy.read_text() == "mine"
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(BackupError, match="not overwritten"):
        back_up(tmp_path / "relayer.db", link)
    with pytest.raises(BackupError, match="no such directory"):
        back_up(tmp_path / "relayer.db", tmp_path / "no" / "copy.db")


async def test_what_is_no_database_of_ours(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no such database"):
        back_up(tmp_path / "none.db", tmp_path / "copy.db")
    (tmp_path / "text.db").write_text("text " * 1000)
    with pytest.raises(UnavailableError, match="not a database"):
        back_up(tmp_path / "text.db", tmp_path / "copy.db")
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE other (id INTEGER)").connection.close()
    with pytest.raises(ForeignDatabaseError, match="not the database of a relayer"):
        back_up(tmp_path / "other.db", tmp_path / "copy.db")
    assert names(tmp_path) == {"other.db", "text.db"}


async def test_the_command(start: Start, tmp_path: Path) -> None:
    async with start(make_cluster(1)):
        pass
    copy = tmp_path / "copy.db"
    arguments = ["relayer", "backup", "--database", f"{tmp_path}/relayer.db", str(copy)]
    first, second = (CliRunner().invoke(main, arguments) for _ in range(2))
    assert (first.exit_code, copy.exists()) == (0, True)
    assert (second.exit_code, "not overwritten" in second.output) == (1, True)
    misplaced = CliRunner().invoke(main, ["relayer", "--database", "x", "backup", "y"])
    assert (misplaced.exit_code, "--database: expected after" in misplaced.output) == (2, True)


def test_postgresql_has_its_own() -> None:
    arguments = ["relayer", "backup", "--database", "postgresql://u:secret@host/relayer", "relayer.dump"]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, "pg_dump --format=custom" in result.output) == (2, True)
    assert "secret" not in result.output
