"""Which messages are due, and what came of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    bindparam,
    delete,
    exists,
    insert,
    select,
    tuple_,
    update,
)

from ..engine.bulk import execute_many, rows_with
from ..engine.database import touch
from ..seals import Identity, open_share, seal_to_write
from ..subjects import Subject, from_bytes
from ..tables import (
    AT_PLACE,
    GOOD_STATES,
    MessageStatus,
    ShareState,
    from_uint64,
    messages,
    oracle_shares,
    shares,
    signatures,
    uint64,
)
from .due import Thresholds, mark_due, set_status
from .leases import IsServed, give_back, lease, leased

EARLIER_MESSAGES = 16  # of one validator and kind that a share may have come late for; the last changed

Place = tuple[int, int]
"""Revision and id: where a message stands in the order in which messages change."""


@dataclass(frozen=True)
class DueShare:
    """A share to judge.

    Attributes:
        for_this_message: whether its sender says that it is for no other.
        is_verified: whether it was proven right before.
    """

    share_index: int
    signature: bytes
    for_this_message: bool
    is_verified: bool = False


@dataclass(frozen=True)
class DueMessage:
    """A message with shares to judge, as it was at `revision`."""

    id: int
    revision: int
    public_key: bytes
    subject: Subject
    shares: tuple[DueShare, ...]


@dataclass(frozen=True)
class EarlierMessage:
    """A message that was asked for before the current one."""

    id: int
    subject: Subject


@dataclass(frozen=True)
class SplitExit:
    """An exit signature split and encrypted, of all oracles in a row."""

    public_key_shares: bytes
    encrypted_signatures: bytes


@dataclass(frozen=True)
class ReadyMessage:
    """A message whose signature is recovered and verified; that of an exit is split and encrypted, too."""

    id: int
    signature: bytes
    oracle_shares: SplitExit | None


@dataclass(frozen=True)
class HeldShare:
    """The place of a share."""

    message_id: int
    share_index: int


@dataclass
class Verdicts:
    """What came of messages; each that was due is in `ready` or, under its new status, in `not_ready`."""

    ready: list[ReadyMessage] = field(default_factory=list)
    not_ready: dict[MessageStatus, list[DueMessage]] = field(default_factory=dict)
    verified: list[HeldShare] = field(default_factory=list)
    rejected: list[HeldShare] = field(default_factory=list)
    set_aside: set[HeldShare] = field(default_factory=set)
    late: dict[HeldShare, EarlierMessage] = field(default_factory=dict)

    @property
    def message_ids(self) -> set[int]:
        """Of all messages that these are about."""
        of_messages: list[ReadyMessage | DueMessage] = [
            *self.ready,
            *(due for some in self.not_ready.values() for due in some),
        ]
        of_shares = [*self.verified, *self.rejected, *self.set_aside, *self.late]
        return {message.id for message in of_messages} | {share.message_id for share in of_shares}

    def of(self, message_ids: Collection[int]) -> Verdicts:
        """Those about these messages."""
        return Verdicts(
            [message for message in self.ready if message.id in message_ids],
            {
                status: [message for message in due if message.id in message_ids]
                for status, due in self.not_ready.items()
            },
            [share for share in self.verified if share.message_id in message_ids],
            [share for share in self.rejected if share.message_id in message_ids],
            {share for share in self.set_aside if share.message_id in message_ids},
            {share: other for share, other in self.late.items() if share.message_id in message_ids},
        )


def lease_due(
    connection: Connection, holder: bytes, status: MessageStatus, limit: int, is_served: IsServed
) -> list[DueMessage]:
    """Lease current messages, due or to be searched; with their shares, those first that changed longest
    ago."""
    query = (
        select(messages)
        .where(messages.c.status == status, messages.c.is_current)
        .order_by(messages.c.revision, messages.c.id)
    )
    return _with_shares(connection, lease(connection, holder, query, limit, is_served), GOOD_STATES)


def lease_arrived(
    connection: Connection,
    holder: bytes,
    after: Place,
    share_indices: Collection[int],
    limit: int,
    is_served: IsServed,
) -> list[DueMessage]:
    """Lease messages with too few shares, one of them of these indices and not judged yet; with the shares
    that were not."""
    of_indices = shares.c.share_index.in_(list(map(uint64, share_indices)))
    query = (
        select(messages)
        .where(_is_after(after), messages.c.status == MessageStatus.COLLECTING)
        .where(
            exists().where(
                shares.c.message_id == messages.c.id, shares.c.state == ShareState.STORED, of_indices
            )
        )
        .order_by(messages.c.revision, messages.c.id)
    )
    return _with_shares(connection, lease(connection, holder, query, limit, is_served), [ShareState.STORED])


def lease_unverified(
    connection: Connection, holder: bytes, after: Place, limit: int, is_served: IsServed
) -> list[DueMessage]:
    """Lease messages that were ready before all their shares were judged; with the shares that were not."""
    query = (
        select(messages)
        .where(_is_after(after), messages.c.status == MessageStatus.READY)
        .where(exists().where(shares.c.message_id == messages.c.id, shares.c.state == ShareState.STORED))
        .order_by(messages.c.revision, messages.c.id)
    )
    return _with_shares(connection, lease(connection, holder, query, limit, is_served), [ShareState.STORED])


def _is_after(place: Place) -> ColumnElement[bool]:
    return tuple_(messages.c.revision, messages.c.id) > place


def _with_shares(
    connection: Connection, rows: Sequence[Row[Any]], states: Collection[ShareState]
) -> list[DueMessage]:
    held: defaultdict[int, list[DueShare]] = defaultdict(list)
    of_message = {row.id: row for row in rows}
    query = select(shares).where(shares.c.state.in_(states)).order_by(shares.c.share_index)
    for share in rows_with(connection, query, shares.c.message_id, of_message):
        row = of_message[share.message_id]
        identity = Identity(row.public_key, row.kind, row.subject, share.share_index)
        signature = open_share(connection, identity, share.signature, tell=True)
        index = from_uint64(share.share_index)
        is_verified = share.state == ShareState.VERIFIED
        held[share.message_id].append(DueShare(index, signature, share.for_this_message, is_verified))
    return [
        DueMessage(
            row.id, row.revision, row.public_key, from_bytes(row.kind, row.subject), tuple(held[row.id])
        )
        for row in rows
    ]


def earlier_messages(connection: Connection, due: Iterable[DueMessage]) -> dict[int, list[EarlierMessage]]:
    """For each of these messages the other ones of its validator and kind, by message id; that one first
    which last became current, or got a share."""
    of_owner: defaultdict[tuple[bytes, type[Subject]], list[EarlierMessage]] = defaultdict(list)
    due = list(due)
    query = (
        select(messages.c.public_key, messages.c.id, messages.c.kind, messages.c.subject)
        .where(messages.c.was_current)
        .order_by(messages.c.revision.desc())
    )
    owners = {message.public_key for message in due}
    for key, message_id, kind, subject in rows_with(connection, query, messages.c.public_key, owners):
        earlier = EarlierMessage(message_id, from_bytes(kind, subject))
        of_owner[key, type(earlier.subject)].append(earlier)
    return {
        message.id: [
            other for other in of_owner[message.public_key, type(message.subject)] if other.id != message.id
        ][:EARLIER_MESSAGES]
        for message in due
    }


def record(
    connection: Connection,
    holder: bytes,
    verdicts: Verdicts,
    *,
    config_digest: bytes,
    threshold_of: Thresholds,
    now: int,
) -> None:
    """Write down what came of messages, and give them back; what is not the holder's any more is dropped.

    Oracle shares that are there already stay as they are.
    """
    held = leased(connection, holder, verdicts.message_ids)
    verdicts = verdicts.of(held)
    not_ready = {status: _unchanged(connection, due) for status, due in verdicts.not_ready.items()}
    for status, unchanged in not_ready.items():
        set_status(connection, unchanged, status)
    ready = [message.id for message in verdicts.ready]
    _insert_signatures(connection, verdicts.ready)
    oracle_shares_of = {m.id: m.oracle_shares for m in verdicts.ready if m.oracle_shares is not None}
    insert_oracle_shares(connection, oracle_shares_of, config_digest, now)
    set_status(connection, ready, MessageStatus.READY)
    _set_state(connection, verdicts.verified, ShareState.VERIFIED)
    _set_state(connection, verdicts.rejected, ShareState.REJECTED)
    _set_state(connection, verdicts.set_aside, ShareState.SET_ASIDE)
    _move_late(connection, verdicts.late)
    not_stored = [*verdicts.rejected, *verdicts.set_aside, *verdicts.late]
    earlier = {message.id for message in verdicts.late.values()}
    undecided = not_ready.get(MessageStatus.UNDECIDED, [])
    touch(connection, {*ready, *undecided, *earlier, *(share.message_id for share in not_stored)})
    short = {message.id for message in verdicts.not_ready.get(MessageStatus.COLLECTING, [])}
    mark_due(connection, earlier | short, threshold_of)  # other shares than those judged may be enough
    give_back(connection, holder, held)


def _unchanged(connection: Connection, due: Iterable[DueMessage]) -> list[int]:
    """Those to which nothing happened since they were read; the others stay due."""
    read = {message.id: message.revision for message in due}
    query = select(messages.c.id, messages.c.revision)
    return [
        message_id
        for message_id, revision in rows_with(connection, query, messages.c.id, read)
        if read[message_id] == revision
    ]


def insert_oracle_shares(
    connection: Connection, of_message: Mapping[int, SplitExit], config_digest: bytes, now: int
) -> None:
    """Keep the oracle shares of exits, by message id, for one oracle config; what is there already stays."""
    there = _there(connection, oracle_shares, of_message, oracle_shares.c.config_digest == config_digest)
    rows = [
        {
            "message_id": message_id,
            "config_digest": config_digest,
            "public_key_shares": split.public_key_shares,
            "encrypted_signatures": split.encrypted_signatures,
            "created_at": now,
        }
        for message_id, split in of_message.items()
        if message_id not in there
    ]
    if rows:
        execute_many(connection, insert(oracle_shares), rows)


def _insert_signatures(connection: Connection, ready: Collection[ReadyMessage]) -> None:
    there = _there(connection, signatures, [message.id for message in ready])
    new = {message.id: message.signature for message in ready if message.id not in there}
    if new:
        seal = seal_to_write(connection)
        rows = [
            {"message_id": message_id, "signature": seal.seal(identity, new[message_id])}
            for message_id, identity in _identities(connection, new).items()
        ]
        execute_many(connection, insert(signatures), rows)


def _identities(connection: Connection, message_ids: Iterable[int]) -> dict[int, Identity]:
    """What these messages are, by id."""
    query = select(messages.c.id, messages.c.public_key, messages.c.kind, messages.c.subject)
    return {
        message_id: Identity(*identity)
        for message_id, *identity in rows_with(connection, query, messages.c.id, message_ids)
    }


def _there(
    connection: Connection, table: Table, message_ids: Iterable[int], *which: ColumnElement[bool]
) -> set[int]:
    """Those of these messages that have a row in a table."""
    query = select(table.c.message_id).where(*which)
    return {message_id for (message_id,) in rows_with(connection, query, table.c.message_id, message_ids)}


def _set_state(connection: Connection, places: Collection[HeldShare], state: ShareState) -> None:
    if places:
        execute_many(
            connection, update(shares).where(*AT_PLACE).values(state=state), list(map(_place, places))
        )


def _move_late(connection: Connection, late: dict[HeldShare, EarlierMessage]) -> None:
    """Give shares to the messages that they are for; what these hold at their index is older or wrong."""
    if not late:
        return
    there = [_place(HeldShare(message.id, share.share_index)) for share, message in late.items()]
    execute_many(connection, delete(shares).where(*AT_PLACE), there)
    kept = _resealed(connection, late)
    move = (
        update(shares)
        .where(*AT_PLACE)
        .values(
            message_id=bindparam("to_message"), for_this_message=True, signature=bindparam("as_to_message")
        )
    )
    connection.execute(
        move,
        [
            {**_place(share), "to_message": late[share].id, "as_to_message": signature}
            for share, signature in kept.items()
        ],
    )


def _resealed(connection: Connection, late: dict[HeldShare, EarlierMessage]) -> dict[HeldShare, bytes]:
    """The signatures of these shares as they are kept once they belong to the other messages."""
    seal = seal_to_write(connection)
    ids = {share.message_id for share in late}
    identities = _identities(connection, ids | {message.id for message in late.values()})
    query = select(shares.c.message_id, shares.c.share_index, shares.c.signature)
    resealed = {}
    for message_id, index, kept in rows_with(connection, query, shares.c.message_id, ids):
        share = HeldShare(message_id, from_uint64(index))
        if share in late:
            signature = seal.open(identities[message_id]._replace(share_index=index), kept)
            to = identities[late[share].id]._replace(share_index=index)
            resealed[share] = seal.seal(to, signature)
    return resealed


def _place(share: HeldShare) -> dict[str, int | bytes]:
    return {"at_message": share.message_id, "at_index": uint64(share.share_index)}
