"""What sidecars see: the current exit of each validator, and which shares it has."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import Connection, select

from .database import latest_revision
from .tables import ExitStatus, ShareState, exits, from_uint64, shares, validators


@dataclass(frozen=True)
class CurrentExit:
    """A validator's current exit, with share indices in ascending order.

    Attributes:
        stored: those that need not be handed in again.
    """

    public_key: bytes
    validator_index: int
    is_ready: bool
    created_at: int
    stored: list[int]
    rejected: list[int]


def changes_since(connection: Connection, revision: int) -> tuple[int, list[CurrentExit]]:
    """The latest revision, and the current exits that changed since the one given."""
    latest = latest_revision(connection)
    if latest == revision:
        return latest, []
    is_newer = exits.c.revision > revision
    current = select(exits).join(validators, validators.c.exit_id == exits.c.id).where(is_newer)
    indices = (
        select(shares.c.exit_id, shares.c.state, shares.c.share_index)
        .join(exits, exits.c.id == shares.c.exit_id)
        .join(validators, validators.c.exit_id == exits.c.id)
        .where(is_newer)
        .order_by(shares.c.share_index)
    )
    found: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for exit_id, state, index in connection.execute(indices):
        is_good = state in (ShareState.STORED, ShareState.VERIFIED)
        found[exit_id, ShareState.STORED if is_good else state].append(from_uint64(index))
    return latest, [
        CurrentExit(
            row.public_key,
            from_uint64(row.validator_index),
            row.status == ExitStatus.READY,
            row.created_at,
            [] if row.status == ExitStatus.UNDECIDED else found[row.id, ShareState.STORED],
            found[row.id, ShareState.REJECTED],
        )
        for row in connection.execute(current.order_by(exits.c.id))
    ]
