"""An exit that the cluster has signed, to the beacon nodes."""

from __future__ import annotations

from ...chain.beacon.client import BeaconError
from ...chain.beacon.duties import DutiesClient
from ...process import logs
from ...process.offload import Workers
from .messages import WholeExit
from .store import ExitStore

log = logs.get("exits")


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
