"""Pauses that grow with each failure, and differ from those of others who failed at the same moment."""

from __future__ import annotations

import random

FIRST_SECONDS = 0.1
MOST_SECONDS = 30.0
FACTOR = 1.6
JITTER = 0.2
_RANDOM = random.SystemRandom()


class Backoff:
    """How long to wait before the next attempt."""

    def __init__(self, most_seconds: float = MOST_SECONDS) -> None:
        self._most = most_seconds
        self._next = FIRST_SECONDS

    def reset(self) -> None:
        """It worked."""
        self._next = FIRST_SECONDS

    def pause(self) -> float:
        """Seconds, after one more failure."""
        pause = self._next
        self._next = min(self._most, pause * FACTOR)
        return pause * _RANDOM.uniform(1 - JITTER, 1 + JITTER)
