"""Whether a node can do its duties; by charon's numbers, on which dashboards and alerts rely.

Source: charon v1.11, app/monitoringapi.go. 6 is not used there; 5 is "no validator client is connected".
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ..tracker import Step
from .watched import POOR_LOOKS, Watched

FAR_BEHIND_SLOTS: Final = 320


class Readiness(IntEnum):
    """What is the matter."""

    READY = 1
    NO_BEACON_NODE = 2
    SYNCING = 3
    TOO_FEW_PEERS = 4
    SIGNS_NOTHING = 5
    NO_BEACON_PEERS = 7
    FAR_BEHIND = 8


TEXTS: Final = {
    Readiness.READY: "ok",
    Readiness.NO_BEACON_NODE: "no beacon node answers",
    Readiness.SYNCING: "no beacon node has caught up with the chain",
    Readiness.TOO_FEW_PEERS: "too few nodes of the cluster are connected",
    Readiness.SIGNS_NOTHING: "this node signed nothing of what was agreed on in the last epoch",
    Readiness.NO_BEACON_PEERS: "no beacon node has peers",
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
    return Readiness.SIGNS_NOTHING if _signs_nothing(watched) else Readiness.READY


def _signs_nothing(watched: Watched) -> bool:
    assert watched.node is not None
    parts = watched.node.parts
    now = parts.slots.slot()
    agreed = [
        report
        for duty, report in parts.tracker.reports().items()
        if now - parts.slots.slots_per_epoch <= duty.slot < now and Step.AGREED in report.moments
    ]
    return bool(agreed) and not any(
        step >= Step.SIGNED for report in agreed for step in report.steps.values()
    )
