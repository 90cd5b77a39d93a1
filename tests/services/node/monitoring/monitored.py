"""A node to be told of, whose duties went as a test says."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkEpoch, ForkSchedule
from dvtfast.duties.forks import FULU
from dvtfast.qbft.messages import Duty
from dvtfast.services.chain.beacon.health import NodeHealth
from dvtfast.services.node.deadlines import Deadlines
from dvtfast.services.node.monitoring.watched import Watched
from dvtfast.services.node.parts import ActiveValidators
from dvtfast.services.node.peer_infos import PeerReport
from dvtfast.services.node.running import ClusterNode
from dvtfast.services.node.slots import SlotClock
from dvtfast.services.node.tracker import Step, Tracker
from dvtfast.services.p2p.host import Host, PeerState

from ..cluster_of_nodes import Keys

VALIDATORS, NODES, THRESHOLD = 8, 4, 3
SECONDS_PER_SLOT, SLOTS_PER_EPOCH = 12.0, 8
GENESIS = 1_700_000_000.0
HEALTHY = NodeHealth("http://beacon", "", 100, 0, peers=50, version="Beacon/v1")


@dataclass
class Peers:
    """What the transport says of the other nodes."""

    keys: list[bytes]
    away: set[int] = field(default_factory=set)
    relayed: set[int] = field(default_factory=set)
    problems: dict[str, str] = field(default_factory=dict)

    def states(self) -> list[PeerState]:
        return [
            PeerState(
                key,
                position not in self.away,
                position in self.relayed,
                "" if position in self.away else f"agent{position}",
                "connection refused" if position in self.away else "",
            )
            for position, key in enumerate(self.keys)
            if position != 0
        ]

    def relay_problems(self) -> dict[str, str]:
        return self.problems


class Monitored:
    """Node 0 of four, in slot 20.

    Attributes:
        now: what its clock shows.
    """

    def __init__(self) -> None:
        keys = Keys(VALIDATORS)
        cluster = keys.cluster(0)
        self.now = GENESIS + 20.25 * SECONDS_PER_SLOT
        forks = ForkSchedule(bytes(32), SLOTS_PER_EPOCH, [ForkEpoch(0, bytes(4), FULU)], bytes(4), bytes(4))
        slots = SlotClock(GENESIS, SECONDS_PER_SLOT, SLOTS_PER_EPOCH, lambda: self.now)
        self.tracker = Tracker(lambda: self.now)
        self.peers = Peers(list(cluster.members.operators))
        self.reports: dict[bytes, PeerReport] = {}
        active = SimpleNamespace(
            active=ActiveValidators.of({each: each for each in range(VALIDATORS)}), is_whole=True
        )
        node = SimpleNamespace(
            parts=SimpleNamespace(
                cluster=cluster.members,
                slots=slots,
                tracker=self.tracker,
                deadlines=Deadlines(slots),
                schedule=forks,
            ),
            scheduler=SimpleNamespace(known={2: active}, seen=20),
            peer_infos=SimpleNamespace(reports=self.reports),
        )
        self.slots = slots
        self.watched = Watched(
            cluster,
            "devnet",
            "north",
            relays=["https://user:secret@relay.example/path", "/ip4/192.0.2.1/tcp/3610/p2p/16Uiu2HA"],
            started_at=GENESIS,
            host=cast(Host, self.peers),
            node=cast(ClusterNode, node),
            health=[HEALTHY],
        )

    def perform(
        self,
        slot: int,
        type: DutyType = DutyType.ATTESTER,
        *,
        validators: range = range(2),
        until: Step = Step.SENT,
        nodes: tuple[int, ...] = (0, 1, 2, 3),
        why: str = "",
        is_over: bool = True,
    ) -> Duty:
        """A duty goes so far, step by step a tenth of a second after the other; then its flow ends."""
        duty, before = Duty(slot, type), self.now
        self.now = self.slots.start(slot, 1 / 3 if type is DutyType.ATTESTER else 0.0)
        for step in Step:
            if step <= until:
                self.now += 0.1
                self.tracker.reach(duty, step, validators)
            if step is Step.AGREED and until >= step:
                self.tracker.decide(duty, 1)
            if step is Step.SIGNED and until >= step:
                for node in nodes:
                    self.tracker.hear(duty, node)
        if why:
            self.tracker.fail(duty, validators, why)
        if is_over:
            self.tracker.end(duty)
        self.now = before
        return duty


def labels(found: Any, name: str, **wanted: str) -> list[float]:
    """Values of a series with these labels."""
    return [
        sample.value
        for family in found
        for sample in family.samples
        if sample.name == name and wanted.items() <= sample.labels.items()
    ]
