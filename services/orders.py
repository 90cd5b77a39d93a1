"""What a person wants done with validators, as it is written: the unit of an amount is never left out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .wire import UINT64_LIMIT, PublicKey

GWEI_PER_ETHER: Final = 10**9
DECIMALS: Final = 9  # of ether, down to one gwei
NO_ETHER: Final = "expected gwei of mGNO on Gnosis, as the beacon chain counts, got eth"

_AMOUNT = re.compile(r"(\d{1,20})(?:\.(\d+))? ?(eth|gwei)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Amount:
    """A validator and an amount.

    Attributes:
        gwei: None is everything it has.
        in_ether: it was written so.
    """

    public_key: PublicKey
    gwei: int | None
    in_ether: bool = False

    @property
    def shown(self) -> str:
        """The key, as messages name it."""
        return self.public_key.to_wire()


@dataclass(frozen=True)
class Pair:
    """A validator and the one that gets its stake."""

    source: PublicKey
    target: PublicKey

    @property
    def is_switch(self) -> bool:
        """It is one and the same: it becomes a compounding validator."""
        return self.source == self.target


def amount(value: str) -> Amount:
    """KEY=AMOUNT, the amount with its unit."""
    key, equals, text = value.partition("=")
    if not equals:
        raise ValueError(f"expected KEY=AMOUNT, such as 0x8f...=1.5eth, got {value!r}")
    gwei, in_ether = _gwei(text.strip())
    return Amount(public_key(key.strip()), gwei, in_ether)


def amount_or_all(value: str) -> Amount:
    """KEY=AMOUNT, or KEY alone for everything."""
    return amount(value) if "=" in value else Amount(public_key(value.strip()), None)


def pair(value: str) -> Pair:
    """SOURCE=TARGET."""
    source, equals, target = value.partition("=")
    if not equals:
        raise ValueError(f"expected SOURCE=TARGET, got {value!r}")
    return Pair(public_key(source.strip()), public_key(target.strip()))


def public_key(text: str) -> PublicKey:
    """A validator's public key."""
    return PublicKey.from_wire(text)


def gwei(text: str) -> int:
    """An amount in gwei, without its unit."""
    return _gwei(text + "gwei")[0]


def ether(text: str) -> int:
    """An amount in ether, without its unit, in gwei."""
    return _gwei(text + "eth")[0]


def exit_or_amount(exits: bool) -> str:
    """What is wrong with an amount where all exits, or with none where nothing does."""
    if exits:
        return "expected the key alone with --exit, which takes everything, got an amount"
    return "expected an amount, as KEY=AMOUNT; --exit takes everything, and ends the validator for good"


def _gwei(text: str) -> tuple[int, bool]:
    found = _AMOUNT.fullmatch(text)
    if not found:
        raise ValueError(f"expected an amount with its unit, such as 1.5eth or 1500000000gwei, got {text!r}")
    whole, decimals, unit = found.group(1), found.group(2) or "", found.group(3).lower()
    if unit == "gwei":
        if decimals:
            raise ValueError(f"expected whole gwei, got {text!r}")
        number = int(whole)
    else:
        if len(decimals) > DECIMALS:
            raise ValueError(f"expected at most {DECIMALS} decimals, down to one gwei, got {text!r}")
        number = int(whole) * GWEI_PER_ETHER + int(decimals.ljust(DECIMALS, "0"))
    if not 0 < number < UINT64_LIMIT:
        raise ValueError(f"expected an amount above 0 and below 2^64 gwei, got {text!r}")
    return number, unit == "eth"
