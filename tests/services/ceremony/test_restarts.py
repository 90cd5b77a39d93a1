"""What a ceremony leaves in a folder, and what starts after it make of that: no key share is thrown away."""

from __future__ import annotations

import asyncio
import errno
import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from dvtfast import generate_secret_keys, split_secret_keys, ssv
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Kind
from dvtfast.services.ceremony.charon_terms import WAY as FROST_WAY
from dvtfast.services.ceremony.definition import read_agreement
from dvtfast.services.ceremony.folder import LOCK_FILE
from dvtfast.services.ceremony.protocol import NATIVE
from dvtfast.services.ceremony.running import driver, running
from dvtfast.services.ceremony.running.driver import Patience
from dvtfast.services.ceremony.running.mailbox import Mailbox
from dvtfast.services.ceremony.running.records_file import kept_receipts
from dvtfast.services.ceremony.ssv_files import is_for, write_ssv_keyshares
from dvtfast.services.ceremony.ssv_terms import SsvTerms
from dvtfast.services.ceremony.staging import ORIGIN, WRITTEN, Staging
from dvtfast.services.ceremony.storing import ResultOrigin
from tests.vector_files import VECTORS

from ..patience import PATIENCE_SECONDS
from .nodes import Cluster
from .test_running import secrets_in, take_part

ROOT = VECTORS.parent.parent
ANOTHERS = ResultOrigin.of(bytes([7]) * 32, "attempt 0", bytes([9]) * 32)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.close()


def leave(folder: Path, origin: ResultOrigin, content: str = "share") -> None:
    """What a ceremony has stored whose end is not known."""
    staging = Staging(folder)
    (staging.begin(msgspec.json.encode(origin)) / "key").write_text(content)
    staging.complete()


def is_left(folder: Path, content: str = "share") -> bool:
    return (folder / WRITTEN / "key").read_text() == content


def test_a_start_after_another_ceremony(cluster: Cluster) -> None:
    """All learn why there can be no keys, and those of before are where they were."""
    frost = ResultOrigin.of(cluster.definition.definition_hash, FROST_WAY + "v1.11", bytes(32))
    leave(cluster.nodes[2].folder, ANOTHERS)
    leave(cluster.nodes[3].folder, frost)
    for node in cluster.nodes:
        node.start()
    codes = [node.result()[0] for node in cluster.nodes]
    assert (codes[:2], codes[2] in (1, 4), codes[3] in (1, 4)) == ([4, 4], True, True)
    assert "key shares of a ceremony that has not ended (definition 0x07070707" in cluster.nodes[2].said
    assert "frost v1.11); see docs/dkg.md" in cluster.nodes[3].said
    assert all(is_left(node.folder) for node in cluster.nodes[2:])


def test_a_start_between_two_ceremonies(cluster: Cluster) -> None:
    """One was interrupted, another one ended in doubt, the first is started again: people decide."""
    for node in cluster.nodes:
        node.start("--silence-timeout", "100000")
    cluster.nodes[3].kill_at("sigs")
    leave(cluster.nodes[3].folder, ANOTHERS)
    cluster.nodes[3].start()
    assert cluster.nodes[3].result()[0] == 1
    assert "key shares of a ceremony that has not ended (definition 0x07070707" in cluster.nodes[3].said
    assert is_left(cluster.nodes[3].folder)
    (cluster.nodes[3].folder / WRITTEN).rename(cluster.nodes[3].folder / "kept")
    cluster.nodes[3].start()
    assert [node.result()[0] for node in cluster.nodes] == [0] * 4
    assert (cluster.nodes[3].folder / "kept" / ORIGIN).exists()


async def test_receipts_are_there_before_anything_comes_of_them(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One finishes, is killed, and started alone, as a supervisor does: it still ends the doubt of others."""
    agreement = await read_agreement(str(cluster.file), verify=True)
    patience = Patience(join_seconds=math.inf, silence_seconds=math.inf)
    take, last = Mailbox.next, cluster.nodes[3].folder
    finished = asyncio.Event()
    publish = running.NodeStore.publish

    async def hear(mailbox: Mailbox) -> tuple[int, bytes | None]:
        while True:
            peer, payload = await take(mailbox)
            if payload is None or (payload[0], peer) != (Kind.DONE, 3):
                return peer, payload

    async def ended(store: running.NodeStore) -> None:
        await publish(store)
        finished.set()

    async with asyncio.timeout(PATIENCE_SECONDS):
        with monkeypatch.context() as patched:
            patched.setattr(Mailbox, "next", hear)
            patched.setattr(running.NodeStore, "publish", ended)
            nodes = [asyncio.create_task(take_part(cluster, agreement, i, patience)) for i in range(4)]
            await finished.wait()
            for node in nodes:
                node.cancel()
            await asyncio.wait(nodes)
        assert (last / LOCK_FILE).exists()
        assert all((node.folder / WRITTEN).is_dir() for node in cluster.nodes[:3])
        assert len(kept_receipts(last, agreement.definition.definition_hash)) == 4
        with monkeypatch.context() as patched:
            patched.setattr(running, "CLOSE_SECONDS", 0.5)
            await take_part(cluster, agreement, 3, patience)
        assert secrets_in(last) == [0]
        others = [asyncio.create_task(take_part(cluster, agreement, i, patience)) for i in range(3)]
        assert await take_part(cluster, agreement, 3, patience) == NATIVE
        await asyncio.gather(*others)
    assert len({(node.folder / LOCK_FILE).read_bytes() for node in cluster.nodes}) == 1


async def test_without_receipts_records_stay(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the file is lost: what this node has said is told as long as it may be needed."""
    agreement = await read_agreement(str(cluster.file), verify=True)
    patience = Patience(join_seconds=math.inf, silence_seconds=math.inf)
    last = cluster.nodes[3].folder
    monkeypatch.setattr(driver, "CLOSE_SECONDS", 0.5)
    async with asyncio.timeout(PATIENCE_SECONDS):
        with monkeypatch.context() as patched:
            patched.setattr(running, "keep_receipts", lambda *arguments: None)
            patched.setattr(running.RecordsFile, "erase", lambda records: records.close())
            await asyncio.gather(*(take_part(cluster, agreement, i, patience) for i in range(4)))
        monkeypatch.setattr(running, "CLOSE_SECONDS", 0.5)
        await take_part(cluster, agreement, 3, patience)
        assert all(secrets_in(last))


async def test_a_disk_that_does_not_answer(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error is a TimeoutError, too; it is not the end of waiting for others."""
    agreement = await read_agreement(str(cluster.file), verify=True)
    patience = Patience(join_seconds=math.inf, silence_seconds=math.inf)
    slow = OSError(errno.ETIMEDOUT, "Connection timed out")
    assert isinstance(slow, TimeoutError)
    with monkeypatch.context() as patched:

        async def run(*arguments: object) -> None:
            raise slow

        patched.setattr(running, "_is_published", lambda *arguments: True)
        patched.setattr(running._Attempt, "run", run)
        with pytest.raises(TimeoutError) as caught:
            await take_part(cluster, agreement, 0, patience)
    assert caught.value is slow


class Refusing(BaseHTTPRequestHandler):
    """A validator client that takes no keys."""

    def do_GET(self) -> None:
        self._answer(200)

    def do_POST(self) -> None:
        self._answer(500)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_a_validator_client_that_takes_no_keys(cluster: Cluster) -> None:
    """Its node has keys, says so by its exit code, and needs nobody to put them in their place."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as client:
        threading.Thread(target=client.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{client.server_port}"
        for node in cluster.nodes[1:]:
            node.start()
        cluster.nodes[0].start("--keymanager-address", address, "--keymanager-auth-token", "token")
        codes = [node.result()[0] for node in cluster.nodes]
        client.shutdown()
    assert codes == [6, 0, 0, 0], cluster.nodes[0].said
    assert "all nodes have stored their keys, and this node's are in" in cluster.nodes[0].said
    cluster.nodes[0].start()
    assert cluster.nodes[0].result()[0] == 0
    assert len({(node.folder / LOCK_FILE).read_bytes() for node in cluster.nodes}) == 1


IDS = (2, 3, 5, 7)
OPERATORS = {operator_id: ssv.generate_operator_key().public_key for operator_id in IDS}


@pytest.mark.parametrize("change", ["", "owner", "nonce", "count", "operators"])
def test_keyshares_of_this_ceremony(tmp_path: Path, change: str) -> None:
    """Not whichever are in the folder."""
    keys = generate_secret_keys(2)
    shares = split_secret_keys(keys, threshold=3, share_indices=IDS)
    owner, nonce = bytes(range(20)), 7
    validators = ssv.build_key_shares(keys, shares, OPERATORS, owner_address=owner, first_nonce=nonce)
    write_ssv_keyshares(tmp_path / "keyshares.json", validators, OPERATORS)
    others = dict(zip((2, 3, 5, 11), OPERATORS.values(), strict=True))
    terms = SsvTerms(
        others if change == "operators" else OPERATORS,
        bytes(20) if change == "owner" else owner,
        nonce + (change == "nonce"),
    )
    assert is_for(tmp_path / "keyshares.json", terms, 2 + (change == "count")) is (not change)


@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_ended_at_every_step(tmp_path: Path) -> None:
    """Killed, or refused by the disk, at each of its steps, and then started in each way that there is."""
    program = [sys.executable, "-m", "tests.services.ceremony.crash_points", str(tmp_path)]
    output = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stderr[-3000:]
    states, *ends = [line.split() for line in output.stdout.splitlines() if line.startswith("end ")]
    assert int(states[1]) > 30
    seen = {(name, int(code)) for _, name, code, _ in ends}
    # It came to its end with all others; with nobody, where that was decided; other ceremonies waited for it.
    assert {("with-all", 0), ("alone", 0), ("in-doubt", 5), ("another", 1), ("by-hand", 1)} <= seen
