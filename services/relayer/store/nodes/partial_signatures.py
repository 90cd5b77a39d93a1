"""A sidecar hands in partial signatures: each is stored, or refused with its reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, or_, select, tuple_, update

from ..engine.bulk import execute_many, rows_with
from ..engine.database import chunks, touch
from ..judging.due import Thresholds, mark_due
from ..seals import Identity, open_share, seal_to_write
from ..subjects import Exit, Subject, to_bytes
from ..tables import AT_PLACE, MessageKind, MessageStatus, ShareState, messages, shares, uint64
from .announced_shares import keep_claims

Owner = tuple[bytes, int]
"""A public key and a kind."""
STORED = ""  # instead of a reason why not
PROVEN_WRONG = "this very share was found not to fit this validator index"
PROVEN_OTHER = "another share is held for this share index, and found to fit"


@dataclass(frozen=True)
class OfferedShare:
    """A partial signature for a validator.

    Attributes:
        subject: what the message says that it signs; None when its sender does not tell.
        share_limit: how many share indices a message of this validator may have; None for no limit.
        key_shares: what its sender claims the validator's public key shares to be, see announced_shares.py.
    """

    public_key: bytes
    kind: MessageKind
    signature: bytes
    subject: Subject | None
    share_limit: int | None
    key_shares: bytes | None = None

    @property
    def owner(self) -> Owner:
        """Whose message of which kind it signs."""
        return self.public_key, self.kind


@dataclass
class _Message:
    """A message; when it is full, a new share index takes the place of the oldest rejected share."""

    id: int
    status: int
    is_full: bool = False
    oldest_rejected: bytes | None = None


@dataclass
class _Held:
    """What a message holds at the share index in question."""

    signature: bytes
    state: int
    for_this_message: bool
    is_new: bool = False
    is_changed: bool = False

    @property
    def belongs_here(self) -> bool:
        """Whether its sender says so, or it is proven."""
        return self.state == ShareState.VERIFIED or (
            self.state == ShareState.STORED and self.for_this_message
        )


@dataclass
class _Book:
    """What is known of the validators that the shares are for."""

    current: dict[Owner, _Message] = field(default_factory=dict)
    by_subject: dict[tuple[Owner, bytes], _Message] = field(default_factory=dict)
    held: defaultdict[Owner, dict[int, _Held]] = field(
        default_factory=lambda: defaultdict(dict)
    )  # by message id
    dropped: list[tuple[int, bytes]] = field(default_factory=list)  # message ids, share indices


def add_shares(
    connection: Connection,
    share_index: int,
    offered: Sequence[OfferedShare],
    *,
    threshold_of: Thresholds,
    now: int,
) -> list[str]:
    """Store what can be stored, and what is claimed of validators whose public key shares are unknown.

    Returns:
        Why each share was refused, or `STORED`: it is held now, was held before, or its exit is ready
        and needs it no more.
    """
    claims = {share.public_key: share.key_shares for share in offered if share.key_shares is not None}
    limit = max((share.share_limit or 0 for share in offered), default=0)
    keep_claims(connection, share_index, claims, limit=limit, threshold_of=threshold_of)
    book = _read(connection, share_index, offered)
    reasons = [_place(book, share) for share in offered]
    _write(connection, share_index, book, threshold_of, now)
    return reasons


def _place(book: _Book, share: OfferedShare) -> str:
    """Decide about one share, and note the decision in the book for those after it."""
    owner, is_named = share.owner, share.subject is not None
    if owner not in book.current:
        what = "an exit" if share.kind == MessageKind.EXIT else "a deposit"
        return f"nobody asked for {what} of this validator"
    wanted = book.current[owner]
    if share.subject is not None:
        named = book.by_subject.get((owner, to_bytes(share.subject)))
        if named is None:
            return f"nobody asked for {_described(share.subject)}"
        wanted = named
    held = book.held[owner]
    mine = held.get(wanted.id)
    if not is_named and any(
        other is not mine and other.belongs_here and other.signature == share.signature
        for other in held.values()
    ):
        return STORED  # it came late, and is held where it belongs
    if mine is None:
        if wanted.is_full:
            if wanted.status == MessageStatus.READY:
                return STORED
            if wanted.oldest_rejected is None:
                return f"at most {share.share_limit} share indices are kept for this validator"
            book.dropped.append((wanted.id, wanted.oldest_rejected))
        held[wanted.id] = _Held(share.signature, ShareState.STORED, is_named, is_new=True, is_changed=True)
        return STORED
    if wanted.status == MessageStatus.READY:
        return STORED
    is_same = mine.signature == share.signature
    if mine.state == ShareState.VERIFIED:
        return STORED if is_same else PROVEN_OTHER
    if mine.state == ShareState.REJECTED and is_same:
        return PROVEN_WRONG
    if mine.state == ShareState.STORED and not is_same and wanted.status != MessageStatus.UNDECIDED:
        return "another share is held for this share index, and not judged yet"
    came_again = is_same and mine.state == ShareState.SET_ASIDE
    for_this_message = is_named or came_again or (is_same and mine.for_this_message)
    if not is_same or mine.state != ShareState.STORED or mine.for_this_message != for_this_message:
        held[wanted.id] = _Held(
            share.signature, ShareState.STORED, for_this_message, is_new=mine.is_new, is_changed=True
        )
    return STORED


def _described(subject: Subject) -> str:
    if isinstance(subject, Exit):
        return f"an exit at validator index {subject.validator_index}"
    return f"a deposit of {subject.amount_gwei} gwei to this vault"


def _read(connection: Connection, share_index: int, offered: Sequence[OfferedShare]) -> _Book:
    book, index = _Book(), uint64(share_index)
    columns = select(
        messages.c.id, messages.c.public_key, messages.c.kind, messages.c.subject, messages.c.status
    )
    with_share = (
        columns.add_columns(
            messages.c.is_current, shares.c.signature, shares.c.state, shares.c.for_this_message
        )
        .outerjoin(shares, and_(shares.c.message_id == messages.c.id, shares.c.share_index == index))
        .where(or_(messages.c.is_current, shares.c.message_id.is_not(None)))
    )
    for chunk in chunks({share.public_key for share in offered}):
        of_keys = with_share.where(messages.c.public_key.in_(chunk))
        for message_id, key, kind, subject, status, is_current, kept, *held in connection.execute(
            of_keys
        ).all():
            if is_current:
                message = _Message(message_id, status)
                book.current[key, kind] = book.by_subject[(key, kind), subject] = message
            if kept is not None:
                signature = open_share(connection, Identity(key, kind, subject, index), kept, tell=False)
                book.held[key, kind][message_id] = _Held(signature, *held)
    named = {(s.owner, to_bytes(s.subject)) for s in offered if s.subject is not None}
    earlier = ((*owner, subject) for owner, subject in named - book.by_subject.keys())
    for places in chunks(earlier):
        place = tuple_(messages.c.public_key, messages.c.kind, messages.c.subject)
        for message_id, key, kind, subject, status in connection.execute(columns.where(place.in_(places))):
            book.by_subject[(key, kind), subject] = _Message(message_id, status)
    _read_limits(connection, book, {s.public_key: s.share_limit for s in offered if s.share_limit})
    return book


def _read_limits(connection: Connection, book: _Book, limits: dict[bytes, int]) -> None:
    by_id = {m.id: (m, limits[key]) for ((key, _), _), m in book.by_subject.items() if key in limits}
    counts = select(shares.c.message_id, func.count()).group_by(shares.c.message_id)
    for message_id, count in rows_with(connection, counts, shares.c.message_id, by_id):
        message, limit = by_id[message_id]
        message.is_full = count >= limit
    rejected = (
        select(shares.c.message_id, shares.c.share_index)
        .where(shares.c.state == ShareState.REJECTED)
        .order_by(shares.c.received_at.desc(), shares.c.share_index.desc())
    )
    full = [message.id for message, _ in by_id.values() if message.is_full]
    for message_id, index in rows_with(connection, rejected, shares.c.message_id, full):
        by_id[message_id][0].oldest_rejected = index


def _write(connection: Connection, share_index: int, book: _Book, threshold_of: Thresholds, now: int) -> None:
    held = {message_id: share for of_owner in book.held.values() for message_id, share in of_owner.items()}
    owners = {message_id: owner for owner, of_owner in book.held.items() for message_id in of_owner}
    subjects = {message.id: subject for (_, subject), message in book.by_subject.items()}
    new = [message_id for message_id, share in held.items() if share.is_new]
    replaced = [message_id for message_id, share in held.items() if share.is_changed and not share.is_new]
    if not new and not replaced:
        return

    seal, at_index = seal_to_write(connection), uint64(share_index)

    def row(message_id: int) -> dict[str, object]:
        share = held[message_id]
        identity = Identity(*owners[message_id], subjects[message_id], at_index)
        return {
            "at_message": message_id,
            "at_index": at_index,
            "signature": seal.seal(identity, share.signature),
            "state": share.state,
            "for_this_message": share.for_this_message,
            "received_at": now,
        }

    if book.dropped:
        places = [{"at_message": message_id, "at_index": index} for message_id, index in book.dropped]
        execute_many(connection, delete(shares).where(*AT_PLACE), places)
    if new:
        place = insert(shares).values(message_id=bindparam("at_message"), share_index=bindparam("at_index"))
        execute_many(connection, place, list(map(row, new)))
    if replaced:
        execute_many(connection, update(shares).where(*AT_PLACE), list(map(row, replaced)))
    touch(connection, [*new, *replaced])
    mark_due(connection, [*new, *replaced], threshold_of)
