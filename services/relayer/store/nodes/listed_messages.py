"""What sidecars see: the messages of each validator that they may sign, and which shares these have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, not_, or_, select

from ..engine.database import chunks, latest_revision
from ..subjects import Subject, from_bytes
from ..tables import (
    GOOD_STATES,
    MessageStatus,
    ShareState,
    forgotten,
    from_uint64,
    messages,
    shares,
    validators,
)


@dataclass(frozen=True)
class ListedMessage:
    """A message, with share indices in ascending order.

    Attributes:
        is_current: whether it is asked for now; otherwise it is prepared for later.
        stored: those that need not be handed in again.
    """

    subject: Subject
    is_current: bool
    is_ready: bool
    created_at: int
    stored: list[int]
    rejected: list[int]


@dataclass(frozen=True)
class ListedValidator:
    """A validator, the vault it is reserved for, and its messages; none when nobody asks for any.

    Attributes:
        position: in the order in which validators were first asked for.
    """

    public_key: bytes
    vault: bytes | None = None
    messages: list[ListedMessage] = field(default_factory=list)
    position: int = 0


def changes_since(connection: Connection, revision: int) -> tuple[int, list[ListedValidator]]:
    """The latest revision, and the validators of which something changed since the one given.

    Those are in the order in which they were first asked for.
    """
    latest = latest_revision(connection)
    if latest == revision:
        return latest, []
    changed = set(
        connection.scalars(select(messages.c.public_key).where(messages.c.revision > revision).distinct())
    )
    gone = set(
        connection.scalars(select(forgotten.c.public_key).where(forgotten.c.revision > revision)).all()
    )
    found = _listed(connection, changed)
    found.sort(key=lambda pair: pair[0])
    gone = (gone | changed) - {validator.public_key for _, validator in found}
    return latest, [
        *map(ListedValidator, gone),
        *(replace(validator, position=first) for first, validator in found),
    ]


def _listed(connection: Connection, public_keys: Iterable[bytes]) -> list[tuple[int, ListedValidator]]:
    """These validators, each with the id of its first message."""
    listed = or_(messages.c.is_current, not_(messages.c.was_current))
    of_validators = (
        select(messages, validators.c.vault)
        .join(validators, validators.c.public_key == messages.c.public_key)
        .where(listed)
        .order_by(messages.c.kind, messages.c.subject)
    )
    of_messages = (
        select(shares.c.message_id, shares.c.state, shares.c.share_index)
        .join(messages, messages.c.id == shares.c.message_id)
        .where(listed)
        .order_by(shares.c.share_index)
    )
    found: dict[bytes, tuple[int, ListedValidator]] = {}
    for chunk in chunks(public_keys):
        is_of_chunk = messages.c.public_key.in_(chunk)
        indices: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for message_id, state, index in connection.execute(of_messages.where(is_of_chunk)).all():
            kept_as = ShareState.STORED if state in GOOD_STATES else state
            indices[message_id, kept_as].append(from_uint64(index))
        for row in connection.execute(of_validators.where(is_of_chunk)).all():
            first, validator = found.get(
                row.public_key, (row.id, ListedValidator(row.public_key, row.vault, []))
            )
            found[row.public_key] = min(first, row.id), validator
            is_undecided = row.status == MessageStatus.UNDECIDED
            validator.messages.append(
                ListedMessage(
                    from_bytes(row.kind, row.subject),
                    row.is_current,
                    row.status == MessageStatus.READY,
                    row.created_at,
                    [] if is_undecided else indices[row.id, ShareState.STORED],
                    indices[row.id, ShareState.REJECTED],
                )
            )
    return list(found.values())
