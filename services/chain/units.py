"""Amounts as people know them, on each network: what is staked, what gas costs, and the beacon chain's count.

The beacon chain counts gwei of a unit of its own, `Network.stake_factor` of which are one of what is
staked: on mainnet that is 1 ETH, on gnosis 1/32 of a GNO. Everything that names an amount to a person
walks through here, so that it says how much of what.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dvtfast.networks import NETWORKS, Network

WEI_PER_GWEI: Final = 10**9
WEI_PER_TOKEN: Final = 10**18  # of ETH, GNO and xDAI alike
DECIMALS: Final = 18
SHOWN_DECIMALS: Final = 9  # of what is paid for gas: as exact as it is worth

STAKE_FACTORS: Final = {network.stake_symbol: network.stake_factor for network in NETWORKS.values()}
"""What can be staked, and how many of the beacon chain's units are one of it."""


def stake_gwei(wei: int, network: Network) -> int:
    """What a vault has in wei of what is staked, in gwei as the beacon chain counts."""
    return wei * network.stake_factor // WEI_PER_GWEI


def stake_wei(gwei: int, network: Network) -> int:
    """The other way round."""
    return gwei * WEI_PER_GWEI // network.stake_factor


def stake(gwei: int, network: Network) -> str:
    """An amount that the beacon chain counts in gwei, exactly, such as `1.5 ETH` or `3 GNO`."""
    return stake_of_wei(stake_wei(gwei, network), network)


def stake_of_wei(wei: int, network: Network) -> str:
    """The same of what a vault has in wei."""
    whole, rest = divmod(wei, WEI_PER_TOKEN)
    return f"{whole}.{rest:0{DECIMALS}d}".rstrip("0").removesuffix(".") + f" {network.stake_symbol}"


def stake_on_each(gwei: Iterable[tuple[Network, int]]) -> str:
    """An amount that differs by network, for a help text: `1945 ETH on mainnet and hoodi, ...`."""
    networks: dict[str, list[str]] = {}
    for network, amount in gwei:
        networks.setdefault(stake(amount, network), []).append(network.name)
    return ", ".join(f"{amount} on {' and '.join(names)}" for amount, names in networks.items())


def gas(wei: int, network: Network) -> str:
    """What is paid for gas, or with a request, such as `0.001234567 xDAI`."""
    return f"{wei / WEI_PER_TOKEN:.{SHOWN_DECIMALS}f} {network.gas_symbol}"
