"""A stream through a relay as what carries another connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..errors import P2PError
from ..limits import MIB

if TYPE_CHECKING:
    from ..swarm.connection import Connection
    from ..swarm.stream import Stream


class CircuitCarrier:
    """What asyncio's transports are for other connections, as far as a connection asks for it."""

    def __init__(self, stream: Stream, connection: Connection) -> None:
        self._stream = stream
        self._connection = connection
        self._out = bytearray()
        self._more = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._is_closing = False
        self._is_full = False
        self._most = MIB

    async def run(self) -> None:
        """Carry, until either side ends it."""
        connection = self._connection
        connection.connection_made(self)
        sender = asyncio.create_task(self._send())
        receiver = asyncio.create_task(self._receive())
        try:
            await asyncio.wait((sender, receiver), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sender, receiver):
                task.cancel()
            found = await asyncio.gather(sender, receiver, return_exceptions=True)
            error = next((each for each in found if isinstance(each, P2PError)), None)
            connection.connection_lost(error)
            self._stream.close()

    def write(self, data: bytes) -> None:
        """Send it, some time."""
        self._out += data
        self._more.set()
        if len(self._out) > self._most and not self._is_full:
            self._is_full = True
            self._connection.pause_writing()

    def close(self) -> None:
        """End it when all is sent."""
        self._is_closing = True
        self._more.set()

    def abort(self) -> None:
        """End it, also where it waits for the stream."""
        self._out.clear()
        self.close()
        self._stream.reset()

    def pause_reading(self) -> None:
        """Hear nothing for a while."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Hear again."""
        self._may_read.set()

    def set_write_buffer_limits(self, high: int) -> None:
        """Say so when more waits."""
        self._most = high

    def get_extra_info(self, name: str) -> None:
        """A circuit has no addresses."""

    async def _send(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._out:
                out, self._out = self._out, bytearray()
                await self._stream.write(out)
                if self._is_full and len(self._out) <= self._most:
                    self._is_full = False
                    self._connection.resume_writing()
            if self._is_closing:
                return

    async def _receive(self) -> None:
        while data := await self._stream.read():
            self._connection.data_received(data)
            await self._may_read.wait()
