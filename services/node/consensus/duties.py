"""Which duties are agreed on, and for how long that matters. Source: charon, core/deadline.go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Protocol

from dvtfast.duties.duty_types import DutyType
from dvtfast.qbft.messages import Duty
from dvtfast.qbft.timing import present_round, round_end

# How long a duty may take, in slots after the start of its own; None: an epoch.
LASTING: Final[dict[DutyType, Fraction | None]] = {
    DutyType.PROPOSER: Fraction(1, 3),
    DutyType.ATTESTER: None,
    DutyType.AGGREGATOR: None,
    DutyType.SYNC_CONTRIBUTION: Fraction(1),
    DutyType.INFO_SYNC: Fraction(1),
}
MARGIN: Final = Fraction(1, 12)  # of a slot, for clocks that differ
EPOCHS_AHEAD: Final = 2  # in which a duty that others speak of already may be


class Slots(Protocol):
    """Slots by this machine's clock, in Unix seconds."""

    @property
    def genesis_time(self) -> float:
        """When slot 0 began."""

    @property
    def seconds_per_slot(self) -> float:
        """Of the network."""

    @property
    def slots_per_epoch(self) -> int:
        """Of the network."""

    @property
    def now(self) -> Callable[[], float]:
        """What the clock shows."""


@dataclass(frozen=True)
class Timetable:
    """When what of a duty is, in Unix seconds."""

    slots: Slots

    def deadline(self, duty: Duty) -> float:
        """When a duty is over."""
        known = LASTING[duty.type]
        lasting = Fraction(self.slots.slots_per_epoch) if known is None else known
        return self._start(duty) + float(lasting + MARGIN) * self.slots.seconds_per_slot

    def round_end(self, duty: Duty, round: int, *, extended: bool) -> float:
        """When a round is."""
        return self._start(duty) + round_end(duty.type, round, self.slots.seconds_per_slot, extended=extended)

    def present_round(self, duty: Duty) -> int:
        """The one that has not ended yet."""
        seconds = self.slots.now() - self._start(duty)
        return present_round(duty.type, seconds, self.slots.seconds_per_slot)

    def seconds_until(self, moment: float) -> float:
        """How long to wait for it; nothing if it is over."""
        return max(0.0, moment - self.slots.now())

    def is_open(self, duty: Duty) -> bool:
        """Whether nodes agree on a duty, and may do so now."""
        if duty.type not in LASTING:
            return False
        slots, now = self.slots, self.slots.now()
        epoch = int((now - slots.genesis_time) // slots.seconds_per_slot) // slots.slots_per_epoch
        return duty.slot // slots.slots_per_epoch <= epoch + EPOCHS_AHEAD and now < self.deadline(duty)

    def _start(self, duty: Duty) -> float:
        return self.slots.genesis_time + duty.slot * self.slots.seconds_per_slot
