"""Which key generation nodes speak: all of them come to the same, whoever sees what first."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from functools import partial
from types import SimpleNamespace

import pytest

from dvtfast.dkg.frost.dialects import V1_9, V1_10, V1_11
from dvtfast.dkg.outputs import Aborted
from dvtfast.obol import KEY_FILE, read_node_key
from dvtfast.services.ceremony.charon_terms import run_charon_ceremony
from dvtfast.services.ceremony.commands import key_generation
from dvtfast.services.ceremony.definition import read_agreement
from dvtfast.services.ceremony.errors import CeremonyError, CeremonyFailedError, UnpublishedError
from dvtfast.services.ceremony.folder import KEYSTORES, LOCK_FILE
from dvtfast.services.ceremony.protocol import (
    AUTO,
    FROST,
    NATIVE,
    ROLL_CALL,
    agent_of,
    dialect_among,
    make_keys,
    protocol_of,
)
from dvtfast.services.ceremony.running.driver import HELLO, Patience
from dvtfast.services.ceremony.running.records_file import FOLDER, RecordsFile
from dvtfast.services.ceremony.running.running import Participant
from dvtfast.services.ceremony.staging import CONFIRMED
from dvtfast.services.ceremony.storing import Keymanager, NodeStore
from dvtfast.services.demo.world.ports import free_port
from dvtfast.services.p2p.host import Host, IdentityKey

from ..patience import PATIENCE_SECONDS
from .dealt import CHEAP
from .nodes import Cluster

OURS, CHARON_10, CHARON_11 = "dvtfast", "obolnetwork-charon/v1.10.3", "obolnetwork-charon/v1.11.0-rc3"


@pytest.mark.parametrize(
    ("agents", "expected"),
    [
        ([OURS] * 4, None),
        ([OURS, CHARON_10], V1_10),
        ([OURS, OURS, CHARON_11, OURS], V1_11),
        ([OURS, OURS, "obolnetwork-charon/v1.9.5", OURS], V1_9),
        ([OURS, OURS, agent_of(FROST), OURS], V1_11),
        ([OURS, agent_of(FROST)], None),  # a charon may come yet
        ([OURS, agent_of(FROST), CHARON_10], V1_10),
        ([OURS, "something/v1", OURS, OURS], None),
        ([agent_of(NATIVE), OURS], None),
    ],
)
def test_what_agents_say(agents, expected):
    assert dialect_among(dict(enumerate(agents)), count=4) == expected


@pytest.mark.parametrize(
    ("agents", "expected"),
    [
        (
            [OURS, agent_of(NATIVE), CHARON_10],
            "node 1 speaks the native protocol alone, and node 2 says .* as 'obolnetwork-charon/v1.10.3'",
        ),
        ([agent_of(NATIVE), agent_of(FROST)], "node 0 speaks the native protocol alone, and node 1 says"),
        ([OURS, "obolnetwork-charon/v1.8.0"], "node 1, a charon: version: expected a charon of v1.9"),
        ([OURS, "obolnetwork-charon/unknown"], "node 1, a charon: version"),
    ],
)
def test_nodes_that_cannot_speak_with_each_other(agents, expected):
    with pytest.raises(CeremonyError, match=expected):
        dialect_among(dict(enumerate(agents)), count=4)


def test_what_the_definition_asks_for(tmp_path):
    definition = Cluster(tmp_path).definition
    frost = dataclasses.replace(definition, dkg_algorithm="frost")
    spoken = partial(protocol_of, has_worth=False)
    assert [spoken(definition, told) for told in (AUTO, NATIVE, FROST)] == [AUTO, NATIVE, FROST]
    assert [spoken(frost, told) for told in (AUTO, FROST)] == [FROST, FROST]
    with pytest.raises(CeremonyError, match="dkg_algorithm: frost, and --protocol is native"):
        spoken(frost, NATIVE)
    with pytest.raises(CeremonyError, match="dkg_algorithm: pedersen is not spoken"):
        spoken(dataclasses.replace(definition, dkg_algorithm="pedersen"), FROST)


def test_no_peer_decides_where_stake_has_worth(tmp_path):
    """There it takes an operator's own word, or the definition's: who says that it is a charon ends it."""
    definition = Cluster(tmp_path).definition
    frost = dataclasses.replace(definition, dkg_algorithm="frost")
    spoken = [protocol_of(definition, told, has_worth=True) for told in (AUTO, NATIVE, FROST)]
    assert spoken == [NATIVE, NATIVE, FROST]
    assert protocol_of(frost, AUTO, has_worth=True) == FROST
    for liar in (CHARON_10, CHARON_11, agent_of(FROST)):
        with pytest.raises(CeremonyError, match="node 3 says that it speaks FROST"):
            dialect_among({0: agent_of(spoken[0]), 3: liar}, count=4)


class Ceremony:
    """Nodes of a cluster in this process, each told to speak something."""

    def __init__(self, directory):
        self.cluster = Cluster(directory)
        self.patience = Patience(math.inf, math.inf)
        self.phases = {}
        self.changed = asyncio.Event()

    async def node(self, position, *, agent, protocol=AUTO, dialect=None, keymanager=None):
        """One of ours; with a dialect, what others see as a charon."""
        agreement = await read_agreement(str(self.cluster.file), verify=True)
        folder = self.cluster.nodes[position].folder
        secret = read_node_key(folder / KEY_FILE)
        ports = self.cluster.ports
        keys = agreement.node_keys
        addresses = {keys[i]: [("127.0.0.1", ports[i])] for i in range(len(keys)) if i != position}
        what = {"store": NodeStore(folder, CHEAP, keymanager=keymanager), "patience": self.patience}
        what["show"] = lambda phase: self.show(position, phase)
        async with Host.open(
            IdentityKey(secret),
            peers=keys,
            listen=[("127.0.0.1", ports[position])],
            addresses=addresses,
            agent=agent,
        ) as host:
            node = Participant(folder, secret)
            if dialect is None:
                return await make_keys(agreement, node, host, protocol=protocol, **what)
            return await run_charon_ceremony(agreement, node, host, dialect=dialect, **what)

    def show(self, position, phase):
        self.phases[position] = phase
        self.changed.set()

    async def until_phase(self, name, positions):
        while not all(i in self.phases and self.phases[i].name == name for i in positions):
            self.changed.clear()
            await self.changed.wait()

    def assert_one_lock(self):
        folders = [node.folder for node in self.cluster.nodes]
        assert len({(folder / LOCK_FILE).read_bytes() for folder in folders}) == 1
        for folder in folders:
            if (folder / FOLDER).exists():
                assert [file.stat().st_size for file in (folder / FOLDER).iterdir()] in ([], [0])


@pytest.fixture
def ceremony(tmp_path):
    return Ceremony(tmp_path)


async def test_a_charon_that_comes_late_makes_it_frost(ceremony):
    """All others were at their hello, and had recorded it."""
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        ours = [group.create_task(ceremony.node(i, agent=OURS)) for i in range(3)]
        await ceremony.until_phase(HELLO, range(3))
        group.create_task(ceremony.node(3, agent=CHARON_10, dialect=V1_10))
    assert [task.result() for task in ours] == ["frost v1.10"] * 3
    ceremony.assert_one_lock()


async def test_one_that_is_told_to_decides_for_all(ceremony):
    """Only when all are there: a charon among them would have the say."""
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        tasks = [group.create_task(ceremony.node(0, agent=agent_of(FROST), protocol=FROST))]
        await ceremony.until_phase(ROLL_CALL, [0])
        tasks += [group.create_task(ceremony.node(i, agent=OURS)) for i in (1, 2)]
        await ceremony.until_phase(HELLO, (1, 2))
        tasks.append(group.create_task(ceremony.node(3, agent=OURS)))
    assert [task.result() for task in tasks] == ["frost v1.11"] * 4
    ceremony.assert_one_lock()


async def test_who_does_not_come_to_the_roll_call_is_named(ceremony):
    ceremony.patience.join_seconds = 0.1
    with pytest.raises(CeremonyFailedError) as caught:
        await ceremony.node(1, agent=agent_of(FROST), protocol=FROST)
    assert caught.value.culprits == [0, 2, 3]
    assert str(caught.value) == "waited too long for node 0, node 2, node 3: roll call"


async def test_frost_by_hand_after_the_native_protocol(ceremony):
    """Who has said more than who it is may be waited for; who has not is free to speak something else."""
    folder = ceremony.cluster.nodes[1].folder
    agreement = await read_agreement(str(ceremony.cluster.file), verify=True)
    ceremony.patience.join_seconds = 0.1
    records = RecordsFile.open(folder, agreement.definition.definition_hash)
    records.append(b"hello")
    records.close()
    with pytest.raises(CeremonyFailedError, match="waited too long"):
        await ceremony.node(1, agent=agent_of(FROST), protocol=FROST)
    assert [file.stat().st_size for file in (folder / FOLDER).iterdir()] == [0]
    records = RecordsFile.open(folder, agreement.definition.definition_hash)
    records.append(b"hello")
    records.append(b"commit")
    records.close()
    with pytest.raises(CeremonyError, match="start without --protocol frost first"):
        await ceremony.node(1, agent=agent_of(FROST), protocol=FROST)
    assert RecordsFile.open(folder, agreement.definition.definition_hash).written == (b"hello", b"commit")


async def test_a_folder_that_is_not_empty(ceremony):
    (ceremony.cluster.nodes[3].folder / LOCK_FILE).write_text("{}")
    nodes = [ceremony.node(i, agent=agent_of(FROST), protocol=FROST) for i in range(4)]
    async with asyncio.timeout(PATIENCE_SECONDS):
        tasks = [asyncio.create_task(node) for node in nodes]
        with pytest.raises(CeremonyError, match=r"cluster-lock\.json: is there already"):
            await tasks[3]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_validator_client_that_takes_no_keys(ceremony):
    """All have finished: what waits for it needs nobody, and comes to its place at a later start."""
    nobody = Keymanager(f"http://127.0.0.1:{free_port()}", "token")
    nodes = [
        ceremony.node(i, agent=agent_of(FROST), protocol=FROST, keymanager=nobody if i == 2 else None)
        for i in range(4)
    ]
    async with asyncio.timeout(PATIENCE_SECONDS):
        ends = await asyncio.gather(*nodes, return_exceptions=True)
    assert isinstance(ends[2], UnpublishedError)
    assert [ends[i] for i in (0, 1, 3)] == ["frost v1.11"] * 3
    assert (ceremony.cluster.nodes[2].folder / CONFIRMED).is_dir()
    with pytest.raises(UnpublishedError):
        await ceremony.node(2, agent=OURS, keymanager=nobody)
    assert await ceremony.node(2, agent=OURS) == "frost v1.11"
    ceremony.assert_one_lock()
    for node in ceremony.cluster.nodes:
        assert len(list((node.folder / KEYSTORES).iterdir())) == 2 * 3


def test_the_command(tmp_path):
    """Processes, one of which is told to speak FROST; then one by itself, with its lock and without."""
    cluster = Cluster(tmp_path)
    try:
        for position, node in enumerate(cluster.nodes):
            node.start(*(("--protocol", FROST) if position == 2 else ()))
        results = [node.result() for node in cluster.nodes]
        assert [code for code, _ in results] == [0] * 4, [node.said for node in cluster.nodes]
        assert {result["protocol"] for _, result in results} == {"frost v1.11"}
        assert len({result["lock_hash"] for _, result in results}) == 1
        cluster.nodes[0].start("--protocol", FROST, "--join-timeout", "0.1")
        code, result = cluster.nodes[0].result()
        assert (code, result["protocol"]) == (0, FROST), cluster.nodes[0].said
        (cluster.nodes[0].folder / LOCK_FILE).unlink()
        cluster.nodes[0].start("--protocol", FROST, "--join-timeout", "0.1")
        code, result = cluster.nodes[0].result()
        assert (code, result["culprits"]) == (4, [1, 2, 3])
    finally:
        cluster.close()


@pytest.mark.parametrize(
    ("abort", "code", "words"),
    [
        (Aborted("node 3 ends the ceremony and says: no"), 4, "no keys were made"),
        (Aborted("waited too long for node 3: connecting", 3), 4, "at fault: operator 3"),
        (Aborted("the node has a fault of its own", 1), 1, "no keys were made"),
        (Aborted("node 3 is gone", 3, unconfirmed=True), 5, "ask the others whether they have a lock"),
    ],
)
async def test_exit_codes(tmp_path, capsys, abort, code, words):
    agreement = await read_agreement(str(Cluster(tmp_path).file), verify=True)
    settings = SimpleNamespace(data_dir=tmp_path, json=True)
    error = CeremonyFailedError([abort], attempt=None)
    assert key_generation._failed(error, agreement, settings, position=1) == code
    assert words in capsys.readouterr().err
