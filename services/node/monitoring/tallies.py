"""How often duties went how: each is counted once, when its time is over or all of it is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dvtfast.qbft.messages import Duty

from ..deadlines import Deadlines
from ..tracker import DutyReport
from .outcomes import DutyOutcome, outcome_of


class Tallies:
    """Which duties were counted.

    Args:
        deadlines: when duties are over.
    """

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._counted: set[Duty] = set()

    def new(self, reports: Mapping[Duty, DutyReport]) -> Iterator[tuple[Duty, DutyReport, DutyOutcome]]:
        """Those that have come to their end since the last time."""
        self._counted &= reports.keys()
        for duty, report in reports.items():
            if duty in self._counted or not report.steps:
                continue
            outcome = outcome_of(duty, report, is_over=not self._deadlines.is_open(duty))
            if not outcome.pending:
                self._counted.add(duty)
                yield duty, report, outcome
