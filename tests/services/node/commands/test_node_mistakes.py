"""What a user does wrong is one line, and an exit code, whatever it is."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dvtfast import HOODI, MAINNET, derive_public_keys, generate_secret_keys
from dvtfast.networks import GNOSIS
from dvtfast.obol import KEY_FILE, write_node_key
from dvtfast.secp256k1 import IdentityKey, new_secret_key
from dvtfast.services.chain.beacon.chain_constants import ExpectedChain
from dvtfast.services.node.commands.files import chain_of, read_files, require_quorum
from dvtfast.services.p2p.wire.peers import peer_text
from dvtfast.services.process.key_lock import KeyLock
from dvtfast.services.settings import NodeSettings, SettingsError

from ...ceremony.dealt import a_cluster
from ..cluster_of_nodes import Keys as ClusterKeys
from .processes import Nodes, kill, run, stop, told

NOBODY = "http://127.0.0.1:9"  # the port of discard, on which nothing listens
FAILED, WRONG = 1, 2
STRANGER = derive_public_keys(generate_secret_keys(1))[0].tobytes()


@pytest.fixture(scope="module")
def dealt_nodes(tmp_path_factory: pytest.TempPathFactory) -> Nodes:
    nodes = Nodes(tmp_path_factory.mktemp("cluster"), a_cluster(2))
    nodes.urls = (NOBODY,)
    return nodes


@pytest.fixture
def folder(dealt_nodes: Nodes, tmp_path: Path) -> Path:
    """A node's, of its own for each test."""
    return Path(shutil.copytree(dealt_nodes.folders[0], tmp_path / ".charon"))


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def node(folder: Path, *more: str, **environment: str) -> tuple[int, str]:
    done = run(
        *("node", "--data-dir", str(folder), "--beacon-node", NOBODY, "--monitoring-address", "127.0.0.1:0"),
        *more,
        **environment,
    )
    return done.returncode, told(done)


def test_no_folder(tmp_path: Path) -> None:
    code, line = node(tmp_path / "nowhere")
    assert code == WRONG
    assert line == f"{tmp_path}/nowhere/charon-enr-private-key: no such file"


def test_no_lock(folder: Path) -> None:
    (folder / "cluster-lock.json").unlink()
    assert node(folder) == (WRONG, f"{folder}/cluster-lock.json: no such file")


def test_a_lock_that_was_changed(folder: Path) -> None:
    lock = folder / "cluster-lock.json"
    lock.write_text(lock.read_text().replace('"small"', '"large"'))
    code, line = node(folder)
    assert code == WRONG
    assert line.startswith(f"{lock}: ")
    assert "config_hash" in line


def test_a_key_of_no_node(folder: Path) -> None:
    (folder / KEY_FILE).unlink()
    write_node_key(folder / KEY_FILE, new_secret_key())
    code, line = node(folder)
    assert code == WRONG
    assert "the key is of no node of this cluster" in line


def test_key_shares_of_another_node(folder: Path, dealt_nodes: Nodes) -> None:
    code, line = node(folder, "--keystores", str(dealt_nodes.folders[1] / "validator_keys"))
    assert code == WRONG
    assert "none of 2 keystores is a key share of node 0" in line


def test_no_key_shares(folder: Path) -> None:
    shutil.rmtree(folder / "validator_keys")
    code, line = node(folder)
    assert code == WRONG
    assert str(folder / "validator_keys") in line


def test_another_network(folder: Path) -> None:
    testnet = ("--testnet-name", "x", "--testnet-chain-id", "1", "--testnet-genesis-timestamp", "1")
    assert node(folder, *testnet, "--testnet-fork-version", "0x00000001") == (
        WRONG,
        "--testnet-fork-version: the lock is of 0x10000910",
    )


def test_a_peer_of_no_cluster(folder: Path) -> None:
    stranger = peer_text(IdentityKey(new_secret_key()).public_key)
    assert node(folder, "--peer", f"{stranger}=127.0.0.1:1") == (
        WRONG,
        f"--peer {stranger[:24]}...: no node of the cluster 'small' has this key",
    )
    code, line = node(folder, "--peer", "nobody=127.0.0.1:1")
    assert code == WRONG
    assert line.startswith("--peer nobody: ")


def test_ports_that_are_taken(folder: Path, taken: int) -> None:
    assert node(folder, "--monitoring-address", f"127.0.0.1:{taken}") == (
        FAILED,
        "--monitoring-address: cannot listen there: address already in use",
    )


def test_a_key_that_another_process_has(folder: Path) -> None:
    with KeyLock(folder / KEY_FILE, "dvtfast node"):
        code, line = node(folder)
    assert code == FAILED
    assert line == f"{folder / KEY_FILE}: another dvtfast uses this key; stop it"


def test_flags_of_charon(folder: Path) -> None:
    code, line = node(folder, "--debug-address", "0.0.0.0:3600")
    assert code == WRONG
    assert line.startswith("--debug-address: there is no such port")
    code, line = node(folder, CHARON_SIMNET_BEACON_MOCK="true")
    assert code == WRONG
    assert line.startswith("CHARON_SIMNET_BEACON_MOCK: nothing is simulated")


class Keys(BaseHTTPRequestHandler):
    """A remote signer that has keys, and none of the cluster's."""

    def do_GET(self) -> None:
        body = json.dumps(["0x" + STRANGER.hex()]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_remote_signer_with_other_keys(folder: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = node(folder, "--remote-signer", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert found == (WRONG, "--remote-signer: none of its 1 keys is a key share of this node")


def test_a_remote_signer_that_is_down_is_waited_for(dealt_nodes: Nodes) -> None:
    process = dealt_nodes.process(1)
    process.start("--remote-signer", NOBODY)
    try:
        process.wait_for("waiting for the remote signer")
        assert stop(process) == 0
    finally:
        kill(process)


def chain_of_lock(fork_version: bytes, **flags: str) -> ExpectedChain:
    settings = NodeSettings.load({"beacon_nodes": (NOBODY,), **flags}, {})
    return chain_of(settings, replace(ClusterKeys(2).cluster(0), fork_version=fork_version))


def test_where_stake_is_worth_something_nothing_is_signed_yet() -> None:
    assert chain_of_lock(HOODI.genesis_fork_version) == ExpectedChain.of(HOODI)
    for network in (MAINNET, GNOSIS):
        with pytest.raises(SettingsError, match=f"{network.name}: `dvtfast node` is new, and only for where"):
            chain_of_lock(network.genesis_fork_version)
    with pytest.raises(SettingsError, match="fork version 0x12345678, which is unknown here: --testnet-name"):
        chain_of_lock(bytes.fromhex("12345678"))


@pytest.mark.parametrize(("nodes", "too_few", "enough"), [(4, 2, 3), (6, 3, 4), (7, 4, 5), (10, 6, 7)])
def test_a_threshold_below_the_quorum_is_refused_where_stake_is_worth_something(
    nodes: int, too_few: int, enough: int
) -> None:
    """Whatever the settings call the network: its fork version is the lock's."""
    low, high = (ClusterKeys(1, nodes, threshold).cluster(0) for threshold in (too_few, enough))
    wanted = f"signatures of {too_few} of {nodes} nodes, expected at least {enough}"
    for network in (MAINNET, GNOSIS):
        with pytest.raises(SettingsError, match=wanted):
            require_quorum(replace(low, fork_version=network.genesis_fork_version))
        require_quorum(replace(high, fork_version=network.genesis_fork_version))
    for version in (HOODI.genesis_fork_version, bytes.fromhex("12345678")):
        with capture_logs() as lines:
            require_quorum(replace(high, fork_version=version))
            assert not lines
            require_quorum(replace(low, fork_version=version))
        [line] = lines
        assert (line["log_level"], line["event"]) == ("warning", "the threshold is too low")
        assert wanted in line["why"]


def test_a_lock_of_a_network_of_ones_own_name_is_looked_at_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    low = replace(ClusterKeys(1, 4, 2).cluster(0), fork_version=MAINNET.genesis_fork_version)
    monkeypatch.setattr("dvtfast.services.node.commands.files.read_cluster", lambda *_, **__: low)
    write_node_key(tmp_path / KEY_FILE, new_secret_key())
    own = {"testnet_name": "own", "testnet_chain_id": "1", "testnet_fork_version": "0x00000000"}
    own |= {"testnet_genesis_timestamp": "1606824023", "data_dir": str(tmp_path)}
    settings = NodeSettings.load({"beacon_nodes": (NOBODY,), **own}, {})
    with pytest.raises(SettingsError, match="expected at least 3"):
        read_files(settings)


def test_a_beacon_node_that_is_down_is_waited_for(dealt_nodes: Nodes) -> None:
    process = dealt_nodes.process(2)
    process.start()
    try:
        process.wait_for("waiting for a beacon node")
        assert stop(process) == 0
    finally:
        kill(process)
    assert "Traceback" not in process.said
    assert process.said.count("waiting for a beacon node") == 1
