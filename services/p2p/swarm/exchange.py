"""One message each way on a stream of its own, as all of charon's protocols but one have it.

Source: CHARON's framing: a varint length, then the message; a fresh stream for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dvtfast.protobuf import varint

from ..limits import MIB
from .connection import Connection
from .stream import Stream

MOST_MESSAGE_BYTES = 128 * MIB
SEND_SECONDS = 7.0  # charon's, for a whole request
RECEIVE_SECONDS = 5.0  # charon's, until an answer is on its way

Function = Callable[[bytes, bytes], Awaitable[bytes | None]]


@dataclass(frozen=True)
class Terms:
    """How much and how long an exchange may take.

    Attributes:
        most_bytes: of a message that is received.
        seconds: for all of it; None for ever.
        stall_seconds: without progress of either side; None for ever.
    """

    most_bytes: int = MOST_MESSAGE_BYTES
    seconds: float | None = SEND_SECONDS
    stall_seconds: float | None = None


def framed(message: bytes) -> bytes:
    """A message behind its length."""
    return varint(len(message)) + message


async def request(connection: Connection, protocol: str, message: bytes, terms: Terms) -> bytes:
    """Ask, and return the answer; time in all is the caller's.

    Raises:
        P2PError: there is none.
        TimeoutError: nothing moved for too long.
    """
    async with connection.open_stream(protocol) as stream:
        stream.stall_seconds = terms.stall_seconds
        await stream.write(framed(message))
        stream.finish()
        return await stream.read_message(terms.most_bytes)


async def send(connection: Connection, protocol: str, message: bytes, terms: Terms) -> None:
    """Send, and return when all of it is on its way; nobody says whether it arrives.

    Raises:
        P2PError: it cannot be sent.
        TimeoutError: nothing moved for too long.
    """
    async with connection.open_stream(protocol) as stream:
        stream.stall_seconds = terms.stall_seconds
        await stream.write(framed(message))


def answering(function: Function, terms: Terms) -> Callable[[Stream], Awaitable[None]]:
    """A handler of streams that hands each message to `function(peer, message)` and sends what it returns.

    Nothing is sent for None; empty bytes are a message.
    """

    async def handle(stream: Stream) -> None:
        async with asyncio.timeout(terms.seconds):
            stream.stall_seconds = terms.stall_seconds
            message = await stream.read_message(terms.most_bytes, is_held=True)
            answer = await function(stream.peer, message)
            if answer is not None:
                await stream.write(framed(answer))

    return handle
