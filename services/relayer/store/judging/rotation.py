"""Exits are split again: for a new oracle config, before or after their shares were handed out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, exists, select, update

from ....process import logs
from ..engine.bulk import execute_with, rows_with
from ..engine.database import touch
from ..operators.asked_validators import remember_validators
from ..operators.handouts import AskedValidator, note_handed_out
from ..operators.index_assignment import move_exits
from ..operators.ownership import require_rotatable
from ..operators.pending import ANYBODY, Asker, count_pending
from ..seals import DamagedError, Identity, seal_to_read
from ..subjects import Exit
from ..tables import MessageKind, MessageStatus, from_uint64, messages, oracle_shares, signatures, uint64
from .leases import IsServed, give_back, lease, leased
from .verdicts import SplitExit, insert_oracle_shares

REPLACED_AFTER_SECONDS = 3600

log = logs.get("storage")


@dataclass(frozen=True)
class RecoveredExit:
    """A verified exit signature."""

    id: int
    public_key: bytes
    validator_index: int
    signature: bytes


def lease_to_split_anew(
    connection: Connection, holder: bytes, config_digest: bytes, limit: int, is_served: IsServed
) -> list[RecoveredExit]:
    """Lease current exits whose shares were never handed out, and that are not split for this config."""
    of_message = oracle_shares.c.message_id == messages.c.id
    is_settled = oracle_shares.c.handed_out_at.is_not(None) | (oracle_shares.c.config_digest == config_digest)
    query = (
        select(messages.c.id, messages.c.public_key, messages.c.subject, signatures.c.signature)
        .join(signatures, signatures.c.message_id == messages.c.id)
        .where(messages.c.kind == MessageKind.EXIT, messages.c.is_current)
        .where(messages.c.status == MessageStatus.READY)
        .where(~exists().where(of_message, is_settled))
        .order_by(messages.c.id)
    )
    found = []
    for row in lease(connection, holder, query, limit, is_served):
        try:
            found.append(_recovered(connection, row))
        except DamagedError as error:  # one is none of the others' business
            log.error("exit not split anew", error=str(error))
    return found


def replace_oracle_shares(
    connection: Connection,
    holder: bytes,
    of_message: Mapping[int, SplitExit],
    config_digest: bytes,
    now: int,
) -> None:
    """Keep new oracle shares in place of those that were not handed out, and give the exits back.

    What is younger than `REPLACED_AFTER_SECONDS` stays beside them: perhaps another relayer has another
    config for a while, and they must not replace each other's shares again and again.
    """
    held = leased(connection, holder, of_message)  # others were forgotten, or taken by another relayer
    of_message = {message_id: split for message_id, split in of_message.items() if message_id in held}
    old = (
        oracle_shares.c.handed_out_at.is_(None),
        oracle_shares.c.config_digest != config_digest,
        oracle_shares.c.created_at < now - REPLACED_AFTER_SECONDS,
    )
    execute_with(connection, delete(oracle_shares).where(*old), oracle_shares.c.message_id, of_message)
    insert_oracle_shares(connection, of_message, config_digest, now)
    touch(connection, of_message)
    give_back(connection, holder, of_message)


def exits_to_rotate(
    connection: Connection,
    vault: bytes,
    indices: Mapping[bytes, int],
    config_digest: bytes,
    now: int,
    *,
    asker: Asker = ANYBODY,
) -> list[RecoveredExit]:
    """The exits of a vault's validators that are recovered, and not split for this config.

    Those that are not recovered become current, so that their shares are collected anew, unless somebody asks
    for the validator at another index to register it.

    Args:
        asker: who asks, which bounds how many validators may be new, and how often they move.

    Raises:
        ReservedError: some are another vault's.
        AskedByOthersError: some are asked for at other indices.
        TooManyPendingError, TooManyMovesError: the asker has too many others, or moved them too often.
    """
    found = _exits_at(connection, indices)
    missing = _missing(indices, found)
    require_rotatable(connection, vault, indices.keys(), missing, now)
    count_pending(connection, remember_validators(connection, missing, now), asker)
    move_exits(connection, missing, now, asker=asker, rotated_for=vault)
    query = (
        select(messages.c.id, messages.c.public_key, messages.c.subject, signatures.c.signature)
        .join(signatures, signatures.c.message_id == messages.c.id)
        .where(
            ~exists().where(
                oracle_shares.c.message_id == messages.c.id, oracle_shares.c.config_digest == config_digest
            )
        )
    )
    ids = (found[key].id for key in indices if key not in missing)
    return [_recovered(connection, row) for row in rows_with(connection, query, messages.c.id, ids)]


def require_rotation(connection: Connection, vault: bytes, indices: Mapping[bytes, int], now: int) -> None:
    """Refuse what `exits_to_rotate` would, but for limits; changes nothing."""
    missing = _missing(indices, _exits_at(connection, indices))
    require_rotatable(connection, vault, indices.keys(), missing, now)


def hand_out_rotation(
    connection: Connection,
    indices: Mapping[bytes, int],
    split: Mapping[bytes, SplitExit],
    config_digest: bytes,
    now: int,
) -> list[AskedValidator]:
    """Keep what was split anew, beside what was handed out before, and hand out all for this config.

    Args:
        split: by public key; what was forgotten meanwhile is dropped.
    """
    exits = _exits_at(connection, indices)
    ids = {key: exit_.id for key, exit_ in exits.items() if exit_.status == MessageStatus.READY}
    kept = {ids[key]: shares for key, shares in split.items() if key in ids}
    insert_oracle_shares(connection, kept, config_digest, now)
    of_config = oracle_shares.c.config_digest == config_digest
    query = select(oracle_shares).where(of_config)
    rows = {
        row.message_id: row for row in rows_with(connection, query, oracle_shares.c.message_id, ids.values())
    }
    first = [message_id for message_id, row in rows.items() if row.handed_out_at is None]
    change = update(oracle_shares).where(of_config).values(handed_out_at=now)
    execute_with(connection, change, oracle_shares.c.message_id, first)
    note_handed_out(connection, [key for key, message_id in ids.items() if message_id in rows], now)
    return [
        AskedValidator(key, row.public_key_shares, row.encrypted_signatures)
        if (row := rows.get(ids.get(key, 0)))
        else AskedValidator(key, None, None)
        for key in indices
    ]


def _recovered(connection: Connection, row: Any) -> RecoveredExit:
    """From a row with `id`, `public_key`, `subject`, and what is kept as the `signature`."""
    identity = Identity(row.public_key, MessageKind.EXIT, row.subject)
    signature = seal_to_read(connection).open(identity, row.signature)
    return RecoveredExit(row.id, row.public_key, from_uint64(row.subject), signature)


@dataclass(frozen=True)
class _Exit:
    id: int
    status: int


def _missing(indices: Mapping[bytes, int], found: Mapping[bytes, _Exit]) -> dict[bytes, Exit]:
    """The exits at these indices that are not recovered."""
    return {
        key: Exit(index)
        for key, index in indices.items()
        if key not in found or found[key].status != MessageStatus.READY
    }


def _exits_at(connection: Connection, indices: Mapping[bytes, int]) -> dict[bytes, _Exit]:
    """The exits of validators at their validator indices, as far as there are any."""
    query = select(messages.c.public_key, messages.c.subject, messages.c.id, messages.c.status).where(
        messages.c.kind == MessageKind.EXIT
    )
    return {
        key: _Exit(message_id, status)
        for key, subject, message_id, status in rows_with(connection, query, messages.c.public_key, indices)
        if subject == uint64(indices[key])
    }
