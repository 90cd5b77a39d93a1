"""The latest block of the beacon chain, from a node that is not behind."""

from __future__ import annotations

from dvtfast import Network

from . import clock
from .beacon import BeaconClient, BeaconHead

STALE_SLOTS = 8  # without a block, after which a node counts as behind


async def fresh_head(beacon: BeaconClient, network: Network) -> BeaconHead:
    """The latest block of a beacon node that is not behind.

    Raises:
        BeaconError: no node has one.
    """
    slot = int(clock.now_seconds() - network.genesis_time) // network.seconds_per_slot
    return await beacon.head(first_slot=max(slot - STALE_SLOTS, 0))
