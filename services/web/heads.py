"""Heads of requests: bounded in all, since many that are never finished would fill the memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

HEAD_BYTES = 16 * 1024  # of a request: its first line and all of its headers
MOST_HEADERS = 64
AROUND_HEADER = len(": \r\n")

Fed = tuple[Sequence[Any], bool, bytes]
"""What a parser of aiohttp returns: messages with their bodies, whether it is HTTP no more, what is left."""


class Heads:
    """Stands in front of the parser of a connection and counts what is no body.

    aiohttp bounds each header, and how many there are, which is one MiB together. What it has parsed of a
    head that is not whole yet it keeps, for as long as the connection is open.
    """

    def __init__(self, handler: RequestHandler) -> None:
        self._parser: Any = handler._parser
        handler._parser = self  # type: ignore[assignment] # it has what is called of a parser
        self._body: StreamReader | None = None  # of the last head
        self._unfinished = 0
        self._refused = False

    @property
    def is_unfinished(self) -> bool:
        """Whether a head has begun and is not whole."""
        return self._unfinished > 0

    def feed_data(self, data: bytes) -> Fed:
        """Parse the next piece, at most `HEAD_BYTES`: of what begins in one with the end of another, only
        what follows is counted.

        Raises:
            HttpProcessingError: it is no HTTP, or its head is too long.
        """
        if self._refused:
            return (), False, b""
        was_in_body = self._body is not None and not self._body.is_eof()
        fed: Fed = self._parser.feed_data(data)
        messages = fed[0]
        if messages:
            self._body, self._unfinished = messages[-1][1], 0
        elif not was_in_body:
            self._unfinished += len(data)
        if self._unfinished > HEAD_BYTES or any(_length(message) > HEAD_BYTES for message, _ in messages):
            self._refused = True
            raise BadHttpMessage(f"expected at most {HEAD_BYTES} bytes of headers")
        return fed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)


def _length(message: Any) -> int:
    headers = sum(len(name) + len(value) + AROUND_HEADER for name, value in message.raw_headers)
    return len(message.method) + len(message.path) + headers
