"""The chain and the cluster's nodes while the demo goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..cluster import DemoCluster
from ..generated_cluster import LOOPBACK
from ..processes import PROGRAM, Service, Services
from .answers import fetch

SECONDS_PER_SLOT: Final = 6  # enough for a second round of consensus before a block is late
SLOTS_PER_EPOCH: Final = 8  # of the minimal preset
STOP_SECONDS: Final = 10.0
KILLED, LIAR = -1, 0  # which nodes
LYING_PROGRAM: Final = (sys.executable, "-m", "dvtfast.services.demo.on_duty.liar")


@dataclass(frozen=True)
class DemoBeacon:
    """The chain that judges, and its time."""

    url: str
    genesis_time: int

    @property
    def epoch(self) -> float:
        """How many epochs have gone by."""
        return (time.time() - self.genesis_time) / SECONDS_PER_SLOT / SLOTS_PER_EPOCH

    def wait_for(self, epoch: float, services: Services) -> None:
        """Until so many have gone by; raises as `Services.pause`."""
        while self.epoch < epoch:
            services.pause()

    def report(self) -> dict[str, Any]:
        """How it did."""
        report: dict[str, Any] = fetch(f"{self.url}/dvtfast/report")
        return report


class Nodes:
    """The nodes of the cluster as processes, each with its folder."""

    def __init__(self, services: Services, cluster: DemoCluster, chain: DemoBeacon, relay: str) -> None:
        self._services, self._chain, self._relay = services, chain, relay
        self._folders = cluster.directories
        self._running = [self._start(position) for position in range(len(self._folders))]

    def kill(self) -> None:
        """End one as a power failure would."""
        self._end(KILLED, Service.kill)

    def bring_back(self) -> None:
        """Start it again, with what it has on its disk."""
        self._running[KILLED] = self._start(KILLED % len(self._folders))

    def lie(self) -> None:
        """Put one that lies in the place of another."""
        self._end(LIAR, Service.terminate)
        self._running[LIAR] = self._start(LIAR, LYING_PROGRAM)

    def statuses(self) -> list[dict[str, Any]]:
        """What each of them shows."""
        found = []
        for service in self._running:
            port = self._services.wait_for(service, "monitoring")["port"]
            found.append(fetch(f"http://127.0.0.1:{port}/status.json"))
        return found

    def _end(self, place: int, how: Callable[[Service], None]) -> None:
        service = self._running[place]
        self._services.forget(service)
        how(service)
        service.wait_or_kill(STOP_SECONDS)

    def _start(self, position: int, program: Sequence[str] = PROGRAM) -> Service:
        return self._services.start(
            f"node{position}", "node",
            "--data-dir", str(self._folders[position]), "--beacon-node-endpoints", self._chain.url,
            "--p2p-relays", self._relay, "--p2p-tcp-address", LOOPBACK, "--monitoring-address", LOOPBACK,
            "--testnet-name", "demo", "--testnet-chain-id", "560048", "--testnet-fork-version", "0x10000910",
            "--testnet-genesis-timestamp", str(self._chain.genesis_time),
            program=program,
        )  # fmt: skip
