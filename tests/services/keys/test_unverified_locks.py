"""Locks that nobody can verify: what is missing is said, all of it, and who wants to goes on, loudly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from dvtfast import HOODI, FileError, keystores
from dvtfast.clusters import read_cluster_lock
from dvtfast.keystores import Pbkdf2
from dvtfast.obol import UnverifiedLockError, lock_hash
from dvtfast.obol import read_cluster_lock as read_lock_file
from dvtfast.services.keys.key_share_files import LockFile, default_cache, load_key_shares
from dvtfast.services.keys.locks import ADVICE
from dvtfast.services.relayer.clusters.served import ClustersError, read_clusters
from dvtfast.services.settings import SidecarSettings
from dvtfast.services.settings.parsing import NamedFile
from dvtfast.services.sidecar.nodes.obol import read_obol
from tests.vector_files import VECTORS

NODE = VECTORS / "obol/synthetic/node0"
Change = Callable[[dict[str, Any]], None]


def unsigned(lock: dict[str, Any]) -> None:
    """As one is made without asking the nodes."""
    lock["signature_aggregate"], lock["node_signatures"] = "", None


def bare(lock: dict[str, Any]) -> None:
    """As a person puts one together."""
    for name in ("signature_aggregate", "node_signatures", "lock_hash"):
        del lock[name]
    for name in ("config_hash", "definition_hash"):
        lock["cluster_definition"][name] = ""


def merged(lock: dict[str, Any]) -> None:
    """Two validators of three, as of another lock: its hashes and signatures are of another content."""
    del lock["distributed_validators"][2], lock["cluster_definition"]["validators"][2]
    lock["cluster_definition"]["num_validators"] = 2


LOCKS: dict[str, tuple[Change, list[str]]] = {
    "unsigned": (
        unsigned,
        [
            "signature_aggregate: empty, nobody has signed this lock",
            "node_signatures: empty, no node has signed this lock",
        ],
    ),
    "bare": (
        bare,
        [
            "cluster_definition.config_hash: missing, expected 0x",
            "cluster_definition.definition_hash: missing, expected 0x",
            "lock_hash: missing, expected 0x",
            "signature_aggregate: empty",
            "node_signatures: empty",
        ],
    ),
    "merged": (
        merged,
        [
            "cluster_definition.config_hash: does not fit the content, expected 0x",
            "cluster_definition.definition_hash: does not fit the content, expected 0x",
            "lock_hash: does not fit the content, expected 0x",
            "signature_aggregate: not the signature of all key shares",
        ],
    ),
}
every_lock = pytest.mark.parametrize(("change", "faults"), LOCKS.values(), ids=LOCKS)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node with keystores of little cost."""
    shutil.copy(NODE / "cluster-lock.json", tmp_path)
    loaded = keystores.load_keystores(NODE / "validator_keys")
    keystores.write_keystores(tmp_path / "keys", loaded.secret_keys, kdf=Pbkdf2(count=10))
    return tmp_path


def changed(node: Path, change: Change) -> Path:
    path = node / "cluster-lock.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


@every_lock
def test_everything_that_is_missing_is_said(node: Path, change: Change, faults: list[str]) -> None:
    path = changed(node, change)
    with pytest.raises(UnverifiedLockError) as caught:
        read_cluster_lock(path)
    assert len(caught.value.faults) == len(faults)
    for found, expected in zip(caught.value.faults, faults, strict=True):
        assert found.startswith(expected)
    cluster = read_cluster_lock(path, check=False)
    assert cluster.lock_hash == lock_hash(read_lock_file(path))  # never that of another lock


@every_lock
def test_it_is_refused_or_used_loudly(node: Path, change: Change, faults: list[str]) -> None:
    path = changed(node, change)
    flags = {
        "network": "hoodi",
        "relayers": ["http://127.0.0.1:1"],
        "cluster_lock": str(path),
        "keystores": str(node / "keys"),
    }
    with pytest.raises(FileError) as caught:
        read_obol(SidecarSettings.load(flags, {}))
    assert str(caught.value).endswith(ADVICE)
    with pytest.raises(ClustersError) as refused:
        read_clusters([NamedFile(path)], [], HOODI)
    assert all(fault in refused.value.problems[0] for fault in faults)

    with capture_logs() as logs:
        (keys,) = read_obol(SidecarSettings.load({**flags, "no_verify": "true"}, {}))
        (cluster,) = read_clusters([NamedFile(path)], [], HOODI, verify=False)
    assert (keys.share_index, len(keys.public_keys)) == (1, len(cluster.public_keys))
    warnings = [line for line in logs if line["event"].startswith("cluster lock is not verified")]
    assert [line["log_level"] for line in warnings] == ["warning"] * 2 * len(faults)
    assert not any("cluster lock verified" in line["event"] for line in logs)


def test_the_key_cache_keeps_no_lock_that_was_not_verified(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvtfast.key_cache.PBKDF2_DEFAULT", Pbkdf2(count=20))
    path = changed(node, unsigned)
    keys, cache = node / "keys", default_cache(node / "keys")
    for _ in range(2):
        loaded = load_key_shares(keys, lock=LockFile(path, verify=False), cache=cache)
        assert loaded.cluster is not None
    assert loaded.from_cache  # of the keystores
    with pytest.raises(FileError, match="nobody has signed"):
        load_key_shares(keys, lock=LockFile(path), cache=cache)


def test_what_is_not_about_signatures_is_never_passed_over(node: Path) -> None:
    def swap(lock: dict[str, Any]) -> None:
        unsigned(lock)
        first, second = lock["distributed_validators"][:2]
        first["public_shares"], second["public_shares"] = second["public_shares"], first["public_shares"]

    path = changed(node, swap)
    with pytest.raises(FileError, match="do not give its public key"):
        LockFile(path, verify=False).cluster()
    with pytest.raises(ClustersError, match="do not give its public key"):
        read_clusters([NamedFile(path)], [], HOODI, verify=False)
