"""Threads for the work that must not run on the event loop: cryptography, the database, large JSON."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

T = TypeVar("T")

DEADLINE_SECONDS = 30.0
NICE = 10  # of threads that give way
PIECE_SECONDS = 0.1  # of work in steps, after which what waits for the thread comes first


class UnavailableError(Exception):
    """The work cannot be done now; the same may succeed later."""


class OverloadedError(UnavailableError):
    """More work is waiting than the deadline leaves hope for."""


class StoppedError(UnavailableError):
    """Work in steps was not done to its end."""


@dataclass(frozen=True)
class _End(Generic[T]):
    """What came of work in steps."""

    value: T


def _piece(steps: Generator[None, None, T]) -> _End[T] | None:
    """Some steps; None when there are more."""
    begin = perf_counter()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return _End(end.value)
        if perf_counter() - begin >= PIECE_SECONDS:
            return None


def _give_way() -> None:
    """Let the other threads of this process go first, on this thread and those that it starts."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


class Workers:
    """A few threads with a bounded queue in front of them.

    One instance per kind of work, so that long work of one kind never delays short work of another.
    With `threads=1` it also is a lock: what it runs, it runs one after the other.

    Args:
        gives_way: whether the event loop and other workers go first where there are too few cores.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        queue_limit: int = 256,
        deadline_seconds: float | None = DEADLINE_SECONDS,
        gives_way: bool = False,
    ) -> None:
        self._executor = ThreadPoolExecutor(
            threads, thread_name_prefix=name, initializer=_give_way if gives_way else None
        )
        self.name = name
        self._limit = threads + queue_limit
        self._deadline_seconds = deadline_seconds
        self._under_way = 0

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Call `function(*args)` on a thread and wait for it.

        Work that has not begun at the deadline is dropped; work that has begun runs to its end,
        though nobody waits for it any more.

        Raises:
            OverloadedError: the queue is full.
            TimeoutError: the deadline passed first.
        """
        if self._under_way >= self._limit:
            raise OverloadedError("too much to do")
        self._under_way += 1
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)
        finally:
            self._under_way -= 1

    async def run_in_pieces(
        self,
        function: Callable[..., Generator[None, None, T]],
        *args: object,
        stop: Callable[[], bool] = lambda: False,
    ) -> T:
        """The same with a function that works in steps: what else waits for a thread comes between them.

        Raises:
            StoppedError: `stop()` was true after a piece.
        """
        steps = await self.run(function, *args)
        end: _End[T] | None = await self.run(_piece, steps)
        while end is None:
            if stop():
                raise StoppedError("stopping")
            end = await self.run(_piece, steps)
        return end.value

    @property
    def under_way(self) -> int:
        """How much is being done, or waits for a thread."""
        return self._under_way

    async def close(self) -> None:
        """Wait for what has begun, drop what has not."""
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
