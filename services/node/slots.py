"""Slots and epochs by this machine's clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class SlotClock:
    """When slots are.

    Attributes:
        genesis_time: when slot 0 began, Unix seconds.
        seconds_per_slot, slots_per_epoch: of the network.
        now: this machine's clock, Unix seconds.
    """

    genesis_time: float
    seconds_per_slot: float
    slots_per_epoch: int
    now: Callable[[], float] = time.time

    def slot(self) -> int:
        """The slot of now; negative before the genesis."""
        return int((self.now() - self.genesis_time) // self.seconds_per_slot)

    def epoch(self, slot: int) -> int:
        """Which epoch a slot belongs to."""
        return slot // self.slots_per_epoch

    def first_slot(self, epoch: int) -> int:
        """Of an epoch."""
        return epoch * self.slots_per_epoch

    def is_last(self, slot: int) -> bool:
        """Whether an epoch ends with it."""
        return (slot + 1) % self.slots_per_epoch == 0

    def start(self, slot: int, part: float = 0.0) -> float:
        """When a slot begins, or so large a part of it is over; Unix seconds."""
        return self.genesis_time + (slot + part) * self.seconds_per_slot

    async def sleep(self, seconds: float) -> None:
        """Wait so long by the clock."""
        await self.wait_until(self.now() + seconds)

    async def wait_until(self, moment: float) -> None:
        """Sleep until the clock shows that moment; it may be set in between."""
        while self.now() < moment:
            await self.pause(moment)

    async def pause(self, moment: float) -> None:
        """Sleep until then, but for no longer than a slot: nobody tells of a clock that is set."""
        await asyncio.sleep(min(moment - self.now(), self.seconds_per_slot))

    async def slots(self) -> AsyncIterator[int]:
        """Each slot from now on as it begins, none when it is over.

        Each comes once, unless the clock is set back by more than a slot: it was wrong before, and what it
        shows now is what counts.
        """
        last = self.slot() if self.now() >= self.genesis_time else -1
        if last >= 0:
            yield last
        while True:
            while self.now() < self.start(last + 1):
                await self.pause(self.start(last + 1))
                if self.slot() < last - 1:
                    last = max(self.slot(), -1)
            last = max(last + 1, self.slot())
            yield last
