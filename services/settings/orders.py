"""What a person wants done with validators, as it is written: the unit of an amount is never left out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dvtfast.networks import Network

from ..chain.units import STAKE_FACTORS, WEI_PER_GWEI
from ..wire import UINT64_LIMIT, PublicKey

GWEI: Final = "gwei"  # as the beacon chain counts
FACTORS: Final = {symbol.lower(): factor for symbol, factor in STAKE_FACTORS.items()}
MOST_DECIMALS: Final = 18

_AMOUNT = re.compile(rf"(\d{{1,20}})(?:\.(\d+))? ?({'|'.join([*FACTORS, GWEI])})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class AmountOrder:
    """A validator and an amount.

    Attributes:
        gwei: as the beacon chain counts; None is everything it has.
        unit: that it was written in; one of `FACTORS` is right on some networks only.
    """

    public_key: PublicKey
    gwei: int | None
    unit: str = GWEI

    @property
    def shown(self) -> str:
        """The key, as messages name it."""
        return self.public_key.to_wire()


@dataclass(frozen=True)
class ConsolidationOrder:
    """A validator and the one that gets its stake."""

    source: PublicKey
    target: PublicKey

    @property
    def is_switch(self) -> bool:
        """It is one and the same: it becomes a compounding validator."""
        return self.source == self.target


def amount(value: str) -> AmountOrder:
    """KEY=AMOUNT, the amount with its unit."""
    key, equals, text = value.partition("=")
    if not equals:
        raise ValueError(f"expected KEY=AMOUNT, such as 0x8f...=1.5eth, got {value!r}")
    return amount_of(public_key(key.strip()), text.strip())


def amount_or_all(value: str) -> AmountOrder:
    """KEY=AMOUNT, or KEY alone for everything."""
    return amount(value) if "=" in value else AmountOrder(public_key(value.strip()), None)


def pair(value: str) -> ConsolidationOrder:
    """SOURCE=TARGET."""
    source, equals, target = value.partition("=")
    if not equals:
        raise ValueError(f"expected SOURCE=TARGET, got {value!r}")
    return ConsolidationOrder(public_key(source.strip()), public_key(target.strip()))


def public_key(text: str) -> PublicKey:
    """A validator's public key."""
    return PublicKey.from_wire(text)


def amount_of(key: PublicKey, text: str) -> AmountOrder:
    """A validator and an amount with its unit."""
    gwei, unit = _gwei(text)
    return AmountOrder(key, gwei, unit)


def fits(amount: AmountOrder, network: Network) -> bool:
    """Whether its unit is one on that network."""
    return amount.unit in (GWEI, network.stake_symbol.lower())


def wrong_unit(amount: AmountOrder, network: Network) -> str:
    """What is wrong with a unit that does not fit."""
    symbol, factor = network.stake_symbol, network.stake_factor
    counted = f"{factor * WEI_PER_GWEI} of them to a {symbol}"
    return f"on {network.name}: expected {symbol.lower()}, or {GWEI} ({counted}), got {amount.unit}"


def exit_or_amount(exits: bool) -> str:
    """What is wrong with an amount where all exits, or with none where nothing does."""
    if exits:
        return "expected the key alone with --exit, which takes everything, got an amount"
    return "expected an amount, as KEY=AMOUNT; --exit takes everything, and ends the validator for good"


def _gwei(text: str) -> tuple[int, str]:
    """The amount in gwei, and the unit it was written in."""
    found = _AMOUNT.fullmatch(text)
    if not found:
        raise ValueError(f"expected an amount with its unit, such as 1.5eth or 1500000000gwei, got {text!r}")
    whole, decimals, unit = found.group(1), found.group(2) or "", found.group(3).lower()
    if unit == GWEI and decimals:
        raise ValueError(f"expected whole gwei, got {text!r}")
    if len(decimals) > MOST_DECIMALS:
        raise ValueError(f"expected at most {MOST_DECIMALS} decimals, got {text!r}")
    of_one = 1 if unit == GWEI else FACTORS[unit] * WEI_PER_GWEI
    number, rest = divmod(int(whole + decimals) * of_one, 10 ** len(decimals))
    if rest:
        raise ValueError(f"expected whole gwei as the beacon chain counts, {of_one} to 1{unit}, got {text!r}")
    if not 0 < number < UINT64_LIMIT:
        raise ValueError(f"expected an amount above 0 and below 2^64 gwei, got {text!r}")
    return number, unit
