"""Threads for the work that must not run on the event loop: cryptography, the database, large JSON."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Generator, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar, cast

T = TypeVar("T")

DEADLINE_SECONDS = 30.0
NICE = 10  # of threads that give way
MOST_IN_TURN = 64  # that waits for one of several
PIECE_SECONDS = 0.1  # of work in steps, after which what waits for the thread comes first


class UnavailableError(Exception):
    """The work cannot be done now; the same may succeed later."""


class OverloadedError(UnavailableError):
    """More work is waiting than the deadline leaves hope for."""


class StoppedError(UnavailableError):
    """The work was not done, or not to its end, as what does it is stopping."""


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


class _Job(Generic[T]):
    """A call, until nobody waits for it any more."""

    def __init__(self, function: Callable[..., T], args: tuple[object, ...]) -> None:
        self._call: tuple[Callable[..., T], tuple[object, ...]] | None = (function, args)

    def __call__(self) -> T | None:
        call, self._call = self._call, None
        return None if call is None else call[0](*call[1])

    def drop(self) -> None:
        """Do not begin, and keep nothing of what it was given."""
        self._call = None


class _Turn:
    """Of one for whom work is done one by one."""

    def __init__(self) -> None:
        self._lock, self._waiting = asyncio.Lock(), 0

    async def come(self) -> None:
        """Wait for it."""
        if self._waiting >= MOST_IN_TURN:
            raise OverloadedError("too much to do")
        self._waiting += 1
        try:
            await self._lock.acquire()
        finally:
            self._waiting -= 1

    def end(self) -> None:
        """Whoever is next."""
        self._lock.release()


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
        self._is_closed = False
        self._turns: dict[Hashable, _Turn] = {}
        self._left = asyncio.Event()  # set when there is a place more, and then replaced

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Call `function(*args)` on a thread and wait for it.

        Work that has not begun at the deadline is dropped; work that has begun runs to its end,
        though nobody waits for it any more. Dropped work keeps its place until a thread has come by it.

        Raises:
            OverloadedError: the queue is full.
            StoppedError: `close` was called before it began.
            TimeoutError: the deadline passed first.
        """
        async with asyncio.timeout(self._deadline_seconds):
            return await self._done(_Job(function, args))

    async def run_when_free(self, function: Callable[..., T], *args: object) -> T:
        """The same, but where the queue is full it waits for a place: for what is too few to fill memory.

        Raises:
            StoppedError: as above.
            TimeoutError: the deadline passed first.
        """
        async with asyncio.timeout(self._deadline_seconds):
            while self._under_way >= self._limit and not self._is_closed:
                await self._left.wait()
            return await self._done(_Job(function, args))

    async def run_in_turn(self, whose: Hashable, function: Callable[..., T], *args: object) -> T:
        """The same for one of several: one thing of it is in the queue, so that others do not wait for many.

        Raises:
            OverloadedError: the queue is full, or too much of the same waits for its turn.
            StoppedError: as above.
            TimeoutError: the deadline passed first.
        """
        turn = self._turns.setdefault(whose, _Turn())
        async with asyncio.timeout(self._deadline_seconds):
            await turn.come()
            return await self._done(_Job(function, args), turn.end)

    async def _done(self, job: _Job[T], then: Callable[[], None] = lambda: None) -> T:
        """What comes of a job; `then` is called when a thread has come by it, if it was dropped or not."""
        try:
            if self._is_closed:
                raise StoppedError("stopping")
            if self._under_way >= self._limit:
                raise OverloadedError("too much to do")
            place = asyncio.get_running_loop().run_in_executor(self._executor, job)
        except BaseException:
            then()
            raise
        self._under_way += 1
        place.add_done_callback(lambda _: self._leave(then))
        try:
            return cast(T, await asyncio.shield(place))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if place.cancelled() and not (task and task.cancelling()):  # nobody cancelled whoever waits
                raise StoppedError("stopping") from None
            raise
        finally:
            job.drop()

    def _leave(self, then: Callable[[], None]) -> None:
        self._under_way -= 1
        self._left.set()
        self._left = asyncio.Event()
        then()

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
        self._is_closed = True
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
