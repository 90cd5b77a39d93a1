"""What beacon nodes take or refuse of what a cluster has signed, and how often they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from dvtfast.duties.duty_types import DutyType
from dvtfast.qbft.messages import Duty
from dvtfast.services.chain.beacon.client import BeaconError
from dvtfast.services.node.flows.agreeing import send
from dvtfast.services.node.tracker import Step, Tracker

DUTY = Duty(5, DutyType.ATTESTER)


class Slots:
    """Time passes at once.

    Attributes:
        slept: seconds.
    """

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Parts:
    def __init__(self) -> None:
        self.slots, self.tracker = Slots(), Tracker(lambda: 0.0)


def refusal(refusals: Mapping[int, str] | None = None, *, refused: bool = True) -> BeaconError:
    error = BeaconError("beacon: HTTP 400", refused=refused)
    error.refusals = refusals or {}
    return error


async def sent(*errors: BeaconError) -> Any:
    """What became of validators 7, 8 and 9, where beacon nodes answer with these errors first."""
    parts: Any = Parts()
    left = list(errors)

    async def give() -> None:
        if left:
            raise left.pop(0)

    await send(parts, DUTY, [7, 8, 9], give)
    report = parts.tracker.reports()[DUTY]
    return (
        [each for each, step in report.steps.items() if step is Step.SENT],
        report.reasons,
        parts.slots.slept,
    )


async def test_what_does_not_reach_a_beacon_node_is_sent_again() -> None:
    away = [refusal(refused=False) for _ in range(11)]
    taken, reasons, slept = await sent(*away)
    assert (taken, reasons) == ([7, 8, 9], {})
    assert slept[:3] == pytest.approx([0.25, 0.4, 0.64])
    assert slept[-1] == 12.0


async def test_what_is_refused_costs_its_validator() -> None:
    taken, reasons, slept = await sent(refusal({1: "invalid signature", 5: "nothing of ours"}))
    assert (taken, reasons, slept) == ([7, 9], {8: "invalid signature"}, [])


async def test_what_is_refused_without_saying_which_is_all_of_it() -> None:
    taken, reasons, _ = await sent(refusal())
    assert (taken, set(reasons)) == ([], {7, 8, 9})


@pytest.mark.parametrize(
    "why", ["PriorAttestationKnown { .. }", "AggregatorAlreadyKnown(7)", "already known"]
)
async def test_another_node_was_first(why: str) -> None:
    taken, reasons, _ = await sent(refusal({0: why, 2: "UnknownHeadBlock"}))
    assert (taken, reasons) == ([7, 8], {9: "UnknownHeadBlock"})
