"""Fields of charon's JSON: what is empty or null in it, and columns of many objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dvtfast._arrays import Bytes, Uint64s
from dvtfast._files import Field, rows, to_hex


def data_or_none(parent: Field, name: str, width: int) -> bytes:
    """What a lock has that is whole; nothing in one that was made without, or put together by hand."""
    field = parent.get(name)
    return field.data(width, empty=True) if field else b""


def items_or_null(parent: Field, name: str, *, most: int) -> list[Field]:
    """The items of a list; Go writes an empty one as null."""
    field = parent.get(name)
    return field.items(most=most) if field else []


def column(objects: Sequence[Field], name: str, width: int, *, empty: bool = False) -> Bytes:
    """One field of n objects, uint8[n, width]; `empty` reads none as zeros."""
    return rows((item[name] for item in objects), width, empty=empty)


def integers(objects: Sequence[Field], name: str) -> Uint64s:
    """One field of n objects, uint64[n]."""
    return np.array([item[name].integer() for item in objects], dtype=np.uint64)


def hex_or_none(data: bytes | Bytes) -> str:
    """Hex with 0x; an empty text for none, which is how zeros are read."""
    return to_hex(data) if any(data) else ""
