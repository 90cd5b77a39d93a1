"""An operator asks for exits: each validator gets its validator index, or moves to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from .database import chunks, touch
from .subjects import Exit, Subject, kind_of, to_bytes
from .tables import (
    UINT64_BYTES,
    Kind,
    MessageStatus,
    from_uint64,
    messages,
    oracle_shares,
    uint64,
    validators,
)

INDEX_LIMIT = 1 << 8 * UINT64_BYTES
ASKED_PRECISION_SECONDS = 60  # of `asked_at`, so that a poll seldom writes

MessagePlace = tuple[bytes, int, bytes]
"""Public key, kind and subject."""


class IndexRefusedError(Exception):
    """There is no validator index to give, or the one asked for is out of range."""


@dataclass(frozen=True)
class AskedValidator:
    """A validator that an operator asked for, and its oracle shares as soon as there are any.

    Attributes:
        public_key_shares: of all oracles in a row, k * 48 bytes; None while the exit is not ready.
        encrypted_signatures: of all oracles in a row.
    """

    public_key: bytes
    public_key_shares: bytes | None
    encrypted_signatures: bytes | None


def ask_for(
    connection: Connection,
    public_keys: Sequence[bytes],
    *,
    start_index: int | None,
    free_from: int | None,
    window: int,
    config_digest: bytes,
    now: int,
) -> list[AskedValidator]:
    """Make the exits of these validators wanted, and say how far they are.

    What is answered counts as handed out: it is never changed after that.

    Args:
        public_keys: each once.
        start_index: the validator index of the first key, the next one has the next; it is obeyed,
            whoever else holds these indices, and moves the keys that have others. None keeps the
            index of known keys, and gives new ones indices that nobody was ever asked for.
        free_from: the lowest index for new keys; None when there is no such rule.
        window: how many further indices of each validator sidecars may sign for ahead of time.
        config_digest: of the oracle config whose shares are wanted, where none were handed out.

    Raises:
        IndexRefusedError: an index would not fit into 64 bits, or new keys come without any rule.
    """
    current = _current_indices(connection, public_keys)
    if start_index is None:
        new = [key for key in public_keys if key not in current]
        wanted = dict(zip(new, _free_indices(connection, len(new), free_from), strict=True))
    else:
        if start_index + len(public_keys) > INDEX_LIMIT:
            raise IndexRefusedError(f"{start_index} + {len(public_keys)} validators exceeds 2^64")
        wanted = {key: start_index + offset for offset, key in enumerate(public_keys)}
    moves = {key: index for key, index in wanted.items() if current.get(key) != index}
    remember_validators(connection, public_keys, now)
    make_current(connection, {key: Exit(index) for key, index in moves.items()}, now)
    prepare(connection, moves, window, now)
    return hand_out(connection, public_keys, config_digest, now)


def known_keys(connection: Connection, public_keys: Iterable[bytes]) -> set[bytes]:
    """Which of these validators were asked for before."""
    query = select(validators.c.public_key)
    return {
        key
        for chunk in chunks(public_keys)
        for key in connection.scalars(query.where(validators.c.public_key.in_(chunk)))
    }


def remember_validators(connection: Connection, public_keys: Iterable[bytes], now: int) -> None:
    """Note that these validators were asked for now."""
    public_keys = list(public_keys)
    known = known_keys(connection, public_keys)
    if new := [{"public_key": key, "asked_at": now} for key in public_keys if key not in known]:
        connection.execute(insert(validators), new)
    is_old = validators.c.asked_at < now - ASKED_PRECISION_SECONDS
    for chunk in chunks(known):
        connection.execute(
            update(validators).where(validators.c.public_key.in_(chunk), is_old).values(asked_at=now)
        )


def make_current(connection: Connection, subjects: Mapping[bytes, Subject], now: int) -> None:
    """Make these, one kind of all, the current messages of validators; earlier ones keep what they have."""
    if not subjects:
        return
    wanted = ensure(connection, subjects.items(), now)
    kind = kind_of(next(iter(subjects.values())))
    for chunk in chunks(subjects):
        of_keys = messages.c.public_key.in_(chunk), messages.c.kind == kind, messages.c.is_current
        connection.execute(update(messages).where(*of_keys).values(is_current=False))
    for ids in chunks(wanted):
        connection.execute(
            update(messages).where(messages.c.id.in_(ids)).values(is_current=True, was_current=True)
        )
    touch(connection, wanted)


def ensure(connection: Connection, subjects: Iterable[tuple[bytes, Subject]], now: int) -> list[int]:
    """The ids of these messages, which are added if they are not there."""
    places = [(key, kind_of(subject), to_bytes(subject)) for key, subject in subjects]
    found = _ids(connection, places)
    new = [place for place in places if place not in found]
    if new:
        rows = [
            {
                "public_key": key,
                "kind": kind,
                "subject": subject,
                "is_current": False,
                "was_current": False,
                "status": MessageStatus.COLLECTING,
                "revision": 0,
                "created_at": now,
            }
            for key, kind, subject in new
        ]
        connection.execute(insert(messages), rows)
        added = _ids(connection, new)
        touch(connection, added.values())
        found |= added
    return [found[place] for place in places]


def prepare(connection: Connection, indices: Mapping[bytes, int], window: int, now: int) -> None:
    """Let sidecars sign the exits of these validators at the next `window` indices, too."""
    ahead = [
        (key, Exit(index + offset))
        for key, index in indices.items()
        for offset in range(1, window + 1)
        if index + offset < INDEX_LIMIT
    ]
    if ahead:
        ensure(connection, ahead, now)


def hand_out(
    connection: Connection, public_keys: Sequence[bytes], config_digest: bytes, now: int
) -> list[AskedValidator]:
    """The oracle shares of current exits: those handed out before, or else those for this config."""
    is_wanted = or_(
        oracle_shares.c.handed_out_at.is_not(None), oracle_shares.c.config_digest == config_digest
    )
    query = (
        select(
            messages.c.id,
            messages.c.public_key,
            oracle_shares.c.config_digest,
            oracle_shares.c.public_key_shares,
            oracle_shares.c.encrypted_signatures,
            oracle_shares.c.handed_out_at,
        )
        .join(oracle_shares, oracle_shares.c.message_id == messages.c.id)
        .where(messages.c.kind == Kind.EXIT, messages.c.is_current, is_wanted)
        # What went out first comes last, and stays.
        .order_by(oracle_shares.c.handed_out_at.is_not(None), oracle_shares.c.created_at.desc())
    )
    rows = {
        row.public_key: row
        for chunk in chunks(public_keys)
        for row in connection.execute(query.where(messages.c.public_key.in_(chunk)))
    }
    first = [row for row in rows.values() if row.handed_out_at is None]
    if first:
        place = (
            oracle_shares.c.message_id == bindparam("at_message"),
            oracle_shares.c.config_digest == bindparam("of_config"),
        )
        connection.execute(
            update(oracle_shares).where(*place).values(handed_out_at=now),
            [{"at_message": row.id, "of_config": row.config_digest} for row in first],
        )
        note_handed_out(connection, [row.public_key for row in first], now)
    return [
        AskedValidator(key, row.public_key_shares, row.encrypted_signatures)
        if (row := rows.get(key))
        else AskedValidator(key, None, None)
        for key in public_keys
    ]


def note_handed_out(connection: Connection, public_keys: Iterable[bytes], now: int) -> None:
    """Note that something of these validators left the relayer: they are not forgotten by themselves."""
    never = validators.c.handed_out_at.is_(None)
    for chunk in chunks(public_keys):
        connection.execute(
            update(validators).where(validators.c.public_key.in_(chunk), never).values(handed_out_at=now)
        )


def _ids(connection: Connection, places: Iterable[MessagePlace]) -> dict[MessagePlace, int]:
    wanted = set(places)
    query = select(messages.c.public_key, messages.c.kind, messages.c.subject, messages.c.id)
    return {
        (key, kind, subject): message_id
        for chunk in chunks({key for key, _, _ in wanted})
        for key, kind, subject, message_id in connection.execute(
            query.where(messages.c.public_key.in_(chunk))
        )
        if (key, kind, subject) in wanted
    }


def _current_indices(connection: Connection, public_keys: Iterable[bytes]) -> dict[bytes, int]:
    query = select(messages.c.public_key, messages.c.subject).where(
        messages.c.kind == Kind.EXIT, messages.c.is_current
    )
    return {
        key: from_uint64(index)
        for chunk in chunks(public_keys)
        for key, index in connection.execute(query.where(messages.c.public_key.in_(chunk)))
    }


def _free_indices(connection: Connection, count: int, free_from: int | None) -> list[int]:
    """The lowest indices from `free_from` on that no validator was ever asked for at."""
    if count == 0:
        return []
    if free_from is None:
        raise IndexRefusedError("needed for validators that are new here; the relayer has no --start-index")
    held = connection.scalars(
        select(messages.c.subject)
        .where(messages.c.kind == Kind.EXIT, messages.c.was_current)
        .where(messages.c.subject >= uint64(free_from))
        .distinct()
        .order_by(messages.c.subject)
    )
    free: list[int] = []
    candidate = free_from
    for index in map(from_uint64, held):
        free.extend(range(candidate, min(index, candidate + count - len(free))))
        if len(free) == count:
            break
        candidate = index + 1
    held.close()
    free.extend(range(candidate, candidate + count - len(free)))
    if free[-1] >= INDEX_LIMIT:
        raise IndexRefusedError(f"no {count} free indices are left from {free_from} on")
    return free
