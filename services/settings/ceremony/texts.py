"""How texts about clusters are read."""

from __future__ import annotations

import re
from decimal import Decimal

from dvtfast.errors import InputError
from dvtfast.obol import read_enr

GWEI_PER_UNIT = 10**9
DKG_ALGORITHMS = ("default", "frost", "pedersen")
SHOWN = 40  # letters
_AMOUNT = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


def deposit_amount(value: str) -> int:
    """An amount as the beacon chain counts, such as 32 or 1.5, in gwei."""
    if not _AMOUNT.fullmatch(value):
        raise ValueError(f"expected an amount such as 32 or 1.5, got {value[:SHOWN]!r}")
    return int(Decimal(value) * GWEI_PER_UNIT)


def node_record(value: str) -> str:
    """A node record whose signature is right."""
    try:
        read_enr(value)
    except InputError as error:
        raise ValueError(f"{error}: {value[:SHOWN]!r}") from None
    return value


def dkg_algorithm(value: str) -> str:
    """How a cluster makes its keys."""
    if value not in DKG_ALGORITHMS:
        raise ValueError(f"expected one of {', '.join(DKG_ALGORITHMS)}, got {value[:SHOWN]!r}")
    return value
