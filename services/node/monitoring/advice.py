"""What is the matter with a node, and what to do, for who was woken at night: the most urgent first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from .answers import DutyStatus, Level, NodeAdvice, NodeStatus
from .readiness import TEXTS, Readiness

URGENCY: Final[dict[Level, int]] = {"act": 0, "watch": 1, "fine": 2}
MANY: Final = 0.05  # of validators' duties, that are missed
WHAT_TO_DO: Final = {
    Readiness.NO_BEACON_NODE: "See whether the beacon node runs, and is at the address of --beacon-node.",
    Readiness.SYNCING: "Wait until it has caught up; another one as --fallback-beacon-node helps at once.",
    Readiness.TOO_FEW_PEERS: "See below which nodes are missing and why; ask who runs them.",
    Readiness.SIGNS_NOTHING: "See the reasons of missed duties below, and whether the remote signer answers.",
    Readiness.NO_BEACON_PEERS: "Open the beacon node's ports to the network.",
    Readiness.CLOCK_WAS_WRONG: "See what sets this machine's clock. It goes on by itself within two epochs.",
    Readiness.DUTIES_UNKNOWN: "See the log for what beacon nodes say; it is asked for again in each slot.",
    Readiness.FORK_UNKNOWN: "Update dvtfast: until then nothing is signed here.",
    Readiness.FAR_BEHIND: "Its database may be broken: see its log. Another beacon node helps at once.",
}


def advice_about(
    readiness: Readiness, nodes: Sequence[NodeStatus], duties: Sequence[DutyStatus], *, threshold: int
) -> list[NodeAdvice]:
    """What is the matter, and what to do."""
    advice = [*_readiness(readiness), *_nodes(nodes, threshold), *_missed(duties), *_faults(nodes)]
    if not advice:
        advice = [NodeAdvice("fine", "All is well.", "Nothing to do.", "a-node-misses-duties")]
    return sorted(advice, key=lambda each: URGENCY[each.level])


def _readiness(readiness: Readiness) -> Iterator[NodeAdvice]:
    if readiness is not Readiness.READY:
        text = TEXTS[readiness]
        yield NodeAdvice("act", f"{text[0].upper()}{text[1:]}.", WHAT_TO_DO[readiness], "dvtfastnodenotready")


def _nodes(nodes: Sequence[NodeStatus], threshold: int) -> Iterator[NodeAdvice]:
    away = [node for node in nodes if not node.connected]
    spare = len(nodes) - len(away) - threshold
    for node in away:
        left = f"{spare} more may be away before duties stop." if spare > 0 else "No other may be away."
        text = f"Node {node.position} is not connected. {left if spare >= 0 else 'Too few are left to sign.'}"
        yield NodeAdvice(
            "act" if spare < 0 else "watch",
            text,
            "Ask who runs it; what the connection failed with is below.",
            "a-node-is-not-connected",
        )
    for node in nodes:
        if node.connected and not node.own and node.duties and not node.took_part:
            yield NodeAdvice(
                "watch",
                f"Node {node.position} is connected, and has signed nothing in {node.duties} duties.",
                "Ask who runs it: its validator client, its beacon node, or its clock.",
                "a-node-is-not-connected",
            )
        if node.connected and node.problems:
            yield NodeAdvice(
                "watch", f"Node {node.position}: {'; '.join(node.problems)}.", "Tell who runs it.",
                "a-node-is-not-connected",
            )  # fmt: skip


def _missed(duties: Sequence[DutyStatus]) -> Iterator[NodeAdvice]:
    missed = sum(duty.missed for duty in duties)
    if not missed:
        return
    reasons = Counter[str]()
    for duty in duties:
        for reason in duty.reasons:
            reasons[reason.text] += reason.validators
    (why, count), *_ = reasons.most_common(1)
    of_all = missed + sum(duty.done for duty in duties)
    yield NodeAdvice(
        "act" if missed > MANY * of_all else "watch",
        f"{missed:,} of {of_all:,} duties of validators were missed; {count:,} of them since {why}.",
        "See which below, and what all of them have in common.",
        "a-node-misses-duties",
    )


def _faults(nodes: Sequence[NodeStatus]) -> Iterator[NodeAdvice]:
    for node in nodes:
        if node.faults:
            whose = "This node" if node.own else f"Node {node.position}"
            yield NodeAdvice(
                "watch",
                f"{whose} did what no node should do, {node.faults} times in the last epochs.",
                "What they are is said at the duties below; nothing of it was used.",
                "a-node-does-what-it-should-not",
            )
