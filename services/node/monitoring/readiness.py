"""Whether a node can do its duties; by charon's numbers, on which dashboards and alerts rely.

Source: charon v1.11, app/monitoringapi.go. 6 is not used there; 5 is "no validator client is connected".
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ..running import ClusterNode
from ..tracker import Step
from .watched import POOR_LOOKS, Watched

FAR_BEHIND_SLOTS: Final = 320
LATE_SLOTS: Final = 2  # by which no slot came, or the clock was set back


class Readiness(IntEnum):
    """What is the matter."""

    READY = 1
    NO_BEACON_NODE = 2
    SYNCING = 3
    TOO_FEW_PEERS = 4
    SIGNS_NOTHING = 5
    NO_BEACON_PEERS = 7
    FAR_BEHIND = 8
    CLOCK_WAS_WRONG = 9
    DUTIES_UNKNOWN = 10
    FORK_UNKNOWN = 11


TEXTS: Final = {
    Readiness.READY: "ok",
    Readiness.NO_BEACON_NODE: "no beacon node answers",
    Readiness.SYNCING: "no beacon node has caught up with the chain",
    Readiness.TOO_FEW_PEERS: "too few nodes of the cluster are connected",
    Readiness.SIGNS_NOTHING: "this node signed nothing of what was agreed on in the last epoch",
    Readiness.NO_BEACON_PEERS: "no beacon node has peers",
    Readiness.CLOCK_WAS_WRONG: "this node does no duties now: its clock has been set, or it hangs",
    Readiness.DUTIES_UNKNOWN: "beacon nodes do not tell all duties of this epoch",
    Readiness.FORK_UNKNOWN: "the chain is in a fork that this version does not know",
    Readiness.FAR_BEHIND: f"all beacon nodes are more than {FAR_BEHIND_SLOTS} slots behind",
}


def readiness(watched: Watched) -> Readiness:
    """What is the matter, the worst first."""
    answering = [each for each in watched.health if each.answers]
    synced = [each for each in answering if not each.problem]
    if not answering:
        return Readiness.NO_BEACON_NODE
    if all(each.sync_distance > FAR_BEHIND_SLOTS for each in answering):
        return Readiness.FAR_BEHIND
    if not synced:
        return Readiness.SYNCING
    if all(each.peers == 0 for each in synced):
        return Readiness.NO_BEACON_PEERS
    if watched.node is None or watched.poor_looks >= POOR_LOOKS:
        return Readiness.TOO_FEW_PEERS
    if not _is_on_time(watched.node):
        return Readiness.CLOCK_WAS_WRONG
    if not _knows_fork(watched.node):
        return Readiness.FORK_UNKNOWN
    if not _knows_duties(watched.node):
        return Readiness.DUTIES_UNKNOWN
    return Readiness.SIGNS_NOTHING if _signs_nothing(watched) else Readiness.READY


def _is_on_time(node: ClusterNode) -> bool:
    """Whether the slot that came last is about that of now, and this process may do its duties."""
    slots, seen = node.parts.slots, node.scheduler.seen
    if seen is None:  # it waits for the genesis, or for a beacon node
        return True
    is_seen = abs(slots.slot() - seen) <= LATE_SLOTS
    return is_seen and node.parts.deadlines.since <= slots.start(slots.slot() + LATE_SLOTS)


def _knows_fork(node: ClusterNode) -> bool:
    slots = node.parts.slots
    return node.parts.schedule.at(max(0, slots.epoch(slots.slot()))).fork is not None


def _knows_duties(node: ClusterNode) -> bool:
    slots = node.parts.slots
    duties = node.scheduler.known.get(slots.epoch(slots.slot()))
    return slots.slot() < 0 or (duties is not None and duties.is_whole)


def _signs_nothing(watched: Watched) -> bool:
    assert watched.node is not None
    parts = watched.node.parts
    now = parts.slots.slot()
    agreed = [
        report
        for duty, report in parts.tracker.reports().items()
        if now - parts.slots.slots_per_epoch <= duty.slot < now and Step.AGREED in report.moments
    ]
    return bool(agreed) and not any(Step.SIGNED in report.moments for report in agreed)
