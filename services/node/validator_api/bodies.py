"""Bodies of requests: as long as their route needs, and bounded together while they are read and decoded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from ...web.http import BODY_LIMIT_BYTES, read_body
from .errors import RequestError

SMALL_BYTES: Final = 64 * 1024  # of each body, which count nowhere: who sends much keeps no vote out
TOGETHER_BYTES: Final = 4 * BODY_LIMIT_BYTES  # of all others


class Bodies:
    """What all requests may have at a time."""

    def __init__(self) -> None:
        self._left = TOGETHER_BYTES

    @asynccontextmanager
    async def of(self, request: web.Request, *, most_bytes: int = BODY_LIMIT_BYTES) -> AsyncIterator[bytes]:
        """The body of a request; it counts until the end of the block.

        Args:
            most_bytes: that it may have, beside what any may.

        Raises:
            RequestError: it is too long, or there is too much of all.
        """
        most, counted = min(BODY_LIMIT_BYTES, SMALL_BYTES + most_bytes), 0

        def count(length: int) -> None:
            nonlocal counted
            if length > most:
                raise RequestError(413, f"body: expected at most {most} bytes")
            more = max(0, length - SMALL_BYTES) - counted
            if more > self._left:
                raise RequestError(503, "there is too much to read, try again")
            counted += more
            self._left -= more

        try:
            yield await read_body(request, count=count)
        finally:
            self._left += counted


BODIES: Final = web.AppKey("bodies", Bodies)
