"""A sidecar hands in partial signatures: each is stored, or refused with its reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, delete, func, insert, select, tuple_, update

from .database import chunks, touch
from .due import Thresholds, mark_due
from .tables import AT_PLACE, ExitStatus, ShareState, exits, from_uint64, shares, uint64, validators

STORED = ""  # instead of a reason why not
PROVEN_WRONG = "this very share was found not to fit this validator index"


@dataclass(frozen=True)
class OfferedShare:
    """A partial signature for a validator.

    Attributes:
        validator_index: of the exit that it signs; None when its sender does not say.
        share_limit: how many share indices an exit of this validator may have; None for no limit.
    """

    public_key: bytes
    signature: bytes
    validator_index: int | None
    share_limit: int | None


@dataclass
class _Exit:
    """An exit; when it is full, a new share index takes the place of the oldest rejected share."""

    id: int
    status: int
    is_full: bool = False
    oldest_rejected: bytes | None = None


@dataclass
class _Held:
    """What an exit holds at the share index in question."""

    signature: bytes
    state: int
    for_this_exit: bool
    is_new: bool = False
    is_changed: bool = False

    @property
    def belongs_here(self) -> bool:
        """Whether its sender says so, or it is proven."""
        return self.state == ShareState.VERIFIED or (self.state == ShareState.STORED and self.for_this_exit)


@dataclass
class _Book:
    """What is known of the validators that the shares are for."""

    current: dict[bytes, _Exit] = field(default_factory=dict)
    by_index: dict[tuple[bytes, int], _Exit] = field(default_factory=dict)
    held: defaultdict[bytes, dict[int, _Held]] = field(
        default_factory=lambda: defaultdict(dict)
    )  # by exit id
    dropped: list[tuple[int, bytes]] = field(default_factory=list)  # exit ids, share indices


def add_shares(
    connection: Connection,
    share_index: int,
    offered: Sequence[OfferedShare],
    *,
    threshold_of: Thresholds,
    now: int,
) -> list[str]:
    """Store what can be stored.

    Returns:
        Why each share was refused, or `STORED`: it is held now, was held before, or its exit is ready
        and needs it no more.
    """
    book = _read(connection, share_index, offered)
    reasons = [_place(book, share) for share in offered]
    _write(connection, share_index, book, threshold_of, now)
    return reasons


def _place(book: _Book, share: OfferedShare) -> str:
    """Decide about one share, and note the decision in the book for those after it."""
    key, is_named = share.public_key, share.validator_index is not None
    if key not in book.current:
        return "nobody asked for an exit of this validator"
    wanted = book.current[key]
    if share.validator_index is not None:
        named = book.by_index.get((key, share.validator_index))
        if named is None:
            return f"nobody asked for an exit at validator index {share.validator_index}"
        wanted = named
    held = book.held[key]
    mine = held.get(wanted.id)
    if not is_named and any(
        other is not mine and other.belongs_here and other.signature == share.signature
        for other in held.values()
    ):
        return STORED  # it came late, and is held where it belongs
    if mine is None:
        if wanted.is_full:
            if wanted.status == ExitStatus.READY:
                return STORED
            if wanted.oldest_rejected is None:
                return f"at most {share.share_limit} share indices are kept for this validator"
            book.dropped.append((wanted.id, wanted.oldest_rejected))
        held[wanted.id] = _Held(share.signature, ShareState.STORED, is_named, is_new=True, is_changed=True)
        return STORED
    if wanted.status == ExitStatus.READY:
        return STORED
    is_same = mine.signature == share.signature
    if mine.state == ShareState.REJECTED and is_same:
        return PROVEN_WRONG
    if mine.state == ShareState.STORED and not is_same and wanted.status != ExitStatus.UNDECIDED:
        return "another share is held for this share index, and not judged yet"
    came_again = is_same and mine.state == ShareState.SET_ASIDE
    for_this_exit = is_named or came_again or (is_same and mine.for_this_exit)
    if not is_same or mine.state != ShareState.STORED or mine.for_this_exit != for_this_exit:
        held[wanted.id] = _Held(
            share.signature, ShareState.STORED, for_this_exit, is_new=mine.is_new, is_changed=True
        )
    return STORED


def _read(connection: Connection, share_index: int, offered: Sequence[OfferedShare]) -> _Book:
    book = _Book()
    columns = select(exits.c.id, exits.c.public_key, exits.c.validator_index, exits.c.status)
    keys = {share.public_key for share in offered}
    currents = columns.join(validators, validators.c.exit_id == exits.c.id)
    for chunk in chunks(keys):
        for exit_id, key, index, status in connection.execute(
            currents.where(validators.c.public_key.in_(chunk))
        ):
            book.current[key] = book.by_index[key, from_uint64(index)] = _Exit(exit_id, status)
    named = {(s.public_key, s.validator_index) for s in offered if s.validator_index is not None}
    earlier = ((key, uint64(index)) for key, index in named - book.by_index.keys())
    for places in chunks(earlier):
        place = tuple_(exits.c.public_key, exits.c.validator_index)
        for exit_id, key, index, status in connection.execute(columns.where(place.in_(places))):
            book.by_index[key, from_uint64(index)] = _Exit(exit_id, status)
    of_index = (
        select(exits.c.public_key, exits.c.id, shares.c.signature, shares.c.state, shares.c.for_this_exit)
        .join(shares, shares.c.exit_id == exits.c.id)
        .where(shares.c.share_index == uint64(share_index))
    )
    for chunk in chunks(keys):
        for key, exit_id, *held in connection.execute(of_index.where(exits.c.public_key.in_(chunk))):
            book.held[key][exit_id] = _Held(*held)
    _read_limits(connection, book, {s.public_key: s.share_limit for s in offered if s.share_limit})
    return book


def _read_limits(connection: Connection, book: _Book, limits: dict[bytes, int]) -> None:
    by_id = {e.id: (e, limits[key]) for (key, _), e in book.by_index.items() if key in limits}
    counts = select(shares.c.exit_id, func.count()).group_by(shares.c.exit_id)
    for ids in chunks(by_id):
        for exit_id, count in connection.execute(counts.where(shares.c.exit_id.in_(ids))):
            exit_, limit = by_id[exit_id]
            exit_.is_full = count >= limit
    rejected = (
        select(shares.c.exit_id, shares.c.share_index)
        .where(shares.c.state == ShareState.REJECTED)
        .order_by(shares.c.received_at.desc(), shares.c.share_index.desc())
    )
    for ids in chunks(exit_.id for exit_, _ in by_id.values() if exit_.is_full):
        for exit_id, index in connection.execute(rejected.where(shares.c.exit_id.in_(ids))):
            by_id[exit_id][0].oldest_rejected = index


def _write(connection: Connection, share_index: int, book: _Book, threshold_of: Thresholds, now: int) -> None:
    held = {exit_id: share for of_key in book.held.values() for exit_id, share in of_key.items()}
    new = [exit_id for exit_id, share in held.items() if share.is_new]
    replaced = [exit_id for exit_id, share in held.items() if share.is_changed and not share.is_new]
    if not new and not replaced:
        return

    def row(exit_id: int) -> dict[str, object]:
        share = held[exit_id]
        return {
            "at_exit": exit_id,
            "at_index": uint64(share_index),
            "signature": share.signature,
            "state": share.state,
            "for_this_exit": share.for_this_exit,
            "received_at": now,
        }

    if book.dropped:
        places = [{"at_exit": exit_id, "at_index": index} for exit_id, index in book.dropped]
        connection.execute(delete(shares).where(*AT_PLACE), places)
    if new:
        place = insert(shares).values(exit_id=bindparam("at_exit"), share_index=bindparam("at_index"))
        connection.execute(place, list(map(row, new)))
    if replaced:
        connection.execute(update(shares).where(*AT_PLACE), list(map(row, replaced)))
    touch(connection, [*new, *replaced])
    mark_due(connection, [*new, *replaced], threshold_of)
