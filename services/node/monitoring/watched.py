"""What a node tells of: its parts as they come to be, and how beacon nodes and peers were a moment ago."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from dvtfast.qbft.messages import Duty

from ...chain.beacon.duties import DutiesClient
from ...chain.beacon.health import NodeHealth
from ...p2p.host import Host
from ..cluster import NodeCluster
from ..running import ClusterNode
from .outcomes import DutyOutcome

POOR_LOOKS: Final = 6  # with too few peers, before that is told; as charon has it


@dataclass(eq=False)
class Watched:
    """One node of a cluster.

    Attributes:
        network: its name.
        relays: of this node.
        host, beacon, node: None until they are there.
        health: of the beacon nodes at the last look.
        ended: what came of duties of which nothing more can come.
        poor_looks: how often in a row there were too few peers for the cluster to sign.
    """

    cluster: NodeCluster
    network: str
    nickname: str = ""
    relays: Sequence[str] = ()
    started_at: float = field(default_factory=time.time)
    host: Host | None = None
    beacon: DutiesClient | None = None
    node: ClusterNode | None = None
    health: list[NodeHealth] = field(default_factory=list)
    poor_looks: int = 0
    ended: dict[Duty, DutyOutcome] = field(default_factory=dict)

    @property
    def connected(self) -> int:
        """How many of the other nodes are connected."""
        return 0 if self.host is None else sum(state.is_connected for state in self.host.states())

    def relay_problems(self) -> dict[str, str]:
        """Why each relay does not let others in to this node, or ""; by where it is."""
        problems = {} if self.host is None else self.host.relay_problems()
        return {_shown(relay): problems.get(relay, "") for relay in self.relays}

    async def look(self) -> None:
        """See how beacon nodes and peers are."""
        threshold = self.cluster.members.keys.threshold
        self.poor_looks = self.poor_looks + 1 if self.connected + 1 < threshold else 0
        if self.beacon is not None:
            self.health = await self.beacon.health()


def _shown(relay: str) -> str:
    """A relay without what may be a secret in its address."""
    parts = urlsplit(relay)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.scheme else relay
