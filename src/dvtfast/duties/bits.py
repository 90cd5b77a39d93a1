"""Bits of SSZ, in the bytes that they are written in: bit i is bit i mod 8 of byte i / 8.

A bitlist has one more bit, which says where it ends. Source: consensus-specs, ssz/simple-serialize.md.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dvtfast.errors import InputError

EMPTY_BITLIST = b"\x01"


def bitvector(positions: Iterable[int], bits: int) -> bytes:
    """So many bits, of which those at the positions are set.

    Raises:
        InputError: a position is none of them.
    """
    value = 0
    for position in positions:
        if not 0 <= position < bits:
            raise InputError(f"positions: expected 0..{bits - 1}, got {position}")
        value |= 1 << position
    return value.to_bytes(-(-bits // 8), "little")


def bitlist(positions: Iterable[int], length: int) -> bytes:
    """So many bits, of which those at the positions are set, and where they end.

    Raises:
        InputError: a position is none of them.
    """
    value = int.from_bytes(bitvector(positions, length), "little") | 1 << length
    return value.to_bytes(length // 8 + 1, "little")


def set_positions(bits: bytes) -> list[int]:
    """The positions of the set bits of a bitvector, ascending."""
    places = np.flatnonzero(np.unpackbits(np.frombuffer(bits, dtype=np.uint8), bitorder="little"))
    positions: list[int] = places.tolist()
    return positions


def bitlist_length(bits: bytes) -> int:
    """How many bits a bitlist has."""
    return int.from_bytes(bits, "little").bit_length() - 1
