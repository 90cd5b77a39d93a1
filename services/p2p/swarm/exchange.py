"""One message each way on a stream of its own, as all of charon's protocols but one have it.

Source: CHARON's framing: a varint length, then the message; a fresh stream for each.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from dvtfast.protobuf import varint

from ..errors import P2PError, TooMuchError
from ..limits import MIB
from .connection import Connection
from .stream import Stream

MOST_MESSAGE_BYTES = 128 * MIB
SEND_SECONDS = 7.0  # charon's, for a whole request
RECEIVE_SECONDS = 5.0  # charon's, until an answer is on its way
MOST_TAKEN = 32  # messages without answers of one peer and protocol that are worked on at once
MOST_READ = 320  # messages of one peer and protocol at once; an honest one has not so many streams

Function = Callable[[bytes, bytes], Awaitable[bytes | None]]


@dataclass(frozen=True)
class Terms:
    """How much and how long an exchange may take.

    Attributes:
        most_bytes: of a message that is received.
        seconds: for all of it, but the work on what is not answered; None for ever.
        stall_seconds: without progress of either side; None for ever.
        is_answered: whether messages that are taken have answers.
    """

    most_bytes: int = MOST_MESSAGE_BYTES
    seconds: float | None = SEND_SECONDS
    stall_seconds: float | None = None
    is_answered: bool = True


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


async def send(connection: Connection, protocol: str, message: bytes, terms: Terms) -> Stream:
    """Send, and return when all of it is on its way; `until_taken` is to follow.

    Raises:
        P2PError: it cannot be sent.
        TimeoutError: nothing moved for too long.
    """
    stream = connection.open_stream(protocol)
    stream.stall_seconds = terms.stall_seconds
    try:
        await stream.write(framed(message))
    except BaseException:
        stream.reset()
        raise
    stream.finish()
    return stream


async def until_taken(stream: Stream) -> None:
    """Wait until the other end has done with what was sent, as far as it says so: until then it counts there.

    That it is not taken is nothing that could be told from what is taken and dropped.
    """
    try:
        async with asyncio.timeout(RECEIVE_SECONDS):
            while await stream.read():
                pass
    except (P2PError, TimeoutError):
        pass
    finally:
        stream.close()


def answering(function: Function, terms: Terms) -> Callable[[Stream], Awaitable[None]]:
    """A handler of streams that hands each message to `function(peer, message)` and sends what it returns.

    Nothing is sent for None; empty bytes are a message.
    """
    read = Counter[bytes]()

    async def handle(stream: Stream) -> None:
        async with asyncio.timeout(terms.seconds), _message(stream, terms, read) as message:
            answer = await function(stream.peer, message)
            if answer is not None:
                await stream.write(framed(answer))

    return handle


def taking(function: Function, terms: Terms) -> Callable[[Stream], Awaitable[None]]:
    """A handler of streams that hands each message to `function(peer, message)`, and answers none.

    A stream ends when its message is worked on, however long that takes, so that a peer may send the next
    one; and what is read is never dropped for lack of time. Where too many of a peer are worked on, its next
    streams stay open, and it waits.
    """
    places: dict[bytes, asyncio.Semaphore] = {}  # of peers, who are known
    read = Counter[bytes]()

    async def handle(stream: Stream) -> None:
        place = places.setdefault(stream.peer, asyncio.Semaphore(MOST_TAKEN))
        async with _message(stream, terms, read) as message, place:
            stream.close()
            await function(stream.peer, message)

    return handle


@asynccontextmanager
async def _message(stream: Stream, terms: Terms, read: Counter[bytes]) -> AsyncIterator[bytes]:
    """What a peer sent. Until the end of the block it counts as the peer's, whatever becomes of its stream.

    Raises:
        P2PError: it is none, or the peer has too many at once.
        TimeoutError: it is not there in time.
    """
    stream.stall_seconds = terms.stall_seconds
    async with asyncio.timeout(terms.seconds):
        message = await stream.read_message(terms.most_bytes, is_held=True)
    if read[stream.peer] >= MOST_READ:
        raise TooMuchError("more messages at once than an honest peer has streams for")
    read[stream.peer] += 1
    give_back = stream.hold()
    try:
        yield message
    finally:
        give_back()
        read[stream.peer] -= 1
