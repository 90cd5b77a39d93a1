"""A vault's operator wants validators: keys are reserved for it, in the order of their clusters' files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from .asking import (
    INDEX_LIMIT,
    IndexRefusedError,
    hand_out,
    known_keys,
    make_current,
    prepare,
    remember_validators,
)
from .database import chunks, touch
from .subjects import Deposit, Exit
from .tables import Kind, messages, registered_keys, signatures, validators


@dataclass(frozen=True)
class Registration:
    """What `POST /register` asks for: one validator for each amount."""

    vault: bytes
    start_index: int
    amounts_gwei: Sequence[int]
    validator_type: int


@dataclass(frozen=True)
class ReservedValidator:
    """A validator with all that its registration needs."""

    public_key: bytes
    amount_gwei: int
    deposit_signature: bytes
    exit_signature: bytes
    public_key_shares: bytes
    encrypted_signatures: bytes


def reserve(
    connection: Connection, wanted: Registration, candidates: Iterable[bytes], *, window: int, now: int
) -> list[bytes]:
    """The keys that the vault is to register, as far as there are enough, with their messages current.

    The same vault gets the same keys in the same order: more are added at the end, and those that it
    wants no more are released from the end, unless something of them was handed out.

    Args:
        candidates: all keys that may be reserved, in their order.
        window: how many further validator indices sidecars may sign for ahead of time.

    Raises:
        IndexRefusedError: an index would not fit into 64 bits.
    """
    count = len(wanted.amounts_gwei)
    if wanted.start_index + count > INDEX_LIMIT:
        raise IndexRefusedError(f"{wanted.start_index} + {count} validators exceeds 2^64")
    reserved = _reserved(connection, wanted.vault)
    _release(connection, reserved[count:])
    keys = reserved[:count]
    if new := _unused(connection, candidates, count - len(keys)):
        _take(connection, wanted.vault, new, now)
        keys += new
    remember_validators(connection, keys, now)
    indices = {key: wanted.start_index + offset for offset, key in enumerate(keys)}
    amounts = dict(zip(keys, wanted.amounts_gwei, strict=False))
    exits = {key: Exit(index) for key, index in indices.items()}
    deposits = {key: Deposit(wanted.vault, wanted.validator_type, amounts[key]) for key in keys}
    make_current(connection, exits, now)
    make_current(connection, deposits, now)
    prepare(connection, indices, window, now)
    return keys


def hand_out_registration(
    connection: Connection, public_keys: Sequence[bytes], config_digest: bytes, now: int
) -> list[ReservedValidator] | None:
    """All that the registration of these validators needs; None when something is not ready.

    What is answered counts as handed out.
    """
    found = _signatures(connection, public_keys)
    if len(found) < 2 * len(public_keys):
        return None
    amounts = {
        key: Deposit.of(subject).amount_gwei
        for key, subject in _current_deposits(connection, public_keys).items()
    }
    split = hand_out(connection, public_keys, config_digest, now)
    complete = []
    for asked in split:
        if asked.public_key_shares is None or asked.encrypted_signatures is None:
            return None
        key = asked.public_key
        complete.append(
            ReservedValidator(
                key,
                amounts[key],
                found[key, Kind.DEPOSIT],
                found[key, Kind.EXIT],
                asked.public_key_shares,
                asked.encrypted_signatures,
            )
        )
    return complete


def mark_registered(
    connection: Connection, public_keys: Iterable[bytes], *, block_number: int | None
) -> None:
    """Note that these validators have a deposit, or are on the beacon chain: they are used."""
    keys = set(public_keys)
    query = select(registered_keys.c.public_key)
    known = {
        key
        for chunk in chunks(keys)
        for key in connection.scalars(query.where(registered_keys.c.public_key.in_(chunk)))
    }
    new = sorted(keys - known)
    if new:
        rows = [{"public_key": key, "block_number": block_number} for key in new]
        connection.execute(insert(registered_keys), rows)
        _release_reservations(connection, new)


def _reserved(connection: Connection, vault: bytes) -> list[bytes]:
    query = select(validators.c.public_key).where(validators.c.vault == vault)
    return list(connection.scalars(query.order_by(validators.c.position)))


def _release(connection: Connection, public_keys: Sequence[bytes]) -> None:
    """Release those of which nothing was handed out."""
    query = select(validators.c.public_key).where(validators.c.handed_out_at.is_(None))
    free = [
        key
        for chunk in chunks(public_keys)
        for key in connection.scalars(query.where(validators.c.public_key.in_(chunk)))
    ]
    if free:
        _release_reservations(connection, free)
        _retire(connection, free, Kind.EXIT)


def _release_reservations(connection: Connection, public_keys: Sequence[bytes]) -> None:
    for chunk in chunks(public_keys):
        is_of_chunk = validators.c.public_key.in_(chunk)
        connection.execute(update(validators).where(is_of_chunk).values(vault=None, position=None))
    _retire(connection, public_keys, Kind.DEPOSIT)


def _retire(connection: Connection, public_keys: Sequence[bytes], kind: Kind) -> None:
    """Nobody asks for these validators' current messages of this kind any more."""
    for chunk in chunks(public_keys):
        which = messages.c.public_key.in_(chunk), messages.c.kind == kind, messages.c.is_current
        ids = list(connection.scalars(select(messages.c.id).where(*which)))
        connection.execute(update(messages).where(messages.c.id.in_(ids)).values(is_current=False))
        touch(connection, ids)


def _unused(connection: Connection, candidates: Iterable[bytes], count: int) -> list[bytes]:
    """The first keys that are not registered, not reserved, and not asked for by other operators."""
    if count <= 0:
        return []
    used = set(connection.scalars(select(registered_keys.c.public_key)))
    used.update(connection.scalars(select(validators.c.public_key).where(validators.c.vault.is_not(None))))
    is_asked_for = messages.c.kind == Kind.EXIT, messages.c.is_current
    used.update(connection.scalars(select(messages.c.public_key).where(*is_asked_for)))
    found: list[bytes] = []
    for key in candidates:
        if key not in used:
            found.append(key)
            if len(found) == count:
                break
    return found


def _take(connection: Connection, vault: bytes, public_keys: Sequence[bytes], now: int) -> None:
    highest = connection.scalar(select(func.max(validators.c.position)).where(validators.c.vault == vault))
    first = 0 if highest is None else highest + 1
    known = known_keys(connection, public_keys)
    for position, key in enumerate(public_keys, first):
        place = {"vault": vault, "position": position, "asked_at": now}
        if key in known:
            connection.execute(update(validators).where(validators.c.public_key == key).values(**place))
        else:
            connection.execute(insert(validators).values(public_key=key, **place))


def _signatures(connection: Connection, public_keys: Iterable[bytes]) -> dict[tuple[bytes, int], bytes]:
    """Of current messages, by public key and kind."""
    query = (
        select(messages.c.public_key, messages.c.kind, signatures.c.signature)
        .join(signatures, signatures.c.message_id == messages.c.id)
        .where(messages.c.is_current)
    )
    return {
        (key, kind): signature
        for chunk in chunks(public_keys)
        for key, kind, signature in connection.execute(query.where(messages.c.public_key.in_(chunk)))
    }


def _current_deposits(connection: Connection, public_keys: Iterable[bytes]) -> dict[bytes, bytes]:
    query = select(messages.c.public_key, messages.c.subject).where(
        messages.c.kind == Kind.DEPOSIT, messages.c.is_current
    )
    return {
        key: subject
        for chunk in chunks(public_keys)
        for key, subject in connection.execute(query.where(messages.c.public_key.in_(chunk)))
    }
