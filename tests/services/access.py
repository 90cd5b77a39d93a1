"""What the tests of access share: tokens made as the command makes them, and requests that show one."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time

import aiohttp

from dvtfast.services import wire
from dvtfast.services.relayer.access.token_text import digest_of, new_token
from dvtfast.services.relayer.store.engine.database import Database
from dvtfast.services.relayer.store.tokens import (
    KeptToken,
    NodeOfCluster,
    Role,
    Scope,
    add_token,
    revoke_token,
)

READ_ONLY = Role.READ_ONLY, Scope()
EVERYTHING = Role.OPERATOR, Scope(everything=True)

For = tuple[Role, Scope]


def secret_of(token: str) -> str:
    """The part that nobody may see, which may have underscores of its own."""
    return token.split("_", 2)[2]


def sidecar(*nodes: tuple[str, int]) -> For:
    return Role.SIDECAR, Scope(nodes=tuple(NodeOfCluster(*node) for node in nodes))


def operator(*vaults: wire.Address, clusters: tuple[str, ...] = ()) -> For:
    return Role.OPERATOR, Scope(vaults=vaults, clusters=clusters)


class Tokens:
    """A second connection to the database of a relayer, as the command has one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def make(self, kind: For) -> str:
        role, scope = kind
        token_id, token = new_token()
        kept = KeptToken(token_id, digest_of(token), role, scope, "", int(time()))
        assert await self._database.run(add_token, kept)
        return token

    async def revoke(self, token: str) -> None:
        assert await self._database.run(revoke_token, token.split("_")[1], int(time()))


@asynccontextmanager
async def tokens_of(url: str) -> AsyncIterator[Tokens]:
    database = await Database.open(url)
    try:
        yield Tokens(database)
    finally:
        await database.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(token: str, user: str = "u") -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{token}".encode()).decode()}


async def status_of(url: str, headers: dict[str, str], method: str = "GET", data: str | None = None) -> int:
    """The status of an answer, which is JSON if it is anything."""
    if data is not None:
        headers = headers | {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers, data=data) as answer,
    ):
        assert answer.content_type == "application/json" or not await answer.read()
        return answer.status
