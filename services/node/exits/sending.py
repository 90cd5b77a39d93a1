"""Exits that the cluster has signed, to the beacon nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...chain.beacon.client import ACTIVE_STATUS, BeaconError, ValidatorDetails
from ...chain.beacon.duties import DutiesClient
from ...process import logs
from ...process.offload import Workers
from ..exchange import ClusterMembers
from .messages import WholeExit
from .store import ExitStore

MOST_SENT: Final = 512  # in an epoch: 32 blocks take no more

log = logs.get("exits")


class ExitSender:
    """Sends what this node's operator wants sent, each once in an epoch, until the chain shows it."""

    def __init__(
        self, store: ExitStore, members: ClusterMembers, beacon: DutiesClient, workers: Workers
    ) -> None:
        self._store, self._members, self._beacon, self._workers = store, members, beacon, workers
        self._tried: dict[bytes, int] = {}  # in which epoch, by validator

    async def send(self, on_chain: Mapping[int, ValidatorDetails], epoch: int, now: float) -> None:
        """Send what the chain takes now.

        Args:
            on_chain: what the chain says of validators, by position.
            epoch: of now.
            now: Unix seconds.

        Raises:
            BeaconError, ExitStoreError, UnavailableError, TimeoutError: not all was sent.
        """
        for each in await self._workers.run(self._ready, on_chain, epoch):
            await send_exit(self._beacon, self._store, each, now, self._workers)
            self._tried[each.message.validator] = epoch

    def _ready(self, on_chain: Mapping[int, ValidatorDetails], epoch: int) -> list[WholeExit]:
        """Those that were not tried for longest come first."""
        left = MOST_SENT - sum(each == epoch for each in self._tried.values())
        wanted, first = self._store.wanted(), dict[bytes, WholeExit]()
        for exit in self._store.whole():
            first.setdefault(exit.message.validator, exit)
        ready = []
        for validator, exit in first.items():
            details = on_chain.get(self._members.validators[validator])
            is_active = details is not None and details.status == ACTIVE_STATUS
            is_due = exit.message.epoch <= epoch and self._tried.get(validator, -1) < epoch
            if validator in wanted and is_active and is_due:
                ready.append(exit)
        ready.sort(key=lambda exit: self._tried.get(exit.message.validator, -1))
        return ready[: max(left, 0)]


async def send_exit(
    beacon: DutiesClient, store: ExitStore, exit: WholeExit, now: float, workers: Workers
) -> bool:
    """Send an exit to the beacon nodes, and keep what came of it; whether they took it.

    Raises:
        BeaconError: none answered.
    """
    message = exit.message
    try:
        await beacon.send_exit(message.signed(exit.signature))
    except BeaconError as error:
        if not error.refused:
            raise
        if exit.problem != str(error):
            log.warning("exit refused", validator_index=message.index, why=str(error))
        await workers.run(store.refused, message, str(error))
        return False
    if exit.sent_at is None:
        log.info("exit sent", validator_index=message.index, epoch=message.epoch)
    await workers.run(store.sent, message, now)
    return True
