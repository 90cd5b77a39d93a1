"""Tasks beside everything else: what looks again and again, and what nobody waits for. None fails unseen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

from . import logs
from .offload import StoppedError

FIRST_RETRY_SECONDS = 5.0  # after a failure, unless the next look is sooner; doubled by each further one
LONGEST_PAUSE_SECONDS = 300.0  # after failures in a row

T = TypeVar("T")

log = logs.get("background")


def start_task(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Begin work beside everything else. What fails in it is told, whether or not anybody waits for it."""
    task = asyncio.create_task(work)
    task.add_done_callback(_tell)
    return task


def _tell(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a task failed", task=getattr(task.get_coro(), "__qualname__", ""), exc_info=error)


class Tasks:
    """Tasks that nobody waits for, until they end or are ended."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin another; after the end it is cancelled before it begins."""
        task = start_task(work)
        if self._is_closed:
            task.cancel()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Cancel what is under way, and wait for its end."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def result_of(work: asyncio.Future[T]) -> T:
    """Wait for what others wait for, too: it goes on when one of them is cancelled.

    Raises:
        StoppedError: it was cancelled itself. That is no reason for whoever waits to end.
    """
    await asyncio.wait([work])
    if work.cancelled():
        raise StoppedError("stopping")
    return work.result()


@asynccontextmanager
async def in_background(*work: Coroutine[None, None, object]) -> AsyncIterator[None]:
    """Run these beside the block; they are cancelled at its end."""
    tasks = Tasks()
    for each in work:
        tasks.start(each)
    try:
        yield
    finally:
        await tasks.close()


async def for_ever(work: Callable[[], Coroutine[Any, Any, object]]) -> NoReturn:
    """Do what never ends. A fault in it is told, and after a pause it begins anew.

    So is it a fault that it waited for something that others cancelled.
    """
    while True:
        try:
            await work()
        except (Exception, asyncio.CancelledError) as error:
            _raise_if_cancelled(error)
            log.error("a task failed", task=work.__qualname__, exc_info=error)
        await asyncio.sleep(FIRST_RETRY_SECONDS)


def _raise_if_cancelled(error: BaseException) -> None:
    """Whether it is this task that is to end, or only something for which it waited."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error


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
        except (Exception, asyncio.CancelledError) as error:  # of what may recover: files, nodes, databases
            _raise_if_cancelled(error)
            pause, retry = retry, max(min(2 * retry, LONGEST_PAUSE_SECONDS), first_retry)
            log.warning(
                f"{name} not read", error=str(error), kind=type(error).__name__, retry_in_seconds=pause
            )
        await asyncio.sleep(pause)
