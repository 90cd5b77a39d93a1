"""All tokens, in memory: a request costs no query, and what is made or revoked counts at once."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

from ...process import logs
from ...process.background import in_background
from ..clusters.served import ServedClusters
from ..store.engine.database import Database
from ..store.tokens import KeptToken, tokens_since
from .caller import Caller, caller_of_token, unserved_clusters
from .token_text import digest_of, id_of

# A command changes SQLite from another process, which only a look can tell; PostgreSQL tells by itself.
LOOK_SECONDS = 0.5
SETTLING_SECONDS = 0.1  # between two looks, while others write
NO_DIGEST = bytes(32)

log = logs.get("access")


class NoTokensError(Exception):
    """A relayer that would serve everybody, though nobody said that it should."""


class KnownTokens:
    """The tokens of a database, followed while it runs.

    Attributes:
        most_pending: validators that one of them may have asked for and not got yet.
        moves_per_day: how many validators one of them may move to other indices or amounts.
        exist: whether there ever was a token, revoked or not; from then on everybody needs one.
    """

    def __init__(
        self, database: Database, clusters: ServedClusters, *, most_pending: int, moves_per_day: int
    ) -> None:
        self._database = database
        self._clusters = clusters
        self.most_pending = most_pending
        self.moves_per_day = moves_per_day
        self._revision = -1
        self._callers: dict[str, tuple[bytes, Caller]] = {}  # by id, with the token's digest
        self.exist = False

    def caller(self, token: str) -> Caller | None:
        """Whose token this is; None for one that is worth nothing."""
        token_id = id_of(token)
        digest, caller = self._callers.get(token_id or "", (NO_DIGEST, None))
        return caller if hmac.compare_digest(digest_of(token), digest) else None

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Know all tokens inside the block."""
        await self._look(tell=False)
        async with in_background(self._follow()):
            yield

    async def _follow(self) -> NoReturn:
        is_lost = False
        while True:
            await self._database.wait_for_change(self._revision, LOOK_SECONDS)
            try:
                await self._look()
                is_lost = False
            except Exception as error:  # of the database, without which nothing else works either
                if not is_lost:
                    log.warning("not looked for tokens", error=str(error))
                is_lost = True
            await asyncio.sleep(SETTLING_SECONDS)

    async def _look(self, *, tell: bool = True) -> None:
        self._revision, changed = await self._database.read(tokens_since, self._revision)
        for token in changed:
            self._keep(token)
            if tell:
                event = "token made" if token.revoked_at is None else "token revoked"
                log.info(event, id=token.id, role=token.role.value)
        if not tell and changed:
            log.info("tokens read", count=len(self._callers))

    def _keep(self, token: KeptToken) -> None:
        self.exist = True
        if token.revoked_at is not None:
            self._callers.pop(token.id, None)
            return
        caller = caller_of_token(
            token, self._clusters, most_pending=self.most_pending, moves_per_day=self.moves_per_day
        )
        self._callers[token.id] = token.digest, caller
        if unserved := unserved_clusters(token, self._clusters):
            log.warning(
                "a token is for clusters that this relayer does not serve",
                id=token.id,
                clusters=", ".join(unserved),
                do="name them with --cluster-lock or --ssv-keyshares, or make the token anew with the"
                " name or the lock hash of a cluster that is",
            )
