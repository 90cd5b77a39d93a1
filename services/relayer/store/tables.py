"""The tables. Integers of 64 bits are 8 bytes big-endian: they sort as numbers on every database."""

from __future__ import annotations

from enum import IntEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    bindparam,
)

UINT64_BYTES = 8


class ExitStatus(IntEnum):
    """How far an exit is."""

    COLLECTING = 0
    DUE = 1  # enough shares to recover it, not judged yet
    TO_SEARCH = 2  # judged: some share is bad, and a search may tell which
    UNDECIDED = 3  # judged: some share is bad, and nobody can tell which until others come
    READY = 4  # split for the oracles


class ShareState(IntEnum):
    """What is thought of a share."""

    STORED = 0
    VERIFIED = 1  # proven right after its exit was ready
    REJECTED = 2  # proven wrong
    SET_ASIDE = 3  # does not fit, but may have been made for an earlier exit


metadata = MetaData()
row_id = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only what it calls INTEGER

made_for = Table("made_for", metadata, Column("network", String(32), primary_key=True))

exits = Table(
    "exits",
    metadata,
    Column("id", row_id, primary_key=True),
    Column("public_key", LargeBinary(48), nullable=False),
    Column("validator_index", LargeBinary(UINT64_BYTES), nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("public_key", "validator_index", name="exits_place"),
    Index("exits_validator_index", "validator_index"),
    Index("exits_status", "status", "revision"),
    Index("exits_revision", "revision"),
)

validators = Table(
    "validators",
    metadata,
    Column("public_key", LargeBinary(48), primary_key=True),
    Column("exit_id", ForeignKey("exits.id"), nullable=False),
    Index("validators_exit_id", "exit_id"),
)

shares = Table(
    "shares",
    metadata,
    Column("exit_id", ForeignKey("exits.id"), primary_key=True),
    Column("share_index", LargeBinary(UINT64_BYTES), primary_key=True),
    Column("signature", LargeBinary(96), nullable=False),
    Column("for_this_exit", Boolean, nullable=False),  # its sender says so
    Column("state", SmallInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
)

AT_PLACE = (shares.c.exit_id == bindparam("at_exit"), shares.c.share_index == bindparam("at_index"))
"""Finds one share; for statements that run once per row of parameters."""

oracle_shares = Table(  # a row is written once and never changed
    "oracle_shares",
    metadata,
    Column("exit_id", ForeignKey("exits.id"), primary_key=True),
    Column("public_key_shares", LargeBinary, nullable=False),
    Column("encrypted_signatures", LargeBinary, nullable=False),
    Column("config_digest", LargeBinary(32), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)


def uint64(value: int) -> bytes:
    """The form in which a 64-bit integer is kept."""
    return int(value).to_bytes(UINT64_BYTES, "big")


def from_uint64(value: bytes) -> int:
    """The integer again."""
    return int.from_bytes(value, "big")
