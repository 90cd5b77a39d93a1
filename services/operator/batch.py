"""How many validators are registered at once, and with how much each.

Source: StakeWise v3-operator, `src/validators/tasks.py` and `src/config/networks.py`.
"""

from __future__ import annotations

from typing import Final

from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.networks import Network

from ..chain.manager_messages import COMPOUNDING, ETH1_ADDRESS, items_to_leave_off

WEI_PER_GWEI: Final = 10**9
ETHER_GWEI: Final = 10**9
GNOSIS_CHAIN_ID: Final = 100
MGNO_PER_GNO: Final = 32  # the beacon chain counts in these
# Below the protocol's 2,048, so that rewards go on to compound for a while.
MAX_BALANCE_GWEI: Final = 1_945 * ETHER_GWEI
MAX_BALANCE_GNOSIS_GWEI: Final = 1_800 * ETHER_GWEI


def default_max_balance_gwei(network: Network) -> int:
    """How much a compounding validator is given at most."""
    return MAX_BALANCE_GNOSIS_GWEI if network.chain_id == GNOSIS_CHAIN_ID else MAX_BALANCE_GWEI


def stake_gwei(withdrawable_wei: int, network: Network) -> int:
    """What a vault can deposit, in gwei as the beacon chain counts."""
    gwei = withdrawable_wei // WEI_PER_GWEI
    return gwei * MGNO_PER_GNO if network.chain_id == GNOSIS_CHAIN_ID else gwei


def batch_amounts(available_gwei: int, *, validator_type: int, max_balance_gwei: int, most: int) -> list[int]:
    """The amount of each validator of the next batch; none when there is too little for one.

    Args:
        validator_type: `ETH1_ADDRESS`, which has 32 ETH each, or `COMPOUNDING`, which has up to the most.
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
