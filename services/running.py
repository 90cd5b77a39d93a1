"""Run a service until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any


def run(service: Callable[[asyncio.Event], Coroutine[Any, Any, int]]) -> int:
    """Run `service(stop)` and return its exit code.

    SIGTERM and SIGINT set `stop`, upon which the service finishes what it accepted and returns. A
    second signal acts as if nobody listened: it ends the process.
    """
    return asyncio.run(_run(service))


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
