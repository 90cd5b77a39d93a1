"""What a transaction offers for gas: EIP-1559, between a floor and caps.

What is offered for an action can always be raised once more below the caps, by what cancels it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...chain.execution.transactions import LEAST_PRIORITY_FEE_WEI, Fees
from .action import SignedTransaction

BASE_FEE_FACTOR = 2  # the base fee may double, which takes six full blocks, before a transaction must wait
# A replacement must offer more in both fees; nodes want a tenth, or an eighth.
RAISE_NUMERATOR, RAISE_DENOMINATOR = 9, 8


@dataclass(frozen=True)
class Offer:
    """Fees of one transaction, in wei for each unit of gas."""

    max_fee_wei: int
    priority_fee_wei: int


@dataclass(frozen=True)
class Bounds:
    """Between what fees are offered, in wei for each unit of gas.

    Attributes:
        max_fee_wei: the most in all.
        max_priority_fee_wei: the most of it as a tip.
        min_priority_fee_wei: the least tip that nodes take.
    """

    max_fee_wei: int
    max_priority_fee_wei: int
    min_priority_fee_wei: int = 0

    @property
    def with_room(self) -> Bounds:
        """Those of what must leave room for one replacement."""
        return Bounds(
            _lowered(self.max_fee_wei),
            _lowered(min(self.max_priority_fee_wei, self.max_fee_wei)),
            self.min_priority_fee_wei,
        )

    def tip_wei(self, wanted_wei: int) -> int:
        """A tip like that one, within the bounds."""
        least = max(self.min_priority_fee_wei, LEAST_PRIORITY_FEE_WEI)
        return min(max(wanted_wei, least), self.max_priority_fee_wei)


def first_offer(fees: Fees, bounds: Bounds) -> Offer | None:
    """What to offer now; None when gas costs more than that."""
    most = bounds.with_room
    tip = most.tip_wei(fees.priority_wei)
    if tip < most.min_priority_fee_wei or fees.base_wei + tip > most.max_fee_wei:
        return None
    return Offer(min(BASE_FEE_FACTOR * fees.base_wei + tip, most.max_fee_wei), tip)


def higher_offer(
    fees: Fees, before: Sequence[SignedTransaction], bounds: Bounds, *, cancels: bool
) -> Offer | None:
    """What replaces all that was offered before; None when that would be above a cap.

    Args:
        cancels: nothing needs to replace this one.
    """
    if not cancels:
        bounds = bounds.with_room
    max_fee = max(_raised(each.max_fee_wei) for each in before)
    tip = max(_raised(each.priority_fee_wei) for each in before)
    highest_tip = min(bounds.max_priority_fee_wei, bounds.max_fee_wei)
    if max_fee > bounds.max_fee_wei or tip > highest_tip:
        return None
    tip = max(tip, min(bounds.tip_wei(fees.priority_wei), highest_tip))
    max_fee = max(max_fee, min(BASE_FEE_FACTOR * fees.base_wei + tip, bounds.max_fee_wei))
    return Offer(max(max_fee, tip), tip)


def _raised(fee_wei: int) -> int:
    return -(-fee_wei * RAISE_NUMERATOR // RAISE_DENOMINATOR) + 1


def _lowered(cap_wei: int) -> int:
    """The most that, raised, is not above the cap."""
    return max((cap_wei - 1) * RAISE_DENOMINATOR // RAISE_NUMERATOR, 0)
