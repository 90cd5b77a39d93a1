"""How far long work is: a bar with an estimate on a terminal, log lines elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich import progress as bars
from rich.console import Console

from . import logs

LOG_SECONDS = 10.0  # between two lines

log = logs.get("progress")

Progress = Callable[[int, int], None]
"""Called with the number done and of all, from any thread."""


@contextmanager
def showing_progress(what: str) -> Iterator[Progress]:
    """Gives what is to be called as the work goes on."""
    if not sys.stderr.isatty():
        yield _Lines(what)
        return
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


class _Lines:
    """A log line now and then, with the seconds that are left if all goes on as before."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._begin = self._last = monotonic()
        self._lock = threading.Lock()

    def __call__(self, done: int, total: int) -> None:
        with self._lock:
            now = monotonic()
            if now - self._last < LOG_SECONDS:
                return
            self._last = now
        left = (now - self._begin) / done * (total - done)
        log.info(self._what, done=done, of=total, seconds_left=round(left))
