"""The latest block of the beacon chain, from a node that is not behind."""

from __future__ import annotations

from dvtfast import Network

from .. import clock
from .client import BeaconClient, BeaconHead


async def fresh_head(beacon: BeaconClient, network: Network, *, since: int = 0) -> BeaconHead:
    """The latest block of a beacon node that is not behind.

    Args:
        since: a block of the execution chain has that Unix time; a node that has not seen it is behind, too.

    Raises:
        BeaconError: no node has one.
    """
    slot = _slot(clock.now_seconds(), network)
    return await beacon.head(first_slot=max(slot - clock.STALE_SLOTS, _slot(since, network), 0))


def _slot(at: float, network: Network) -> int:
    return int(at - network.genesis_time) // network.seconds_per_slot
