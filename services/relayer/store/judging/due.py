"""When a message has enough shares to be worth a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import ColumnElement, Connection, func, select, true, update

from ..engine.bulk import execute_with
from ..engine.database import chunks, touch
from ..tables import GOOD_STATES, MessageStatus, messages, shares
from .leases import forget_leases, is_free

Thresholds = Callable[[bytes], int | None]
"""How many shares a message of this public key needs; None for a key that is not served."""


def take_stock(connection: Connection, threshold_of: Thresholds, *, is_shared: bool = False) -> None:
    """Decide anew which messages are due: thresholds, and what is known of clusters, may have changed.

    Args:
        is_shared: other relayers may be at work on the database; they keep what they leased, and what
            they serve and we do not.
    """
    if not is_shared:
        forget_leases(connection)
    which = messages.c.status != MessageStatus.READY, is_free(connection)
    rows = connection.execute(select(messages.c.id, messages.c.public_key, messages.c.status).where(*which))
    ours = [row for row in rows if not is_shared or threshold_of(row.public_key) is not None]
    # Sidecars see the shares of these again.
    touch(connection, [row.id for row in ours if row.status == MessageStatus.UNDECIDED])
    set_status(
        connection,
        [row.id for row in ours if row.status != MessageStatus.COLLECTING],
        MessageStatus.COLLECTING,
    )
    _mark_due(connection, true(), threshold_of)


def mark_due(connection: Connection, message_ids: Iterable[int], threshold_of: Thresholds) -> None:
    """Make those of these messages due that hold enough shares, whether they are current or not.

    Their shares have changed: what was undecided is due again.
    """
    for chunk in chunks(message_ids):
        _mark_due(connection, messages.c.id.in_(chunk), threshold_of)


def set_status(connection: Connection, message_ids: Sequence[int], status: MessageStatus) -> None:
    """Write how far messages are."""
    execute_with(connection, update(messages).values(status=status), messages.c.id, message_ids)


def _mark_due(connection: Connection, which: ColumnElement[bool], threshold_of: Thresholds) -> None:
    is_waiting = messages.c.status.in_([MessageStatus.COLLECTING, MessageStatus.UNDECIDED])
    counted = connection.execute(
        select(messages.c.id, messages.c.public_key, func.count())
        .join(shares, shares.c.message_id == messages.c.id)
        .where(which, is_waiting, shares.c.state.in_(GOOD_STATES))
        .group_by(messages.c.id, messages.c.public_key)
    ).all()
    due = []
    for message_id, public_key, count in counted:
        threshold = threshold_of(public_key)
        if threshold is not None and count >= threshold:
            due.append(message_id)
    set_status(connection, due, MessageStatus.DUE)
