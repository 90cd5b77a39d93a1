"""Tokens: made, revoked, listed. Of the secret only a digest is kept; a revoked token stays on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from ... import wire
from .engine.database import begin_revision, latest_revision
from .tables import tokens


class Role(StrEnum):
    """What the holder of a token is for."""

    OPERATOR = "operator"
    SIDECAR = "sidecar"
    READ_ONLY = "read-only"


class NodeOfCluster(msgspec.Struct, frozen=True):
    """One node: its cluster's name or lock hash, and its share index there."""

    cluster: str
    share_index: int


class Scope(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a token is for, as it is kept: what is not named here, it may not touch.

    Attributes:
        nodes: of a sidecar.
        vaults: of an operator.
        clusters: by name or lock hash, whose validators an operator of v3 may ask for.
        everything: an operator's, of all vaults and clusters.
    """

    nodes: tuple[NodeOfCluster, ...] = ()
    vaults: tuple[wire.Address, ...] = ()
    clusters: tuple[str, ...] = ()
    everything: bool = False


@dataclass(frozen=True)
class KeptToken:
    """A token without its secret; `digest` is the SHA-256 of all of it."""

    id: str
    digest: bytes
    role: Role
    scope: Scope
    note: str
    created_at: int
    revoked_at: int | None = None


def add_token(connection: Connection, token: KeptToken) -> bool:
    """Keep a new token; False when its id is taken."""
    if connection.scalar(select(tokens.c.id).where(tokens.c.id == token.id)) is not None:
        return False
    row = {
        "id": token.id,
        "digest": token.digest,
        "role": token.role.value,
        "scope": wire.encode(token.scope).decode(),
        "note": token.note,
        "created_at": token.created_at,
        "revision": begin_revision(connection),
    }
    connection.execute(insert(tokens).values(row))
    return True


def revoke_token(connection: Connection, token_id: str, now: int) -> KeptToken | None:
    """Make a token worthless, from now on; None when there is no such token. Twice is as good as once."""
    row = connection.execute(select(tokens).where(tokens.c.id == token_id)).one_or_none()
    if row is None:
        return None
    if row.revoked_at is None:
        change = update(tokens).where(tokens.c.id == token_id)
        connection.execute(change.values(revoked_at=now, revision=begin_revision(connection)))
    return _token(row)


def all_tokens(connection: Connection) -> list[KeptToken]:
    """All that there ever were, in the order in which they were made."""
    return _tokens(connection.execute(select(tokens).order_by(tokens.c.created_at, tokens.c.id)).all())


def tokens_since(connection: Connection, revision: int) -> tuple[int, list[KeptToken]]:
    """The latest revision, and the tokens that were made or revoked since the one given."""
    changed = select(tokens).where(tokens.c.revision > revision)
    return latest_revision(connection), _tokens(connection.execute(changed).all())


def _tokens(rows: Sequence[Row[tuple[object, ...]]]) -> list[KeptToken]:
    return [_token(row) for row in rows]


def _token(row: Row[tuple[object, ...]]) -> KeptToken:
    return KeptToken(
        row.id,
        row.digest,
        Role(row.role),
        wire.decode(row.scope.encode(), Scope),
        row.note,
        row.created_at,
        row.revoked_at,
    )
