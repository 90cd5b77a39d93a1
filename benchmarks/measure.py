"""Times several ways to do the same, in turn, so that a busy machine is busy for all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

ROUNDS = 7
# A way is repeated within a round until it has run so long, in seconds.
LONG_ENOUGH = 0.05

Clock = Callable[[], float]


@dataclass
class Way:
    """One way to do some items of a row.

    Attributes:
        run: does all items once.
        items: how many validators, signatures, ... these are.
        clock: CPU time of this process, unless the work is done elsewhere or in several threads.
        rounds: fewer for what is slow.
    """

    run: Callable[[], object]
    items: int
    clock: Clock = time.process_time
    rounds: int = ROUNDS
    seconds: list[float] = field(default_factory=list)
    repeats: int = 0

    def time(self) -> None:
        """One round."""
        if not self.repeats:
            first = self.once(1)
            self.repeats = max(1, round(LONG_ENOUGH / max(first, 1e-6)))
            if self.repeats == 1:
                self.seconds.append(first)
                return
        if len(self.seconds) < self.rounds:
            self.seconds.append(self.once(self.repeats))

    def once(self, repeats: int) -> float:
        """Seconds of a single run, from so many."""
        begin = self.clock()
        for _ in range(repeats):
            self.run()
        return (self.clock() - begin) / repeats

    @property
    def microseconds(self) -> float:
        """Median of the rounds, for one item."""
        return statistics.median(self.seconds) / self.items * 1e6

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median of the rounds."""
        return (max(self.seconds) - min(self.seconds)) / statistics.median(self.seconds)


def alternate(ways: Mapping[Any, Way], rounds: int = ROUNDS) -> None:
    """Time all ways, one round of each after the other; at most so many."""
    for _ in range(rounds):
        for way in ways.values():
            way.time()


def ratio(name: str, value: float, bound: float) -> None:
    """Print a line of a table of ratios."""
    print(f"RATIO {name} {value:.3f} {bound:.2f} {'ok' if value <= bound else 'MISS'}", flush=True)
