"""What a transaction offers for gas: EIP-1559, up to a cap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...chain.transactions import Fees
from .action import SignedTransaction

BASE_FEE_FACTOR = 2  # the base fee may double, which takes six full blocks, before a transaction must wait
# A replacement must offer more in both fees; nodes want a tenth, or an eighth.
RAISE_NUMERATOR, RAISE_DENOMINATOR = 9, 8


@dataclass(frozen=True)
class Offer:
    """Fees of one transaction, in wei for each unit of gas."""

    max_fee_wei: int
    priority_fee_wei: int


def first_offer(fees: Fees, *, cap_wei: int) -> Offer | None:
    """What to offer now; None when gas costs more than the cap."""
    if fees.base_wei + fees.priority_wei > cap_wei:
        return None
    most = BASE_FEE_FACTOR * fees.base_wei + fees.priority_wei
    return Offer(min(most, cap_wei), fees.priority_wei)


def higher_offer(fees: Fees, before: Sequence[SignedTransaction], *, cap_wei: int) -> Offer | None:
    """What replaces all that was offered before; None when that would be above the cap."""
    most = max(_raised(each.max_fee_wei) for each in before)
    priority = max(_raised(each.priority_fee_wei) for each in before)
    most = max(most, min(BASE_FEE_FACTOR * fees.base_wei + priority, cap_wei))
    priority = max(priority, fees.priority_wei)
    most = max(most, priority)
    return Offer(most, priority) if most <= cap_wei else None


def _raised(fee_wei: int) -> int:
    return -(-fee_wei * RAISE_NUMERATOR // RAISE_DENOMINATOR) + 1
