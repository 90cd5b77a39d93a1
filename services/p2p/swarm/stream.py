"""One stream with a peer: read, write, finish; or reset. Used from one task, or one each way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..errors import (
    ConnectionEndedError,
    P2PError,
    StreamResetError,
    TooMuchError,
    UnsupportedProtocolError,
    WireError,
)
from ..layers import multistream, yamux
from ..wire import received

if TYPE_CHECKING:
    from .connection import Connection

READ_BYTES = 64 * 1024
_FLUSH_BYTES = 256 * 1024  # that wait for one write
_BREATH_BYTES = 1024 * 1024  # written before others come in between


class Stream:
    """A stream that was opened here or there.

    What came is held until it is read, and counts as the peer's until then; a message may count until the
    stream is closed, so that whoever works on it does so within the peer's limits.

    Attributes:
        connection: which it belongs to.
        protocol: which is spoken.
        stall_seconds: how long a read or write may wait without progress; None for ever.
    """

    __slots__ = (
        "_accounts",
        "_buffer",
        "_channel",
        "_credited",
        "_dialer",
        "_error",
        "_held",
        "_is_at_end",
        "_listener",
        "_prefix",
        "_reader",
        "_timer",
        "_writer",
        "connection",
        "protocol",
        "stall_seconds",
    )

    def __init__(self, connection: Connection, channel: yamux.Channel, protocol: str | None) -> None:
        """With a protocol, of ours; without one, of the other side, which will say."""
        self.connection = connection
        self.protocol = protocol or ""
        self.stall_seconds: float | None = None
        self._channel = channel
        self._accounts = connection.accounts
        self._buffer = bytearray()
        self._credited = 0  # bytes of the buffer whose place in the window was given back
        self._held = 0  # bytes on the peer's account
        self._is_at_end = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._dialer = multistream.Dialer(protocol) if protocol else None
        self._listener = None if protocol else multistream.Listener(connection.protocols)
        self._prefix = multistream.proposal(protocol) if protocol else b""
        channel.owner = self

    @property
    def peer(self) -> bytes:
        """The other side's key, 33 bytes."""
        return self.connection.peer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.reset()

    # Reading.

    async def read(self, most: int = READ_BYTES) -> bytes:
        """What is there, at most so much, waiting for some; empty at the end.

        Raises:
            P2PError: the stream or its connection is over.
            TimeoutError: nothing came for `stall_seconds`.
        """
        while not self._buffer:
            if self._error is not None:
                raise self._error
            if self._is_at_end:
                return b""
            await self._wait_to_read()
        return self._take(min(most, len(self._buffer)))

    async def read_exactly(self, size: int) -> bytes:
        """So many bytes.

        Raises:
            WireError: the stream ends before.
            P2PError, TimeoutError: as `read`.
        """
        while len(self._buffer) < size:
            await self._wait_for_more()
        return self._take(size)

    async def read_message(self, most: int, *, is_held: bool = False) -> bytes:
        """A message behind its length, a varint.

        Args:
            most: bytes that it may have.
            is_held: whether it stays on the peer's account until the stream is closed.

        Raises:
            TooMuchError: it is longer than `most`; the stream is reset.
            WireError: the stream ends before it is whole.
            P2PError, TimeoutError: as `read`.
        """
        found = None
        while found is None:
            try:
                found = received.number(self._buffer)
            except WireError:
                self.reset()
                raise
            if found is None:
                await self._wait_for_more()
        size, begin = found
        if size > most:
            self.reset()
            raise TooMuchError(f"expected a message of at most {most:,} bytes, got one of {size:,}")
        end = begin + size
        while len(self._buffer) < end:
            await self._wait_for_more()
        with memoryview(self._buffer) as view:
            message = bytes(view[begin:end])
        self._credit(end)
        self._credited -= end
        del self._buffer[:end]
        if not is_held:
            self._held -= end
            self._accounts.give(end)
        return message

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._give_back(size)
        return data

    def _give_back(self, size: int) -> None:
        """These bytes of the buffer are gone: from the window, and from the account."""
        if size > self._credited:
            self.connection.credit(self._channel, size - self._credited)
            self._credited = 0
        else:
            self._credited -= size
        self._held -= size
        self._accounts.give(size)

    def _credit(self, size: int) -> None:
        """So many bytes of the buffer take no place in the window any more; on the account they stay."""
        if size > self._credited:
            self.connection.credit(self._channel, size - self._credited)
            self._credited = size

    async def _wait_for_more(self) -> None:
        if self._error is not None:
            raise self._error
        if self._is_at_end:
            raise WireError("the stream ends too early")
        self._credit(len(self._buffer))
        await self._wait_to_read()

    async def _wait_to_read(self) -> None:
        if self._reader is not None:
            raise RuntimeError("a stream is read by one task")
        self._reader = self.connection.loop.create_future()
        try:
            async with asyncio.timeout(self.stall_seconds):
                await self._reader
        finally:
            self._reader = None

    # Writing.

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send it; returns when all of it is on its way.

        Raises:
            P2PError: the stream or its connection is over.
            TimeoutError: there was no progress for `stall_seconds`.
        """
        if self._prefix:
            data, self._prefix = self._prefix + bytes(data), b""
        connection, channel = self.connection, self._channel
        if channel.finished and self._error is None:
            raise ConnectionEndedError("the stream was finished")
        done, size = 0, len(data)
        view = data if size <= yamux.MOST_PAYLOAD else memoryview(data)
        while True:
            if self._error is not None:
                raise self._error
            if not connection.is_paused:
                sent = connection.send(channel, view[done:] if done else view, flush_from=_FLUSH_BYTES)
                done += sent
                if done >= size:
                    return
                if sent and done % _BREATH_BYTES < sent:
                    await asyncio.sleep(0)
                if sent:
                    continue
            await self._wait_to_write()

    async def _wait_to_write(self) -> None:
        if self._writer is not None:
            raise RuntimeError("a stream is written by one task")
        self._writer = self.connection.loop.create_future()
        try:
            async with asyncio.timeout(self.stall_seconds):
                await self._writer
        finally:
            self._writer = None

    def finish(self) -> None:
        """Nothing more will be written; what was written arrives."""
        self.connection.finish(self._channel)

    def close(self) -> None:
        """Finish, and do not care what still comes."""
        self._end(ConnectionEndedError("the stream was closed"))
        self.connection.close_channel(self._channel)

    def hold(self) -> Callable[[], None]:
        """Keep what was read on the peer's account, whatever the stream does, until the result is called."""
        held, self._held = self._held, 0
        return partial(self._accounts.give, held)

    def reset(self, code: int = yamux.NO_REASON) -> None:
        """Give up."""
        self._end(StreamResetError(code))
        self.connection.reset_channel(self._channel, code)

    # What the connection says.

    def feed(self, data: bytes) -> None:
        """More came."""
        if not self._accounts.take(len(data)):
            self.reset(yamux.TOO_MANY_STREAMS)
            self._error = TooMuchError("the peer has sent more than can be held")
            return
        self._held += len(data)
        self._buffer += data
        if self._dialer is not None or self._listener is not None:
            self._negotiate()
        if self._reader is not None and not self._reader.done() and self._buffer:
            self._reader.set_result(None)

    def end_reading(self) -> None:
        """No more will come."""
        self._is_at_end = True
        if self._dialer is not None or self._listener is not None:
            self.fail(WireError("the stream ends before its protocol is known"))
        elif self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def may_write(self) -> None:
        """There is room again."""
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def fail(self, error: Exception) -> None:
        """The stream is over."""
        if isinstance(error, StreamResetError) and error.code == yamux.PROTOCOL_NOT_SPOKEN:
            error = UnsupportedProtocolError("the protocol is not spoken there")
        self._end(error)
        self.connection.reset_channel(self._channel, yamux.NO_REASON)  # unless the other side has

    def expect_protocol(self, seconds: float) -> None:
        """Give up when the other side does not say in time what it wants."""
        if self._listener is not None and self._error is None:
            slow = TimeoutError("no protocol was named in time")
            self._timer = self.connection.loop.call_later(seconds, self.fail, slow)

    def _negotiate(self) -> None:
        data = bytes(self._buffer)
        side = self._dialer if self._dialer is not None else self._listener
        assert side is not None
        try:
            if isinstance(side, multistream.Dialer):
                side.receive(data)
                is_done = side.accepted
            else:
                answer = side.receive(data)
                if answer:
                    self.connection.send(self._channel, answer, flush_from=_FLUSH_BYTES)
                is_done = side.protocol is not None
        except P2PError as error:
            if self._listener is not None:
                self.reset(yamux.PROTOCOL_NOT_SPOKEN)  # a message behind a protocol that is not spoken here
            self.fail(error)
            return
        rest, side.rest = side.rest if is_done else b"", side.rest if not is_done else b""
        self._buffer.clear()
        self._credited = 0
        self._give_back(len(data) - len(rest))
        if is_done:
            self._buffer += rest
            self._dialer = None
            if isinstance(side, multistream.Listener):
                self._listener = None
                assert side.protocol is not None
                self.protocol = side.protocol
                if self._timer is not None:
                    self._timer.cancel()
                self.connection.serve(self)

    def _end(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        if self._timer is not None:
            self._timer.cancel()
        self._buffer.clear()
        self._accounts.give(self._held)
        self._held = 0
        for waiter in (self._reader, self._writer):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
