"""Clusters whose nodes are partly charons, which are run and not looked into: what they tell are metrics."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import aiohttp

from dvtfast.obol import KEY_FILE, node_keys_of, read_cluster_lock
from dvtfast.services.ceremony.folder import KEYSTORES, LOCK_FILE
from dvtfast.services.demo.world.ports import free_ports
from dvtfast.services.p2p.wire.peers import peer_text
from tests.services.ceremony.charon import SECONDS, Charon, once
from tests.services.ceremony.nodes import NodeProcess

from .charons_beacon import CharonsBeacon
from .charons_chain import HOLESKY, HOODI, SLOTS_PER_EPOCH, SYNC_EPOCHS, CharonsChain, MockedNetwork

NODES = 4
VALIDATORS = 8
SECONDS_PER_SLOT = 1
WINDOW = 50  # slots that are looked at
ADDRESS = "0x" + 20 * "ad"
# Of all that charon counts; more of it each second makes Python's garbage collection stop for seconds.
LINE = re.compile(
    r"^((?:core_tracker_participation_|core_tracker_failed_duties_|app_peerinfo_|p2p_ping_success)\w*)"
    r"\{(.*)\} (\S+)$",
    re.MULTILINE,
)
LABEL = re.compile(r'(\w+)="([^"]*)"')
# After so many slots charon counts how a duty went: its deadline, 38 more, and one for those that read it.
COUNTED = {
    "proposer": ceil(1 / 3) + 39,
    "randao": ceil(1 / 3) + 39,
    "sync_message": 1 + 39,
    "sync_contribution": 1 + 39,
    "attester": SLOTS_PER_EPOCH + 39,
    "aggregator": SLOTS_PER_EPOCH + 39,
    "prepare_aggregator": 2 * SLOTS_PER_EPOCH + 39,
    "prepare_sync_contribution": 2 * SLOTS_PER_EPOCH + 39,
}


def testnet(network: MockedNetwork) -> list[str]:
    """Flags of charon, and of ours, for a network that they do not know."""
    return [
        "--testnet-name=mocked", f"--testnet-chain-id={network.chain_id}",
        f"--testnet-fork-version=0x{network.fork_version}",
        f"--testnet-genesis-timestamp={network.genesis_time}",
    ]  # fmt: skip


@dataclass(frozen=True)
class Metrics:
    """What a charon counted, by name and labels."""

    values: dict[str, list[tuple[dict[str, str], float]]]

    @classmethod
    def of(cls, text: str) -> Metrics:
        values: dict[str, list[tuple[dict[str, str], float]]] = {}
        for name, labels, value in LINE.findall(text):
            values.setdefault(name, []).append((dict(LABEL.findall(labels)), float(value)))
        return cls(values)

    def get(self, name: str, **labels: str) -> float:
        """The sum of all with these labels; 0 where there is none."""
        return sum(
            value
            for given, value in self.values.get(name, ())
            if all(given.get(label) == text for label, text in labels.items())
        )

    def labels(self, name: str, label: str) -> dict[str, float]:
        """By the value of a label."""
        return {given[label]: value for given, value in self.values.get(name, ())}


@dataclass
class RunningCharon:
    """A charon, where it listens, and what it counted at the end of each slot."""

    process: Charon
    port: int
    validator_api: str
    monitoring: str
    history: dict[int, Metrics] = field(default_factory=dict)

    async def metrics(self) -> Metrics | None:
        """Of now; None while it does not answer."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as session,
                session.get(f"{self.monitoring}/metrics") as answer,
            ):
                return Metrics.of(await answer.text())
        except (aiohttp.ClientError, TimeoutError):
            return None

    def counted(self, name: str, slots: range, **labels: str) -> float:
        """How much a counter of a duty grew for these slots."""
        lag = COUNTED[labels["duty"]]
        begin, end = (
            min(at for at in self.history if at >= slot + lag) for slot in (slots[0], slots[-1] + 1)
        )
        return self.history[end].get(name, **labels) - self.history[begin].get(name, **labels)


class MixedCluster:
    """Nodes, of which those of `ours` are of dvtfast.

    Args:
        relay: through which they find each other.
        dials: whether ours do without, and are told where charons listen.

    Attributes:
        theirs: charons, by position.
        beacons: the beacon nodes of ours, by position.
    """

    def __init__(self, directory: Path, relay: str, ours: Iterable[int], *, dials: bool = False) -> None:
        self.directory, self.relay, self.ours, self.dials = directory, relay, tuple(ours), dials
        network = HOLESKY if once("version")[1].startswith("v1.10") else HOODI
        self.testnet = [] if network is HOODI else testnet(network)
        code, said = once(
            "create", "cluster", f"--cluster-dir={directory}", f"--nodes={NODES}", "--name=mixed",
            f"--num-validators={VALIDATORS}", "--insecure-keys", *(self.testnet or ["--network=hoodi"]),
            f"--withdrawal-addresses={ADDRESS}", f"--fee-recipient-addresses={ADDRESS}",
        )  # fmt: skip
        assert code == 0, said
        self.folders = [directory / f"node{position}" for position in range(NODES)]
        lock = read_cluster_lock(self.folders[0] / LOCK_FILE)
        self.keys = node_keys_of(lock.definition)
        self.chain = CharonsChain([key.tobytes() for key in lock.public_keys], SECONDS_PER_SLOT, network)
        self.theirs: dict[int, RunningCharon] = {}
        self.beacons: dict[int, CharonsBeacon] = {}
        self.nodes: dict[int, NodeProcess] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All nodes run, and are connected, inside the block."""
        async with AsyncExitStack() as stack:
            try:
                for position in range(NODES):
                    if position not in self.ours:
                        self.theirs[position] = self._start_theirs(position)
                for position in self.ours:
                    beacon = self.beacons[position] = CharonsBeacon(self.chain)
                    beacon.charons = [charon.validator_api for charon in self.theirs.values()]
                    await stack.enter_async_context(beacon.serving())
                    self.nodes[position] = self._start_ours(position, beacon.url)
                await self.until(self._are_connected)
                yield
            finally:
                for position, node in self.nodes.items():
                    node.kill()
                    (self.directory / f"ours{position}.log").write_text(node.said)  # for people
                for charon in self.theirs.values():
                    charon.process.stop()

    async def until(self, condition: Any) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(SECONDS):
            while not await condition():  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)

    async def until_slot(self, slot: int) -> None:
        """Wait for a slot, and take note of what charons count in each until then."""
        while self.chain.slot < slot:
            now = self.chain.slot
            for charon in self.theirs.values():
                if (counted := await charon.metrics()) is not None:
                    charon.history[now] = counted
            await asyncio.sleep(self.chain.seconds_until(now + 1))

    async def until_sync_committee(self) -> int:
        """The slot at which a window may begin that has duties of the sync committee, too: wait for it.

        All have been there for an epoch then: charon's mock of a validator client begins with the next one.
        """
        period = SYNC_EPOCHS * SLOTS_PER_EPOCH
        slot = self.chain.slot + 2 * SLOTS_PER_EPOCH
        while SLOTS_PER_EPOCH <= slot % period < period - WINDOW + SLOTS_PER_EPOCH:
            slot += 1
        await self.until_slot(slot)
        return slot

    def peer_name(self, position: int) -> str:
        """What charons call a node."""
        [charon] = [self.theirs[each] for each in self.theirs if each != position][:1]
        latest = charon.history[max(charon.history)]
        [name] = [name for name, at in latest.labels("app_peerinfo_index", "peer").items() if at == position]
        return name

    async def _are_connected(self) -> bool:
        """Whether each charon hears all others."""
        for charon in self.theirs.values():
            assert charon.process.runs, charon.process.said
            counted = await charon.metrics()
            if counted is None or counted.get("p2p_ping_success") < NODES - 1:
                return False
        return True

    def _start_theirs(self, position: int) -> RunningCharon:
        folder = self.folders[position]
        tcp, validators, monitoring = free_ports(3)
        process = Charon(
            self.directory / f"charon{position}.log", "run", f"--lock-file={folder / LOCK_FILE}",
            f"--private-key-file={folder / KEY_FILE}", f"--p2p-relays={self.relay}",
            f"--p2p-tcp-address=127.0.0.1:{tcp}", f"--monitoring-address=127.0.0.1:{monitoring}",
            f"--validator-api-address=127.0.0.1:{validators}", "--log-level=debug",
            "--simnet-beacon-mock", "--simnet-validator-mock", f"--simnet-slot-duration={SECONDS_PER_SLOT}s",
            f"--simnet-validator-keys-dir={folder / KEYSTORES}", *self.testnet,
        )  # fmt: skip
        return RunningCharon(process, tcp, f"http://127.0.0.1:{validators}", f"http://127.0.0.1:{monitoring}")

    def _start_ours(self, position: int, beacon: str) -> NodeProcess:
        tcp, monitoring = free_ports(2)
        ways = ["--p2p-relays", self.relay, "--p2p-tcp-address", f"127.0.0.1:{tcp}"]
        if self.dials:
            ways = []
            for other, charon in self.theirs.items():
                ways += ["--peer", f"{peer_text(self.keys[other])}=127.0.0.1:{charon.port}"]
        node = NodeProcess(
            self.folders[position],
            [
                *("node", "--data-dir", str(self.folders[position]), "--beacon-node", beacon, *ways),
                *self.testnet,
                *("--monitoring-address", f"127.0.0.1:{monitoring}", "--log-level", "debug"),
            ],
        )
        node.program = ("-m", "tests.services.node.beside_charon.node_beside_charon")
        node.start()
        return node
