"""What a person sees of work that takes long: a line that changes on a terminal, log lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich import progress as bars
from rich.console import Console

from ..process import logs

log = logs.get("operator")


class ProgressReport(Protocol):
    """Called with what happens, in words; with `of`, how much of it is done."""

    def __call__(self, what: str, done: int = 0, of: int = 0, /) -> None:
        """What happens now."""


def no_report(what: str, done: int = 0, of: int = 0, /) -> None:
    """For who does not want to know."""


@contextmanager
def showing_reports() -> Iterator[ProgressReport]:
    """Gives what is to be called as the work goes on."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Bar(bar)


@contextmanager
def reports_paused(report: ProgressReport) -> Iterator[None]:
    """Nothing changes on the terminal inside the block, where a person is asked something."""
    if not isinstance(report, _Bar):
        yield
        return
    report.bar.stop()
    try:
        yield
    finally:
        report.bar.start()


class _Bar:
    """A line that changes."""

    def __init__(self, bar: bars.Progress) -> None:
        self.bar = bar
        self._task = bar.add_task("", total=None)

    def __call__(self, what: str, done: int = 0, of: int = 0, /) -> None:
        self.bar.update(self._task, description=what, completed=done, total=of or None)


class _Lines:
    """A log line for each step forward."""

    def __init__(self) -> None:
        self._last: tuple[str, int, int] | None = None

    def __call__(self, what: str, done: int = 0, of: int = 0, /) -> None:
        if (what, done, of) != self._last:
            self._last = (what, done, of)
            log.info(what, **({"done": done, "of": of} if of else {}))
