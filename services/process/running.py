"""Run a service until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .hardening import forbid_dumps

# Objects made, less those gone, between two looks for garbage in cycles, and what makes a look go further.
# A request with thousands of items is no garbage, and a look at it stops all threads.
GARBAGE_THRESHOLDS = 100_000, 20, 100

# After this time a thread that runs Python lets the event loop go on; five times as long is Python's default.
SWITCH_SECONDS = 0.001

T = TypeVar("T")


def run(service: Callable[[asyncio.Event], Coroutine[Any, Any, int]]) -> int:
    """Run `service(stop)` and return its exit code.

    SIGTERM and SIGINT set `stop`, upon which the service finishes what it accepted and returns. A
    second signal acts as if nobody listened: it ends the process. Nothing of a service is dumped: each has
    keys, tokens or signatures in memory.
    """
    forbid_dumps()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # modules, settings and keys stay; nobody has to look at them again
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    return asyncio.run(_run(service))


async def unless_stopped(work: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
    """What came of the work; None when it was to stop before, and did not end well in that moment."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
    return None if working.cancelled() or working.exception() else working.result()


async def _run(service: Callable[[asyncio.Event], Coroutine[Any, Any, int]]) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def begin_stop() -> None:
        stop.set()
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, begin_stop)
    return await service(stop)
