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
    Text,
    UniqueConstraint,
    bindparam,
)

UINT64_BYTES = 8
ADDRESS_BYTES = 20


class MessageKind(IntEnum):
    """What a message is."""

    EXIT = 1
    DEPOSIT = 2


class MessageStatus(IntEnum):
    """How far a message is."""

    COLLECTING = 0
    DUE = 1  # enough shares to recover its signature, not judged yet
    TO_SEARCH = 2  # judged: some share is bad, and a search may tell which
    UNDECIDED = 3  # judged: some share is bad, and nobody can tell which until others come
    READY = 4  # its signature is recovered and verified; that of an exit is split for the oracles


class ShareState(IntEnum):
    """What is thought of a share."""

    STORED = 0
    VERIFIED = 1  # proven right by itself
    REJECTED = 2  # proven wrong
    SET_ASIDE = 3  # does not fit, but may have been made for an earlier message


GOOD_STATES = (ShareState.STORED, ShareState.VERIFIED)
"""Of shares that count, and need not be handed in again."""

metadata = MetaData()
row_id = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only what it calls INTEGER

made_for = Table("made_for", metadata, Column("network", String(32), primary_key=True))

storage = Table(  # one row once signatures are sealed, see seals.py
    "storage",
    metadata,
    Column("key_id", LargeBinary(5), primary_key=True),
    Column("is_rewritten", Boolean, nullable=False),  # nothing is left of what the files held before
)

messages = Table(  # what a validator's nodes sign
    "messages",
    metadata,
    Column("id", row_id, primary_key=True),
    Column("public_key", LargeBinary(48), nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("subject", LargeBinary, nullable=False),  # what is said: see subjects.py
    Column("is_current", Boolean, nullable=False),  # at most one of a validator and kind
    Column("was_current", Boolean, nullable=False),  # or is
    Column("status", SmallInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # A lease until a unix time, see judging/leases.py; the database has always called it a claim.
    Column("claimed_by", LargeBinary(16), key="leased_by"),  # the relayer that works on it
    Column("claimed_until", BigInteger, key="leased_until", nullable=False, server_default="0"),
    UniqueConstraint("public_key", "kind", "subject", name="messages_place"),
    Index("messages_subject", "kind", "subject"),
    Index("messages_status", "status", "revision"),
    Index("messages_revision", "revision"),
)

validators = Table(
    "validators",
    metadata,
    Column("public_key", LargeBinary(48), primary_key=True),
    Column("vault", LargeBinary(ADDRESS_BYTES)),  # that it is reserved for
    Column("position", Integer),  # among the validators reserved for the vault
    Column("asked_at", BigInteger, nullable=False),  # for the last time
    Column("handed_out_at", BigInteger),  # for the first time
    Column("asked_by", String(8)),  # the token that asked first, or moved it; null for nobody in particular
    Column("rotated_for", LargeBinary(ADDRESS_BYTES)),  # the vault whose rotation made its exit current
    Column("moves_until", BigInteger),  # unix seconds: see moves.py
    Index("validators_vault", "vault", "position"),
    Index("validators_asked_by", "asked_by", "handed_out_at"),
)

movers = Table(  # who moved validators to other indices
    "movers",
    metadata,
    Column("asked_by", String(8), primary_key=True),  # the token
    Column("until", BigInteger, nullable=False),  # unix milliseconds: see moves.py
)

shares = Table(
    "shares",
    metadata,
    Column("message_id", row_id, ForeignKey("messages.id"), primary_key=True),
    Column("share_index", LargeBinary(UINT64_BYTES), primary_key=True),
    Column("signature", LargeBinary, nullable=False),
    Column("for_this_message", Boolean, nullable=False),  # its sender says so
    Column("state", SmallInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
)

AT_PLACE = (shares.c.message_id == bindparam("at_message"), shares.c.share_index == bindparam("at_index"))
"""Finds one share; for statements that run once per row of parameters."""

key_share_claims = Table(  # what a node says that the public key shares of a validator are
    "key_share_claims",
    metadata,
    Column("public_key", LargeBinary(48), primary_key=True),
    Column("share_index", LargeBinary(UINT64_BYTES), primary_key=True),  # of the node
    Column("key_shares", LargeBinary, nullable=False),  # of each node: see announced_shares.py
)

signatures = Table(  # recovered and verified
    "signatures",
    metadata,
    Column("message_id", row_id, ForeignKey("messages.id"), primary_key=True),
    Column("signature", LargeBinary, nullable=False),
)

oracle_shares = Table(  # a row is written once and never changed
    "oracle_shares",
    metadata,
    Column("id", row_id, primary_key=True),  # in the order in which they came
    Column("message_id", row_id, ForeignKey("messages.id"), nullable=False),
    Column("config_digest", LargeBinary(32), nullable=False),
    Column("public_key_shares", LargeBinary, nullable=False),
    Column("encrypted_signatures", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("handed_out_at", BigInteger),
    UniqueConstraint("message_id", "config_digest", name="oracle_shares_place"),
)

forgotten = Table(  # so that who knows of them by their revision learns that they are gone
    "forgotten",
    metadata,
    Column("public_key", LargeBinary(48), primary_key=True),
    Column("revision", BigInteger, nullable=False),
)

registered_keys = Table(  # of our clusters: no longer unused
    "registered_keys",
    metadata,
    Column("public_key", LargeBinary(48), primary_key=True),
    Column("block_number", BigInteger),  # of its deposit; null when a file or a beacon node says so
)

checkpoints = Table(  # final blocks up to which the deposits are known
    "checkpoints",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
)


tokens = Table(  # who may call the relayer; a revoked one stays, as a record
    "tokens",
    metadata,
    Column("id", String(8), primary_key=True),  # a part of the token that is no secret
    Column("digest", LargeBinary(32), nullable=False),  # SHA-256 of the whole token
    Column("role", String(16), nullable=False),
    Column("scope", Text, nullable=False),  # JSON: see tokens.py
    Column("note", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("revision", BigInteger, nullable=False),
    Index("tokens_revision", "revision"),
)


def uint64(value: int) -> bytes:
    """The form in which a 64-bit integer is kept."""
    return int(value).to_bytes(UINT64_BYTES, "big")


def from_uint64(value: bytes) -> int:
    """The integer again."""
    return int.from_bytes(value, "big")
