"""A charon has its files when it has the lock, whoever else has: our key shares are on disk before that."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dvtfast import FileError
from dvtfast.keystores import load_keystores
from dvtfast.obol import KEY_FILE, read_node_key
from dvtfast.services.ceremony.folder import KEYSTORES, LOCK_FILE
from dvtfast.services.ceremony.protocol import FROST, agent_of
from dvtfast.services.ceremony.running import records_file
from dvtfast.services.ceremony.running.records_file import ASIDE, FOLDER, RecordsFile
from dvtfast.services.ceremony.staging import WRITTEN
from dvtfast.services.ceremony.storing import NodeStore

from ..patience import PATIENCE_SECONDS
from .test_commands import call
from .test_protocol import Ceremony

LAST = 3


async def run(ceremony: Ceremony) -> list[Any]:
    nodes = [ceremony.node(i, agent=agent_of(FROST), protocol=FROST) for i in range(4)]
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await asyncio.gather(*nodes, return_exceptions=True)


def kept_in(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob(f"*{ASIDE}"))


def test_one_cannot_store_what_others_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the lock that these have it makes its folder nevertheless."""
    ceremony, write = Ceremony(tmp_path), NodeStore.write
    folders = [node.folder for node in ceremony.cluster.nodes]

    def refuse(store: NodeStore, *arguments: Any, **more: Any) -> bytes:
        if store.directory == folders[LAST]:
            raise OSError("no space left")
        return write(store, *arguments, **more)

    monkeypatch.setattr(NodeStore, "write", refuse)
    assert str(asyncio.run(run(ceremony))[LAST]) == "no space left"
    locks = [folder / WRITTEN / LOCK_FILE for folder in folders[:LAST]]
    assert len({lock.read_bytes() for lock in locks}) == 1
    assert [len(kept_in(folder)) for folder in folders] == [1] * 4
    (kept,) = kept_in(folders[LAST])
    common = ("--data-dir", folders[LAST], "--definition-file", ceremony.cluster.file, "--insecure-keys")
    output = tmp_path / "recovered"
    result = call("dkg", "recover", kept, *common, "--lock-file", locks[0], "--output-dir", output)
    assert result.exit_code == 0, result.output
    assert (output / LOCK_FILE).read_bytes() == locks[0].read_bytes()
    assert len(list((output / KEYSTORES).iterdir())) == 2 * 3
    assert call("cluster", "verify", output / LOCK_FILE).exit_code == 0
    other = ("--data-dir", folders[0], *common[2:], "--output-dir", tmp_path / "other")
    result = call("dkg", "recover", kept, *other)
    assert result.exit_code == 1
    assert "not what this identity has written" in result.output


def test_nobody_signs_before_the_keys_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose disk does not take them ends the ceremony, and nothing is anywhere that could be of worth."""
    ceremony, append = Ceremony(tmp_path), RecordsFile.append
    last = ceremony.cluster.nodes[LAST].folder

    def refuse(records: RecordsFile, record: bytes) -> None:
        if last in records.path.parents:
            raise OSError("no space left")
        append(records, record)

    monkeypatch.setattr(RecordsFile, "append", refuse)
    ends = asyncio.run(run(ceremony))
    assert str(ends[LAST]) == "no space left"
    assert {ceremony.phases[i].name for i in range(LAST)} <= {
        "everybody at step 2, deposits",
        "keeping the keys",
        "keys of others",
    }
    assert not any((node.folder / WRITTEN).exists() for node in ceremony.cluster.nodes)


def test_what_all_have_stored_is_not_kept_twice(tmp_path: Path) -> None:
    ceremony = Ceremony(tmp_path)
    asyncio.run(run(ceremony))
    ceremony.assert_one_lock()
    assert [kept_in(node.folder) for node in ceremony.cluster.nodes] == [[]] * 4


def test_what_was_stored_is_moved_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the last moment: the sealed keys are all that this node has of them then."""
    ceremony, confirm = Ceremony(tmp_path), NodeStore.confirm
    last = ceremony.cluster.nodes[LAST].folder

    def move_away(store: NodeStore) -> None:
        if store.directory == last and (last / WRITTEN).exists():
            (last / WRITTEN).rename(last / "moved")
        confirm(store)

    monkeypatch.setattr(NodeStore, "confirm", move_away)
    ends = asyncio.run(run(ceremony))
    assert ends[:LAST] == ["frost v1.11"] * LAST
    assert isinstance(ends[LAST], FileError)
    assert "what all have stored is gone from here" in str(ends[LAST])
    (kept,) = kept_in(last)
    assert kept.stat().st_size
    assert not (last / LOCK_FILE).exists()
    assert (last / "moved" / LOCK_FILE).exists()


def test_each_ceremony_has_a_file_of_its_own(tmp_path: Path) -> None:
    """No attempt of the native protocol takes them for its own, nor does the next ceremony."""
    hash_, files = bytes(range(32)), []
    for content in (b"one", b"two"):
        file = records_file.keep_keys(tmp_path, hash_, content)
        file.close()
        files.append(file.path)
    assert [records_file.read_records(path) for path in files] == [(b"one",), (b"two",)]
    records = RecordsFile.open(tmp_path, hash_)
    assert (records.attempt, records.written) == (0, ())
    records.close()
    again = RecordsFile(files[0], 0)
    again.remove()
    assert [path.exists() for path in files] == [False, True]
    assert read_is_private(files[1])


def read_is_private(path: Path) -> bool:
    return path.stat().st_mode & 0o777 == 0o600


def test_the_key_of_a_node_is_not_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a key share, as it is: what is kept is sealed."""
    ceremony, seen = Ceremony(tmp_path), []
    keep = records_file.keep_keys

    def look(directory: Path, definition_hash: bytes, record: bytes) -> RecordsFile:
        seen.append(record)
        return keep(directory, definition_hash, record)

    monkeypatch.setattr("dvtfast.services.ceremony.charon_terms.keep_keys", look)
    asyncio.run(run(ceremony))
    assert len(seen) == 4
    for node in ceremony.cluster.nodes:
        secrets = load_keystores(node.folder / KEYSTORES, threads=1).secret_keys
        for each in (*(row.tobytes() for row in secrets), read_node_key(node.folder / KEY_FILE)):
            assert not any(each in record for record in seen)
