"""Rows that are secret: copies that the library makes of them are overwritten, and never seen outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dvtfast._arrays import Bytes, as_rows


@contextmanager
def secret_rows(name: str, value: Any, width: int, *, leading: int = 1) -> Iterator[tuple[Bytes, bool]]:
    """`as_rows` for a block; what was copied for it is overwritten in the end.

    The caller's own memory is the caller's to wipe, and `bytes` cannot be.

    Raises:
        InputError: another type, dtype or shape.
    """
    rows, lone = as_rows(name, value, width, leading=leading)
    try:
        yield rows, lone
    finally:
        if rows.flags.writeable and not (isinstance(value, np.ndarray) and np.may_share_memory(rows, value)):
            rows.fill(0)


@contextmanager
def wiped(*copies: Bytes) -> Iterator[None]:
    """Overwrite these arrays when the block ends."""
    try:
        yield
    finally:
        for copy in copies:
            copy.fill(0)
