"""What is kept of whose fault something was."""

from __future__ import annotations

from dvtfast.duties.duty_types import DutyType
from dvtfast.qbft.messages import Duty
from dvtfast.services.node.exchange import Gathered
from dvtfast.services.node.partial_signatures import Fault
from dvtfast.services.node.tracker import MOST_FAULTS, Tracker

DUTY = Duty(7, DutyType.ATTESTER)


def test_one_noisy_node_hides_nothing_of_another() -> None:
    tracker = Tracker(lambda: 0.0)
    for number in range(1000):
        tracker.blame(Gathered(DUTY), Fault(1, (0,), f"noise {number}"))
    quiet = Fault(2, (3,), "a wrong partial signature")
    tracker.blame(Gathered(DUTY), quiet)
    faults = tracker.reports()[DUTY].faults
    assert faults[-1] == quiet
    assert len(faults) == MOST_FAULTS + 1


def test_the_same_again_is_one_fault_of_more_validators() -> None:
    tracker = Tracker(lambda: 0.0)
    for validators in ((5, 1), (1,), (), (2, 5)):
        tracker.blame(Gathered(DUTY), Fault(1, validators, "a wrong partial signature"))
        tracker.blame(Gathered(DUTY), Fault(3, (), "a wrong partial signature"))
    assert tracker.reports()[DUTY].faults == [
        Fault(1, (1, 2, 5), "a wrong partial signature"),
        Fault(3, (), "a wrong partial signature"),
    ]


def test_a_doubt_is_no_fault() -> None:
    tracker = Tracker(lambda: 0.0)
    tracker.doubt(DUTY, Fault(1, (), "it may be behind"))
    report = tracker.reports()[DUTY]
    assert (report.faults, report.doubts) == ([], [Fault(1, (), "it may be behind")])
