"""Signatures at rest: sealed, bound to their rows, encrypted and rotated in place."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest
import sqlalchemy
from click.testing import CliRunner
from sqlalchemy import Connection, select
from structlog.testing import capture_logs

from dvtfast.services import wire
from dvtfast.services.cli import main
from dvtfast.services.relayer.storage_key import StorageKeyError, make_storage_key, read_storage_key
from dvtfast.services.relayer.store.engine.database import Database
from dvtfast.services.relayer.store.nodes.partial_signatures import OfferedShare, add_shares
from dvtfast.services.relayer.store.operators.index_assignment import IndexRule, ask_for
from dvtfast.services.relayer.store.sealing.key_check import LockedDatabaseError, unlock
from dvtfast.services.relayer.store.sealing.rewrite import InUseError, rewrite
from dvtfast.services.relayer.store.seals import (
    DamagedError,
    Identity,
    KeySeal,
    OtherKeyError,
    Plain,
    StorageKey,
    key_name,
    sealed_under,
)
from dvtfast.services.relayer.store.tables import MessageKind, from_uint64, messages, shares, storage, uint64

from ... import postgres as postgres_
from ...conftest import START_INDEX, Start, make_cluster
from ...patience import PATIENCE_SECONDS
from ..test_shares import wrong

INDICES = range(START_INDEX, START_INDEX + 3)
SIGNATURE = bytes(range(96))
WHOSE = Identity(bytes(48), MessageKind.EXIT, uint64(7), uint64(1))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    make_storage_key(tmp_path / "storage.key")
    return tmp_path / "storage.key"


@pytest.fixture
def new_key_file(tmp_path: Path) -> Path:
    make_storage_key(tmp_path / "new.key")
    return tmp_path / "new.key"


class TestSeal:
    def test_what_is_sealed_opens(self) -> None:
        seal = KeySeal(StorageKey(os.urandom(32)))
        kept = seal.seal(WHOSE, SIGNATURE)
        assert seal.open(WHOSE, kept) == SIGNATURE
        assert SIGNATURE[:8] not in kept
        assert kept != seal.seal(WHOSE, SIGNATURE)

    @pytest.mark.parametrize(
        "other",
        [
            WHOSE._replace(public_key=b"\1" * 48),
            WHOSE._replace(kind=MessageKind.DEPOSIT),
            WHOSE._replace(subject=uint64(8)),
            WHOSE._replace(share_index=uint64(2)),
            WHOSE._replace(share_index=b""),
        ],
    )
    def test_only_where_it_was_sealed(self, other: Identity) -> None:
        seal = KeySeal(StorageKey(os.urandom(32)))
        with pytest.raises(DamagedError, match="changed or moved"):
            seal.open(other, seal.seal(WHOSE, SIGNATURE))

    def test_every_byte_counts(self) -> None:
        seal = KeySeal(StorageKey(os.urandom(32)))
        kept = seal.seal(WHOSE, SIGNATURE)
        for position in range(len(kept)):
            changed = bytearray(kept)
            changed[position] ^= 1
            with pytest.raises((DamagedError, OtherKeyError)):
                seal.open(WHOSE, bytes(changed))
        for length in (0, 1, 6, 18, 33, len(kept) - 1):
            with pytest.raises((DamagedError, OtherKeyError)):
                seal.open(WHOSE, kept[:length])
        with pytest.raises(DamagedError):  # who puts plaintext there
            seal.open(WHOSE, b"\x80" + SIGNATURE[1:])

    def test_another_key_is_named(self) -> None:
        own, other = StorageKey(os.urandom(32)), StorageKey(os.urandom(32))
        kept = KeySeal(own).seal(WHOSE, SIGNATURE)
        with pytest.raises(OtherKeyError, match=f"{key_name(own.id)}, not {key_name(other.id)}"):
            KeySeal(other).open(WHOSE, kept)
        with pytest.raises(OtherKeyError, match="--storage-key-file"):
            Plain().open(WHOSE, kept)

    def test_a_key_is_not_shown(self) -> None:
        secret = b"open sesame, open sesame, open s"
        key = StorageKey(secret)
        assert repr(key) == f"StorageKey({key_name(key.id)})"
        assert "sesame" not in str(key) + repr(vars(KeySeal(key)))


class TestKeyFile:
    def test_both_forms(self, tmp_path: Path) -> None:
        secret = bytes(range(32))
        raw, digits, prefixed = (tmp_path / name for name in ("raw", "digits", "prefixed"))
        raw.write_bytes(secret)
        digits.write_text(secret.hex() + "\n")
        prefixed.write_text("0x" + secret.hex().upper() + "\r\n")
        assert {read_storage_key(path).id for path in (raw, digits, prefixed)} == {StorageKey(secret).id}

    @pytest.mark.parametrize(
        "content", [b"", b"a" * 31, b"z" * 64, b"ab" * 31, b"ab" * 33, bytes(32), b"\xff" * 64]
    )
    def test_what_is_no_key(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(StorageKeyError, match=r"bad: .*dvtfast relayer storage-key FILE"):
            read_storage_key(tmp_path / "bad")

    def test_who_else_may_read_it_is_warned_of(self, key_file: Path) -> None:
        with capture_logs() as lines:
            read_storage_key(key_file)
            assert lines == []
            key_file.chmod(0o640)
            read_storage_key(key_file)
        assert [line["do"] for line in lines] == [f"chmod 600 {key_file}"]

    def test_one_is_made_once(self, tmp_path: Path) -> None:
        file = tmp_path / "made.key"
        first = CliRunner().invoke(main, ["relayer", "storage-key", str(file)])
        assert first.exit_code == 0
        assert key_name(read_storage_key(file).id) in first.output
        assert file.stat().st_mode & 0o777 == 0o600
        content = file.read_text()
        assert content.strip() not in first.output
        again = CliRunner().invoke(main, ["relayer", "storage-key", str(file)])
        assert again.exit_code == 1
        assert "not overwritten" in again.output
        assert file.read_text() == content


def held_anywhere(directory: Path, signatures: Iterable[bytes]) -> int:
    """How many of the signatures are in the bytes of any file of the database."""
    content = b"".join(path.read_bytes() for path in sorted(directory.glob("relayer.db*")))
    return sum(signature in content for signature in signatures)


def recovered(cluster_directory: Path) -> list[bytes]:
    with sqlite3.connect(cluster_directory / "relayer.db") as database:
        found = [signature for (signature,) in database.execute("SELECT signature FROM signatures")]
    database.close()
    return found


class TestRelayer:
    async def test_a_round_with_a_key_and_a_restart(
        self, start: Start, tmp_path: Path, key_file: Path
    ) -> None:
        cluster = make_cluster()
        posted = {i: cluster.exit_shares(i, INDICES) for i in (1, 3, 4)}
        known = [share.exit_signature for of_index in posted.values() for share in of_index]
        async with start(cluster, storage_key_file=key_file) as relayer:
            await relayer.ask(cluster)
            await relayer.post(2, wrong(cluster.exit_shares(2, INDICES)))
            await relayer.fill(cluster, INDICES, 1, 3)
            await relayer.until(lambda e: all(x.share_indexes_rejected == [2] for x in e.values()))
            await relayer.fill(cluster, INDICES, 1, 3)  # which are compared with what is held
            assert held_anywhere(tmp_path, known) == 0
        async with start(cluster, storage_key_file=key_file) as relayer:
            await relayer.fill(cluster, INDICES, 4)
            answer = await relayer.until_ready(cluster)
            assert held_anywhere(tmp_path, known) == 0
        async with start(cluster, storage_key_file=key_file) as relayer:
            assert await relayer.ask(cluster) == answer
        assert all(len(kept) > 96 for kept in recovered(tmp_path))

    async def test_late_shares_move_sealed(self, start: Start, key_file: Path) -> None:
        cluster = make_cluster(1)
        old, new = [START_INDEX], [START_INDEX + 9]
        async with start(cluster, storage_key_file=key_file) as relayer:
            await relayer.ask(cluster, old[0])
            await relayer.ask(cluster, new[0])
            await relayer.fill(cluster, old, 1, 2, 3)  # unnamed, so taken for the current index
            await relayer.until(lambda e: all(x.share_indexes_ready == [] for x in e.values()))
            await relayer.ask(cluster, old[0])
            await relayer.until_ready(cluster)

    async def test_the_wrong_key_and_none(self, start: Start, key_file: Path, new_key_file: Path) -> None:
        cluster = make_cluster(1)
        async with start(cluster, storage_key_file=key_file) as relayer:
            await relayer.ask(cluster)
        own, other = (key_name(read_storage_key(file).id) for file in (key_file, new_key_file))
        with pytest.raises(LockedDatabaseError, match=f"{own}.*--storage-key-file"):
            async with start(cluster):
                pass
        with pytest.raises(LockedDatabaseError, match=f"{own}.*{other}"):
            async with start(cluster, storage_key_file=new_key_file):
                pass

    async def test_a_key_on_plaintext(self, start: Start, key_file: Path) -> None:
        cluster = make_cluster(1)
        async with start(cluster) as relayer:
            await relayer.ask(cluster)
        async with start(cluster, storage_key_file=key_file):
            pass  # nothing was signed

    async def test_a_key_on_plaintext_signatures(self, start: Start, key_file: Path) -> None:
        cluster = make_cluster(1)
        async with start(cluster) as relayer:
            await relayer.ask(cluster)
            await relayer.fill(cluster, INDICES[:1], 1)
        with pytest.raises(LockedDatabaseError, match="dvtfast relayer encrypt-storage"):
            async with start(cluster, storage_key_file=key_file):
                pass
        async with start(cluster) as relayer:
            await relayer.fill(cluster, INDICES[:1], 2, 3)
            await relayer.until_ready(cluster)

    @pytest.mark.parametrize(
        "change",
        [
            # another row's
            "(SELECT signature FROM shares AS other WHERE other.share_index = shares.share_index"
            " AND other.message_id != shares.message_id)",
            "CAST(x'01' || 'other' || substr(signature, 7) AS BLOB)",  # as if under another key
            "zeroblob(96)",  # plaintext
        ],
    )
    async def test_a_value_that_was_changed_is_named_and_asked_for_again(
        self, start: Start, tmp_path: Path, key_file: Path, change: str
    ) -> None:
        cluster = make_cluster(2)
        async with start(cluster, storage_key_file=key_file) as relayer:
            await relayer.ask(cluster)
            await relayer.fill(cluster, INDICES[:2], 1, 2)
        with sqlite3.connect(tmp_path / "relayer.db") as database:
            database.execute(
                f"UPDATE shares SET signature = {change}"
                " WHERE share_index = ? AND message_id = (SELECT min(message_id) FROM shares)",
                (uint64(2),),
            )
        database.close()
        with capture_logs() as lines:
            async with start(cluster, storage_key_file=key_file) as relayer:
                await relayer.fill(cluster, INDICES[:2], 3)
                key = cluster.keys[0]
                await relayer.until(lambda e: e[key].share_indexes_rejected == [2])
                await relayer.fill(cluster, INDICES[:2], 2)
                await relayer.until_ready(cluster)
        errors = [line["error"] for line in lines if line["event"] == "share damaged"]
        assert f"share 2 of {key.to_wire()}" in errors[0]

    async def test_the_database_gets_a_key_while_a_relayer_runs_without(self, database_url: str) -> None:
        """On PostgreSQL nothing keeps another process out."""
        database = await Database.open(database_url)
        cluster = make_cluster(1)

        def offer(connection: Connection) -> list[str]:
            offered = OfferedShare(cluster.keys[0], MessageKind.EXIT, SIGNATURE, None, 4)
            return add_shares(connection, 1, [offered], threshold_of=lambda _: 3, now=0)

        await database.run(ask, cluster.keys)
        await database.run(unlock, StorageKey(os.urandom(32)))
        with pytest.raises(OtherKeyError, match="start again with its key"):
            await database.run(offer)
        await database.close()


def ask(connection: Connection, keys: list[wire.PublicKey]) -> None:
    ask_for(connection, keys, IndexRule(START_INDEX), window=0, config_digest=bytes(32), now=0)


N_VALIDATORS = 1500
N_NODES = 4


async def filled(url: str, validators: int = N_VALIDATORS) -> dict[Identity, bytes]:
    """A plaintext database with shares that are only bytes."""
    random = Random(1)
    keys = [wire.PublicKey(random.randbytes(48)) for _ in range(validators)]
    held: dict[Identity, bytes] = {}
    database = await Database.open(url)
    await database.run(ask, keys)
    for index in range(1, N_NODES + 1):
        offered = []
        for offset, key in enumerate(keys):
            signature = random.randbytes(96)
            held[Identity(key, MessageKind.EXIT, uint64(START_INDEX + offset), uint64(index))] = signature
            offered.append(OfferedShare(key, MessageKind.EXIT, signature, None, N_NODES))
        await database.run(add_shares, index, offered, threshold_of=lambda _: None, now=0)
    await database.close()
    return held


async def content(url: str, *keys: StorageKey) -> tuple[bytes | None, dict[Identity, bytes]]:
    """The id of the key, and all shares, opened with that one of the keys that sealed them."""
    database = await Database.open(url)

    def read(connection: Connection) -> tuple[bytes | None, dict[Identity, bytes]]:
        holder = sealed_under(connection)
        seal = next((KeySeal(key) for key in keys if key.id == holder), Plain())
        query = select(
            messages.c.public_key,
            messages.c.kind,
            messages.c.subject,
            shares.c.share_index,
            shares.c.signature,
        ).join(shares, shares.c.message_id == messages.c.id)
        return holder, {
            Identity(*row[:4]): seal.open(Identity(*row[:4]), row.signature)
            for row in connection.execute(query)
        }

    found = await database.read(read)
    await database.close()
    return found


def command(name: str, database: str, *keys: Path) -> list[str]:
    flags = [
        f"{flag}={key}"
        for flag, key in zip(("--storage-key-file", "--new-storage-key-file"), keys, strict=False)
    ]
    return ["relayer", name, "--database", database, *flags]


async def run(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dvtfast.services", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


class TestEncryptStorage:
    async def test_nothing_readable_is_left(
        self, tmp_path: Path, database_url: str, key_file: Path, new_key_file: Path
    ) -> None:
        held = await filled(database_url, 300)
        with sqlite3.connect(tmp_path / "relayer.db") as database:  # free pages
            database.execute("PRAGMA secure_delete=OFF")
            database.execute("DELETE FROM shares WHERE share_index = ?", (uint64(4),))
        database.close()
        assert held_anywhere(tmp_path, held.values()) > 1100
        status, output = await run(*command("encrypt-storage", database_url, key_file))
        assert (status, "900 signatures are sealed" in output, "older backups" in output) == (0, True, True)
        assert held_anywhere(tmp_path, held.values()) == 0
        old, new = read_storage_key(key_file), read_storage_key(new_key_file)
        left = {identity: kept for identity, kept in held.items() if from_uint64(identity.share_index) < 4}
        assert await content(database_url, old) == (old.id, left)
        again = await run(*command("encrypt-storage", database_url, key_file))
        assert (again[0], "sealed under storage key" in again[1]) == (0, True)

        status, output = await run(*command("encrypt-storage", database_url, new_key_file))
        assert (status, f"under storage key {key_name(old.id)}, not without" in output) == (1, True)
        status, output = await run(*command("rotate-storage-key", database_url, new_key_file, key_file))
        assert status == 0  # nothing to do: it is sealed under the key that was to come
        status, output = await run(*command("rotate-storage-key", database_url, key_file, new_key_file))
        assert (status, "900 signatures are sealed" in output) == (0, True)
        assert await content(database_url, new) == (new.id, left)

    async def test_not_while_a_relayer_runs(
        self, start: Start, tmp_path: Path, database_url: str, key_file: Path
    ) -> None:
        cluster = make_cluster(1)
        async with start(cluster) as relayer:
            await relayer.ask(cluster)
            await relayer.fill(cluster, INDICES[:1], 1)
            status, output = await run(*command("encrypt-storage", database_url, key_file))
            assert (status, "in use; stop the relayer first" in output) == (1, True)
            await relayer.fill(cluster, INDICES[:1], 2)
        status, output = await run(*command("encrypt-storage", database_url, key_file))
        assert (status, "2 signatures are sealed" in output) == (0, True)
        async with start(cluster, storage_key_file=key_file) as relayer:
            await relayer.fill(cluster, INDICES[:1], 3)
            await relayer.until_ready(cluster)

    async def test_damage_is_named_and_changes_nothing(
        self, database_url: str, tmp_path: Path, key_file: Path, new_key_file: Path
    ) -> None:
        await filled(database_url, 3)
        old, new = read_storage_key(key_file), read_storage_key(new_key_file)
        assert await rewrite(database_url, None, old) == 12
        with sqlite3.connect(tmp_path / "relayer.db") as database:
            database.execute(
                "UPDATE shares SET signature = zeroblob(130) WHERE message_id = 2 AND share_index = ?",
                (uint64(3),),
            )
        database.close()
        with pytest.raises(DamagedError, match="share 3 of 0x"):
            await rewrite(database_url, old, new)
        reopened = await Database.open(database_url)
        assert await reopened.run(unlock, old)
        await reopened.close()

    async def test_kill_9_leaves_what_one_of_both_opens(
        self, tmp_path: Path, database_url: str, key_file: Path, new_key_file: Path
    ) -> None:
        held = await filled(database_url)
        old, new = read_storage_key(key_file), read_storage_key(new_key_file)
        random = Random(4)
        for name, keys, before, after in (
            ("encrypt-storage", [key_file], None, old.id),
            ("rotate-storage-key", [key_file, new_key_file], old.id, new.id),
        ):
            killed = 0
            for _ in range(6):
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "dvtfast.services", *command(name, database_url, *keys)),
                    stdout=asyncio.subprocess.DEVNULL,
                )
                deadline = time.monotonic() + PATIENCE_SECONDS
                while not (tmp_path / "relayer.db-journal").exists() and process.returncode is None:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.001)
                await asyncio.sleep(random.uniform(0, 0.15))
                if process.returncode is None:
                    process.kill()
                    killed += 1
                await process.wait()
                holder, found = await content(database_url, old, new)
                assert holder in (before, after)
                assert found == held
            assert killed
            status, output = await run(*command(name, database_url, *keys))
            assert status == 0, output
            holder, found = await content(database_url, old, new)
            assert (holder, found) == (after, held)
            assert held_anywhere(tmp_path, held.values()) == 0

    async def test_a_rewrite_that_was_interrupted_is_known(
        self, start: Start, tmp_path: Path, database_url: str, key_file: Path
    ) -> None:
        cluster = make_cluster(1)
        async with start(cluster, storage_key_file=key_file):
            pass
        with sqlite3.connect(tmp_path / "relayer.db") as database:
            database.execute("UPDATE storage SET is_rewritten = 0")
        database.close()
        with capture_logs() as lines:
            async with start(cluster, storage_key_file=key_file):
                pass
        assert any("encrypt-storage" in line.get("do", "") for line in lines)
        assert await rewrite(database_url, None, read_storage_key(key_file)) is None
        with capture_logs() as lines:
            async with start(cluster, storage_key_file=key_file):
                pass
        assert not any("encrypt-storage" in line.get("do", "") for line in lines)

    async def test_no_database(self, tmp_path: Path, key_file: Path) -> None:
        status, output = await run(*command("encrypt-storage", f"{tmp_path}/none.db", key_file))
        assert (status, "no such database" in output, (tmp_path / "none.db").exists()) == (1, True, False)


async def test_encrypt_and_rotate_on_each_database(each_database: str) -> None:
    held = await filled(each_database, 50)
    old, new = StorageKey(os.urandom(32)), StorageKey(os.urandom(32))
    reader = await Database.open(each_database)
    await reader.run(sealed_under)
    with pytest.raises(InUseError):
        await rewrite(each_database, None, old)
    await reader.close()
    assert await rewrite(each_database, None, old) == len(held)
    assert await content(each_database, old) == (old.id, held)
    assert await rewrite(each_database, old, new) == len(held)
    assert await content(each_database, new) == (new.id, held)
    with pytest.raises(LockedDatabaseError):
        await rewrite(each_database, None, old)
    database = await Database.open(each_database)
    assert await database.run(lambda connection: connection.scalar(sqlalchemy.select(storage.c.is_rewritten)))
    await database.close()


@pytest.mark.thorough
async def test_kill_9_of_a_rewrite_on_postgres(
    postgres: postgres_.Server, key_file: Path, new_key_file: Path
) -> None:
    url = await postgres.database()
    name = postgres_.name_of(url)
    held = await filled(url, 200)
    old, new = read_storage_key(key_file), read_storage_key(new_key_file)
    random = Random(5)
    for action, keys, before, after in (
        ("encrypt-storage", [key_file], None, old.id),
        ("rotate-storage-key", [key_file, new_key_file], old.id, new.id),
    ):
        for _ in range(2):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "dvtfast.services", *command(action, url, *keys)),
                stdout=asyncio.subprocess.DEVNULL,
            )
            await until_rewriting(postgres, name, process)
            await asyncio.sleep(random.uniform(0, 0.3))
            if process.returncode is None:
                process.kill()
            await process.wait()
            holder, found = await content(url, old, new)
            assert holder in (before, after)
            assert found == held
        while (done := await run(*command(action, url, *keys)))[0]:
            assert "are connected to the database" in done[1]  # what was killed has not ended everywhere
            await asyncio.sleep(0.1)
        assert await content(url, old, new) == (after, held)
        files = await postgres.table_bytes(name)
        assert old.id in files
        assert not any(signature in files for signature in held.values())


async def until_rewriting(
    server: postgres_.Server, database: str, process: asyncio.subprocess.Process
) -> None:
    """Wait until the process has its locks, or has ended."""
    query = (
        "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND locktype = 'relation'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = $1)"
    )
    watcher = await server.connect("postgres")  # a connection to the database itself would be in the way
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            # The process that is watched makes it true.
            while process.returncode is None and not await watcher.fetch(query, database):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    finally:
        await watcher.close()


async def test_no_old_transaction_keeps_plaintext_in_the_files_of_postgres(key_file: Path) -> None:
    """PostgreSQL keeps rows that were written over for transactions that began before, as those of an
    automatic ANALYZE, a replica or a prepared one; VACUUM FULL copies these rows, too."""
    with postgres_.server("-c max_prepared_transactions=1") as server:
        url = await server.database()
        name = postgres_.name_of(url)
        held = await filled(url, 3)
        connection = await server.connect(name)
        await connection.execute("BEGIN")
        await connection.execute("SELECT txid_current()")
        await connection.execute("PREPARE TRANSACTION 'old'")
        await connection.close()
        key = read_storage_key(key_file)
        assert await rewrite(url, None, key) == len(held)
        assert await content(url, key) == (key.id, held)
        files = await server.table_bytes(name)
        assert key.id in files
        assert not any(signature in files for signature in held.values())


@pytest.mark.parametrize("is_of_before", [False, True])
async def test_no_statistics_keep_plaintext_in_the_files_of_postgres(
    key_file: Path, is_of_before: bool
) -> None:
    """PostgreSQL's ANALYZE keeps samples of each column; it did so of signatures, too."""
    with postgres_.server("-c autovacuum=off") as server:
        url = await server.database()
        name = postgres_.name_of(url)
        held = await filled(url, 50)

        async def do(statement: str) -> None:
            await server.execute(statement, name)

        if is_of_before:
            await do("ALTER TABLE shares ALTER COLUMN signature SET STATISTICS -1")
        await do("ANALYZE")
        await do("ALTER TABLE shares ALTER COLUMN signature SET STATISTICS 0")
        samples = await server.execute("SELECT 1 FROM pg_stats WHERE attname = 'signature'", name)
        assert bool(samples) is is_of_before
        key = read_storage_key(key_file)
        assert await rewrite(url, None, key) == len(held)
        assert await content(url, key) == (key.id, held)
        files = await server.table_bytes(name)
        assert not any(signature in files for signature in held.values())


async def test_plaintext_is_in_the_files_of_postgres_until_it_is_sealed(postgres: postgres_.Server) -> None:
    """So the test above looks where there is something to find."""
    url = await postgres.database()
    held = await filled(url, 3)
    files = await postgres.table_bytes(postgres_.name_of(url))
    assert all(signature in files for signature in held.values())
