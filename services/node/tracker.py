"""How each duty went: how far it came for which validators, why it failed, and whose fault it was."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final

from dvtfast.qbft.messages import Duty

from .exchange import Gathered
from .partial_signatures import Fault

MOST_DUTIES: Final = 4096  # that are remembered
MOST_FAULTS: Final = 16  # of one node in one duty, each with all the validators that it is about

Clock = Callable[[], float]


class Step(IntEnum):
    """How far a duty came, in order."""

    EXPECTED = 0
    FETCHED = 1
    AGREED = 2
    SIGNED = 3
    RECOVERED = 4
    SENT = 5


# Why a duty that came so far when its time was over went no further.
WHY_NOT: Final = {
    Step.EXPECTED: "no beacon node said in time what to sign",
    Step.FETCHED: "the nodes did not agree in time",
    Step.AGREED: "it was not signed in time",
    Step.SIGNED: "too few partial signatures came in time",
    Step.RECOVERED: "no beacon node took it in time",
}


@dataclass
class DutyReport:
    """How a duty went so far.

    Attributes:
        steps: how far it came, by the validator's position.
        reasons: why it went no further, by the validator's position.
        moments: when a step was first reached, Unix seconds.
        faults: what nodes did wrong in it.
        doubts: what nodes proposed that does not fit what is known here: one of the two is wrong, or late.
        heard: when partial signatures of a node first came, by its position, Unix seconds.
        round: of the consensus in which it was decided; 0: none.
    """

    steps: dict[int, Step] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    moments: dict[Step, float] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    doubts: list[Fault] = field(default_factory=list)
    heard: dict[int, float] = field(default_factory=dict)
    round: int = 0


class Tracker:
    """What is known of the duties of the last epochs."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._reports: OrderedDict[Duty, DutyReport] = OrderedDict()

    def expect(self, duty: Duty, validators: Iterable[int]) -> None:
        """These validators, positions in the cluster, have this duty."""
        self.reach(duty, Step.EXPECTED, validators)

    def reach(self, duty: Duty, step: Step, validators: Iterable[int]) -> None:
        """The duty came so far for these validators."""
        report = self._report(duty)
        report.moments.setdefault(step, self._now())
        for validator in validators:
            report.steps[validator] = max(step, report.steps.get(validator, step))

    def decide(self, duty: Duty, round: int) -> None:
        """The nodes agreed, in this round."""
        self._report(duty).round = round

    def fail(self, duty: Duty, validators: Iterable[int], why: str) -> None:
        """It goes no further for these validators; the first reason counts."""
        report = self._report(duty)
        for validator in validators:
            report.reasons.setdefault(validator, why)

    def blame(self, gathered: Gathered, fault: Fault) -> None:
        """A node did something wrong in a duty; the same again is one fault, of more validators."""
        _note(self._report(gathered.duty).faults, fault)

    def doubt(self, duty: Duty, fault: Fault) -> None:
        """A node did something in a duty that does not fit what is known here, which may be wrong."""
        _note(self._report(duty).doubts, fault)

    def hear(self, duty: Duty, node: int) -> None:
        """Partial signatures of a node came, this one among them."""
        self._report(duty).heard.setdefault(node, self._now())

    def end(self, duty: Duty) -> None:
        """Its time is over: what has not been sent is not, and why."""
        if (report := self._reports.get(duty)) is not None:
            for validator, step in report.steps.items():
                if step in WHY_NOT:
                    report.reasons.setdefault(validator, WHY_NOT[step])

    def is_done(self, duty: Duty) -> bool:
        """Whether everything of it has been sent."""
        report = self._reports.get(duty)
        return report is not None and all(step is Step.SENT for step in report.steps.values())

    def forget(self, slot: int) -> None:
        """Duties of slots before that one are no more of interest."""
        for duty in [duty for duty in self._reports if duty.slot < slot]:
            del self._reports[duty]

    def reports(self) -> dict[Duty, DutyReport]:
        """All that is remembered, oldest first."""
        return dict(self._reports)

    def _report(self, duty: Duty) -> DutyReport:
        report = self._reports.get(duty)
        if report is None:
            report = self._reports[duty] = DutyReport()
            if len(self._reports) > MOST_DUTIES:
                self._reports.popitem(last=False)
        return report


def _note(faults: list[Fault], fault: Fault) -> None:
    """Add it to what is kept, which is bounded for each node, so that one hides nothing of another."""
    of_node = [place for place, each in enumerate(faults) if each.node == fault.node]
    for place in of_node:
        if faults[place].reason == fault.reason:
            validators = {*faults[place].validators, *fault.validators}
            faults[place] = replace(fault, validators=tuple(sorted(validators)))
            return
    if len(of_node) < MOST_FAULTS:
        faults.append(fault)
