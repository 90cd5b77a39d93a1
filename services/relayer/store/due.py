"""When an exit has enough shares to be worth a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import ColumnElement, Connection, func, select, true, update

from .database import chunks
from .tables import ExitStatus, ShareState, exits, shares

Thresholds = Callable[[bytes], int | None]
"""How many shares an exit of this public key needs; None for a key that is not served."""


def take_stock(connection: Connection, threshold_of: Thresholds) -> None:
    """Decide anew which exits are due: thresholds, and what is known of clusters, may have changed."""
    not_ready = exits.c.status != ExitStatus.READY
    connection.execute(update(exits).where(not_ready).values(status=ExitStatus.COLLECTING))
    _mark_due(connection, true(), threshold_of)


def mark_due(connection: Connection, exit_ids: Iterable[int], threshold_of: Thresholds) -> None:
    """Make those of these exits due that hold enough shares, whether they are current or not.

    Their shares have changed: what was undecided is due again.
    """
    for chunk in chunks(exit_ids):
        _mark_due(connection, exits.c.id.in_(chunk), threshold_of)


def set_status(connection: Connection, exit_ids: Sequence[int], status: ExitStatus) -> None:
    """Write how far exits are."""
    for chunk in chunks(exit_ids):
        connection.execute(update(exits).where(exits.c.id.in_(chunk)).values(status=status))


def _mark_due(connection: Connection, which: ColumnElement[bool], threshold_of: Thresholds) -> None:
    is_waiting = exits.c.status.in_([ExitStatus.COLLECTING, ExitStatus.UNDECIDED])
    counted = connection.execute(
        select(exits.c.id, exits.c.public_key, func.count())
        .join(shares, shares.c.exit_id == exits.c.id)
        .where(which, is_waiting, shares.c.state == ShareState.STORED)
        .group_by(exits.c.id, exits.c.public_key)
    )
    due = []
    for exit_id, public_key, count in counted:
        threshold = threshold_of(public_key)
        if threshold is not None and count >= threshold:
            due.append(exit_id)
    set_status(connection, due, ExitStatus.DUE)
