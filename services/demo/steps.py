"""Steps of a demo, each with its time, told as they go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class DemoError(Exception):
    """The demo cannot go on; the message says what to do."""


class Steps:
    """What was done so far.

    Attributes:
        seconds: by step, one after the other.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self.seconds: dict[str, float] = {}

    def say(self, text: str) -> None:
        """One line between two steps."""
        self._console.print(text)

    @contextmanager
    def timed(self, name: str, *, spin: bool = True) -> Iterator[None]:
        """One step."""
        begin = perf_counter()
        with self._console.status(name) if spin else nullcontext():
            yield
        self.seconds[name] = perf_counter() - begin
        self._console.print(f"{name}: {self.seconds[name]:.2f} s")

    @contextmanager
    def progress(self, name: str, *, total: int) -> Iterator[Callable[[int], None]]:
        """A bar within a step that does not spin; yields what is told how much is done."""
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        with bar:
            task = bar.add_task(name, total=total)
            yield lambda done: bar.update(task, completed=done)
