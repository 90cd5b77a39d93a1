"""What answers of beacon nodes are made of: JSON whose integers are decimal strings."""

from __future__ import annotations

from typing import Any

import msgspec

FORK_VERSION_BYTES = 4
UINT64_LIMIT = 1 << 64
UINT64_DIGITS = 20


def decoded(content: bytes, kind: Any) -> Any:
    """An answer as an object of a type; ValueError when it is none."""
    try:
        return msgspec.json.decode(content, type=kind)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def uint64(name: str, value: str) -> int:
    """An integer below 2^64; anything else is a ValueError."""
    is_integer = value.isascii() and value.isdigit() and len(value) <= UINT64_DIGITS
    if not is_integer or int(value) >= UINT64_LIMIT:
        raise ValueError(f"{name}: expected an integer in 0..2^64-1")
    return int(value)
