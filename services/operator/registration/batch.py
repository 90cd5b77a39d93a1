"""How many validators are registered at once, and with how much each.

Source: StakeWise v3-operator, `src/validators/tasks.py` and `src/config/networks.py`.
"""

from __future__ import annotations

from dvtfast.constants import GWEI_PER_VALIDATOR

from ...chain.contracts.manager_messages import COMPOUNDING, ETH1_ADDRESS, items_to_leave_off


def batch_amounts(available_gwei: int, *, validator_type: int, max_balance_gwei: int, most: int) -> list[int]:
    """The amount of each validator of the next batch; none when there is too little for one.

    Args:
        validator_type: `ETH1_ADDRESS`, a full validator each, or `COMPOUNDING`, up to the most each.
        most: validators in one batch.
    """
    if validator_type == ETH1_ADDRESS:
        amounts = [GWEI_PER_VALIDATOR] * min(available_gwei // GWEI_PER_VALIDATOR, most)
    else:
        assert validator_type == COMPOUNDING
        full, rest = divmod(available_gwei, max_balance_gwei)
        amounts = [max_balance_gwei] * min(full, most)
        if len(amounts) < most and rest >= GWEI_PER_VALIDATOR:
            amounts.append(rest)
    return amounts[: len(amounts) - items_to_leave_off(len(amounts), validator_type)]
