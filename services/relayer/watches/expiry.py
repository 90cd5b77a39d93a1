"""Validators that nobody asks for any more are forgotten, as long as nothing of them was handed out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time

from ...process import logs
from ...process.background import in_background, repeat
from ..store.engine.database import Database
from ..store.operators.asked_validators import ASKED_PRECISION_SECONDS
from ..store.operators.removal import forget_expired

LONGEST_PAUSE_SECONDS = 60.0
PAUSES_PER_LIFETIME = 10
AT_A_TIME = 500  # so that nobody waits long for the database

log = logs.get("expiry")


class Expiry:
    """Looks for validators whose lifetime is over since they were last asked for."""

    def __init__(self, database: Database, lifetime_seconds: float) -> None:
        self._database = database
        self._lifetime_seconds = lifetime_seconds

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look again and again inside the block."""
        pause = min(LONGEST_PAUSE_SECONDS, self._lifetime_seconds / PAUSES_PER_LIFETIME)
        async with in_background(repeat("expired validators", self.look, pause)):
            yield

    async def look(self) -> None:
        """Forget what has expired."""
        # When they were last asked for is known so precisely only; none may go too early.
        asked_before = int(time() - self._lifetime_seconds) - ASKED_PRECISION_SECONDS
        count = 0
        while some := await self._database.run(forget_expired, asked_before, AT_A_TIME):
            count += some
        if count:
            log.info("validators expired", count=count, lifetime_seconds=self._lifetime_seconds)
