"""How texts about a node are read."""

from __future__ import annotations

import re
from typing import Final

from dvtfast.constants import PUBLIC_KEY_BYTES

from ...chain.encoding import read_data
from .. import parsing
from ..ceremony.texts import endpoint

FORK_VERSION_BYTES: Final = 4
GRAFFITI_BYTES: Final = 32
MOST_NICKNAME: Final = 32  # characters, as charon has it
SHOWN: Final = 60  # letters
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+", re.ASCII)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)", re.ASCII)


def duration(value: str) -> float:
    """A number of seconds, or a time as Go's programs write it: 1m30s, 2s, 500ms."""
    if not _DURATION.fullmatch(value):
        return parsing.seconds(value)
    return parsing.seconds(f"{sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value)):g}")


def peer(value: str) -> tuple[str, str, int]:
    """A node record or a peer id, and where that node listens."""
    name, separator, where = value.rpartition("=")
    if not separator or not name:
        raise ValueError(
            f"expected ENR=HOST:PORT or ID=HOST:PORT, such as 16Uiu2HA...=node2.example:3610,"
            f" got {value[:SHOWN]!r}"
        )
    return (name.strip(), *endpoint(where.strip()))


def graffiti(value: str) -> bytes:
    """What is written into blocks, 32 bytes, filled up with zeros."""
    encoded = value.encode()
    if len(encoded) > GRAFFITI_BYTES or not value.isprintable():
        raise ValueError(f"expected at most {GRAFFITI_BYTES} bytes of text, got {value[:SHOWN]!r}")
    return encoded.ljust(GRAFFITI_BYTES, b"\0")


def nickname(value: str) -> str:
    """What people call a node."""
    if len(value) > MOST_NICKNAME or not value.isprintable():
        raise ValueError(f"expected at most {MOST_NICKNAME} characters, got {value[:SHOWN]!r}")
    return value


def fork_version(value: str) -> bytes:
    """Four bytes in hex."""
    return read_data(value if value.startswith("0x") else f"0x{value}", width=FORK_VERSION_BYTES)


def public_key(value: str) -> bytes:
    """A validator's key in hex."""
    return read_data(value if value.startswith("0x") else f"0x{value}", width=PUBLIC_KEY_BYTES)


def log_format(value: str) -> str:
    """How log lines look; charon's names for the same."""
    return parsing.log_format({"console": "plain", "logfmt": "plain"}.get(value.lower(), value))
