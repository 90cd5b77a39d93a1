"""What one node has still to sign: messages of each validator without a share at its index."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import takewhile

from sqlalchemy import Connection, and_, func, not_, or_, select

from ..engine.database import chunks, latest_revision
from ..subjects import Subject, from_bytes
from ..tables import (
    GOOD_STATES,
    MessageKind,
    MessageStatus,
    forgotten,
    messages,
    oracle_shares,
    shares,
    uint64,
    validators,
)


@dataclass(frozen=True)
class MessageOfNode:
    """A message; its share is missing while it is not ready and has no share at the index in question."""

    subject: Subject
    is_current: bool
    is_missing: bool


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


def missing_shares_since(
    connection: Connection,
    revision: int,
    share_index: int,
    known: Collection[bytes],
    *,
    only_reserved: bool,
) -> tuple[int, list[ValidatorOfNode]]:
    """The latest revision, and the validators of which something changed since the one given.

    Args:
        known: validators that lacked something before; those that lack nothing now come without messages.
        only_reserved: of validators that are reserved for vaults.
    """
    latest = latest_revision(connection)
    if latest == revision:
        return latest, []
    changed = select(messages.c.public_key).where(messages.c.revision > revision)
    of_node = and_(shares.c.message_id == messages.c.id, shares.c.share_index == uint64(share_index))
    is_there = and_(shares.c.state.in_(GOOD_STATES), messages.c.status != MessageStatus.UNDECIDED)
    is_missing = and_(messages.c.status != MessageStatus.READY, func.coalesce(not_(is_there), True))
    is_listed = or_(messages.c.is_current, not_(messages.c.was_current))
    with_missing = (
        select(messages.c.public_key)
        .outerjoin(shares, of_node)
        .where(messages.c.public_key.in_(changed), is_listed, is_missing)
    )
    if only_reserved:
        of_validator = validators.c.public_key == messages.c.public_key
        with_missing = with_missing.join(validators, of_validator).where(validators.c.vault.is_not(None))
    rows = connection.execute(
        select(
            messages.c.public_key,
            messages.c.id,
            messages.c.kind,
            messages.c.subject,
            messages.c.is_current,
            validators.c.vault,
            is_missing,
        )
        .join(validators, validators.c.public_key == messages.c.public_key)
        .outerjoin(shares, of_node)
        .where(messages.c.public_key.in_(with_missing), is_listed)
        .order_by(messages.c.kind, messages.c.subject)
    ).all()
    found: dict[bytes, tuple[list[int], bytes | None, list[MessageOfNode]]] = {}
    for key, message_id, kind, subject, is_current, vault, of_message_is_missing in rows:
        ids, _, listed = found.setdefault(key, ([], vault, []))
        ids.append(message_id)
        listed.append(MessageOfNode(from_bytes(kind, subject), is_current, of_message_is_missing))
    gone: set[bytes] = set()
    if known:
        of_forgotten = select(forgotten.c.public_key).where(forgotten.c.revision > revision)
        gone = {*connection.scalars(of_forgotten).all(), *connection.scalars(changed.distinct()).all()}
        gone = gone.intersection(known) - found.keys()
    return latest, [
        *(ValidatorOfNode(0, key, None, []) for key in gone),
        *(ValidatorOfNode(min(ids), key, vault, listed) for key, (ids, vault, listed) in found.items()),
    ]


def ready_in_front(
    connection: Connection, public_keys: Sequence[bytes], config_digest: bytes
) -> tuple[int, int]:
    """The latest revision, and how many of these validators, from the first on, have a current exit with
    shares to hand out."""
    of_config = oracle_shares.c.config_digest == config_digest
    query = (
        select(messages.c.public_key)
        .join(oracle_shares, oracle_shares.c.message_id == messages.c.id)
        .where(messages.c.kind == MessageKind.EXIT, messages.c.is_current)
        .where(or_(oracle_shares.c.handed_out_at.is_not(None), of_config))
    )
    count = 0
    # The first one tells whether it is worth to look at more.
    for chunk in (public_keys[:1], *chunks(public_keys[1:])):
        ready = set(connection.scalars(query.where(messages.c.public_key.in_(chunk))).all())
        in_front = sum(1 for _ in takewhile(ready.__contains__, chunk))
        count += in_front
        if in_front < len(chunk):
            break
    return latest_revision(connection), count
