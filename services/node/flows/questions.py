"""Several things that beacon nodes are asked for, some of which they may not have."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeVar

from ...chain.beacon.client import BeaconError
from ...process import logs
from ..parts import NodeParts
from .agreeing import MOST_RETRY_SECONDS, RETRY_FACTOR, RETRY_SECONDS

TRIES: Final = 3  # for what is missing, where there is something

K = TypeVar("K")
T = TypeVar("T")

log = logs.get("node")


async def what_there_is(
    node: NodeParts, wanted: Collection[K], ask: Callable[[K], Awaitable[T]]
) -> dict[K, T]:
    """What beacon nodes have of this: all of it, or what there is after some tries; not nothing."""
    found: dict[K, T] = {}

    async def find(each: K) -> None:
        try:
            found[each] = await ask(each)
        except BeaconError as error:
            log.info("asking again", error=str(error))

    tries, pause = 0, RETRY_SECONDS
    while len(found) < len(wanted) and (tries < TRIES or not found):
        if tries:
            await node.slots.sleep(pause)
            pause = min(pause * RETRY_FACTOR, MOST_RETRY_SECONDS)
        await asyncio.gather(*(find(each) for each in wanted if each not in found))
        tries += 1
    return found
