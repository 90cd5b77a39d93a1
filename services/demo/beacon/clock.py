"""The time of the chain: the machine's, or what a test says it is."""

from __future__ import annotations

import time


class Clock:
    """Milliseconds since 1970.

    Args:
        genesis_time: Unix seconds of slot 0.
        by_hand: time stands still until `go_to`.
    """

    def __init__(self, genesis_time: int, seconds_per_slot: int, *, by_hand: bool = False) -> None:
        self.genesis_time = genesis_time
        self.seconds_per_slot = seconds_per_slot
        self._milliseconds = genesis_time * 1000 if by_hand else None

    @property
    def by_hand(self) -> bool:
        """Whether it goes on only when it is told to."""
        return self._milliseconds is not None

    def now(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000 if self._milliseconds is None else self._milliseconds

    def slot(self) -> int:
        """The slot of now; negative before genesis."""
        return (self.now() - self.genesis_time * 1000) // (self.seconds_per_slot * 1000)

    def go_to(self, slot: int, milliseconds: int = 0) -> None:
        """Go on to that slot, so far into it.

        Raises:
            ValueError: it is over, is not that long, or the clock goes by itself.
        """
        if self._milliseconds is None:
            raise ValueError("expected a clock that goes by hand")
        if milliseconds >= self.seconds_per_slot * 1000:
            raise ValueError(f"milliseconds: expected fewer than those of a slot, got {milliseconds}")
        then = (self.genesis_time + slot * self.seconds_per_slot) * 1000 + milliseconds
        if then < self._milliseconds:
            raise ValueError(f"slot: expected one from {self.slot()} on, and no time that is over")
        self._milliseconds = then
