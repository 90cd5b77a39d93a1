"""An operator asks for exits: each validator gets its validator index, or moves to another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select, update

from .database import chunks, touch
from .tables import UINT64_BYTES, ExitStatus, exits, from_uint64, oracle_shares, uint64, validators

INDEX_LIMIT = 1 << 8 * UINT64_BYTES


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
    now: int,
) -> list[AskedValidator]:
    """Make the exits of these validators wanted, and say how far they are.

    Args:
        public_keys: each once.
        start_index: the validator index of the first key, the next one has the next; it is obeyed,
            whoever else holds these indices, and moves the keys that have others. None keeps the
            index of known keys, and gives new ones indices that nobody was ever asked for.
        free_from: the lowest index for new keys; None when there is no such rule.

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
    if moves:
        _make_current(connection, moves, current.keys(), now)
    return _progress(connection, public_keys)


def known_keys(connection: Connection, public_keys: Iterable[bytes]) -> set[bytes]:
    """Which of these validators were asked for before."""
    return set(_current_indices(connection, public_keys))


def _current_indices(connection: Connection, public_keys: Iterable[bytes]) -> dict[bytes, int]:
    query = select(exits.c.public_key, exits.c.validator_index).join(
        validators, validators.c.exit_id == exits.c.id
    )
    return {
        key: from_uint64(index)
        for chunk in chunks(public_keys)
        for key, index in connection.execute(query.where(validators.c.public_key.in_(chunk)))
    }


def _free_indices(connection: Connection, count: int, free_from: int | None) -> list[int]:
    """The lowest indices from `free_from` on that no validator was ever asked for at."""
    if count == 0:
        return []
    if free_from is None:
        raise IndexRefusedError("needed for validators that are new here; the relayer has no --start-index")
    held = connection.scalars(
        select(exits.c.validator_index)
        .where(exits.c.validator_index >= uint64(free_from))
        .distinct()
        .order_by(exits.c.validator_index)
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


def _make_current(
    connection: Connection, moves: Mapping[bytes, int], known: Collection[bytes], now: int
) -> None:
    """Point each validator to its exit at the index given; the exit may be one of its earlier ones."""
    exit_ids = _exit_ids(connection, moves)
    missing = [
        {
            "public_key": key,
            "validator_index": uint64(index),
            "status": ExitStatus.COLLECTING,
            "revision": 0,
            "created_at": now,
        }
        for key, index in moves.items()
        if key not in exit_ids
    ]
    if missing:
        connection.execute(insert(exits), missing)
        exit_ids = _exit_ids(connection, moves)
    rows = [{"key": key, "exit": exit_id} for key, exit_id in exit_ids.items()]
    touch(connection, exit_ids.values())
    moved = [row for row in rows if row["key"] in known]
    if moved:
        move = update(validators).where(validators.c.public_key == bindparam("key"))
        connection.execute(move.values(exit_id=bindparam("exit")), moved)
    new = [row for row in rows if row["key"] not in known]
    if new:
        connection.execute(
            insert(validators).values(public_key=bindparam("key"), exit_id=bindparam("exit")), new
        )


def _exit_ids(connection: Connection, indices: Mapping[bytes, int]) -> dict[bytes, int]:
    """The exits of these validators at these indices, as far as there are any."""
    query = select(exits.c.public_key, exits.c.validator_index, exits.c.id)
    return {
        key: exit_id
        for chunk in chunks(indices)
        for key, index, exit_id in connection.execute(query.where(exits.c.public_key.in_(chunk)))
        if from_uint64(index) == indices[key]
    }


def _progress(connection: Connection, public_keys: Sequence[bytes]) -> list[AskedValidator]:
    query = select(
        validators.c.public_key, oracle_shares.c.public_key_shares, oracle_shares.c.encrypted_signatures
    ).outerjoin(oracle_shares, oracle_shares.c.exit_id == validators.c.exit_id)
    rows = {
        row.public_key: AskedValidator(*row)
        for chunk in chunks(public_keys)
        for row in connection.execute(query.where(validators.c.public_key.in_(chunk)))
    }
    return [rows[key] for key in public_keys]
