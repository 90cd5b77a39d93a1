"""Whether a relayer works, and whether it can be given work: `/healthz` and `/readyz`."""

from __future__ import annotations

import asyncio
from time import monotonic

from aiohttp import web

from .. import wire
from ..process.offload import UnavailableError
from ..web.http import json_answer
from .parts import RelayerParts
from .store.engine.database import latest_revision

DATABASE_SECONDS = 5.0  # within which it has to answer
FRESH_SECONDS = 1.0  # for so long an answer of it holds

NO_DATABASE = "the database does not answer"
NOT_COMPLETE = "which validators are used is still being read; /register gives none until it is known"


class Health:
    """Looks at what a relayer needs; asked by anybody as often as they like, it looks once in a second."""

    def __init__(self, parts: RelayerParts) -> None:
        self._parts = parts
        self._looked_at = -FRESH_SECONDS
        self._is_up = False
        self._lock = asyncio.Lock()

    def add_to(self, app: web.Application) -> None:
        """Serve both pages."""
        app.router.add_get("/healthz", self._get_health)
        app.router.add_get("/readyz", self._get_ready)

    async def problems(self) -> list[str]:
        """Why it is not ready."""
        problems = [] if await self._database_answers() else [NO_DATABASE]
        if not all(watch.is_complete for watch in self._parts.watches):
            problems.append(NOT_COMPLETE)
        if (never := self._parts.vaults.problem) is not None:
            problems.append(never)
        return problems

    async def _get_health(self, _: web.Request) -> web.Response:
        """200 as long as the process works; nothing else is mended by starting it again."""
        return json_answer(wire.HealthAnswer())

    async def _get_ready(self, _: web.Request) -> web.Response:
        problems = await self.problems()
        return json_answer(wire.HealthAnswer(not problems, problems), status=503 if problems else 200)

    async def _database_answers(self) -> bool:
        async with self._lock:
            if monotonic() - self._looked_at >= FRESH_SECONDS:
                try:
                    async with asyncio.timeout(DATABASE_SECONDS):
                        await self._parts.database.read(latest_revision)
                    self._is_up = True
                except (UnavailableError, TimeoutError):
                    self._is_up = False
                self._looked_at = monotonic()
        return self._is_up
