"""What a relayer saw since it was started: of each operator, and how much was done when."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import time

from ..settings import UNKNOWN_SHARES_LIMIT
from .clusters.served import Group

STEP_SECONDS = 10  # one point of the history
KEPT_SECONDS = 3600


@dataclass
class OperatorActivity:
    """What one share index of a cluster handed in; times are unix seconds, 0 for never."""

    stored: int = 0
    refused: int = 0
    bad: int = 0
    last_share_at: int = 0


@dataclass
class ActivityStep:
    """What was done in one step of the history."""

    begin: int
    shares: int = 0
    ready: int = 0


class Activity:
    """Of a bounded number of operators: share indices that no cluster file names are anybody's invention.

    Args:
        groups: of named clusters; their operators are there from the beginning.
    """

    def __init__(self, groups: Iterable[Group] = ()) -> None:
        self._operators: dict[tuple[str, int], OperatorActivity] = {
            (group.name, index): OperatorActivity() for group in groups for index in group.share_indices
        }
        self._unnamed: dict[str, int] = {}  # operators by group
        self._history: deque[ActivityStep] = deque()

    def operators(self) -> Iterator[tuple[str, int, OperatorActivity]]:
        """Cluster, share index, and what was seen."""
        for (cluster, share_index), operator in list(self._operators.items()):
            yield cluster, share_index, operator

    def operator(self, cluster: str, share_index: int) -> OperatorActivity | None:
        """One of them; None where there are too many that no file names."""
        found = self._operators.get((cluster, share_index))
        if found is None and self._unnamed.get(cluster, 0) < UNKNOWN_SHARES_LIMIT:
            self._unnamed[cluster] = self._unnamed.get(cluster, 0) + 1
            found = self._operators[cluster, share_index] = OperatorActivity()
        return found

    def history(self) -> list[ActivityStep]:
        """The steps of the last hour in which something was done."""
        while self._history and self._history[0].begin < time() - KEPT_SECONDS:
            self._history.popleft()
        return list(self._history)

    def note(self, *, shares: int = 0, ready: int = 0) -> None:
        """Something was done just now."""
        begin = int(time()) // STEP_SECONDS * STEP_SECONDS
        if not self._history or self._history[-1].begin != begin:
            self.history()  # forgets what is old
            self._history.append(ActivityStep(begin))
        self._history[-1].shares += shares
        self._history[-1].ready += ready
