"""`dvtfast dkg`: real processes that make keys together, are killed, cheat and stay away."""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from dvtfast.dkg.dvtfast_dkg.messages import sizes
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Kind
from dvtfast.dkg.dvtfast_dkg.messages.wanting import SIGN_OF_LIFE
from dvtfast.dkg.outputs import Phase
from dvtfast.obol import KEY_FILE, read_node_key
from dvtfast.services.ceremony.definition import ClusterAgreement, read_agreement
from dvtfast.services.ceremony.errors import CeremonyError, CeremonyFailedError
from dvtfast.services.ceremony.folder import KEYSTORES, LOCK_FILE, NodeResult
from dvtfast.services.ceremony.protocol import NATIVE, make_keys
from dvtfast.services.ceremony.running import driver, running
from dvtfast.services.ceremony.running.driver import Patience
from dvtfast.services.ceremony.running.mailbox import Mailbox
from dvtfast.services.ceremony.running.records_file import ASIDE, FOLDER, RECEIPTS, RecordsFile
from dvtfast.services.ceremony.running.running import Participant
from dvtfast.services.ceremony.staging import CONFIRMED, WRITTEN
from dvtfast.services.ceremony.storing import NodeStore, ResultOrigin
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


def files_in(folder: Path) -> list[tuple[Path, int]]:
    """Those of attempts, with how many bytes each has left."""
    files = (folder / FOLDER).iterdir()
    return [(file, file.stat().st_size) for file in files if file.suffix != RECEIPTS]


def secrets_in(folder: Path) -> list[int]:
    """How many bytes each attempt has left."""
    return [size for _, size in files_in(folder)]


def all_have_one_lock(cluster: Cluster) -> None:
    results = [node.result() for node in cluster.nodes]
    assert [code for code, _ in results] == [0] * len(results), [node.said for node in cluster.nodes]
    assert len({result["lock_hash"] for _, result in results}) == 1
    assert len({(node.folder / LOCK_FILE).read_bytes() for node in cluster.nodes}) == 1
    for node in cluster.nodes:
        assert len(list((node.folder / KEYSTORES).iterdir())) == 2 * len(cluster.definition.fee_recipients)
        assert secrets_in(node.folder) == [0]


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
    code, result = cluster.nodes[0].result()
    assert code == 0, cluster.nodes[0].said
    assert result["lock_hash"] == json.loads(lock.read_text())["lock_hash"]
    assert result["protocol"] == "native"
    assert "no keys" not in cluster.nodes[0].said


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
) -> str:
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
        return await make_keys(
            agreement, node, host, protocol=NATIVE, store=store, patience=patience, show=show
        )


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


@pytest.mark.thorough
def test_one_never_comes_and_all_processes_say_who(cluster: Cluster) -> None:
    """Each ends by itself, after the limit, with the same name; then it comes, and all begin anew."""
    for node in cluster.nodes[:3]:
        node.start("--join-timeout", "45")
    for node in cluster.nodes[:3]:
        code, result = node.result()
        assert (code, result["culprits"], result["unconfirmed"]) == (4, [3], False), node.said
        assert "waited in vain for HELLO of operator 3" in node.said
        assert not (node.folder / LOCK_FILE).exists()
    for node in cluster.nodes:
        node.start()
    results = [node.result() for node in cluster.nodes]
    assert [code for code, _ in results] == [0] * 4, [node.said for node in cluster.nodes]
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
        assert [str(end) for end in ends] == [NATIVE] * 3 + ["killed"]
        monkeypatch.setattr(running, "CLOSE_SECONDS", 0.5)
        lock = (last / LOCK_FILE).read_bytes()
        await take_part(cluster, agreement, 3, patience)
    assert (last / LOCK_FILE).read_bytes() == lock
    assert secrets_in(last) == [0]


async def test_one_cannot_publish_what_all_have(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """All have said that theirs is stored, which is decided on its disk: later it needs nobody."""
    agreement = await read_agreement(str(cluster.file), verify=True)
    patience = Patience(join_seconds=math.inf, silence_seconds=math.inf)
    last = cluster.nodes[3].folder
    publish = NodeStore.publish

    async def refuse(store: NodeStore) -> None:
        if store.directory == last:
            raise CeremonyError("the keymanager: HTTP 500")
        await publish(store)

    async with asyncio.timeout(PATIENCE_SECONDS):
        with monkeypatch.context() as patched:
            patched.setattr(NodeStore, "publish", refuse)
            ends = await asyncio.gather(
                *(take_part(cluster, agreement, i, patience) for i in range(4)), return_exceptions=True
            )
            assert [str(end) for end in ends] == [NATIVE] * 3 + ["the keymanager: HTTP 500"]
            assert (last / CONFIRMED).is_dir()
            with pytest.raises(CeremonyError, match="HTTP 500"):
                await take_part(cluster, agreement, 3, patience)
        monkeypatch.setattr(running, "CLOSE_SECONDS", 0.5)
        await take_part(cluster, agreement, 3, patience)
    assert len({(node.folder / LOCK_FILE).read_bytes() for node in cluster.nodes}) == 1


async def test_one_has_not_heard_that_all_is_done(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """And when it is started again the others have gone, until one of them is started again as well."""
    agreement = await read_agreement(str(cluster.file), verify=True)
    patience = Patience(join_seconds=math.inf, silence_seconds=math.inf)
    take = Mailbox.next

    async def hear(mailbox: Mailbox) -> tuple[int, bytes | None]:
        while True:
            peer, payload = await take(mailbox)
            if payload is None or payload[0] != Kind.DONE or 3 in mailbox._others:
                return peer, payload

    async with asyncio.timeout(PATIENCE_SECONDS):
        with monkeypatch.context() as patched:
            patched.setattr(Mailbox, "next", hear)
            patched.setattr(driver, "CLOSE_SECONDS", 0.5)
            patched.setattr(driver, "LONGEST_REMINDER_SECONDS", 0.25)
            last = asyncio.create_task(take_part(cluster, agreement, 3, patience))
            await asyncio.gather(*(take_part(cluster, agreement, i, patience) for i in range(3)))
            assert not last.done()
            last.cancel()
            await asyncio.wait([last])
        last = asyncio.create_task(take_part(cluster, agreement, 3, patience))
        assert await take_part(cluster, agreement, 0, patience) == NATIVE
        await last
    assert len({(node.folder / LOCK_FILE).read_bytes() for node in cluster.nodes}) == 1


async def test_one_writes_for_long(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that it is there, so that nobody gives it up; and it ends at once when it is told to."""
    agreement = await read_agreement(str(cluster.file), verify=True)
    patience = Patience(join_seconds=math.inf, silence_seconds=math.inf)
    begun, is_stopped, signs = asyncio.Event(), threading.Event(), asyncio.Semaphore(0)
    last, loop = cluster.nodes[3].folder, asyncio.get_running_loop()
    write, receive = NodeStore.write, Mailbox._receive

    def write_slowly(
        store: NodeStore, result: NodeResult, origin: ResultOrigin, *, stop: Callable[[], bool]
    ) -> bytes:
        if store.directory == last and not is_stopped.is_set():
            loop.call_soon_threadsafe(begun.set)
            while not stop():
                time.sleep(0.01)
            is_stopped.set()
        return write(store, result, origin, stop=stop)

    async def count(mailbox: Mailbox, key: bytes, part: bytes) -> bytes:
        if part.endswith(SIGN_OF_LIFE) and key == agreement.node_keys[3] and begun.is_set():
            signs.release()
        return await receive(mailbox, key, part)

    monkeypatch.setattr(driver, "LONGEST_REMINDER_SECONDS", 0.25)
    monkeypatch.setattr(NodeStore, "write", write_slowly)
    monkeypatch.setattr(Mailbox, "_receive", count)
    async with asyncio.timeout(PATIENCE_SECONDS):
        nodes = [asyncio.create_task(take_part(cluster, agreement, i, patience)) for i in range(4)]
        await begun.wait()
        for _ in range(3 * 2):  # to each more than one
            await signs.acquire()
        nodes[3].cancel()
        with pytest.raises(asyncio.CancelledError):
            await nodes[3]
        assert is_stopped.is_set()
        await asyncio.gather(*nodes[:3], take_part(cluster, agreement, 3, patience))
    assert len({(node.folder / LOCK_FILE).read_bytes() for node in cluster.nodes}) == 1


async def test_what_was_stored_is_moved_away(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """So operators say that an attempt is over that ended without all: they begin the next one."""
    agreement = await read_agreement(str(cluster.file), verify=True)
    patience = Patience(join_seconds=math.inf, silence_seconds=math.inf)
    last = cluster.nodes[3].folder

    def refuse(
        store: NodeStore, result: NodeResult, origin: ResultOrigin, *, stop: Callable[[], bool]
    ) -> bytes:
        if store.directory == last:
            patience.silence_seconds = 0.0
            raise OSError("the disk is gone")
        return write(store, result, origin, stop=stop)

    write = NodeStore.write
    async with asyncio.timeout(PATIENCE_SECONDS):
        with monkeypatch.context() as patched:
            patched.setattr(NodeStore, "write", refuse)
            ends = await asyncio.gather(
                *(take_part(cluster, agreement, i, patience) for i in range(4)), return_exceptions=True
            )
        unconfirmed = [end.is_unconfirmed for end in ends if isinstance(end, CeremonyFailedError)]
        assert (unconfirmed, str(ends[3])) == ([True] * 3, "the disk is gone")
        for node in cluster.nodes[:3]:
            (node.folder / WRITTEN).rename(node.folder / "kept")
        patience.silence_seconds = math.inf
        await asyncio.gather(*(take_part(cluster, agreement, i, patience) for i in range(4)))
    assert len({(node.folder / LOCK_FILE).read_bytes() for node in cluster.nodes}) == 1
    for node in cluster.nodes:
        left = [(file.suffix == ASIDE, size) for file, size in files_in(node.folder)]
        assert [size > 0 for is_aside, size in left if is_aside] == [True]
        assert [size for is_aside, size in left if not is_aside] == [0]


async def test_too_many_keys_at_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are refused before anybody is told anything."""
    agreement = await read_agreement(str(cluster.file), verify=True)
    monkeypatch.setattr(sizes, "MOST_HELD_BYTES", 2 * 8 * 3 * 96)
    patience = Patience(join_seconds=0.0, silence_seconds=0.0)
    with pytest.raises(CeremonyError, match=r"3 are too many for one ceremony of 4 nodes .* makes 2 at most"):
        await take_part(cluster, agreement, 0, patience)
    assert not (cluster.nodes[0].folder / FOLDER).exists()


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
