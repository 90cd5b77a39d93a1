"""How far a long load is: a bar with an estimate on a terminal, log lines elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .. import logs
from . import loading

LOG_SECONDS = 10.0  # between two lines

log = logs.get("keys")


@contextmanager
def showing_progress(what: str) -> Iterator[loading.Progress]:
    """Gives a function to be called with the number done and of all, from any thread."""
    if not sys.stderr.isatty():
        yield _Lines(what)
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
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
