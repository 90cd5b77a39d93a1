"""Slots by a clock that is the test's."""

from __future__ import annotations

import asyncio

import pytest

from dvtfast.services.node.slots import SlotClock


class Time:
    """Passes while somebody sleeps."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.jump = 0.0  # at the next sleep

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + self.jump
        self.jump = 0.0


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time(1000.0)
    monkeypatch.setattr(asyncio, "sleep", time.sleep)
    return time


def clock_of(time: Time, genesis_time: float = 0.0) -> SlotClock:
    return SlotClock(genesis_time, 12.0, 32, lambda: time.now)


def test_slots_and_epochs(time: Time) -> None:
    clock = clock_of(time)
    assert clock.slot() == 83
    assert clock.start(83) == 996.0
    assert clock.start(83, 1 / 3) == pytest.approx(1000.0)
    assert (clock.epoch(83), clock.first_slot(2)) == (2, 64)
    time.now = 1008.0
    assert clock.slot() == 84
    assert clock_of(time, 1008.5).slot() == -1


async def slots_of(clock: SlotClock, count: int) -> list[int]:
    found: list[int] = []
    async for slot in clock.slots():
        found.append(slot)
        if len(found) == count:
            break
    return found


async def test_each_slot_once(time: Time) -> None:
    assert await slots_of(clock_of(time), 4) == [83, 84, 85, 86]
    assert time.now == 86 * 12.0


async def test_before_the_genesis(time: Time) -> None:
    assert await slots_of(clock_of(time, 5000.0), 2) == [0, 1]
    assert time.now == 5012.0


async def test_a_clock_that_is_set_forward(time: Time) -> None:
    time.jump = 50.0  # a machine that slept
    assert await slots_of(clock_of(time), 3) == [83, 88, 89]


async def test_a_clock_that_is_set_back_a_little(time: Time) -> None:
    """No slot comes again."""
    time.jump = -20.0
    assert await slots_of(clock_of(time), 3) == [83, 84, 85]
    assert time.now == 85 * 12.0


async def test_a_clock_that_was_ahead(time: Time) -> None:
    """It does not stand still until the moment comes that it showed."""
    found = []
    async for slot in clock_of(time).slots():
        found.append(slot)
        time.jump = {84: 86400.0, 7286: -86400.0}.get(slot, 0.0)
        if len(found) == 6:
            break
    assert found == [83, 84, 7285, 7286, 88, 89]
