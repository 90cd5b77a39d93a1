"""What operators got of validators: the oracle shares of their exits, which never change after that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, or_, select, update

from ..engine.bulk import execute_many, execute_with, rows_with
from ..tables import MessageKind, messages, oracle_shares, validators


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


def hand_out(
    connection: Connection,
    public_keys: Sequence[bytes],
    config_digest: bytes,
    now: int,
    *,
    only_all: bool = False,
) -> list[AskedValidator]:
    """The oracle shares of current exits: those handed out before, or else those for this config.

    Args:
        only_all: none counts as handed out unless there are shares of all; the answer is [] then.
    """
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
        .where(messages.c.kind == MessageKind.EXIT, messages.c.is_current, is_wanted)
        # What went out first comes last, and stays.
        .order_by(oracle_shares.c.handed_out_at.is_not(None), oracle_shares.c.id.desc())
    )
    rows = {row.public_key: row for row in rows_with(connection, query, messages.c.public_key, public_keys)}
    if only_all and len(rows) < len(public_keys):
        return []
    first = [row for row in rows.values() if row.handed_out_at is None]
    if first:
        place = (
            oracle_shares.c.message_id == bindparam("at_message"),
            oracle_shares.c.config_digest == bindparam("of_config"),
        )
        execute_many(
            connection,
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
    change = update(validators).where(never).values(handed_out_at=now)
    execute_with(connection, change, validators.c.public_key, public_keys)


def handed_out(connection: Connection, public_keys: Iterable[bytes]) -> set[bytes]:
    """Those of these validators of which something was handed out."""
    query = select(validators.c.public_key).where(validators.c.handed_out_at.is_not(None))
    return {key for (key,) in rows_with(connection, query, validators.c.public_key, public_keys)}
