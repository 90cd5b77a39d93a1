"""Follows SSV's contract on an execution node, so that a registry knows what is final there."""

from __future__ import annotations

import asyncio
from time import monotonic

from ..chain.execution.node import NodeClient
from ..chain.execution.scanner import SPAN_BLOCKS, FinalLogs, LogScanner, Rewound
from ..process import logs
from .events import TOPICS
from .registry import ChainSource, Registry

LOOK_SECONDS = 12.0  # a slot; between two looks
# A node whose head is older is passed over; what is final is true all the same, so this need not be close.
STALE_SECONDS = 900.0
TELL_SECONDS = 10.0  # between two lines on a long way

log = logs.get("ssv")


class Follower:
    """Brings a registry up to date, look by look; only final blocks count.

    Args:
        span_blocks: in one batch, which is kept as a whole.
    """

    def __init__(
        self, node: NodeClient, source: ChainSource, registry: Registry, *, span_blocks: int = SPAN_BLOCKS
    ) -> None:
        self._registry = registry
        self._told_at = monotonic()
        self._scanner = LogScanner(
            node,
            source.contract,
            TOPICS,
            first=source.first_block,
            span_blocks=span_blocks,
            max_age_seconds=STALE_SECONDS,
        )

    async def look(self) -> None:
        """Learn all that is final and not known yet.

        Raises:
            UnavailableError: no node answers; what was learned until then is kept.
            RegistryError: the file cannot be written.
        """
        checkpoints = await asyncio.to_thread(self._registry.checkpoints)
        async for batch in self._scanner.batches(checkpoints):
            if isinstance(batch, Rewound):
                back_to = batch.back_to.number if batch.back_to else None
                log.warning("chain reorganised", lost=batch.lost.number, back_to=back_to)
                await asyncio.to_thread(self._registry.rewind, back_to)
            elif isinstance(batch, FinalLogs):
                await self._learn(batch)

    async def _learn(self, batch: FinalLogs) -> None:
        learned = await asyncio.to_thread(self._registry.learn, batch)
        if learned.added or learned.removed or learned.refused:
            log.info(
                "SSV validators changed",
                added=learned.added,
                removed=learned.removed,
                refused=learned.refused,
                blocks=f"{batch.first}-{batch.last}",
            )
        elif monotonic() - self._told_at > TELL_SECONDS and batch.last > batch.first + 1000:
            log.info("SSV events read", up_to_block=batch.last)
        else:
            return
        self._told_at = monotonic()
