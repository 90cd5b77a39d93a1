"""The lock file of a node's key."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dvtfast.obol import KEY_FILE, write_node_key
from dvtfast.services.process import key_lock
from dvtfast.services.process.key_lock import KeyLock, KeyTakenError

HASH, OTHER = "0x" + "11" * 32, "0x" + "22" * 32


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / KEY_FILE
    write_node_key(path, b"\x07" * 32)
    return path


def leave(key: Path, seconds_ago: float, **more: object) -> Path:
    """As another program did."""
    path = key.with_name(KEY_FILE + ".lock")
    timestamp = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    content = {"command": "charon run", "timestamp": timestamp.isoformat().replace("+00:00", "Z"), **more}
    path.write_text(json.dumps(content))
    return path


def test_the_time_is_written_while_the_key_is_used(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_lock, "EVERY_SECONDS", 0.001)
    path = key.with_name(KEY_FILE + ".lock")
    with KeyLock(key, "dvtfast dkg"):
        first = json.loads(path.read_text())
        assert set(first) == {"command", "timestamp"}
        assert first["command"] == "dvtfast dkg"
        while json.loads(path.read_text()) == first:
            pass
    assert list(key.parent.iterdir()) == [key]  # who comes next need not wait


def test_a_cluster_is_told_of_afterwards(key: Path) -> None:
    """A node of another cluster does not begin at once, whichever program it is; one of this does."""
    with KeyLock(key, "dvtfast node", cluster_lock_hash=HASH):
        pass
    with pytest.raises(KeyTakenError, match="a node of another cluster used this key 0 seconds ago"):
        KeyLock(key, "dvtfast node", cluster_lock_hash=OTHER).__enter__()
    with KeyLock(key, "dvtfast node", cluster_lock_hash=HASH):
        pass


def test_two_of_ours_at_once(key: Path) -> None:
    with (
        KeyLock(key, "dvtfast dkg"),
        pytest.raises(KeyTakenError, match="another dvtfast uses this key"),
        KeyLock(key, "dvtfast node"),
    ):
        pass
    with KeyLock(key, "dvtfast dkg"):
        pass


@pytest.mark.parametrize("seconds", [0, 3, -2])
def test_another_program_uses_it(key: Path, seconds: float) -> None:
    path = leave(key, seconds)
    before = path.read_text()
    with pytest.raises(KeyTakenError, match=r"`charon run` uses this key; stop it, and wait for 5 seconds"):
        KeyLock(key, "dvtfast dkg").__enter__()
    assert path.read_text() == before


@pytest.mark.parametrize(("seconds", "stated"), [(6, ""), (6, OTHER), (700, OTHER), (10**6, OTHER)])
def test_a_program_of_before(key: Path, seconds: float, stated: str) -> None:
    """A ceremony signs nothing for the old cluster, so it may begin."""
    leave(key, seconds, **({"cluster_lock_hash": stated} if stated else {}))
    with KeyLock(key, "dvtfast dkg"):
        pass


@pytest.mark.parametrize(
    ("seconds", "stated", "is_free"),
    [(6, HASH, True), (6, OTHER, False), (760, OTHER, False), (780, OTHER, True), (6, "", True)],
)
def test_a_node_of_another_cluster(key: Path, seconds: float, stated: str, is_free: bool) -> None:
    leave(key, seconds, cluster_lock_hash=stated)
    lock = KeyLock(key, "dvtfast node", cluster_lock_hash=HASH)
    if is_free:
        with lock:
            content = json.loads(key.with_name(KEY_FILE + ".lock").read_text())
            assert content["cluster_lock_hash"] == HASH
    else:
        with pytest.raises(KeyTakenError, match="a node of another cluster used this key"):
            lock.__enter__()


NOT_UNDERSTOOD = ["", "{", "[]", '{"command": "x"}', '{"command": 1, "timestamp": 5}', "\xff"]


@pytest.mark.parametrize("content", NOT_UNDERSTOOD)
def test_what_is_not_understood_was_written_by_somebody(
    key: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_lock, "FRESH_SECONDS", 3600.0)
    key.with_name(KEY_FILE + ".lock").write_text(content)
    with pytest.raises(KeyTakenError, match=r"not understood, and written just now; .* for 3600 seconds"):
        KeyLock(key, "dvtfast dkg").__enter__()


@pytest.mark.parametrize("content", NOT_UNDERSTOOD)
@pytest.mark.parametrize("seconds_ago", [60, 30 * 86400, -86400])
def test_what_is_not_understood_and_not_written_any_more(key: Path, content: str, seconds_ago: float) -> None:
    """As a power failure may leave it; the clock may have been ahead then."""
    path = key.with_name(KEY_FILE + ".lock")
    path.write_text(content)
    os.utime(path, (time.time() - seconds_ago,) * 2)
    with KeyLock(key, "dvtfast node", cluster_lock_hash=HASH):
        assert json.loads(path.read_text())["cluster_lock_hash"] == HASH


def test_it_is_on_disk_before_it_has_its_name(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a power failure may leave an empty one."""
    path, synced = key.with_name(KEY_FILE + ".lock"), []

    def sync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size, path.exists()))

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(key_lock, "EVERY_SECONDS", 3600.0)
    with KeyLock(key, "dvtfast node"):
        assert synced == [(path.stat().st_ino, path.stat().st_size, False)]


def test_the_time_as_go_writes_it(key: Path) -> None:
    key.with_name(KEY_FILE + ".lock").write_text(
        '{"command":"charon run","timestamp":"2022-07-19T18:19:58.123456789+02:00"}'
    )
    with KeyLock(key, "dvtfast dkg"):
        pass
