"""How far each validator of each round is, in memory: one byte for each operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ... import wire
from ...settings import UNKNOWN_SHARES_LIMIT
from ..activity import Activity
from ..clusters.served import Group, ServedClusters
from ..store.counts import WatchedMessage, WatchedValidator
from ..store.subjects import Exit
from .advice import advice_about
from .answers import (
    LETTERS,
    ClusterStatus,
    OperatorStatus,
    RoundStatus,
    State,
    ValidatorsStatusAnswer,
    ValidatorStatus,
)

ROWS_SHOWN = 20_000  # of a round; those that wait come first when there are more
# Of two letters the one that comes first in the alphabet is the worse.
MISSING, RECEIVED, BAD, NOT_NEEDED = (ord(LETTERS[s]) for s in ("missing", "received", "bad", "not needed"))

RowState = Literal["waiting", "undecided", "ready"]


@dataclass(frozen=True, slots=True)
class Row:
    """One validator; `cells` has a letter for each column of its cluster that was there when it was made."""

    position: int
    public_key: bytes
    validator_index: int | None
    created_at: int
    state: RowState
    cells: bytes


@dataclass
class _Cluster:
    group: Group
    columns: list[int]  # share indices
    rows: dict[bytes, Row] = field(default_factory=dict)
    begun_at: int = 0  # of the last round


class WatchedValidators:
    """What the status page shows of them. One thread at a time has it."""

    def __init__(self, clusters: ServedClusters, seen: Activity) -> None:
        self._clusters = clusters
        self._seen = seen
        self._of_name = {
            group.name: _Cluster(group, sorted(group.share_indices)) for group in clusters.in_order
        }

    def mend(self, changed: Iterable[WatchedValidator]) -> None:
        """Learn what changed."""
        for validator in changed:
            group = self._clusters.group_of(validator.public_key)
            if group is None:
                continue
            cluster = self._of_name[group.name]
            if validator.messages:
                cluster.rows[validator.public_key] = _row(cluster, validator)
            else:
                cluster.rows.pop(validator.public_key, None)

    def clusters(self) -> list[ClusterStatus]:
        """All clusters, with what to do about them."""
        return [self._status(cluster) for cluster in self._of_name.values()]

    def validators(
        self, name: str, *, first: int, count: int, share_index: int | None, state: State | None
    ) -> ValidatorsStatusAnswer:
        """Validators of a cluster's round from a place on; of an operator only those it has in a state.

        Raises:
            wire.WireError: no such cluster or operator.
        """
        cluster = self._of_name.get(name)
        if cluster is None:
            raise wire.WireError("cluster", f"expected one of {', '.join(self._of_name)}")
        rows, _ = self._rows(cluster)
        places: Sequence[int] = range(len(rows))
        if share_index is not None and state is not None:
            if share_index not in cluster.columns:
                raise wire.WireError("share_index", f"expected one of {cluster.columns}")
            of_operator = _grid(cluster, rows)[:, cluster.columns.index(share_index)]
            places = np.flatnonzero(of_operator == ord(LETTERS[state])).tolist()
        shown = places[first : first + count]
        width = len(cluster.columns)
        return ValidatorsStatusAnswer(len(places), [_validator(place, rows[place], width) for place in shown])

    def _rows(self, cluster: _Cluster) -> tuple[list[Row], int]:
        """The validators of the round in order, and how many are left out."""
        waiting = [row for row in cluster.rows.values() if row.state != "ready"]
        if waiting:
            cluster.begun_at = min(row.created_at for row in waiting)
        elif not cluster.begun_at:
            cluster.begun_at = max((row.created_at for row in cluster.rows.values()), default=0)
        rows = [row for row in cluster.rows.values() if row.created_at >= cluster.begun_at]
        left_out = max(0, len(rows) - ROWS_SHOWN)
        if left_out:
            rows = sorted(rows, key=lambda row: (row.state == "ready", row.position))[:ROWS_SHOWN]
        return sorted(rows, key=lambda row: row.position), left_out

    def _status(self, cluster: _Cluster) -> ClusterStatus:
        rows, left_out = self._rows(cluster)
        group = cluster.group
        states = [row.state for row in rows]
        round_ = RoundStatus(
            begun_at=cluster.begun_at,
            validators=len(rows),
            ready=states.count("ready"),
            waiting=states.count("waiting"),
            undecided=states.count("undecided"),
            left_out=left_out,
        )
        grid = _grid(cluster, rows)
        operators = [
            self._operator(cluster, share_index, grid[:, column])
            for column, share_index in enumerate(cluster.columns)
        ]
        return ClusterStatus(
            name=group.name,
            threshold=group.threshold,
            validators=self._clusters.size_of(group),
            round=round_ if rows else None,
            operators=operators,
            advice=advice_about(round_, operators, group.threshold, now=time()),
        )

    def _operator(self, cluster: _Cluster, share_index: int, cells: NDArray[np.uint8]) -> OperatorStatus:
        seen = self._seen.operator(cluster.group.name, share_index)
        counts = np.bincount(cells, minlength=256).tolist()
        return OperatorStatus(
            share_index=wire.ShareIndex(share_index),
            received=counts[RECEIVED],
            missing=counts[MISSING],
            bad=counts[BAD],
            not_needed=counts[NOT_NEEDED],
            bad_total=seen.bad if seen else 0,
            last_share_at=seen.last_share_at if seen else 0,
            cells=run_lengths(cells),
        )


def _row(cluster: _Cluster, validator: WatchedValidator) -> Row:
    messages = validator.messages
    if not cluster.group.share_indices:  # no file names them: they are as they come
        found = {index for message in messages for index in (*message.good, *message.bad)}
        new = sorted(found.difference(cluster.columns))
        cluster.columns += new[: max(0, UNKNOWN_SHARES_LIMIT - len(cluster.columns))]
    state: RowState = "waiting"
    if all(message.is_ready for message in messages):
        state = "ready"
    elif any(message.is_undecided for message in messages):
        state = "undecided"
    columns = {share_index: column for column, share_index in enumerate(cluster.columns)}
    cells = [_cells(columns, message) for message in messages]
    exits = [m.subject.validator_index for m in messages if isinstance(m.subject, Exit)]
    return Row(
        position=validator.position,
        public_key=validator.public_key,
        validator_index=exits[0] if exits else None,
        created_at=max(message.created_at for message in messages),
        state=state,
        cells=bytes(map(min, *cells)) if len(cells) > 1 else bytes(cells[0]),
    )


def _cells(columns: Mapping[int, int], message: WatchedMessage) -> bytearray:
    """A letter for each operator, about its share for one message."""
    cells = bytearray([NOT_NEEDED if message.is_ready else MISSING]) * len(columns)
    for share_index in message.good:
        if share_index in columns:
            cells[columns[share_index]] = RECEIVED
    for share_index in message.bad:
        if share_index in columns:
            cells[columns[share_index]] = BAD
    return cells


def _grid(cluster: _Cluster, rows: Sequence[Row]) -> NDArray[np.uint8]:
    """A letter for each validator and operator."""
    width = len(cluster.columns)
    cells = b"".join(_padded(row, width) for row in rows)
    return np.frombuffer(cells, dtype=np.uint8).reshape(len(rows), width)


def _padded(row: Row, width: int) -> bytes:
    """Columns that came later have nothing in this row."""
    return row.cells.ljust(width, bytes([NOT_NEEDED if row.state == "ready" else MISSING]))


def _validator(place: int, row: Row, width: int) -> ValidatorStatus:
    return ValidatorStatus(
        place=place,
        public_key=wire.PublicKey(row.public_key),
        validator_index=None if row.validator_index is None else wire.UInt64(row.validator_index),
        state=row.state,
        cells=_padded(row, width).decode(),
    )


def run_lengths(cells: NDArray[np.uint8]) -> str:
    """Letters, each after how often it stands there: "mmr" is "2m1r"."""
    if not len(cells):
        return ""
    ends = [*(np.flatnonzero(np.diff(cells)) + 1).tolist(), len(cells)]
    begins = [0, *ends[:-1]]
    return "".join(f"{end - begin}{chr(cells[begin])}" for begin, end in zip(begins, ends, strict=True))
