"""`dvtfast dkg`: real processes that make keys together, are killed, cheat and stay away."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from dvtfast.dkg.outputs import Phase
from dvtfast.obol import KEY_FILE, read_node_key
from dvtfast.services.ceremony.definition import ClusterAgreement, read_agreement
from dvtfast.services.ceremony.errors import CeremonyFailedError
from dvtfast.services.ceremony.folder import KEYSTORES, LOCK_FILE
from dvtfast.services.ceremony.running import running
from dvtfast.services.ceremony.running.driver import Patience
from dvtfast.services.ceremony.running.records_file import FOLDER, RecordsFile
from dvtfast.services.ceremony.running.running import Participant, run_ceremony
from dvtfast.services.ceremony.storing import NodeStore
from dvtfast.services.p2p.host import Host, IdentityKey

from ..patience import PATIENCE_SECONDS
from .dealt import CHEAP
from .nodes import Cluster
from .test_commands import call


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.close()


def all_have_one_lock(cluster: Cluster) -> None:
    results = [node.result() for node in cluster.nodes]
    assert [code for code, _ in results] == [0] * len(results), [node.said for node in cluster.nodes]
    assert len({result["lock_hash"] for _, result in results}) == 1
    assert len({(node.folder / LOCK_FILE).read_bytes() for node in cluster.nodes}) == 1
    for node in cluster.nodes:
        assert len(list((node.folder / KEYSTORES).iterdir())) == 2 * 3
        assert [file.stat().st_size for file in (node.folder / FOLDER).iterdir()] == [0]


def test_a_ceremony(cluster: Cluster, tmp_path: Path) -> None:
    """What comes of it is what our own programs read; any three folders have the keys."""
    for node in cluster.nodes:
        node.start()
    all_have_one_lock(cluster)
    lock = cluster.nodes[0].folder / LOCK_FILE
    assert call("cluster", "verify", lock).exit_code == 0
    folders = tmp_path / "folders"
    folders.mkdir()
    for node in cluster.nodes[1:]:
        node.folder.rename(folders / node.folder.name)
    combined = call("combine", "--cluster-dir", folders, "--output-dir", tmp_path / "keys", "--yes")
    assert combined.exit_code == 0, combined.output
    cluster.nodes[0].start()
    code, _ = cluster.nodes[0].result()
    assert code != 0
    assert "is there already" in cluster.nodes[0].said


def test_each_is_killed_and_goes_on(cluster: Cluster) -> None:
    """At a step each, one after the other; all end with the same lock."""
    for node in cluster.nodes:
        node.start()
    for node, step in zip(cluster.nodes, ("commit", "deal", "sigs", "store"), strict=True):
        node.kill_at(step)
        node.start()
    all_have_one_lock(cluster)


async def take_part(
    cluster: Cluster,
    agreement: ClusterAgreement,
    position: int,
    patience: Patience,
    show: Callable[[Phase], None] = lambda phase: None,
) -> None:
    """One of its nodes in this process."""
    folder = cluster.nodes[position].folder
    secret = read_node_key(folder / KEY_FILE)
    addresses = {
        key: [("127.0.0.1", port)]
        for i, (key, port) in enumerate(zip(agreement.node_keys, cluster.ports, strict=True))
        if i != position
    }
    async with Host.open(
        IdentityKey(secret),
        peers=agreement.node_keys,
        listen=[("127.0.0.1", cluster.ports[position])],
        addresses=addresses,
    ) as host:
        node, store = Participant(folder, secret), NodeStore(folder, CHEAP)
        await run_ceremony(agreement, node, host, store=store, patience=patience, show=show)


async def test_one_never_comes(cluster: Cluster) -> None:
    """All others say who, after the limit; then it comes, and they begin anew."""
    agreement = await read_agreement(str(cluster.file), verify=True)
    there = [asyncio.Event() for _ in range(3)]
    patience = Patience(join_seconds=math.inf, silence_seconds=math.inf)

    def show(position: int, phase: Phase) -> None:
        if phase == Phase("hello", (3,)):
            there[position].set()

    nodes = [
        asyncio.create_task(take_part(cluster, agreement, i, patience, partial(show, i))) for i in range(3)
    ]
    async with asyncio.timeout(PATIENCE_SECONDS):
        for event in there:
            await event.wait()
        patience.join_seconds = 0.0
        results = await asyncio.gather(*nodes, return_exceptions=True)
    assert [error.culprits for error in results if isinstance(error, CeremonyFailedError)] == [[3]] * 3
    assert not any((node.folder / LOCK_FILE).exists() for node in cluster.nodes)
    patience.join_seconds = math.inf
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*(take_part(cluster, agreement, i, patience) for i in range(4)))
    assert len({(node.folder / LOCK_FILE).read_bytes() for node in cluster.nodes}) == 1


async def test_one_is_killed_when_all_is_done(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are in their places, and nobody is left to talk to: it says that all is well."""
    agreement = await read_agreement(str(cluster.file), verify=True)
    patience = Patience(join_seconds=math.inf, silence_seconds=math.inf)
    last = cluster.nodes[3].folder
    erase = RecordsFile.erase

    def fail(records: RecordsFile) -> None:
        if last in records.path.parents:
            raise OSError("killed")
        erase(records)

    async with asyncio.timeout(PATIENCE_SECONDS):
        with monkeypatch.context() as patched:
            patched.setattr(RecordsFile, "erase", fail)
            ends = await asyncio.gather(
                *(take_part(cluster, agreement, i, patience) for i in range(4)), return_exceptions=True
            )
        assert [str(end) for end in ends] == ["None"] * 3 + ["killed"]
        monkeypatch.setattr(running, "CLOSE_SECONDS", 0.5)
        lock = (last / LOCK_FILE).read_bytes()
        await take_part(cluster, agreement, 3, patience)
    assert (last / LOCK_FILE).read_bytes() == lock
    assert [file.stat().st_size for file in (last / FOLDER).iterdir()] == [0]


@pytest.mark.parametrize("is_first", [False, True], ids=["last", "first"])
def test_a_folder_that_is_not_empty(cluster: Cluster, is_first: bool) -> None:
    """All learn whose, before there are any keys, also those who come after it found out."""
    (cluster.nodes[2].folder / KEYSTORES).mkdir()
    others = [node for position, node in enumerate(cluster.nodes) if position != 2]
    if is_first:
        cluster.nodes[2].start()
        cluster.nodes[2].wait_for("telling the others")
    for node in others:
        node.start("--log-level", "debug")
    if not is_first:
        for node in others:
            node.wait_for("waits_for=2")
        cluster.nodes[2].start()
    for position, node in enumerate(cluster.nodes):
        code, result = node.result()
        assert code == (1 if position == 2 else 4)
        assert result["culprits"] == [2]
        assert "validator_keys: is there already" in node.said


class TestRecords:
    HASH = bytes(range(32))

    def test_what_was_recorded_is_there_again(self, tmp_path: Path) -> None:
        records = RecordsFile.open(tmp_path, self.HASH)
        assert (records.attempt, records.written) == (0, ())
        for content in (b"one", b"", b"three" * 1000):
            records.append(content)
        records.close()
        again = RecordsFile.open(tmp_path, self.HASH)
        assert (again.attempt, again.written) == (0, (b"one", b"", b"three" * 1000))

    @pytest.mark.parametrize("cut", range(1, 16))
    def test_half_a_record_was_not_recorded(self, tmp_path: Path, cut: int) -> None:
        records = RecordsFile.open(tmp_path, self.HASH)
        records.append(b"whole")
        records.append(b"half")
        records.close()
        (file,) = (tmp_path / FOLDER).iterdir()
        file.write_bytes(file.read_bytes()[:-cut])
        again = RecordsFile.open(tmp_path, self.HASH)
        assert again.written == (b"whole",)
        again.append(b"other")
        again.close()
        assert RecordsFile.open(tmp_path, self.HASH).written == (b"whole", b"other")

    def test_an_attempt_is_used_once(self, tmp_path: Path) -> None:
        for attempt in range(3):
            records = RecordsFile.open(tmp_path, self.HASH)
            assert records.attempt == attempt
            records.append(b"secret")
            records.erase()
        assert [file.read_bytes() for file in (tmp_path / FOLDER).iterdir()] == [b""] * 3
        assert RecordsFile.open(tmp_path, self.HASH, least_attempt=7).attempt == 7
        assert RecordsFile.open(tmp_path, bytes(32)).attempt == 0
