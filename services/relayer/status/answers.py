"""What the status page is told, as JSON."""

from __future__ import annotations

from typing import Literal

import msgspec

from ... import wire

Level = Literal["act", "watch", "fine"]
State = Literal["missing", "received", "bad", "not needed"]
LETTERS: dict[State, str] = {"missing": "m", "received": "r", "bad": "b", "not needed": "n"}


class Advice(msgspec.Struct):
    """What is the matter, and what to do; `runbook` is a heading of docs/runbook.md."""

    level: Level
    text: str
    do: str
    runbook: str


class OperatorStatus(msgspec.Struct):
    """One share index of a cluster; the counts are of validators of its round, `bad_total` since the start.

    `cells` has a letter for each validator of the round, in order, after how often it stands there:
    m(issing), r(eceived), b(ad), n(ot needed).
    """

    share_index: wire.ShareIndex
    received: int
    missing: int
    bad: int
    not_needed: int
    bad_total: int
    last_share_at: int
    cells: str


class RoundStatus(msgspec.Struct):
    """Validators that were asked for together; `left_out` of those that are ready are not shown."""

    begun_at: int
    validators: int
    ready: int
    waiting: int
    undecided: int
    left_out: int


class ClusterStatus(msgspec.Struct):
    """One cluster; validators of no named one are together in the last."""

    name: str
    threshold: int
    validators: int | None
    round: RoundStatus | None
    operators: list[OperatorStatus]
    advice: list[Advice]


class HistoryStep(msgspec.Struct):
    """What was done in ten seconds that began at a unix time."""

    begin: int
    shares: int
    ready: int


class StatusAnswer(msgspec.Struct):
    """Answer to `GET /status.json`."""

    network: str
    version: str
    started_at: int
    problems: list[str]
    clusters: list[ClusterStatus]
    history: list[HistoryStep]


class ValidatorStatus(msgspec.Struct):
    """One validator of a round; `cells` has a letter for each operator of the cluster."""

    place: int
    public_key: wire.PublicKey
    validator_index: wire.UInt64 | None
    state: Literal["waiting", "undecided", "ready"]
    cells: str


class ValidatorsStatusAnswer(msgspec.Struct):
    """Answer to `GET /status/validators`: some of those that fit; `found` is how many do."""

    found: int
    validators: list[ValidatorStatus]
