"""An event loop on virtual time, and programs on it that are killed or stopped between any two steps.

When nothing is ready, its clock jumps to the next timer, so an hour costs what happens in it. What would
run on a thread runs at once and seems to take a moment. All follows from the seed: also the order of sets
of tasks and futures, whose hashes are numbers instead of addresses.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
from random import Random
from typing import Any

WORK_SECONDS = 0.003  # that work on a thread takes at most
MOST_GOODBYES = 50  # steps in which what a killed program leaves behind ends

_program: ContextVar[Program | None] = ContextVar("program", default=None)


class StillError(Exception):
    """Nothing will ever happen any more, and not all is done."""


class Program:
    """What is killed, or stopped, as one; nothing of it happens twice at a time.

    Attributes:
        is_alive: whether the world sees what it does.
        steps_left: after so many steps it is killed; None: never.
    """

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.name, self.is_alive = name, True
        self.steps_left: int | None = None
        self.on_killed: list[Callable[[], None]] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self.context = copy_context()
        self.context.run(_program.set, self)
        self._loop = loop
        self._waiting: list[asyncio.Handle] | None = None  # what was ready when it was stopped

    @staticmethod
    def of_this_step() -> Program | None:
        """The one whose step this is."""
        return _program.get()

    def run(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin with something."""
        return self._loop.create_task(work, context=self.context.copy())

    def kill(self) -> None:
        """From here on nobody sees what it does; that it tidies up has no effect."""
        if self.is_alive:
            self.is_alive = False
            for tell in self.on_killed:
                tell()
            self.resume()
            for task in list(self.tasks):
                task.cancel()

    async def gone(self) -> None:
        """All that it was is over."""
        for _ in range(MOST_GOODBYES):
            left = [task for task in self.tasks if not task.done()]
            if not left:
                return
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=1.0)
        raise AssertionError(f"{self.name} does not end: {left}")

    def stop(self, seconds: float, *, with_clock: bool) -> None:
        """It does nothing for so long, as a program that gets no processor.

        Args:
            with_clock: its timers stand still, too, as on a machine that sleeps.
        """
        if self._waiting is None:
            self._waiting = []
            if with_clock:
                self._loop.delay_timers(self, seconds)
            self._loop.call_later(seconds, self.resume, context=Context())

    def resume(self) -> None:
        """Go on."""
        waiting, self._waiting = self._waiting or [], None
        self._loop.again(waiting)

    def holds(self, handle: asyncio.Handle) -> bool:
        """Whether a step has to wait, since it is stopped; it may also be the one before which it dies."""
        if self._waiting is not None:
            self._waiting.append(handle)
            return True
        if self.steps_left is not None and self.is_alive:
            self.steps_left -= 1
            if self.steps_left < 0:
                self.kill()
        return False


class _Task(asyncio.Task[Any]):
    """With a hash that is the same in each run."""

    _numbers = count()

    def __init__(self, *args: Any, **more: Any) -> None:
        self._number = next(self._numbers)
        super().__init__(*args, **more)

    def __hash__(self) -> int:
        return self._number


class _Future(asyncio.Future[Any]):
    def __init__(self, *args: Any, **more: Any) -> None:
        self._number = next(_Task._numbers)
        super().__init__(*args, **more)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop on virtual time.

    Attributes:
        steps: how many there were.
    """

    # Of the base class, as of Python 3.11 to 3.14; a test runs all of it.
    _ready: Any
    _scheduled: Any
    _asyncgens: Any

    def __init__(self, random: Random) -> None:
        super().__init__()
        _Task._numbers = count()
        self._random, self._moment = random, 0.0
        self.steps = 0
        self.set_task_factory(self._new_task)  # type: ignore[arg-type]

    def time(self) -> float:
        """Seconds since it was made."""
        return self._moment

    def create_future(self) -> asyncio.Future[Any]:
        """One of this loop."""
        return _Future(loop=self)

    def run_in_executor(  # type: ignore[override]
        self, _executor: Any, function: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Do it at once; it is known a moment later."""
        done = self.create_future()
        tell: tuple[Callable[..., None], Any]
        try:
            tell = done.set_result, function(*args)
        except Exception as error:
            tell = done.set_exception, error
        self.call_later(self._random.uniform(0, WORK_SECONDS), _unless_done, done, *tell)
        return done

    def delay_timers(self, program: Program, seconds: float) -> None:
        """A program's timers ring later."""
        for timer in self._scheduled:
            if timer._context.get(_program) is program:
                timer._when += seconds
        heapq.heapify(self._scheduled)

    def again(self, handles: list[asyncio.Handle]) -> None:
        """These steps come next."""
        self._ready.extend(handles)

    def _new_task(self, loop: VirtualLoop, work: Coroutine[Any, Any, Any], **more: Any) -> _Task:
        task = _Task(work, loop=loop, **more)
        context = more.get("context")
        program = _program.get() if context is None else context.get(_program)
        if program is not None:
            program.tasks.add(task)
            task.add_done_callback(program.tasks.discard)
            if not program.is_alive:
                task.cancel()
        return task

    def _run_once(self) -> None:
        scheduled, ready = self._scheduled, self._ready
        if not ready:
            while scheduled and scheduled[0]._cancelled:
                heapq.heappop(scheduled)._scheduled = False
            if not scheduled:
                raise StillError("nothing will happen any more")
            self._moment = max(self._moment, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._moment:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            program = handle._context.get(_program)
            if program is None or not program.holds(handle):
                self.steps += 1
                handle._run()

    def _asyncgen_finalizer_hook(self, generator: Any) -> None:
        self._asyncgens.discard(generator)
        if not self.is_closed():
            self.call_soon(self.create_task, generator.aclose())

    def _process_events(self, _events: Any) -> None:
        pass

    def _write_to_self(self) -> None:
        raise AssertionError("a thread speaks to a simulated loop")


def _unless_done(future: asyncio.Future[Any], tell: Callable[[Any], None], outcome: Any) -> None:
    if not future.done():
        tell(outcome)
