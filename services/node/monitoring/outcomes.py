"""What came of a duty: for how many validators it was done, for how many not, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from dvtfast.duties.duty_types import DutyType
from dvtfast.qbft.messages import Duty

from ..flows.timetable import FLOWS
from ..slots import SlotClock
from ..tracker import DutyReport, Step

# What the cluster signs for itself: no beacon node gets it.
INTERNAL: Final = frozenset(
    {DutyType.RANDAO, DutyType.PREPARE_AGGREGATOR, DutyType.PREPARE_SYNC_CONTRIBUTION}
)
UNKNOWN: Final = "it was not done in time"
BEGINS: Final = {flow.type: flow.begins for flow in FLOWS}
NAMES: Final = {type: type.name.lower() for type in DutyType}  # as charon's metrics have them


@dataclass(frozen=True)
class DutyOutcome:
    """What came of a duty so far, in numbers of validators.

    Attributes:
        reasons: why it was missed, and for how many.
        stopped: after which step.
    """

    done: int
    missed: int
    pending: int
    reasons: Counter[str]
    stopped: Counter[Step]

    @property
    def validators(self) -> int:
        """All that have the duty."""
        return self.done + self.missed + self.pending


def begin_of(duty: Duty, slots: SlotClock) -> float:
    """When a duty begins, Unix seconds; what is signed ahead may have been before."""
    return slots.start(duty.slot, float(BEGINS.get(duty.type, 0)))


def last_step(type: DutyType) -> Step:
    """The one with which a duty is done."""
    return Step.RECOVERED if type in INTERNAL else Step.SENT


def outcome_of(duty: Duty, report: DutyReport, *, is_over: bool) -> DutyOutcome:
    """What came of it.

    Args:
        is_over: whether its time is.
    """
    last, done, pending = last_step(duty.type), 0, 0
    reasons, stopped = Counter[str](), Counter[Step]()
    for validator, step in report.steps.items():
        reason = report.reasons.get(validator)
        if step >= last:
            done += 1
        elif reason is not None or is_over:
            reasons[reason or UNKNOWN] += 1
            stopped[step] += 1
        else:
            pending += 1
    return DutyOutcome(done, reasons.total(), pending, reasons, stopped)
