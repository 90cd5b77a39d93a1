"""Exits that the cluster has signed, to the beacon nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from ...chain.beacon.client import ACTIVE_STATUS, BeaconError, ValidatorDetails
from ...chain.beacon.duties import DutiesClient
from ...process import logs
from ...process.offload import Workers
from ..exchange import ClusterMembers
from .messages import ExitMessage, WholeExit
from .store import ExitStore

MOST_SENT: Final = 512  # in an epoch: 32 blocks take no more
AT_ONCE: Final = 16  # so that a beacon node that does not answer holds nothing up for long

log = logs.get("exits")


class ExitSender:
    """Sends what this node's operator wants sent, each once in an epoch, until the chain shows it."""

    def __init__(
        self, store: ExitStore, members: ClusterMembers, beacon: DutiesClient, workers: Workers
    ) -> None:
        self._store, self._members, self._beacon, self._workers = store, members, beacon, workers
        self._tried: dict[ExitMessage, int] = {}  # in which epoch

    async def send(self, on_chain: Mapping[int, ValidatorDetails], epoch: int, now: float) -> bool:
        """Send some of what the chain takes now.

        Args:
            on_chain: what the chain says of validators, by position.
            epoch: of now.
            now: Unix seconds.

        Returns:
            Whether there may be more.

        Raises:
            ExitStoreError, UnavailableError, TimeoutError: what came of it is not kept.
        """
        ready = await self._workers.run(self._ready, on_chain, epoch)
        # Whatever comes of these: one that cannot be sent does not keep the others waiting.
        self._tried |= {each.message: epoch for each in ready}
        await asyncio.gather(
            *(send_exit(self._beacon, self._store, each, now, self._workers) for each in ready)
        )
        return len(ready) == AT_ONCE

    def _ready(self, on_chain: Mapping[int, ValidatorDetails], epoch: int) -> list[WholeExit]:
        """Those that were not tried for longest come first."""
        left = MOST_SENT - sum(each == epoch for each in self._tried.values())
        wanted, ready = self._store.wanted(), []
        for exit in self._store.whole():
            message = exit.message
            details = on_chain.get(self._members.validators[message.validator])
            is_right = (
                details is not None and details.status == ACTIVE_STATUS and details.index == message.index
            )
            is_due = message.epoch <= epoch and self._tried.get(message, -1) < epoch
            if (message.validator, message.epoch) in wanted and is_right and is_due:
                ready.append(exit)
        ready.sort(key=lambda exit: self._tried.get(exit.message, -1))
        return ready[: max(min(left, AT_ONCE), 0)]


async def send_exit(
    beacon: DutiesClient, store: ExitStore, exit: WholeExit, now: float, workers: Workers
) -> bool:
    """Send an exit to the beacon nodes, and keep what came of it; whether they took it."""
    message = exit.message
    try:
        await beacon.send_exit(message.signed(exit.signature))
    except BeaconError as error:
        if exit.problem != str(error):
            log.warning("exit not sent", validator_index=message.index, why=str(error))
        await workers.run(store.not_sent, message, str(error))
        return False
    if exit.sent_at is None:
        log.info("exit sent", validator_index=message.index, epoch=message.epoch)
    await workers.run(store.sent, message, now)
    return True
