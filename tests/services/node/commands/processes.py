"""`dvtfast node` as processes on loopback, without relays, before the chain that judges."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from dvtfast.obol import KEY_FILE, make_enr, write_node_key
from dvtfast.secp256k1 import IdentityKey, new_secret_key
from dvtfast.services.ceremony.dealing import DealtCluster, write_folders
from dvtfast.services.demo.beacon.process import running as running_beacon
from dvtfast.services.demo.world.ports import free_port
from dvtfast.services.p2p.wire.peers import peer_text

from ...ceremony.dealt import CHEAP, a_cluster
from ...ceremony.nodes import NodeProcess
from ...patience import PATIENCE_SECONDS

VALIDATORS, NODES = 64, 4
SECONDS_PER_SLOT = 5
SLOTS_PER_EPOCH = 8  # of the preset minimal
START_SECONDS = 35  # until the chain begins: nodes are there by then
FORK_VERSION, CHAIN_ID = "0x10000910", 560048
LOOK_SECONDS = 0.2


class Nodes:
    """The folders of a cluster, and how each node is started.

    Attributes:
        urls: of the beacon nodes.
        relays: with some, nobody listens or knows where others are.
    """

    def __init__(self, directory: Path, dealt: DealtCluster) -> None:
        self.dealt = dealt
        self.folders = write_folders(directory / "cluster", dealt, CHEAP)
        self.keys = [IdentityKey(secret) for secret in dealt.node_keys]
        self.ports = [free_port() for _ in self.keys]
        self.monitoring = [free_port() for _ in self.keys]
        self.urls: tuple[str, ...] = ()
        self.relays: list[str] = []
        self.testnet: list[str] = []

    def arguments(self, position: int) -> list[str]:
        """Of `dvtfast node`; others are named by record or id, in turn."""
        arguments = [
            *("--data-dir", str(self.folders[position]), "--threads", "1", "--log-format", "json"),
            *("--monitoring-address", f"127.0.0.1:{self.monitoring[position]}"),
            *("--nickname", f"number {position}", *self.testnet),
        ]
        for url in self.urls:
            arguments += ["--beacon-node-endpoints", url]
        if self.relays:
            return [*arguments, "--p2p-relays", ",".join(self.relays)]
        arguments += ["--p2p-tcp-address", f"127.0.0.1:{self.ports[position]}"]
        for other, key in enumerate(self.keys):
            if other != position:
                secret = self.dealt.node_keys[other]
                name = make_enr(secret) if other % 2 else peer_text(key.public_key)
                arguments += ["--peer", f"{name}=127.0.0.1:{self.ports[other]}"]
        return arguments

    def process(self, position: int) -> NodeProcess:
        """One that is to be started."""
        made = NodeProcess(self.folders[position], self.arguments(position))
        made.program = ("-m", "dvtfast.services", "node")
        return made

    async def get(self, position: int, path: str) -> tuple[int, str]:
        """What a node serves: status and body."""
        url = f"http://127.0.0.1:{self.monitoring[position]}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()


@contextmanager
def before_a_chain(
    directory: Path, *, validators: int = VALIDATORS, start_seconds: float = START_SECONDS
) -> Iterator[tuple[Nodes, float]]:
    """A cluster's folders, and a chain of its validators that begins soon; with the moment when."""
    nodes = Nodes(directory, a_cluster(validators))
    genesis = int(time.time() + start_seconds)
    keys = [key.tobytes() for key in nodes.dealt.lock.public_keys]
    options = ("--genesis-time", str(genesis), "--seconds-per-slot", str(SECONDS_PER_SLOT))
    with running_beacon(directory, keys, options) as urls:
        nodes.urls = urls
        nodes.testnet = [
            *("--testnet-name", "devnet", "--testnet-chain-id", str(CHAIN_ID)),
            *("--testnet-fork-version", FORK_VERSION, "--testnet-genesis-timestamp", str(genesis)),
        ]
        yield nodes, genesis


@contextmanager
def relay(folder: Path) -> Iterator[tuple[str, str]]:
    """A relay on loopback inside the block: its multiaddr, and where it is looked up."""
    folder.mkdir()
    port, http_port = free_port(), free_port()
    write_node_key(folder / KEY_FILE, secret := new_secret_key())
    made = NodeProcess(
        folder,
        [
            *("--data-dir", str(folder), "--p2p-tcp-address", f"127.0.0.1:{port}"),
            *("--http-address", f"127.0.0.1:{http_port}", "--p2p-advertise-private-addresses"),
        ],
    )
    made.program = ("-m", "dvtfast.services", "p2p-relay")
    made.start()
    try:
        made.wait_for("relaying")
        peer = peer_text(IdentityKey(secret).public_key)
        yield f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer}", f"http://127.0.0.1:{http_port}"
    finally:
        kill(made)


@contextmanager
def started(nodes: Nodes, positions: Sequence[int] = range(NODES)) -> Iterator[list[NodeProcess]]:
    """These run inside the block, and are killed at its end if they still do."""
    processes = [nodes.process(position) for position in positions]
    with ExitStack() as stack:
        for process in processes:
            process.start()
            stack.callback(kill, process)
        yield processes


def kill(process: NodeProcess) -> None:
    """End it, if it still runs."""
    if process.process is not None and process.process.poll() is None:
        process.kill()


def stop(process: NodeProcess) -> int:
    """Tell it to stop; the exit code."""
    assert process.process is not None
    process.process.send_signal(signal.SIGTERM)
    code, _ = process._ended()
    return code


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`dvtfast ...` that ends by itself."""
    without = {name: value for name, value in os.environ.items() if not name.startswith("CHARON_")}
    return subprocess.run(
        [sys.executable, "-m", "dvtfast.services", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env=without | environment,
        check=False,
    )


def told(done: subprocess.CompletedProcess[Any]) -> str:
    """The one line that a command ends with."""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return str(errors[0].removeprefix("error: "))


async def ready(nodes: Nodes, position: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                if (await nodes.get(position, "/readyz")) == (200, "ok"):
                    return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(LOOK_SECONDS)


async def status_of(nodes: Nodes, position: int) -> Any:
    _, text = await nodes.get(position, "/status.json")
    return json.loads(text)
