"""Connections of a server: not too many of one address, and none whose other end does not read."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Callable

from .addresses import is_loopback

UNREAD_SECONDS = 60.0  # until who does not read its answer is let go
OF_ONE_ADDRESS = 512
RECEIVED_BYTES = 256 * 1024  # at once, as asyncio does
SPARE_FILES = 128  # for the database, clients and logs
MOST = 16_384


class Connections:
    """Wraps the protocols of a server; this machine's connections are not counted for their address.

    A connection too many is closed at once, before anything is read from it.

    Attributes:
        received: where all connections receive, one after the other. Otherwise asyncio takes a block of its
            own for each piece and cuts it to the piece's size, which leaves the heap full of holes.
    """

    def __init__(self, *, of_one_address: int = OF_ONE_ADDRESS) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        files = MOST if soft == resource.RLIM_INFINITY else soft
        self._most = min(MOST, max(SPARE_FILES, files - SPARE_FILES))
        self._of_one_address = of_one_address
        self._of: Counter[str] = Counter()
        self._all = 0
        self.received = memoryview(bytearray(RECEIVED_BYTES))

    def wrapping(self, factory: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.BufferedProtocol]:
        """The same factory, of connections that are counted."""
        return lambda: _Connection(factory(), self)

    def open(self, address: str) -> bool:
        """Count a connection; False when it is one too many."""
        most = self._most if is_loopback(address) else self._of_one_address
        if self._all >= self._most or self._of[address] >= most:
            return False
        self._of[address] += 1
        self._all += 1
        return True

    def close(self, address: str) -> None:
        """A connection that was counted is gone."""
        self._of[address] -= 1
        self._all -= 1
        if not self._of[address]:
            del self._of[address]


class _Connection(asyncio.BufferedProtocol):
    def __init__(self, inner: asyncio.Protocol, connections: Connections) -> None:
        self._inner = inner
        self._connections = connections
        self._address: str | None = None  # while it is counted
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        address = str((transport.get_extra_info("peername") or ("",))[0])
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._connections.open(address):
            transport.abort()
            return
        self._address = address
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._address is None:
            return
        self._connections.close(self._address)
        self._stop_timer()
        self._inner.connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._connections.received

    def buffer_updated(self, nbytes: int) -> None:
        if self._address is not None:
            self._inner.data_received(bytes(self._connections.received[:nbytes]))

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()
        self._unread = asyncio.get_running_loop().call_later(UNREAD_SECONDS, self._transport.abort)

    def resume_writing(self) -> None:
        self._stop_timer()
        self._inner.resume_writing()

    def _stop_timer(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
