"""The clock that the chain's times are compared with. Tests of a chain have the chain's own."""

from __future__ import annotations

import time


def now_seconds() -> float:
    """Unix seconds."""
    return time.time()
