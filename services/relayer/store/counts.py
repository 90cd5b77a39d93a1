"""How far everything is: counts for who watches over the relayer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import product

from sqlalchemy import Connection, and_, func, or_, select

from .engine.database import chunks, latest_revision
from .subjects import Subject, from_bytes
from .tables import (
    GOOD_STATES,
    MessageKind,
    MessageStatus,
    ShareState,
    forgotten,
    from_uint64,
    messages,
    shares,
)


@dataclass(frozen=True)
class MessageCounts:
    """Messages that are asked for now.

    Attributes:
        counts: by kind and status; what is not there is zero.
        oldest_waiting_at: when the oldest that is not ready was made, in unix seconds; 0 when all are.
    """

    counts: dict[tuple[MessageKind, MessageStatus], int]
    oldest_waiting_at: int

    def places(self) -> Iterator[tuple[MessageKind, MessageStatus]]:
        """All there can be."""
        return product(MessageKind, MessageStatus)


def count_messages(connection: Connection) -> MessageCounts:
    """Count all of them."""
    rows = connection.execute(
        select(messages.c.kind, messages.c.status, func.count())
        .where(messages.c.is_current)
        .group_by(messages.c.kind, messages.c.status)
    ).all()
    counts = {(MessageKind(kind), MessageStatus(status)): count for kind, status, count in rows}
    return MessageCounts(counts, _oldest_waiting(connection))


def round_under_way(connection: Connection) -> tuple[int, int]:
    """The latest revision, and since when something that is asked for now waits; 0 when nothing does."""
    return latest_revision(connection), _oldest_waiting(connection)


def _oldest_waiting(connection: Connection) -> int:
    waiting = messages.c.status < MessageStatus.READY, messages.c.is_current
    return connection.scalar(select(func.min(messages.c.created_at)).where(*waiting)) or 0


@dataclass(frozen=True)
class WatchedMessage:
    """A message that is asked for now, and the share indices that handed in a good or a bad share."""

    subject: Subject
    is_ready: bool
    is_undecided: bool
    created_at: int
    good: list[int]
    bad: list[int]


@dataclass(frozen=True)
class WatchedValidator:
    """A validator of which something changed; without messages nobody asks for it any more.

    Attributes:
        position: in the order in which validators were first asked for.
    """

    public_key: bytes
    messages: list[WatchedMessage]
    position: int = 0


@dataclass(frozen=True)
class Changes:
    """What changed after a place.

    Attributes:
        place: to go on from.
        is_all: whether that is the latest one.
    """

    place: tuple[int, int]
    is_all: bool
    validators: list[WatchedValidator]


def watched_since(connection: Connection, place: tuple[int, int], limit: int) -> Changes:
    """The validators of which something changed after `place`, a revision and an id.

    Args:
        limit: of messages, so that others who read need not wait.
    """
    revision, last_id = place
    latest = latest_revision(connection)
    if latest == revision and not last_id:
        return Changes(place, True, [])
    is_later = or_(
        messages.c.revision > revision, and_(messages.c.revision == revision, messages.c.id > last_id)
    )
    changed = connection.execute(
        select(messages.c.public_key, messages.c.revision, messages.c.id)
        .where(is_later)
        .order_by(messages.c.revision, messages.c.id)
        .limit(limit)
    ).all()
    is_all = len(changed) < limit
    gone = set(connection.scalars(select(forgotten.c.public_key).where(forgotten.c.revision > revision)))
    keys = {row.public_key for row in changed} | gone
    found = _watched(connection, keys)
    watched = [found.get(key, WatchedValidator(key, [])) for key in keys]
    return Changes((latest, 0) if is_all else tuple(changed[-1][1:]), is_all, watched)


def _watched(connection: Connection, keys: Collection[bytes]) -> dict[bytes, WatchedValidator]:
    found: dict[bytes, WatchedValidator] = {}
    of_message = messages.c.id == shares.c.message_id
    for chunk in chunks(keys):
        which = messages.c.is_current, messages.c.public_key.in_(chunk)
        held: defaultdict[tuple[int, bool], list[int]] = defaultdict(list)
        states = [*GOOD_STATES, ShareState.REJECTED]
        query = select(shares.c.message_id, shares.c.share_index, shares.c.state).join(messages, of_message)
        for message_id, index, state in connection.execute(query.where(*which, shares.c.state.in_(states))):
            held[message_id, state in GOOD_STATES].append(from_uint64(index))
        for row in connection.execute(select(messages).where(*which).order_by(messages.c.id)):
            is_undecided = row.status == MessageStatus.UNDECIDED
            validator = found.setdefault(row.public_key, WatchedValidator(row.public_key, [], row.id))
            subject, is_ready = from_bytes(row.kind, row.subject), row.status == MessageStatus.READY
            good, bad = held[row.id, True], held[row.id, False]
            validator.messages.append(
                WatchedMessage(subject, is_ready, is_undecided, row.created_at, good, bad)
            )
    return found
