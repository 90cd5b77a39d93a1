"""Which duties there are now, and for how long each matters. Source: charon, core/deadline.go."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
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
EPOCHS_KNOWN: Final = 2  # this and the next one, of which beacon nodes tell duties


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
class Deadlines:
    """When what of a duty is, in Unix seconds.

    Args:
        began: when this process did, by the clock of then; None: nothing was done before it.
        monotonic: a clock that nobody sets, in seconds.
    """

    slots: Slots
    began: float | None = None
    monotonic: Callable[[], float] = time.monotonic
    _began_at: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_began_at", self.monotonic())

    @property
    def since(self) -> float:
        """When the first slot begins, at the earliest, that this process agrees on; Unix seconds.

        It is when the process began: there may have been another one before, that has told the others for
        what it is. Where the clock was ahead then and is not any more, that other one may have been as much
        ahead, but not further than beacon nodes tell duties: to the end of the next epoch. Where the clock
        was behind, it is when the process truly began.
        """
        if self.began is None:
            return -math.inf
        slots = self.slots
        truly_began = slots.now() - (self.monotonic() - self._began_at)
        epoch_seconds = slots.slots_per_epoch * slots.seconds_per_slot
        epoch = (truly_began - slots.genesis_time) // epoch_seconds
        latest = slots.genesis_time + (epoch + EPOCHS_KNOWN) * epoch_seconds
        return max(truly_began, min(self.began, latest))

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
