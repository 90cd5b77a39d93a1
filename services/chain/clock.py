"""The clock that the chain's times are compared with. Tests of a chain have the chain's own."""

from __future__ import annotations

import time
from typing import Final

STALE_SLOTS: Final = 8  # without a block, after which a node counts as behind


def now_seconds() -> float:
    """Unix seconds."""
    return time.time()


def age_in_words(age_seconds: int) -> str:
    """How old something of now is said to be, and why it may seem so."""
    if age_seconds < 0:
        return f"{age_seconds} s old: the clock of this machine is behind"
    return f"{age_seconds} s old: the node is behind, or the clock of this machine is ahead"
