"""Tasks that look again and again while a service runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import NoReturn, TypeVar

from . import logs

FIRST_RETRY_SECONDS = 5.0  # after a failure, unless the next look is sooner; doubled by each further one
LONGEST_PAUSE_SECONDS = 300.0  # after failures in a row

T = TypeVar("T")

log = logs.get("background")


@asynccontextmanager
async def in_background(*work: Coroutine[None, None, object]) -> AsyncIterator[None]:
    """Run these beside the block; they are cancelled at its end."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_cancelled(work: Callable[[threading.Event], T]) -> T:
    """Run work on a thread; its event is set when its caller is cancelled, for whoever looks at it."""
    stopped = threading.Event()
    try:
        return await asyncio.to_thread(work, stopped)
    finally:
        stopped.set()


async def repeat(name: str, look: Callable[[], Awaitable[None]], seconds: float) -> NoReturn:
    """Look every so many seconds for ever; after a failure sooner, with a pause that grows."""
    first_retry = min(FIRST_RETRY_SECONDS, seconds)
    pause, retry = seconds, first_retry
    while True:
        try:
            await look()
            pause, retry = seconds, first_retry
        except Exception as error:  # of files, nodes and databases, all of which may recover
            pause, retry = retry, max(min(2 * retry, LONGEST_PAUSE_SECONDS), first_retry)
            log.warning(
                f"{name} not read", error=str(error), kind=type(error).__name__, retry_in_seconds=pause
            )
        await asyncio.sleep(pause)
