"""Follows the beacon chain: which of our validators are there, and which have exited."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from ...chain.beacon.client import BeaconClient
from ...process import logs
from ...process.background import in_background, repeat
from ..clusters.served import ServedClusters
from ..store.engine.database import Database
from ..store.operators.removal import forget
from ..store.operators.reservations import mark_registered

LOOK_SECONDS = 384.0  # an epoch

log = logs.get("beacon")


class BeaconWatch:
    """Keeps the store up to date: validators on the beacon chain are used, exited ones are forgotten.

    Attributes:
        is_complete: whether it has looked at all of them.
    """

    def __init__(self, beacon: BeaconClient, clusters: ServedClusters, database: Database) -> None:
        self.is_complete = False
        self._beacon = beacon
        self._clusters = clusters
        self._database = database

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Self]:
        """Look again and again inside the block."""
        async with self._beacon, in_background(repeat("beacon chain", self.look, LOOK_SECONDS)):
            yield self

    async def look(self) -> None:
        """Ask for all validators of named clusters."""
        found = await self._beacon.validators(list(self._clusters.keys))
        used = await self._database.run(mark_registered, found, block_number=None)
        exited = [key for key, validator in found.items() if validator.has_exited]
        self.is_complete = True
        forgotten = await self._database.run(forget, exited) if exited else 0
        if used or forgotten:
            log.info("validators on the beacon chain", n=len(found), new=used, forgotten_as_exited=forgotten)
