"""`dvtfast dkg` beside real charon nodes: a black box whose path is in DVTFAST_CHARON."""

from __future__ import annotations

import asyncio
import json
from shutil import copytree

import numpy as np
import pytest

from dvtfast.dkg.frost.dialects import dialect_of
from dvtfast.keys import derive_public_keys
from dvtfast.keystores import load_keystores
from dvtfast.obol import (
    KEY_FILE,
    read_cluster_lock,
    read_node_key,
    write_cluster_definition,
    write_node_key,
)
from dvtfast.services.ceremony.charon_node import OWN_FAULT, CharonNode
from dvtfast.services.ceremony.charon_terms import run_charon_ceremony
from dvtfast.services.ceremony.dealing import new_node_keys
from dvtfast.services.ceremony.definition import read_agreement
from dvtfast.services.ceremony.folder import KEYSTORES, LOCK_FILE
from dvtfast.services.ceremony.running.driver import Patience
from dvtfast.services.ceremony.running.running import Participant
from dvtfast.services.ceremony.storing import NodeStore
from dvtfast.services.demo.world.ports import free_ports
from dvtfast.services.p2p.host import Host, IdentityKey

from .charon import CHARON, NO_CHARON, SECONDS, Charon, answers, charons_relay, once, our_relay, until
from .dealt import CHEAP, definition_of
from .nodes import NodeProcess
from .test_commands import call

pytestmark = pytest.mark.skipif(not CHARON, reason=NO_CHARON)

N = 4


class Mixed:
    """A cluster whose nodes are partly ours."""

    def __init__(self, directory, url, ours, validators):
        self.directory, self.url, self.ours = directory, url, ours
        keys = new_node_keys(N)
        self.definition = definition_of(keys, validators)
        self.file = directory / "cluster-definition.json"
        write_cluster_definition(self.file, self.definition)
        self.folders = [directory / f"node{position}" for position in range(N)]
        for folder, key in zip(self.folders, keys, strict=True):
            folder.mkdir()
            write_node_key(folder / KEY_FILE, key)
        self.theirs = [position for position in range(N) if position not in ours]
        self.nodes = {position: self._ours(position) for position in ours}
        self.charons = {}

    def _ours(self, position):
        arguments = [
            *("--data-dir", str(self.folders[position]), "--definition-file", str(self.file)),
            *("--p2p-relays", self.url, "--json", "--threads", "1", "--log-level", "debug"),
        ]
        return NodeProcess(self.folders[position], arguments)

    def start_theirs(self, position, *more):
        folder = self.folders[position]
        self.charons[position] = Charon(
            self.directory / f"charon{position}.log", "dkg", f"--data-dir={folder}",
            f"--definition-file={self.file}", f"--p2p-relays={self.url}", "--shutdown-delay=1s", *more,
        )  # fmt: skip

    def close(self):
        for position, node in self.nodes.items():
            if node.process is not None and node.process.poll() is None:
                node.kill()
            (self.directory / f"ours{position}.log").write_text(node.said)  # beside theirs, for people
        for charon in self.charons.values():
            charon.stop()

    def assert_one_lock(self):
        for charon in self.charons.values():
            assert charon.result() == 0, charon.said
        dialect = dialect_of(version())
        locks = [read_cluster_lock(folder / LOCK_FILE) for folder in self.folders]
        for node in self.nodes.values():
            code, result = node.result()
            assert code == 0, node.said
            assert result["protocol"] == f"frost {dialect.version}"
            assert result["lock_hash"] == f"0x{locks[0].lock_hash.hex()}"
        assert len({lock.lock_hash for lock in locks}) == 1
        assert len({lock.signature_aggregate for lock in locks}) == 1
        assert len({lock.node_signatures for lock in locks}) == 1
        deposits = [sorted(path.name for path in folder.glob("deposit-data*")) for folder in self.folders]
        for position in range(1, N):
            assert deposits[position] == deposits[0] != []
            for name in deposits[0]:
                texts = [(self.folders[each] / name).read_text() for each in (0, position)]
                assert json.loads(texts[0]) == json.loads(texts[1])
        return locks[0]

    def without(self, left_out):
        """The folders of all others, as a directory of theirs."""
        cluster = self.directory / f"without{left_out}"
        for position, folder in enumerate(self.folders):
            if position != left_out:
                copytree(folder, cluster / folder.name)
        return cluster


@pytest.fixture
def mixed(tmp_path, request):
    through, ours, validators = request.param
    with through(tmp_path) as url:
        made = Mixed(tmp_path, url, ours, validators)
        try:
            yield made
        finally:
            made.close()


CASES = [
    pytest.param((our_relay, (3,), 1), id="1 of 4"),
    pytest.param((our_relay, (0,), 100), id="1 of 4, 100 validators"),
    pytest.param((our_relay, (1, 2), 100), id="2 of 4, 100 validators"),
    pytest.param((charons_relay, (3,), 1), id="1 of 4, charon's relay"),
    pytest.param((charons_relay, (0, 2), 1), id="2 of 4, charon's relay"),
    pytest.param((charons_relay, (0, 2), 100), id="2 of 4, charon's relay, 100 validators"),
]


@pytest.mark.parametrize("mixed", CASES, indirect=True)
def test_our_nodes_beside_charons(mixed):
    """All come to one lock, and either program makes whole keys of any three folders."""
    for position in range(N):
        if position in mixed.ours:
            mixed.nodes[position].start()
        else:
            mixed.start_theirs(position)
    lock = mixed.assert_one_lock()
    for position in (mixed.ours[0], mixed.theirs[0]):
        cluster = mixed.without(position)
        code, output = once("combine", f"--cluster-dir={cluster}", f"--output-dir={cluster}/theirs")
        assert code == 0, output
        combined = call("combine", "--cluster-dir", cluster, "--output-dir", cluster / "ours", "--yes")
        assert combined.exit_code == 0, combined.output
        for directory in (cluster / "theirs", cluster / "ours"):
            whole = load_keystores(directory)
            assert np.array_equal(derive_public_keys(whole.secret_keys), lock.public_keys)


@pytest.mark.parametrize("mixed", [pytest.param((our_relay, (1, 2), 1), id="2 of 4")], indirect=True)
def test_a_charon_that_comes_last(mixed):
    """Ours were at their own hello; and one of theirs had waited long for us."""
    mixed.start_theirs(0)
    mixed.charons[0].wait_for("Waiting to connect to all peers")
    for node in mixed.nodes.values():
        node.start()
        node.wait_for("a charon ceremony")
    mixed.start_theirs(3)
    mixed.assert_one_lock()


@pytest.mark.parametrize("mixed", [pytest.param((our_relay, (0,), 1), id="1 of 4")], indirect=True)
def test_charon_runs_on_our_folder(mixed):
    mixed.nodes[0].start()
    for position in mixed.theirs:
        mixed.start_theirs(position)
    mixed.assert_one_lock()
    runs, ports = [], []
    for position, folder in enumerate(mixed.folders):
        monitoring, validators = free_ports(2)
        ports.append(monitoring)
        run = Charon(
            mixed.directory / f"run{position}.log", "run", f"--lock-file={folder / LOCK_FILE}",
            f"--private-key-file={folder / KEY_FILE}", f"--p2p-relays={mixed.url}",
            f"--monitoring-address=127.0.0.1:{monitoring}",
            f"--validator-api-address=127.0.0.1:{validators}",
            "--simnet-beacon-mock", "--simnet-validator-mock",
            f"--simnet-validator-keys-dir={folder / KEYSTORES}",
        )  # fmt: skip
        runs.append(run)
    try:
        for run, port in zip(runs, ports, strict=True):
            run.wait_for("Lock file loaded")
            until(lambda port=port: answers(f"http://127.0.0.1:{port}/readyz"), lambda run=run: run.said)
    finally:
        codes = [run.stop() for run in runs]
    assert codes == [0] * N


@pytest.mark.parametrize("mixed", [pytest.param((our_relay, (0,), 100), id="1 of 4")], indirect=True)
def test_a_charon_that_is_killed(mixed):
    """Ours does not wait for ever, and names it; the others, which would, are told."""
    for position in mixed.theirs:
        mixed.start_theirs(position)
    node = mixed.nodes[0]
    node.start("--silence-timeout", "5")
    node.wait_for("key generation")
    mixed.charons[3].kill()
    code, result = node.result()
    assert code == 4, node.said
    assert result["culprits"] in ([3], [])  # none, when another charon has found out before, and says so
    assert not (mixed.folders[0] / LOCK_FILE).exists()
    assert all(mixed.charons[position].result() != 0 for position in (1, 2))


async def take_part(mixed, position, show=lambda phase: None):
    """One of ours in this process."""
    agreement = await read_agreement(str(mixed.file), verify=True)
    folder = mixed.folders[position]
    node = Participant(folder, read_node_key(folder / KEY_FILE))
    key = IdentityKey(node.secret)
    async with (
        asyncio.timeout(SECONDS),
        Host.open(key, peers=agreement.node_keys, relays=[mixed.url]) as host,
    ):
        await run_charon_ceremony(
            agreement,
            node,
            host,
            dialect=dialect_of(version()),
            store=NodeStore(folder, CHEAP),
            patience=Patience(SECONDS, SECONDS),
            show=show,
        )


@pytest.mark.parametrize("mixed", [pytest.param((our_relay, (0,), 1), id="1 of 4")], indirect=True)
async def test_charons_are_told_why_our_node_ends(mixed):
    """They end, too: the first says why, others perhaps that they cannot reach the first."""

    def fail(phase):
        if phase.name.startswith("signatures for"):
            raise RuntimeError("a fault")

    for position in mixed.theirs:
        mixed.start_theirs(position)
    with pytest.raises(RuntimeError, match="a fault"):
        await take_part(mixed, 0, fail)
    assert all(charon.result() != 0 for charon in mixed.charons.values())
    assert any(OWN_FAULT in charon.said for charon in mixed.charons.values())


@pytest.mark.parametrize("mixed", [pytest.param((our_relay, (2,), 3), id="1 of 4")], indirect=True)
async def test_what_comes_twice_does_charons_no_harm(mixed, monkeypatch):
    """So a message of which nobody knows whether it has arrived can be sent again."""
    deliver = CharonNode._deliver

    async def twice(self, output):
        await deliver(self, output)
        await deliver(self, output)

    monkeypatch.setattr(CharonNode, "_deliver", twice)
    for position in mixed.theirs:
        mixed.start_theirs(position)
    await take_part(mixed, 2)
    mixed.nodes.clear()
    mixed.assert_one_lock()


def version():
    """Of the charon that there is."""
    return once("version")[1].split()[0]
