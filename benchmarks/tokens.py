"""Tokens for the programs of a benchmark, made as `dvtfast relayer token create` makes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from dvtfast.services.relayer.access.token_text import digest_of, new_token
from dvtfast.services.relayer.store.engine.database import Database
from dvtfast.services.relayer.store.tokens import KeptToken, NodeOfCluster, Role, Scope, add_token

CLUSTER = "dvtfast demo"
EVERYTHING = Role.OPERATOR, Scope(everything=True)
READ_ONLY = Role.READ_ONLY, Scope()

For = tuple[Role, Scope]


def sidecar(share_index: int) -> For:
    """The sidecar of a node of the demo's cluster."""
    return Role.SIDECAR, Scope(nodes=(NodeOfCluster(CLUSTER, share_index),))


def make_tokens(database: str, kinds: Sequence[For]) -> list[str]:
    """One token for each, in the database of a relayer that runs or will."""
    return asyncio.run(_make(database, kinds))


def with_token(url: str, token: str) -> str:
    """The address as the first makers' programs take it."""
    return url.replace("//", f"//u:{token}@")


async def _make(url: str, kinds: Sequence[For]) -> list[str]:
    database = await Database.open(url)
    made = []
    try:
        for role, scope in kinds:
            token_id, token = new_token()
            kept = KeptToken(token_id, digest_of(token), role, scope, "benchmark", int(time.time()))
            assert await database.run(add_token, kept)
            made.append(token)
    finally:
        await database.close()
    return made
