"""When rounds begin and end: from the first validator that waits until none does."""

from __future__ import annotations

import asyncio
from time import time
from typing import NoReturn

from ...process import logs
from ...process.offload import UnavailableError
from ..metrics import RelayerMetrics
from ..store.counts import round_under_way
from ..store.engine.database import Database

LOOK_SECONDS = 1.0  # between two looks, while anything changes
LONGEST_WAIT_SECONDS = 60.0

log = logs.get("rounds")


async def watch_rounds(database: Database, metrics: RelayerMetrics) -> NoReturn:
    """Tell of each round, for ever. What begins and ends within one look is none."""
    revision, begin = 0, 0
    while True:
        await database.wait_for_change(revision, LONGEST_WAIT_SECONDS)
        try:
            revision, waiting_since = await database.read(round_under_way)
        except (UnavailableError, TimeoutError) as error:
            log.debug("rounds not looked at", error=str(error))
        else:
            if waiting_since and not begin:
                begin = waiting_since
                metrics.round_began(begin)
            elif begin and not waiting_since:
                seconds = max(0.0, time() - begin)
                metrics.round_ended(seconds)
                log.info("round complete", seconds=round(seconds, 1))
                begin = 0
        await asyncio.sleep(LOOK_SECONDS)
