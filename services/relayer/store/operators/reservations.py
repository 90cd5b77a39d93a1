"""A vault's operator wants validators: keys are reserved for it, in the order of their clusters' files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from ..engine.bulk import execute_with, insert_into, rows_with
from ..engine.database import chunks, touch
from ..seals import Identity, seal_to_read
from ..subjects import Deposit, Exit, to_bytes
from ..tables import MessageKind, messages, registered_keys, signatures, uint64, validators
from .asked_validators import note_asked, old_before
from .handouts import hand_out
from .index_assignment import INDEX_LIMIT, IndexRefusedError, make_current, move_exits
from .ownership import is_unused, vaults_of
from .pending import ANYBODY, NOBODY, Asker, count_pending


@dataclass(frozen=True)
class WantedRegistration:
    """What `POST /register` asks for: one validator for each amount."""

    vault: bytes
    start_index: int
    amounts_gwei: Sequence[int]
    validator_type: int


@dataclass(frozen=True)
class SignedDeposit:
    """A deposit that the validator's nodes have signed."""

    public_key: bytes
    amount_gwei: int
    signature: bytes


@dataclass(frozen=True)
class ReservedValidator:
    """A validator with all that its registration needs."""

    public_key: bytes
    amount_gwei: int
    deposit_signature: bytes
    exit_signature: bytes
    public_key_shares: bytes
    encrypted_signatures: bytes


class QuotaError(Exception):
    """Too many validators would be reserved for a vault and unused."""

    def __init__(self, held: int, quota: int) -> None:
        super().__init__(
            f"at most {quota} validators may be reserved for one vault and not registered yet, these would"
            f" make {held}"
        )


def reserve(
    connection: Connection,
    wanted: WantedRegistration,
    candidates: Collection[bytes],
    *,
    window: int,
    now: int,
    asker: Asker = ANYBODY,
    quota: int | None = None,
) -> list[bytes]:
    """The keys that the vault is to register, as far as there are enough, with their messages current.

    The same vault gets the same keys in the same order: more are added at the end, and those that it
    wants no more are released from the end, unless something of them was handed out. Used validators are
    passed over, but keep their vault: a reorganisation may undo their deposits.

    Args:
        candidates: all keys that may be reserved, in their order; others of the vault are passed over, since
            this relayer takes no shares of theirs.
        window: how many further validator indices sidecars may sign for ahead of time.
        asker: who asks, which bounds how many validators may be new.
        quota: how many may be reserved for a vault, and unused; None for no limit.

    Raises:
        IndexRefusedError: an index would not fit into 64 bits.
        TooManyPendingError: the asker waits for too many others.
        TooManyMovesError: they, or the asker, moved too often.
        QuotaError: too many would be reserved for the vault.
    """
    count = len(wanted.amounts_gwei)
    if wanted.start_index + count > INDEX_LIMIT:
        raise IndexRefusedError(f"{wanted.start_index} + {count} validators exceeds 2^64")
    of_vault = _reserved(connection, wanted.vault)
    reserved = [row for row in of_vault if row.public_key in candidates]
    released = [row.public_key for row in reserved[count:] if row.handed_out_at is None]
    _release(connection, released)
    keys = [row.public_key for row in reserved[:count]]
    old = [row.public_key for row in reserved[:count] if row.asked_at < old_before(now)]
    note_asked(connection, old, now)
    if new := _unused(connection, candidates, count - len(keys)):
        if quota is not None and (held := len(of_vault) - len(released) + len(new)) > quota:
            raise QuotaError(held, quota)
        _take(connection, wanted.vault, new, now)
        count_pending(connection, new, asker)
        keys += new
    exits = {key: Exit(wanted.start_index + offset) for offset, key in enumerate(keys)}
    move_exits(connection, exits, now, window=window, asker=asker)
    make_current(connection, dict(zip(keys, _deposits(wanted), strict=False)), now, asker=asker)
    return keys


def signed_deposits(
    connection: Connection, wanted: WantedRegistration, public_keys: Sequence[bytes]
) -> list[SignedDeposit] | None:
    """The deposits of the first validators of a registration.

    None when a signature of them, or of their exits, is missing, or when something else is wanted of these
    validators by now.
    """
    found = _signatures(connection, wanted, public_keys)
    if found is None:
        return None
    return [
        SignedDeposit(key, amount, deposit)
        for key, amount, (_, deposit) in zip(public_keys, wanted.amounts_gwei, found, strict=False)
    ]


def hand_out_registration(
    connection: Connection,
    wanted: WantedRegistration,
    public_keys: Sequence[bytes],
    config_digest: bytes,
    now: int,
) -> list[ReservedValidator] | None:
    """All that the registration of its first validators needs; None as for `signed_deposits`, or when an
    exit is not split for the oracles.

    What is answered counts as handed out.
    """
    found = _signatures(connection, wanted, public_keys)
    if found is None:
        return None
    split = hand_out(connection, public_keys, config_digest, now, only_all=True)
    return [
        ReservedValidator(
            asked.public_key,
            amount,
            deposit,
            exit_,
            asked.public_key_shares,
            asked.encrypted_signatures,
        )
        for asked, amount, (exit_, deposit) in zip(split, wanted.amounts_gwei, found, strict=False)
        if asked.public_key_shares is not None and asked.encrypted_signatures is not None
    ] or None


def mark_registered(connection: Connection, public_keys: Iterable[bytes], *, block_number: int | None) -> int:
    """Note that these validators have a deposit, or are on the beacon chain: they are used; how many
    were not known to be.

    Args:
        block_number: of their deposits; None when it does not depend on a block, which is never unlearned.
    """
    keys = set(public_keys)
    query = select(registered_keys.c.public_key, registered_keys.c.block_number)
    known = dict(rows_with(connection, query, registered_keys.c.public_key, keys))
    moved = [key for key, number in known.items() if number not in (None, block_number)]
    change = update(registered_keys).values(block_number=block_number)
    execute_with(connection, change, registered_keys.c.public_key, moved)
    new = sorted(keys - known.keys())
    if new:
        rows = [{"public_key": key, "block_number": block_number} for key in new]
        connection.execute(insert(registered_keys), rows)
        _retire(connection, list(vaults_of(connection, new)))
    return len(new)


def _deposits(wanted: WantedRegistration) -> list[Deposit]:
    return [Deposit(wanted.vault, wanted.validator_type, amount) for amount in wanted.amounts_gwei]


def _reserved(connection: Connection, vault: bytes) -> Sequence[Row[Any]]:
    query = select(validators).where(validators.c.vault == vault, is_unused())
    return connection.execute(query.order_by(validators.c.position)).all()


def _release(connection: Connection, public_keys: Sequence[bytes]) -> None:
    """Reserve these validators no more."""
    free = update(validators).values(vault=None, position=None, asked_by=NOBODY)
    execute_with(connection, free, validators.c.public_key, public_keys)
    _retire(connection, public_keys)


def _retire(connection: Connection, public_keys: Sequence[bytes]) -> None:
    """Nobody asks for these validators' current exits and deposits any more."""
    for chunk in chunks(public_keys):
        which = messages.c.public_key.in_(chunk), messages.c.is_current
        ids = list(connection.scalars(select(messages.c.id).where(*which)))
        connection.execute(update(messages).where(messages.c.id.in_(ids)).values(is_current=False))
        touch(connection, ids)


def _unused(connection: Connection, candidates: Iterable[bytes], count: int) -> list[bytes]:
    """The first keys that are not registered, not reserved, and not asked for by other operators."""
    if count <= 0:
        return []
    used = set(connection.scalars(select(registered_keys.c.public_key)))
    used.update(connection.scalars(select(validators.c.public_key).where(validators.c.vault.is_not(None))))
    is_asked_for = messages.c.kind == MessageKind.EXIT, messages.c.is_current
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
    put = insert_into(connection, validators)
    put = put.on_conflict_do_update(
        index_elements=[validators.c.public_key],
        set_={name: put.excluded[name] for name in ("vault", "position", "asked_at")},
    )
    rows = [
        {"public_key": key, "vault": vault, "position": position, "asked_at": now}
        for position, key in enumerate(public_keys, first)
    ]
    connection.execute(put, rows)


def _signatures(
    connection: Connection, wanted: WantedRegistration, public_keys: Sequence[bytes]
) -> list[tuple[bytes, bytes]] | None:
    """Of exits and deposits, as far as they are what a registration wants; None when one is missing."""
    query = (
        select(messages.c.public_key, messages.c.kind, messages.c.subject, signatures.c.signature)
        .join(signatures, signatures.c.message_id == messages.c.id)
        .where(messages.c.is_current)
    )
    seal = seal_to_read(connection)
    found = {
        (key, kind, subject): seal.open(Identity(key, kind, subject), kept)
        for key, kind, subject, kept in rows_with(connection, query, messages.c.public_key, public_keys)
    }
    pairs = []
    for offset, (key, deposit) in enumerate(zip(public_keys, _deposits(wanted), strict=False)):
        exit_signature = found.get((key, MessageKind.EXIT, uint64(wanted.start_index + offset)))
        deposit_signature = found.get((key, MessageKind.DEPOSIT, to_bytes(deposit)))
        if exit_signature is None or deposit_signature is None:
            return None
        pairs.append((exit_signature, deposit_signature))
    return pairs
