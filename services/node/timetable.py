"""Which duties there are now, and for how long each matters. Source: charon, core/deadline.go."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Protocol

from dvtfast.duties.duty_types import DutyType
from dvtfast.qbft.messages import Duty
from dvtfast.qbft.timing import present_round, round_end

# How long a duty may take after the start of its slot. What is in neither, such as exits, is of no slot.
LASTING_SLOTS: Final[dict[DutyType, Fraction]] = {
    DutyType.PROPOSER: Fraction(1, 3),
    DutyType.RANDAO: Fraction(1, 3),
    DutyType.SYNC_MESSAGE: Fraction(1),
    DutyType.SYNC_CONTRIBUTION: Fraction(1),
    DutyType.INFO_SYNC: Fraction(1),
}
LASTING_EPOCHS: Final[dict[DutyType, int]] = {
    DutyType.ATTESTER: 1,
    DutyType.AGGREGATOR: 1,
    DutyType.PREPARE_AGGREGATOR: 2,
    DutyType.PREPARE_SYNC_CONTRIBUTION: 2,
}
AGREED: Final = frozenset(
    {
        DutyType.PROPOSER,
        DutyType.ATTESTER,
        DutyType.AGGREGATOR,
        DutyType.SYNC_CONTRIBUTION,
        DutyType.INFO_SYNC,
    }
)
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
    """When what of a duty is, in Unix seconds.

    Attributes:
        since: when this process began. It agrees on nothing of a slot that began before: there may have been
            another process then, that has told the others for what it is.
    """

    slots: Slots
    since: float = -math.inf

    def deadline(self, duty: Duty) -> float:
        """When a duty is over."""
        epochs = LASTING_EPOCHS.get(duty.type)
        lasting = (
            LASTING_SLOTS[duty.type] if epochs is None else Fraction(epochs * self.slots.slots_per_epoch)
        )
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
        """Whether a duty is one of now: neither over nor too far ahead."""
        if duty.type not in LASTING_SLOTS and duty.type not in LASTING_EPOCHS:
            return False
        slots, now = self.slots, self.slots.now()
        epoch = int((now - slots.genesis_time) // slots.seconds_per_slot) // slots.slots_per_epoch
        return duty.slot // slots.slots_per_epoch <= epoch + EPOCHS_AHEAD and not self.is_over(duty)

    def is_over(self, duty: Duty) -> bool:
        """Whether its deadline has passed."""
        return self.slots.now() >= self.deadline(duty)

    def is_agreed_on(self, duty: Duty) -> bool:
        """Whether nodes agree on a duty, and this one may do so now."""
        return duty.type in AGREED and self._start(duty) >= self.since and self.is_open(duty)

    def _start(self, duty: Duty) -> float:
        return self.slots.genesis_time + duty.slot * self.slots.seconds_per_slot
