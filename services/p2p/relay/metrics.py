"""What a relay counts, and what its `/healthz` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...web.metrics import ServiceMetrics
from ..wire.messages import Status, status_text
from .relaying import Relaying


class Metrics(ServiceMetrics):
    """The counters of one relay."""

    def __init__(self, relay: Relaying) -> None:
        super().__init__("dvtfast_p2p_relay")
        self._relay = relay
        self._peers = self.gauge("peers", "Peers that are connected.")
        self._reservations = self.gauge("reservations", "Peers that can be reached.")
        self._circuits = self.gauge("circuits", "Circuits that are open.")
        self._held = self.gauge("held_bytes", "What peers have sent and was not passed on yet.")
        self._carried = self.counter("carried_bytes", "What circuits have carried.")
        self._answers = self.counter("answers", "Answers to peers.", "request", "status")
        self._told_bytes = 0
        self._told: dict[tuple[str, Status], int] = {}
        for request in ("reserve", "connect"):
            self._answers.labels(request, status_text(Status.OK))
        self.before_each_look(self._refresh)

    def health(self) -> Mapping[str, Any]:
        """How many are there."""
        return {"peers": len(self._relay.swarm.connected), "circuits": self._relay.service.circuits}

    async def _refresh(self) -> None:
        service = self._relay.service
        self._peers.set(len(self._relay.swarm.connected))
        self._reservations.set(service.reservations)
        self._circuits.set(service.circuits)
        self._held.set(self._relay.swarm.held_bytes)
        self._carried.inc(service.counts.bytes_carried - self._told_bytes)
        self._told_bytes = service.counts.bytes_carried
        for (request, status), count in service.counts.answers.items():
            known = self._told.get((request, status), 0)
            self._answers.labels(request, status_text(status)).inc(count - known)
            self._told[request, status] = count
