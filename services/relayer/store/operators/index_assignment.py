"""An operator asks for exits: each validator gets its validator index, or moves to another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from sqlalchemy import Connection, insert, select, update

from ..engine.bulk import execute_many, insert_into, rows_with
from ..engine.database import begin_revision, chunks
from ..subjects import Exit, Subject, kind_of, to_bytes
from ..tables import (
    UINT64_BYTES,
    MessageKind,
    MessageStatus,
    from_uint64,
    messages,
    uint64,
    validators,
)
from .asked_validators import remember_validators
from .handouts import AskedValidator, hand_out
from .moves import count_moves, drop_left
from .ownership import RegisteredError, registered, require_not_asked_by_others, require_unreserved
from .pending import ANYBODY, Asker, count_pending

INDEX_LIMIT = 1 << 8 * UINT64_BYTES
PREPARED_TOGETHER = 64  # validators whose exits at next to the same indices are looked up at once


class IndexRefusedError(Exception):
    """There is no validator index to give, or the one asked for is out of range."""


@dataclass(frozen=True)
class IndexRule:
    """Which validator indices exits are to be for.

    Attributes:
        start_index: the validator index of the first key, the next one has the next; it is obeyed,
            whoever else holds these indices, and moves the keys that have others.
        next_index: without `start_index`, the one that the chain gives next: it is obeyed like that for all
            keys without a deposit, and those that have one keep theirs. Without both, known keys keep
            their index, and new ones get indices that nobody was ever asked for.
        used: keys that have a deposit, beside those that are known to.
        free_from: the lowest index for new keys; None when there is no such rule.
    """

    start_index: int | None = None
    next_index: int | None = None
    used: Collection[bytes] = ()
    free_from: int | None = None


def ask_for(
    connection: Connection,
    public_keys: Sequence[bytes],
    rule: IndexRule,
    *,
    window: int,
    config_digest: bytes,
    now: int,
    may_hand_out: bool = True,
    asker: Asker = ANYBODY,
) -> list[AskedValidator]:
    """Make the exits of these validators wanted, and say how far they are.

    What is answered counts as handed out: it is never changed after that.

    Args:
        public_keys: each once.
        window: how many further indices of each validator sidecars may sign for ahead of time.
        config_digest: of the oracle config whose shares are wanted, where none were handed out.
        may_hand_out: False answers nothing.
        asker: who asks, which bounds how many validators may be new.

    Raises:
        IndexRefusedError: an index would not fit into 64 bits, or new keys come without any rule.
        ReservedError: some are reserved for vaults: they would be registered twice; or are registered, and
            rotated for vaults.
        AskedByOthersError: other tokens ask for some, at other indices.
        TooManyMovesError: they, or the asker, moved too often.
        RegisteredError: with `next_index`, some have a deposit, and an index that nobody said.
        TooManyPendingError: the asker waits for too many others.
    """
    require_unreserved(connection, public_keys)
    if rule.start_index is None and rule.next_index is not None:
        wanted = _from(rule.next_index, _without_deposit(connection, public_keys, rule.used))
    elif rule.start_index is None:
        known = current_subjects(connection, public_keys, MessageKind.EXIT)
        new = [key for key in public_keys if key not in known]
        wanted = dict(zip(new, _free_indices(connection, len(new), rule.free_from), strict=True))
    else:
        wanted = _from(rule.start_index, public_keys)
    exits = {key: Exit(index) for key, index in wanted.items()}
    require_not_asked_by_others(connection, exits, asker, now)
    count_pending(connection, remember_validators(connection, public_keys, now), asker)
    move_exits(connection, exits, now, window=window, asker=asker)
    return hand_out(connection, public_keys, config_digest, now) if may_hand_out else []


def move_exits(
    connection: Connection,
    exits: Mapping[bytes, Exit],
    now: int,
    *,
    window: int = 0,
    asker: Asker = ANYBODY,
    rotated_for: bytes | None = None,
) -> None:
    """Make these the current exits of validators, and let sidecars sign those at the next indices, too.

    Args:
        window: how many of them.
        asker: who moves them, which bounds how often.
        rotated_for: the vault whose rotation it is.

    Raises:
        TooManyMovesError: they, or the asker, moved too often.
    """
    moved = make_current(connection, exits, now, window=window, asker=asker)
    was_other = validators.c.rotated_for.is_distinct_from(rotated_for)
    for chunk in chunks(moved):
        of_chunk = validators.c.public_key.in_(chunk)
        connection.execute(update(validators).where(of_chunk, was_other).values(rotated_for=rotated_for))
        if asker.token_id is not None:
            is_counted = validators.c.asked_by.is_not(None)
            connection.execute(update(validators).where(of_chunk, is_counted).values(asked_by=asker.token_id))
    prepare(connection, {key: exits[key].validator_index for key in moved}, window, now)


def make_current(
    connection: Connection,
    subjects: Mapping[bytes, Subject],
    now: int,
    *,
    window: int = 0,
    asker: Asker = ANYBODY,
) -> list[bytes]:
    """Make these, one kind of all, the current messages of validators; what earlier ones have is kept for a
    while, see moves.py.

    Returns:
        The validators whose message was another one, or none.

    Raises:
        TooManyMovesError: they, or the asker, moved too often.
    """
    if not subjects:
        return []
    kind = kind_of(next(iter(subjects.values())))
    current = current_subjects(connection, subjects, kind)
    wanted = {key: to_bytes(subject) for key, subject in subjects.items()}
    moved = [key for key, subject in wanted.items() if current.get(key) != subject]
    if not moved:
        return []
    left = {key: current[key] for key in moved if key in current}
    count_moves(connection, _new_places(connection, kind, wanted, moved), asker, now)
    for chunk in chunks(left):
        of_keys = messages.c.public_key.in_(chunk), messages.c.kind == kind, messages.c.is_current
        connection.execute(update(messages).where(*of_keys).values(is_current=False))
    place = {"is_current": True, "was_current": True, "revision": begin_revision(connection)}
    unique = messages.c.public_key, messages.c.kind, messages.c.subject
    put = insert_into(connection, messages).on_conflict_do_update(index_elements=unique, set_=place)
    execute_many(connection, put, [_new(key, kind, wanted[key], now) | place for key in moved])
    ahead = {key: _window(subject, window) for key in moved if isinstance(subject := subjects[key], Exit)}
    drop_left(connection, kind, moved, left, ahead)
    return moved


def _new_places(
    connection: Connection, kind: MessageKind, wanted: Mapping[bytes, bytes], moved: Iterable[bytes]
) -> set[bytes]:
    """Those of the validators that move which have been somewhere, and are not known where they go."""
    query = select(messages.c.public_key, messages.c.subject, messages.c.was_current)
    were, known = set(), set()
    for chunk in chunks(moved):
        of_chunk = messages.c.kind == kind, messages.c.public_key.in_(chunk)
        for key, subject, was_current in connection.execute(query.where(*of_chunk)).all():
            if was_current:
                were.add(key)
            if wanted[key] == subject:
                known.add(key)
    return were - known


def _window(exit_: Exit, window: int) -> tuple[bytes, bytes]:
    """The first and the last index that is prepared beside this one."""
    first, last = (min(exit_.validator_index + ahead, INDEX_LIMIT - 1) for ahead in (1, window))
    return uint64(first), uint64(last)


def current_subjects(
    connection: Connection, public_keys: Iterable[bytes], kind: MessageKind
) -> dict[bytes, bytes]:
    """The current messages of validators, as far as they have one of this kind."""
    query = select(messages.c.public_key, messages.c.subject).where(
        messages.c.kind == kind, messages.c.is_current
    )
    return dict(rows_with(connection, query, messages.c.public_key, public_keys))


def prepare(connection: Connection, indices: Mapping[bytes, int], window: int, now: int) -> None:
    """Let sidecars sign the exits of these validators at the next `window` indices, too."""
    if window == 0:
        return
    rows: list[dict[str, object]] = []
    places = sorted(indices.items(), key=itemgetter(1))
    for start in range(0, len(places), PREPARED_TOGETHER):
        some = places[start : start + PREPARED_TOGETHER]
        lowest, highest = (min(index, INDEX_LIMIT - 1) for index in (some[0][1] + 1, some[-1][1] + window))
        query = (
            select(messages.c.public_key, messages.c.subject)
            .where(messages.c.kind == MessageKind.EXIT)
            .where(messages.c.public_key.in_([key for key, _ in some]))
            .where(messages.c.subject.between(uint64(lowest), uint64(highest)))
        )
        there = {(key, subject) for key, subject in connection.execute(query)}
        rows += [
            _new(key, MessageKind.EXIT, subject, now)
            for key, index in some
            for ahead in range(index + 1, min(index + window, INDEX_LIMIT - 1) + 1)
            if (key, (subject := uint64(ahead))) not in there
        ]
    if rows:
        revision = begin_revision(connection)
        execute_many(connection, insert(messages), [row | {"revision": revision} for row in rows])


def _new(public_key: bytes, kind: MessageKind, subject: bytes, now: int) -> dict[str, object]:
    return {
        "public_key": public_key,
        "kind": kind,
        "subject": subject,
        "is_current": False,
        "was_current": False,
        "status": MessageStatus.COLLECTING,
        "created_at": now,
    }


def _from(start_index: int, public_keys: Sequence[bytes]) -> dict[bytes, int]:
    if start_index + len(public_keys) > INDEX_LIMIT:
        raise IndexRefusedError(f"{start_index} + {len(public_keys)} validators exceeds 2^64")
    return {key: start_index + offset for offset, key in enumerate(public_keys)}


def _without_deposit(
    connection: Connection, public_keys: Sequence[bytes], used: Collection[bytes]
) -> list[bytes]:
    """Those whose index is to come; the others must have one."""
    have_deposit = registered(connection, public_keys).union(used)
    if not_asked := have_deposit - current_subjects(connection, have_deposit, MessageKind.EXIT).keys():
        raise RegisteredError(not_asked)
    return [key for key in public_keys if key not in have_deposit]


def _free_indices(connection: Connection, count: int, free_from: int | None) -> list[int]:
    """The lowest indices from `free_from` on that no validator was ever asked for at."""
    if count == 0:
        return []
    if free_from is None:
        raise IndexRefusedError(
            "needed for validators that are new here; the relayer has no --start-index, --deposits-database"
            " or --consensus-endpoint"
        )
    held = connection.scalars(
        select(messages.c.subject)
        .where(messages.c.kind == MessageKind.EXIT, messages.c.was_current)
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
