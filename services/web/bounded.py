"""Answers of servers that may be hostile: read up to a limit, whatever they claim to be."""

from __future__ import annotations

import asyncio
import zlib

import aiohttp

PIECE_BYTES = 64 * 1024
GZIP = 16 + zlib.MAX_WBITS  # how zlib is told of its header


class AnswerError(Exception):
    """A body that is longer than expected, or encoded as nobody asked for.

    Attributes:
        status: of the answer; 0 where nobody said.
    """

    status = 0


class TooLongAnswerError(AnswerError):
    """It is longer than expected."""


async def read_answer(response: aiohttp.ClientResponse, *, limit_bytes: int) -> bytes:
    """The body of an answer; the session must leave it as it was sent (`auto_decompress=False`).

    Raises:
        AnswerError: it is too long, before or after decompression, or no gzip.
    """
    pieces, length = [], 0
    async for piece in response.content.iter_chunked(PIECE_BYTES):
        length += len(piece)
        if length > limit_bytes:
            raise TooLongAnswerError(f"expected at most {limit_bytes} bytes")
        pieces.append(piece)
    body = b"".join(pieces)
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding in ("", "identity"):
        return body
    if coding != "gzip":
        raise AnswerError("Content-Encoding: expected gzip or none")
    return await asyncio.to_thread(inflated, body, limit_bytes)


def inflated(body: bytes, limit_bytes: int) -> bytes:
    """What is in a gzip file of any number of parts.

    Raises:
        AnswerError: it is too long, or no such file.
    """
    pieces, left = [], limit_bytes
    while body:
        inflating = zlib.decompressobj(GZIP)
        try:
            piece = inflating.decompress(body, left + 1)
        except zlib.error:
            raise AnswerError("the body is no gzip") from None
        left -= len(piece)
        if left < 0:
            raise TooLongAnswerError(f"expected at most {limit_bytes} bytes")
        if not inflating.eof:
            raise AnswerError("the gzip is broken off")
        pieces.append(piece)
        body = inflating.unused_data
    return b"".join(pieces)
