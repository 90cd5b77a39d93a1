"""What the status page shows: the state of now, and the duties of the last epochs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version

from dvtfast.qbft.leaders import leader
from dvtfast.qbft.messages import Duty

from ...chain.encoding import write_data
from ..partial_signatures import Fault
from ..running import ClusterNode
from ..tracker import DutyReport
from .advice import advice_about
from .answers import (
    BeaconStatus,
    ClockStatus,
    DutyStatus,
    FaultStatus,
    MissedBecause,
    NodeStatus,
    NodeStatusAnswer,
    RelayStatus,
    SignerStatus,
)
from .outcomes import NAMES, DutyOutcome, begin_of, outcome_of
from .readiness import readiness
from .watched import Watched

DIGITS = 3  # of seconds
MOST_SHOWN = 1000  # duties


def status_of(watched: Watched) -> NodeStatusAnswer:
    """All of it."""
    cluster, node = watched.cluster, watched.node
    duties = [] if node is None else _duties(watched, node)
    nodes = _nodes(watched, duties)
    return NodeStatusAnswer(
        network=watched.network,
        cluster=cluster.name,
        lock_hash=write_data(cluster.lock_hash),
        nickname=watched.nickname,
        version=version("dvtfast"),
        started_at=watched.started_at,
        threshold=cluster.members.keys.threshold,
        validators=len(cluster.members.validators),
        active=_active(node),
        readiness=readiness(watched),
        advice=advice_about(readiness(watched), nodes, duties, threshold=cluster.members.keys.threshold),
        clock=None if node is None else _clock(node),
        nodes=nodes,
        relays=[RelayStatus(*each) for each in watched.relay_problems().items()],
        beacon_nodes=[
            BeaconStatus(
                name=each.node,
                problem=each.problem,
                fallback=each.is_fallback,
                head_slot=each.head_slot,
                sync_distance=each.sync_distance,
                peers=each.peers,
                version=each.version,
            )
            for each in watched.health
        ],
        duties=duties,
    )


def _clock(node: ClusterNode) -> ClockStatus:
    slots = node.parts.slots
    return ClockStatus(slots.genesis_time, slots.seconds_per_slot, slots.slots_per_epoch)


def _active(node: ClusterNode | None) -> int | None:
    if node is None:
        return None
    slots = node.parts.slots
    known = node.scheduler.known.get(slots.epoch(slots.slot()))
    return None if known is None else len(known.active.indices)


def _nodes(watched: Watched, duties: list[DutyStatus]) -> list[NodeStatus]:
    over = [duty for duty in duties if duty.done + duty.missed == duty.validators]
    took_part = Counter(signer.node for duty in over for signer in duty.signers)
    faults = Counter(fault.node for duty in duties for fault in duty.faults)
    states = {} if watched.host is None else {state.key: state for state in watched.host.states()}
    reports = {} if watched.node is None else watched.node.peer_infos.reports
    members = watched.cluster.members
    found = []
    for position, key in enumerate(members.operators):
        own = position == members.position
        state, report = states.get(key), reports.get(key)
        problems = [state.problem] if state is not None and state.problem else []
        found.append(
            NodeStatus(
                position=position,
                own=own,
                nickname=watched.nickname if own else "" if report is None else report.nickname,
                connected=own or (state is not None and state.is_connected),
                relayed=state is not None and state.is_relayed,
                client=_client(own, "" if state is None else state.agent),
                clock_offset=None if report is None else round(report.clock_offset, DIGITS),
                problems=problems + ([] if report is None else list(report.problems)),
                duties=len(over),
                took_part=took_part[position],
                faults=faults[position],
            )
        )
    return found


def _client(own: bool, agent: str) -> str:
    return f"dvtfast/{version('dvtfast')}" if own else agent


def _duties(watched: Watched, node: ClusterNode) -> list[DutyStatus]:
    """Those of which this node had some, the latest first."""
    known = node.parts.tracker.reports()
    reports = [(duty, report) for duty, report in known.items() if report.steps]
    reports.sort(key=lambda each: (each[0].slot, each[0].type), reverse=True)
    watched.ended = {duty: outcome for duty, outcome in watched.ended.items() if duty in known}
    return [_duty(watched, node, duty, report) for duty, report in reports[:MOST_SHOWN]]


def _outcome(watched: Watched, node: ClusterNode, duty: Duty, report: DutyReport) -> DutyOutcome:
    """What came of a duty; looked at no more when nothing more can come."""
    if (known := watched.ended.get(duty)) is not None:
        return known
    is_over = not node.parts.deadlines.is_open(duty)
    outcome = outcome_of(duty, report, is_over=is_over)
    if is_over or outcome.done == outcome.validators:
        watched.ended[duty] = outcome
    return outcome


def _duty(watched: Watched, node: ClusterNode, duty: Duty, report: DutyReport) -> DutyStatus:
    parts = node.parts
    outcome = _outcome(watched, node, duty, report)
    begin = begin_of(duty, parts.slots)

    def after(moment: float) -> float:
        return round(moment - begin, DIGITS)

    return DutyStatus(
        slot=duty.slot,
        type=NAMES[duty.type],
        validators=outcome.validators,
        done=outcome.done,
        missed=outcome.missed,
        begins_at=begin,
        round=report.round,
        leader=leader(duty, report.round, len(parts.cluster.operators)) if report.round else None,
        steps={step.name.lower(): after(moment) for step, moment in sorted(report.moments.items())},
        signers=[SignerStatus(each, after(moment)) for each, moment in sorted(report.heard.items())],
        reasons=[MissedBecause(text, count) for text, count in outcome.reasons.most_common()],
        faults=_faults(report.faults),
        doubts=_faults(report.doubts),
    )


def _faults(faults: Sequence[Fault]) -> list[FaultStatus]:
    return [FaultStatus(each.node, each.reason, len(each.validators)) for each in faults]
