"""Which exits are due, and what came of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, exists, insert, select, tuple_, update

from .database import chunks, touch
from .due import Thresholds, mark_due, set_status
from .tables import (
    AT_PLACE,
    ExitStatus,
    ShareState,
    exits,
    from_uint64,
    oracle_shares,
    shares,
    uint64,
    validators,
)

EARLIER_EXITS = 16  # of one validator that a share may have come late for; those that changed last

Place = tuple[int, int]
"""Revision and id: where an exit stands in the order in which exits change."""


@dataclass(frozen=True)
class DueShare:
    """A share to judge; `for_this_exit` when its sender says that it is for no other."""

    share_index: int
    signature: bytes
    for_this_exit: bool


@dataclass(frozen=True)
class DueExit:
    """An exit with shares to judge, as it was at `revision`."""

    id: int
    revision: int
    public_key: bytes
    validator_index: int
    shares: tuple[DueShare, ...]


@dataclass(frozen=True)
class EarlierExit:
    """An exit that was asked for before the current one."""

    id: int
    validator_index: int


@dataclass(frozen=True)
class ReadyExit:
    """An exit that is recovered, verified, split and encrypted."""

    id: int
    public_key_shares: bytes
    encrypted_signatures: bytes


@dataclass(frozen=True)
class HeldShare:
    """The place of a share."""

    exit_id: int
    share_index: int


@dataclass
class Verdicts:
    """What came of some exits; each that was due is in `ready` or, under its new status, in `not_ready`."""

    ready: list[ReadyExit] = field(default_factory=list)
    not_ready: dict[ExitStatus, list[DueExit]] = field(default_factory=dict)
    verified: list[HeldShare] = field(default_factory=list)
    rejected: list[HeldShare] = field(default_factory=list)
    set_aside: set[HeldShare] = field(default_factory=set)
    late: dict[HeldShare, EarlierExit] = field(default_factory=dict)


def due_exits(connection: Connection, status: ExitStatus, limit: int) -> list[DueExit]:
    """Current exits, due or to be searched, with their shares; those first that changed longest ago."""
    query = (
        select(exits)
        .join(validators, validators.c.exit_id == exits.c.id)
        .where(exits.c.status == status)
        .order_by(exits.c.revision, exits.c.id)
        .limit(limit)
    )
    return _with_shares(connection, connection.execute(query).all())


def unverified_exits(connection: Connection, after: Place, limit: int) -> list[DueExit]:
    """Exits that were ready before all their shares were judged, with the shares that were not."""
    query = (
        select(exits)
        .where(tuple_(exits.c.revision, exits.c.id) > after, exits.c.status == ExitStatus.READY)
        .where(exists().where(shares.c.exit_id == exits.c.id, shares.c.state == ShareState.STORED))
        .order_by(exits.c.revision, exits.c.id)
        .limit(limit)
    )
    return _with_shares(connection, connection.execute(query).all())


def _with_shares(connection: Connection, rows: Sequence[Row[Any]]) -> list[DueExit]:
    held: defaultdict[int, list[DueShare]] = defaultdict(list)
    query = select(shares).where(shares.c.state == ShareState.STORED).order_by(shares.c.share_index)
    for chunk in chunks(row.id for row in rows):
        for share in connection.execute(query.where(shares.c.exit_id.in_(chunk))):
            index = from_uint64(share.share_index)
            held[share.exit_id].append(DueShare(index, share.signature, share.for_this_exit))
    return [
        DueExit(row.id, row.revision, row.public_key, from_uint64(row.validator_index), tuple(held[row.id]))
        for row in rows
    ]


def earlier_exits(connection: Connection, due: Iterable[DueExit]) -> dict[int, list[EarlierExit]]:
    """For each of these exits the other ones of its validator, by exit id; that one first which last
    became current, or got a share."""
    of_key: defaultdict[bytes, list[EarlierExit]] = defaultdict(list)
    due = list(due)
    query = select(exits.c.public_key, exits.c.id, exits.c.validator_index).order_by(exits.c.revision.desc())
    for chunk in chunks({exit_.public_key for exit_ in due}):
        for key, exit_id, index in connection.execute(query.where(exits.c.public_key.in_(chunk))):
            of_key[key].append(EarlierExit(exit_id, from_uint64(index)))
    return {
        exit_.id: [other for other in of_key[exit_.public_key] if other.id != exit_.id][:EARLIER_EXITS]
        for exit_ in due
    }


def record(
    connection: Connection,
    verdicts: Verdicts,
    *,
    config_digest: bytes,
    threshold_of: Thresholds,
    now: int,
) -> None:
    """Write down what came of exits. Oracle shares that are there already stay as they are."""
    not_ready = {status: _unchanged(connection, due) for status, due in verdicts.not_ready.items()}
    for status, unchanged in not_ready.items():
        set_status(connection, unchanged, status)
    ready = [exit_.id for exit_ in verdicts.ready]
    _insert_oracle_shares(connection, verdicts.ready, config_digest, now)
    set_status(connection, ready, ExitStatus.READY)
    _set_state(connection, verdicts.verified, ShareState.VERIFIED)
    _set_state(connection, verdicts.rejected, ShareState.REJECTED)
    _set_state(connection, verdicts.set_aside, ShareState.SET_ASIDE)
    _move_late(connection, verdicts.late)
    not_stored = [*verdicts.rejected, *verdicts.set_aside, *verdicts.late]
    earlier = {exit_.id for exit_ in verdicts.late.values()}
    undecided = not_ready.get(ExitStatus.UNDECIDED, [])
    touch(connection, {*ready, *undecided, *earlier, *(share.exit_id for share in not_stored)})
    mark_due(connection, earlier, threshold_of)


def _unchanged(connection: Connection, due: Iterable[DueExit]) -> list[int]:
    """Those to which nothing happened since they were read; the others stay due."""
    read = {exit_.id: exit_.revision for exit_ in due}
    query = select(exits.c.id, exits.c.revision)
    return [
        exit_id
        for chunk in chunks(read)
        for exit_id, revision in connection.execute(query.where(exits.c.id.in_(chunk)))
        if read[exit_id] == revision
    ]


def _insert_oracle_shares(
    connection: Connection, ready: Collection[ReadyExit], config_digest: bytes, now: int
) -> None:
    query = select(oracle_shares.c.exit_id)
    there = {
        exit_id
        for chunk in chunks(exit_.id for exit_ in ready)
        for exit_id in connection.scalars(query.where(oracle_shares.c.exit_id.in_(chunk)))
    }
    rows = [
        {
            "exit_id": exit_.id,
            "public_key_shares": exit_.public_key_shares,
            "encrypted_signatures": exit_.encrypted_signatures,
            "config_digest": config_digest,
            "created_at": now,
        }
        for exit_ in ready
        if exit_.id not in there
    ]
    if rows:
        connection.execute(insert(oracle_shares), rows)


def _set_state(connection: Connection, places: Collection[HeldShare], state: ShareState) -> None:
    if places:
        connection.execute(update(shares).where(*AT_PLACE).values(state=state), list(map(_place, places)))


def _move_late(connection: Connection, late: dict[HeldShare, EarlierExit]) -> None:
    """Give shares to the exits that they are for; what these hold at their index is older or wrong."""
    if not late:
        return
    there = [_place(HeldShare(exit_.id, share.share_index)) for share, exit_ in late.items()]
    connection.execute(delete(shares).where(*AT_PLACE), there)
    move = update(shares).where(*AT_PLACE).values(exit_id=bindparam("to_exit"), for_this_exit=True)
    connection.execute(move, [{**_place(share), "to_exit": exit_.id} for share, exit_ in late.items()])


def _place(share: HeldShare) -> dict[str, int | bytes]:
    return {"at_exit": share.exit_id, "at_index": uint64(share.share_index)}
