"""Waiting for what others commit: the latest revision known here, and who waits for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress


class RevisionWatch:
    """Knows the latest revision that was committed, by this relayer or another one."""

    def __init__(self) -> None:
        self._revision = 0
        self._changed = asyncio.Event()
        self._callbacks: list[Callable[[], None]] = []

    def call(self, callback: Callable[[], None]) -> None:
        """Call this, on the event loop, when another relayer committed something."""
        self._callbacks.append(callback)

    def note(self, revision: int, *, is_ours: bool) -> None:
        """This revision is committed; called on the event loop, in any order."""
        if revision <= self._revision:
            return
        self._revision = revision
        self._changed.set()
        self._changed = asyncio.Event()
        if not is_ours:
            for callback in self._callbacks:
                callback()

    async def wait(self, revision: int, timeout_seconds: float) -> None:
        """Return as soon as a revision above this one is committed, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self._revision <= revision:
                    await self._changed.wait()
