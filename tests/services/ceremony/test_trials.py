"""What real nodes go through: killed at random moments, cut off for a while, one of them cheats."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dvtfast.services.ceremony.folder import KEYSTORES, LOCK_FILE
from dvtfast.services.p2p.host import IdentityKey
from dvtfast.services.p2p.relay.relaying import relaying
from dvtfast.services.p2p.wire.peers import peer_text

from ..patience import PATIENCE_SECONDS
from .nodes import Cluster
from .test_commands import call
from .test_running import all_have_one_lock

CHEATING = ("-m", "tests.services.ceremony.cheating_node")
VICTIM, CHEATER = 1, 2
# How often nodes are killed; DVTFAST_KILLS says otherwise, and --timeout must fit.
KILLS = int(os.environ.get("DVTFAST_KILLS", "4"))
MOST_LINES, LINE_SECONDS = 25, 0.05  # that a node may say before it is killed, and what comes behind
VALIDATORS, DEALT_BYTES = 300, 3 * 48 + 32  # of a validator to one node, with threshold 3


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.close()


def test_killed_at_random_moments(cluster: Cluster) -> None:
    """Each in turn, before and after anything is written, sent or published: all end with the same lock.

    Who is killed is started again, also when all was done but for its exit code: it says so then.
    """
    moments = random.Random()  # whichever they are, it must hold
    told = ("--silence-timeout", "100000", "--log-level", "debug")
    for node in cluster.nodes:
        node.start(*told)
    for kill in range(KILLS):
        node = cluster.nodes[kill % len(cluster.nodes)]
        node.wait_for_lines(moments.randrange(MOST_LINES))
        time.sleep(moments.uniform(0, LINE_SECONDS))
        assert node.process is not None
        if node.process.poll() is None:
            node.kill()
            node.start(*told)
    results = [node.result() for node in cluster.nodes]
    assert not any(code for code, _ in results), [node.said for node in cluster.nodes]
    assert len({(node.folder / LOCK_FILE).read_bytes() for node in cluster.nodes}) == 1
    for node in cluster.nodes:
        assert len(list((node.folder / KEYSTORES).iterdir())) == 2 * 3


class Cable:
    """A way to a port on loopback that is cut when it has carried so many bytes there, and can be mended."""

    def __init__(self, port: int, most_bytes: float) -> None:
        self.port = 0
        self.is_cut = asyncio.Event()
        self._to, self._left = port, most_bytes
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        self.is_cut.set()
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self._left = math.inf
        self.is_cut.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut.is_set():
            writer.transport.abort()
            return
        there = await asyncio.open_connection("127.0.0.1", self._to)
        both = {writer, there[1]}
        self._writers |= both
        try:
            await asyncio.gather(self._count(reader, there[1]), _pour(there[0], writer))
        except OSError:
            return
        finally:
            self._writers -= both
            for each in both:
                each.transport.abort()

    async def _count(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1024):
            self._left -= len(data)
            if self._left < 0:
                self.cut()
                return
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def test_cut_off_for_a_while(tmp_path: Path) -> None:
    """One node reaches the others through a relay only, and for a while not at all: all wait, and go on."""
    identity = IdentityKey.generate()
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        relaying(identity, listen=[("127.0.0.1", 0)], shows_private=True) as relay,
    ):
        # Among what it deals to the others, which is more, and after all that comes before, which is less.
        cable = Cable(relay.bound[0][1], most_bytes=2 * VALIDATORS * DEALT_BYTES)
        async with cable.laid():
            ports = [relay.bound[0][1]] * 3 + [cable.port]
            name = peer_text(identity.public_key)
            cluster = Cluster(
                tmp_path,
                validators=VALIDATORS,
                relays=[f"/ip4/127.0.0.1/tcp/{port}/p2p/{name}" for port in ports],
            )
            try:
                for node in cluster.nodes:
                    node.start()
                await cable.is_cut.wait()
                await asyncio.sleep(2.0)
                assert all(node.process is not None and node.process.poll() is None for node in cluster.nodes)
                cable.mend()
                await asyncio.to_thread(all_have_one_lock, cluster)
            finally:
                cluster.close()


def test_a_node_that_cheats(cluster: Cluster, tmp_path: Path) -> None:
    """All others say who, and have a file that convinces anybody; no other file does."""
    for position, node in enumerate(cluster.nodes):
        if position == CHEATER:
            node.program = CHEATING
        node.start()
    for position, node in enumerate(cluster.nodes):
        code, result = node.result()
        if position == CHEATER:
            continue
        assert (code, result["culprits"], result["unconfirmed"]) == (3, [CHEATER], False), node.said
        (file,) = result["evidence"]
        judged = call("dkg", "verify-blame", file, "--definition-file", cluster.file)
        assert judged.exit_code == 0
        assert f"operator {CHEATER} " in judged.output
        assert f"has dealt operator {VICTIM} a wrong share for validator 0" in judged.output
    blame = json.loads(Path(file).read_text())
    forged = tmp_path / "forged.json"
    forged.write_text(json.dumps(blame | {"evidence": blame["evidence"][::-1]}))
    judged = call("dkg", "verify-blame", forged, "--definition-file", cluster.file)
    assert judged.exit_code == 1
    assert "proves nothing" in judged.output or "no evidence" in judged.output
