"""A node's folder: what is written is what our own programs, and charon's conventions, read."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest

from dvtfast import HOODI, FileError
from dvtfast.clusters import read_cluster_lock
from dvtfast.deposits import check_deposit_data, read_deposit_data
from dvtfast.keystores import PBKDF2_DEFAULT, Pbkdf2, load_keystores
from dvtfast.services.ceremony.dealing import DealtCluster, write_folders
from dvtfast.services.ceremony.folder import (
    Cost,
    digest_of,
    staging_of,
    verify_node_files,
    write_node_files,
)
from dvtfast.services.keys.key_share_files import LockFile, load_key_shares
from dvtfast.services.keys.key_shares import match_keys

from .dealt import CHEAP, a_cluster, result_of


@pytest.fixture
def folder(dealt: DealtCluster, tmp_path: Path) -> Path:
    """Of node 2."""
    staging = staging_of(tmp_path)
    write_node_files(staging.begin(b"here"), result_of(dealt, 2), CHEAP)
    staging.complete()
    staging.publish()
    return tmp_path


def test_what_is_in_it(folder: Path) -> None:
    modes = {
        path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert modes == {
        "cluster-lock.json": 0o444,
        "deposit-data.json": 0o444,
        "deposit-data-1eth.json": 0o444,
        **{f"validator_keys/keystore-insecure-{i}.json": 0o444 for i in range(2)},
        **{f"validator_keys/keystore-insecure-{i}.txt": 0o400 for i in range(2)},
    }
    keystore = json.loads((folder / "validator_keys/keystore-insecure-0.json").read_text())
    assert keystore["uuid"] == keystore["uuid"].upper()
    assert keystore["path"] == "m/12381/3600/0/0/0"
    assert not keystore["pubkey"].startswith("0x")


def test_the_sidecar_reads_it(dealt: DealtCluster, folder: Path) -> None:
    lock = LockFile(folder / "cluster-lock.json", network=HOODI)
    loaded = load_key_shares(folder / "validator_keys", lock=lock)
    assert lock.is_verified
    assert loaded.cluster is not None
    secret_keys = loaded.keystores.secret_keys.copy()
    node, problems = match_keys(loaded.cluster, loaded.keystores, node_index=None)
    assert not problems
    assert node.share_index == 3
    np.testing.assert_array_equal(secret_keys, dealt.key_shares[:, 2])


def test_deposits_are_those_of_the_launchpad(dealt: DealtCluster, folder: Path) -> None:
    for name, amount in (("deposit-data.json", 32), ("deposit-data-1eth.json", 1)):
        deposits = read_deposit_data(folder / name, network=HOODI)
        assert check_deposit_data(deposits) == [[], []]
        assert set(deposits.amounts_gwei.tolist()) == {amount * 10**9}
        keys = [key.tobytes() for key in deposits.public_keys]
        assert keys == sorted(key.tobytes() for key in dealt.lock.public_keys)


def test_keystores_as_charon_makes_them(dealt: DealtCluster, tmp_path: Path) -> None:
    """Each has its own password and salt, and is read again without deriving its key a second time."""
    count = 0

    class Counted(Pbkdf2):
        def derive(self, password: bytes, salt: bytes) -> bytes:
            nonlocal count
            count += 1
            return super().derive(password, salt)

    write_node_files(tmp_path, result_of(dealt, 0), Cost(Counted(PBKDF2_DEFAULT.count), threads=1))
    texts = [path.read_text() for path in sorted((tmp_path / "validator_keys").glob("*.txt"))]
    assert len(set(texts)) == 2
    assert all(len(text) == 32 and int(text, 16) >= 0 for text in texts)
    kdfs = [
        json.loads(path.read_text())["crypto"]["kdf"]
        for path in sorted((tmp_path / "validator_keys").glob("keystore-[01].json"))
    ]
    assert [kdf["params"]["c"] for kdf in kdfs] == [2**18] * 2
    assert kdfs[0]["params"]["salt"] != kdfs[1]["params"]["salt"]
    loaded = load_keystores(tmp_path / "validator_keys")
    np.testing.assert_array_equal(loaded.secret_keys, dealt.key_shares[:, 0])


def test_one_derivation_for_all(dealt: DealtCluster, tmp_path: Path) -> None:
    write_node_files(tmp_path, result_of(dealt, 0), Cost(one_derivation=True, threads=1))
    texts = {path.read_text() for path in (tmp_path / "validator_keys").glob("*.txt")}
    assert len(texts) == 1
    np.testing.assert_array_equal(
        load_keystores(tmp_path / "validator_keys").secret_keys, dealt.key_shares[:, 0]
    )


def test_what_a_node_says_that_it_has(folder: Path) -> None:
    before = digest_of(folder)
    assert digest_of(folder) == before
    path = folder / "validator_keys/keystore-insecure-0.txt"
    path.chmod(0o600)
    path.write_text("other")
    assert digest_of(folder) != before


def change_json(path: Path, change: object) -> None:
    document = json.loads(path.read_text())
    assert callable(change)
    change(document)
    path.chmod(0o600)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        (
            "cluster-lock.json",
            lambda d: d.update(lock_hash="0x" + "11" * 32),
            "lock hash: lock_hash: does not",
        ),
        (
            "cluster-lock.json",
            lambda d: d.update(node_signatures=None),
            "node signatures: node_signatures: empty",
        ),
        ("deposit-data.json", lambda d: d.pop(), "not the deposits of the lock"),
        ("deposit-data.json", lambda d: d.reverse(), "not the deposits of the lock"),
        (
            "deposit-data-1eth.json",
            lambda d: d[0].update(signature=d[1]["signature"]),
            "signature: does not verify",
        ),
        (
            "deposit-data-1eth.json",
            lambda d: d[0].update(deposit_data_root="11" * 32),
            "deposit_data_root: does not",
        ),
        (
            "validator_keys/keystore-insecure-1.json",
            lambda d: d["crypto"]["checksum"].update(message="11" * 32),
            "wrong password",
        ),
    ],
)
def test_what_is_not_as_it_was_written_is_found(
    dealt: DealtCluster, folder: Path, name: str, change: object, says: str
) -> None:
    change_json(folder / name, change)
    with pytest.raises(FileError) as caught:
        verify_node_files(folder, result_of(dealt, 2), threads=1)
    assert says in str(caught.value)
    assert name in str(caught.value)


def test_another_nodes_keystores_are_found(dealt: DealtCluster, folder: Path) -> None:
    with pytest.raises(FileError, match="not the key shares of node 1"):
        verify_node_files(folder, result_of(dealt, 1), threads=1)


def test_another_clusters_lock_is_found(folder: Path) -> None:
    with pytest.raises(FileError, match="lock_hash: not that of this cluster"):
        verify_node_files(folder, result_of(a_cluster(), 2), threads=1)


def test_all_folders_of_a_cluster(dealt: DealtCluster, tmp_path: Path) -> None:
    folders = write_folders(tmp_path / "cluster", dealt, CHEAP)
    assert [folder.name for folder in folders] == ["node0", "node1", "node2", "node3"]
    assert {(folder / "cluster-lock.json").read_bytes() for folder in folders} == {
        (folders[0] / "cluster-lock.json").read_bytes()
    }
    for i, folder in enumerate(folders):
        assert bytes.fromhex((folder / "charon-enr-private-key").read_text()) == dealt.node_keys[i]
        shares = load_keystores(folder / "validator_keys").secret_keys
        np.testing.assert_array_equal(shares, dealt.key_shares[:, i])
    assert read_cluster_lock(folders[3] / "cluster-lock.json").lock_hash == dealt.lock.lock_hash
    with pytest.raises(FileError, match="node0: is there already"):
        write_folders(tmp_path / "cluster", dealt, CHEAP)
    assert sorted(path.name for path in (tmp_path / "cluster").iterdir()) == [f.name for f in folders]
