"""How texts about clusters are read."""

from __future__ import annotations

import re
from decimal import Decimal

from dvtfast.errors import InputError
from dvtfast.obol import read_enr

GWEI_PER_UNIT = 10**9
DKG_ALGORITHMS = ("default", "frost", "pedersen")
PROTOCOLS = ("auto", "native", "frost")
SHOWN = 40  # letters
MOST_PORT = 65_535
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


def protocol(value: str) -> str:
    """How a ceremony makes keys."""
    if value not in PROTOCOLS:
        raise ValueError(f"expected one of {', '.join(PROTOCOLS)}, got {value[:SHOWN]!r}")
    return value


def endpoint(value: str) -> tuple[str, int]:
    """An address and a port, such as 0.0.0.0:3610 or [::]:3610."""
    host, separator, port = value.rpartition(":")
    if not separator or not host or not (port.isascii() and port.isdigit()) or int(port) > MOST_PORT:
        raise ValueError(f"expected HOST:PORT, got {value[:SHOWN]!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def peer_address(value: str) -> tuple[int, str, int]:
    """Where the node at a position listens."""
    position, separator, rest = value.partition("=")
    if not separator or not (position.isascii() and position.isdigit()):
        raise ValueError(f"expected POSITION=HOST:PORT, got {value[:SHOWN]!r}")
    return (int(position), *endpoint(rest))
