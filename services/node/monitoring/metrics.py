"""What a node counts, under charon's names where dashboards rely on them.

Source: charon v1.11, docs/metrics.md. What only charon's own inside could say is not there, such as
`app_health_checks`, ping latencies, goroutines; nor the names of clients, which these choose.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from dvtfast.qbft.leaders import leader
from dvtfast.qbft.messages import Duty

from ...chain.encoding import write_data
from ...process import logs
from ...process.background import repeat
from ..deadlines import AGREED
from ..peer_infos import CHARON_VERSION
from ..tracker import DutyReport, Step
from .outcomes import NAMES, DutyOutcome, begin_of, last_step
from .readiness import readiness
from .series import NodeSeries
from .tallies import Tallies
from .watched import Watched

SHOWN_HASH = 7  # letters
LOOK_SECONDS = 10.0
FIRST_ERROR = 400  # of HTTP's statuses
# Charon's words for how far a duty came that was missed.
CODES: Final = {
    Step.EXPECTED: "fetch_bn_error",
    Step.FETCHED: "no_consensus",
    Step.AGREED: "no_local_vc_signature",
    Step.SIGNED: "insufficient_peer_signatures",
    Step.RECOVERED: "broadcast_bn_error",
}


def node_name(position: int) -> str:
    """How metrics call a node; charon's have names made of hashes."""
    return f"node-{position}"


class NodeMetrics:
    """The series of one node; `refresh` brings them up to date."""

    def __init__(self, watched: Watched) -> None:
        cluster = watched.cluster
        members = cluster.members
        self._watched = watched
        self._tallies: Tallies | None = None
        self._duties_told: set[Duty] = set()
        self.series = series = NodeSeries(
            {
                "cluster_hash": write_data(cluster.lock_hash)[2 : 2 + SHOWN_HASH],
                "cluster_name": cluster.name,
                "cluster_network": watched.network,
                "cluster_peer": node_name(members.position),
                "nickname": watched.nickname,
                "charon_version": CHARON_VERSION,
            }
        )
        gauge, counter, histogram = series.gauge, series.counter, series.histogram
        gauge("app_version", "Always 1.", "version").of(f"dvtfast-{version('dvtfast')}").set(1)
        gauge("app_peer_name", "Always 1.", "peer_name").of(node_name(members.position)).set(1)
        gauge("app_start_time_secs", "When the process began.").of().set(watched.started_at)
        gauge("cluster_operators", "Nodes of the cluster.").of().set(len(members.operators))
        gauge("cluster_threshold", "How many of them sign.").of().set(members.keys.threshold)
        gauge("cluster_validators", "Validators of the lock.").of().set(len(members.validators))
        gauge("cluster_network", "Always 1.", "network").of(watched.network).set(1)
        self._ready = gauge("app_monitoring_readyz", "1: ready; others: docs/node.md.")
        self._logged = {
            "error": counter("app_log_error", "Errors in the log.", "topic"),
            "warning": counter("app_log_warn", "Warnings in the log.", "topic"),
        }
        self._logged_before = dict[tuple[str, str], int]()
        self._set_up_beacon()
        self._set_up_clients()
        self._set_up_peers()
        self._set_up_duties()
        self._store = histogram(
            "core_parsigdb_store",
            "Seconds after a duty begins until a node's partial signatures are here.",
            "duty",
            "peer_idx",
        )

    def _set_up_beacon(self) -> None:
        gauge, counter, histogram = self.series.gauge, self.series.counter, self.series.histogram
        self._beacon_version = gauge("app_beacon_node_version", "Always 1.", "version")
        self._beacon_peers = gauge("app_beacon_node_peers", "Most peers that a beacon node has.")
        self._fallback = gauge("app_eth2_using_fallback", "Whether only fallback beacon nodes are of use.")
        self._latency = histogram("app_eth2_latency_seconds", "Until a beacon node answers.", "endpoint")
        self._errors = counter("app_eth2_errors", "Answers of beacon nodes that are none.", "endpoint")

    def _set_up_clients(self) -> None:
        counter, histogram = self.series.counter, self.series.histogram
        self._served = histogram(
            "core_validatorapi_request_latency_seconds",
            "Until a validator client has its answer.",
            "endpoint",
        )
        self._refused = counter(
            "core_validatorapi_request_error",
            "Answers to validator clients that are errors.",
            "endpoint",
            "status_code",
        )

    def _set_up_peers(self) -> None:
        gauge = self.series.gauge
        self._of_peers = {
            "version": gauge("app_peerinfo_version", "Always 1.", "peer", "version"),
            "nickname": gauge("app_peerinfo_nickname", "Always 1.", "peer", "peer_nickname"),
            "client": gauge("app_peerinfo_dv_client", "Always 1.", "peer", "dv_client"),
        }
        self._offset = gauge("app_peerinfo_clock_offset_seconds", "Of a node's clock.", "peer")
        self._index = gauge("app_peerinfo_index", "Its place in the lock.", "peer")
        self._ping = gauge("p2p_ping_success", "Whether a node is connected.", "peer")
        self._types = gauge("p2p_peer_connection_types", "Connections.", "peer", "type", "protocol")
        self._relays = gauge("p2p_relay_connections", "Whether a relay lets others in.", "peer")

    def _set_up_duties(self) -> None:
        gauge, counter, histogram = self.series.gauge, self.series.counter, self.series.histogram
        self._slot = gauge("core_scheduler_current_slot", "By this machine's clock.")
        self._epoch = gauge("core_scheduler_current_epoch", "By this machine's clock.")
        self._active = gauge("core_scheduler_validators_active", "Validators that have duties.")
        self._begun = counter("core_scheduler_duty", "Duties that were there.", "duty")
        self._sent = counter("core_bcast_broadcast", "Validators' duties that beacon nodes took.", "duty")
        self._sent_after = histogram(
            "core_bcast_broadcast_delay_seconds", "After the start of the slot.", "duty"
        )
        self._rounds = gauge("core_consensus_decided_rounds", "Of the last duty.", "duty")
        self._leader = gauge("core_consensus_decided_leader_index", "Of the last duty.", "duty")
        self._agreed_after = histogram("core_consensus_duration_seconds", "After the duty begins.", "duty")
        self._undecided = counter("core_consensus_timeout", "Duties that were not agreed on.", "duty")
        self._expected = counter("core_tracker_expect_duties", "Duties that are over.", "duty")
        self._success = counter("core_tracker_success_duties", "Done for all their validators.", "duty")
        self._failed = counter("core_tracker_failed_duties", "Not done for some validator.", "duty")
        self._reasons = counter(
            "core_tracker_failed_duty_reasons", "Validators that missed a duty.", "duty", "reason"
        )
        self._took_part = gauge("core_tracker_participation", "In the last duty.", "duty", "peer")
        self._participation = {
            each: counter(f"core_tracker_participation_{each}", "Duties of a node.", "duty", "peer")
            for each in ("expected", "success", "missed")
        }
        self._faults = counter("dvtfast_node_faults", "What a node did wrong in duties.", "duty", "peer")
        for name in NAMES.values():
            for family in (self._expected, self._success, self._failed, self._sent, self._undecided):
                family.of(name)  # so that the first one is seen

    def answered(self, endpoint: str, seconds: float, is_error: bool) -> None:
        """A beacon node has answered a request."""
        self._latency.of(endpoint).observe(seconds)
        if is_error:
            self._errors.of(endpoint).inc()

    def client_answered(self, endpoint: str, seconds: float, status: int) -> None:
        """A validator client has its answer."""
        self._served.of(endpoint).observe(seconds)
        if status >= FIRST_ERROR:
            self._refused.of(endpoint, str(status)).inc()

    async def keep_up(self) -> None:
        """Look at all again and again, until it is cancelled: duties are counted though nobody asks."""
        await repeat("state of the node", self._look, LOOK_SECONDS)

    async def _look(self) -> None:
        await self._watched.look()
        self.refresh()

    def refresh(self) -> None:
        """Bring all up to date."""
        self._ready.of().set(readiness(self._watched))
        for (part, level), count in logs.told.items():
            if (family := self._logged.get(level)) is not None:
                family.of(part).inc(count - self._logged_before.get((part, level), 0))
                self._logged_before[part, level] = count
        self._refresh_beacon()
        self._refresh_peers()
        if self._watched.node is not None:
            self._refresh_duties()

    def _refresh_beacon(self) -> None:
        health = self._watched.health
        self._beacon_version.clear()
        for each in health:
            if each.version:
                self._beacon_version.of(each.version).set(1)
        self._beacon_peers.of().set(max((each.peers or 0 for each in health), default=0))
        useful = [each for each in health if not each.problem]
        self._fallback.of().set(bool(useful) and all(each.is_fallback for each in useful))

    def _refresh_peers(self) -> None:
        watched = self._watched
        operators = watched.cluster.members.operators
        for family in (*self._of_peers.values(), self._offset, self._types, self._relays):
            family.clear()
        for state in () if watched.host is None else watched.host.states():
            position = operators.index(state.key)
            name = node_name(position)
            self._index.of(name).set(position)
            self._ping.of(name).set(state.is_connected)
            if state.is_connected:
                self._types.of(name, "relay" if state.is_relayed else "direct", "tcp").set(1)
            report = None if watched.node is None else watched.node.peer_infos.reports.get(state.key)
            if report is not None:
                for field, family in self._of_peers.items():
                    family.of(name, getattr(report, field)).set(1)
                self._offset.of(name).set(report.clock_offset)
        for relay, problem in watched.relay_problems().items():
            self._relays.of(relay).set(not problem)

    def _refresh_duties(self) -> None:
        assert self._watched.node is not None
        node = self._watched.node
        slots, reports = node.parts.slots, node.parts.tracker.reports()
        self._slot.of().set(slots.slot())
        self._epoch.of().set(slots.epoch(slots.slot()))
        known = node.scheduler.known.get(slots.epoch(slots.slot()))
        self._active.of().set(0 if known is None else len(known.active.indices))
        for duty in reports.keys() - self._duties_told:
            if reports[duty].steps:
                self._duties_told.add(duty)
                self._begun.of(NAMES[duty.type]).inc()
        self._duties_told &= reports.keys()
        self._tallies = self._tallies or Tallies(node.parts.deadlines)
        for duty, report, outcome in self._tallies.new(reports):
            self._count(duty, report, outcome)

    def _count(self, duty: Duty, report: DutyReport, outcome: DutyOutcome) -> None:
        assert self._watched.node is not None
        parts, name = self._watched.node.parts, NAMES[duty.type]
        start = parts.slots.start(duty.slot)
        begin = begin_of(duty, parts.slots)
        self._expected.of(name).inc()
        (self._failed if outcome.missed else self._success).of(name).inc()
        self._sent.of(name).inc(outcome.done)
        for step, count in outcome.stopped.items():
            self._reasons.of(name, CODES[step]).inc(count)
        moments = report.moments
        if (sent := moments.get(last_step(duty.type))) is not None:
            self._sent_after.of(name).observe(max(0.0, sent - start))
        if (agreed := moments.get(Step.AGREED)) is not None:
            self._agreed_after.of(name).observe(max(0.0, agreed - begin))
            self._rounds.of(name).set(report.round)
            self._leader.of(name).set(leader(duty, report.round, len(parts.cluster.operators)))
        elif duty.type in AGREED:
            self._undecided.of(name).inc()
        self._count_nodes(duty, report, begin)

    def _count_nodes(self, duty: Duty, report: DutyReport, begin: float) -> None:
        name = NAMES[duty.type]
        for position in range(len(self._watched.cluster.members.operators)):
            peer, heard = node_name(position), report.heard.get(position)
            self._took_part.of(name, peer).set(heard is not None)
            self._participation["expected"].of(name, peer).inc()
            self._participation["missed" if heard is None else "success"].of(name, peer).inc()
            if heard is not None:
                self._store.of(name, str(position)).observe(max(0.0, heard - begin))
        for fault in report.faults:
            self._faults.of(name, node_name(fault.node)).inc()
