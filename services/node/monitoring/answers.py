"""What the status page is told, as JSON. Times are Unix seconds; nodes are positions in the lock, from 0."""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["act", "watch", "fine"]


class NodeAdvice(msgspec.Struct):
    """What is the matter, and what to do; `runbook` is a heading of docs/runbook.md."""

    level: Level
    text: str
    do: str
    runbook: str


class ClockStatus(msgspec.Struct):
    """Slots by this machine's clock."""

    genesis_time: float
    seconds_per_slot: float
    slots_per_epoch: int


class NodeStatus(msgspec.Struct):
    """One node of the cluster; `took_part` of `duties` that are over its partial signatures came in time.

    `own` is the node that tells this: it has no connection with itself.
    """

    position: int
    own: bool
    nickname: str
    connected: bool
    relayed: bool
    client: str
    clock_offset: float | None
    problems: list[str]
    duties: int
    took_part: int
    faults: int


class RelayStatus(msgspec.Struct):
    """A relay of this node; `problem` is why it does not let others in to it, or ""."""

    name: str
    problem: str


class BeaconStatus(msgspec.Struct):
    """A beacon node; `problem` is why it is of no use now, or ""."""

    name: str
    problem: str
    fallback: bool
    head_slot: int
    sync_distance: int
    peers: int | None
    version: str


class SignerStatus(msgspec.Struct):
    """A node whose partial signatures came, and how many seconds after the duty began."""

    node: int
    after: float


class MissedBecause(msgspec.Struct):
    """Why so many validators missed a duty."""

    text: str
    validators: int


class FaultStatus(msgspec.Struct):
    """What a node did wrong, or may have done, for how many validators."""

    node: int
    text: str
    validators: int


class DutyStatus(msgspec.Struct):
    """How a duty went; `steps` says how many seconds after it began it was first at each, by name.

    `leader` is the node that led the round in which it was decided; None where none is known. `doubts` are
    about proposals that do not fit what this node knows: either may be wrong.
    """

    slot: int
    type: str
    validators: int
    done: int
    missed: int
    begins_at: float
    round: int
    leader: int | None
    steps: dict[str, float]
    signers: list[SignerStatus]
    reasons: list[MissedBecause]
    faults: list[FaultStatus]
    doubts: list[FaultStatus]


class NodeStatusAnswer(msgspec.Struct):
    """Answer to `GET /status.json`; duties are the latest first."""

    network: str
    cluster: str
    lock_hash: str
    nickname: str
    version: str
    started_at: float
    threshold: int
    validators: int
    active: int | None
    readiness: int
    advice: list[NodeAdvice]
    clock: ClockStatus | None
    nodes: list[NodeStatus]
    relays: list[RelayStatus]
    beacon_nodes: list[BeaconStatus]
    duties: list[DutyStatus]
