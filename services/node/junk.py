"""What peers send that is of no use: one line of it for each peer, reason and minute.

Honest nodes are late, too, and a node that has just begun hears of duties of before: that is no junk, nor is
what this node has no time to read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from ..process import logs
from ..process.offload import UnavailableError

PAUSE_SECONDS: Final = 60.0

log = logs.get("node")


class NotNowError(Exception):
    """A message is of a duty that is over, or not one of now yet."""


class Junk:
    """Messages of no use at one place of the node.

    Args:
        write: a method of a log.
        event: what the lines say.
    """

    def __init__(self, write: Callable[..., object], event: str) -> None:
        self._write, self._event = write, event
        self._told: dict[tuple[int, str], tuple[float, int]] = {}  # when, and how many since

    def tell(self, node: int, error: Exception, *, now: float | None = None) -> None:
        """Of a peer by its position; kinds of errors are the reasons, as what they say is up to the peer."""
        now = asyncio.get_running_loop().time() if now is None else now
        reason = node, type(error).__name__
        told, count = self._told.get(reason, (now - PAUSE_SECONDS, 0))
        if now - told < PAUSE_SECONDS:
            self._told[reason] = told, count + 1
            return
        self._told[reason] = now, 0
        write, event = self._write, self._event
        if isinstance(error, NotNowError):
            write, event = log.info, "messages at another time"
        elif isinstance(error, UnavailableError | TimeoutError):
            write, event = log.info, "no time for messages"
        write(event, node=node, why=str(error), times=count + 1)
