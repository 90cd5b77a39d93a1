"""Which validators were asked for, and when for the last time."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, insert, select, update

from ..engine.bulk import execute_many, execute_with, rows_with
from ..tables import validators

ASKED_PRECISION_SECONDS = 60  # of `asked_at`, so that a poll seldom writes


def known_keys(connection: Connection, public_keys: Iterable[bytes]) -> set[bytes]:
    """Which of these validators were asked for before."""
    query = select(validators.c.public_key)
    return {key for (key,) in rows_with(connection, query, validators.c.public_key, public_keys)}


def remember_validators(connection: Connection, public_keys: Iterable[bytes], now: int) -> list[bytes]:
    """Note that these validators were asked for now; those that never were before."""
    public_keys = list(public_keys)
    query = select(validators.c.public_key, validators.c.asked_at)
    asked_at = dict(rows_with(connection, query, validators.c.public_key, public_keys))
    if new := [key for key in public_keys if key not in asked_at]:
        rows = [{"public_key": key, "asked_at": now} for key in new]
        execute_many(connection, insert(validators), rows)
    note_asked(connection, [key for key, before in asked_at.items() if before < old_before(now)], now)
    return new


def note_asked(connection: Connection, public_keys: Iterable[bytes], now: int) -> None:
    """Note that these validators, which are known, were asked for now."""
    execute_with(connection, update(validators).values(asked_at=now), validators.c.public_key, public_keys)


def old_before(now: int) -> int:
    """Of validators that were last asked for before this time, it is worth writing that they are now."""
    return now - ASKED_PRECISION_SECONDS
