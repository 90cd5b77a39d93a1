"""What one node has still to sign: messages of each validator without a share at its index."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, not_, or_, select

from .database import chunks, latest_revision
from .subjects import Subject, from_bytes
from .tables import (
    Kind,
    MessageStatus,
    ShareState,
    forgotten,
    messages,
    oracle_shares,
    shares,
    uint64,
    validators,
)


@dataclass(frozen=True)
class MessageOfNode:
    """A message; it is lacking while it is not ready and has no share at the index in question."""

    subject: Subject
    is_current: bool
    is_lacking: bool


@dataclass(frozen=True)
class ValidatorOfNode:
    """A validator that something changed of; no messages when it is forgotten.

    Attributes:
        position: in the order in which validators were first asked for.
    """

    position: int
    public_key: bytes
    vault: bytes | None
    messages: list[MessageOfNode]


def lacking_since(
    connection: Connection, revision: int, share_index: int
) -> tuple[int, list[ValidatorOfNode]]:
    """The latest revision, and the validators of which something changed since the one given."""
    latest = latest_revision(connection)
    if latest == revision:
        return latest, []
    changed = select(messages.c.public_key).where(messages.c.revision > revision)
    rows = connection.execute(
        select(
            messages.c.public_key,
            messages.c.id,
            messages.c.kind,
            messages.c.subject,
            messages.c.is_current,
            messages.c.status,
            validators.c.vault,
            shares.c.state,
        )
        .join(validators, validators.c.public_key == messages.c.public_key)
        .outerjoin(
            shares, and_(shares.c.message_id == messages.c.id, shares.c.share_index == uint64(share_index))
        )
        .where(messages.c.public_key.in_(changed))
        .where(or_(messages.c.is_current, not_(messages.c.was_current)))
        .order_by(messages.c.kind, messages.c.subject)
    )
    found: dict[bytes, tuple[list[int], bytes | None, list[MessageOfNode]]] = {}
    for key, message_id, kind, subject, is_current, status, vault, state in rows:
        ids, _, of_validator = found.setdefault(key, ([], vault, []))
        ids.append(message_id)
        is_there = state in (ShareState.STORED, ShareState.VERIFIED) and status != MessageStatus.UNDECIDED
        is_lacking = status != MessageStatus.READY and not is_there
        of_validator.append(MessageOfNode(from_bytes(kind, subject), is_current, is_lacking))
    gone = set(connection.scalars(select(forgotten.c.public_key).where(forgotten.c.revision > revision)))
    gone |= set(connection.scalars(changed.distinct()))
    return latest, [
        *(ValidatorOfNode(0, key, None, []) for key in gone - found.keys()),
        *(ValidatorOfNode(min(ids), key, vault, listed) for key, (ids, vault, listed) in found.items()),
    ]


def count_ready(
    connection: Connection, public_keys: Iterable[bytes], config_digest: bytes
) -> tuple[int, int]:
    """The latest revision, and of how many validators the current exit has shares to hand out."""
    of_config = oracle_shares.c.config_digest == config_digest
    query = (
        select(func.count(messages.c.id.distinct()))
        .join(oracle_shares, oracle_shares.c.message_id == messages.c.id)
        .where(messages.c.kind == Kind.EXIT, messages.c.is_current)
        .where(or_(oracle_shares.c.handed_out_at.is_not(None), of_config))
    )
    counts = [
        connection.scalar(query.where(messages.c.public_key.in_(chunk))) or 0 for chunk in chunks(public_keys)
    ]
    return latest_revision(connection), sum(counts)
