"""Connections of a server: not too many of one sender, and none whose other end does not read."""

from __future__ import annotations

import asyncio
import resource
import ssl
from asyncio.sslproto import SSLProtocol
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from .addresses import is_loopback, network_of

UNREAD_SECONDS = 60.0  # until who does not read its answer is let go
HANDSHAKE_SECONDS = 15  # of TLS
OF_ONE_ADDRESS = 512
SENDERS = 8  # who have as many as they may, before there are no more for others
RECEIVED_BYTES = 256 * 1024  # at once, as asyncio does
SPARE_FILES = 128  # for the database, clients and logs
MOST = 16_384


class Connections:
    """Wraps the protocols of a server; this machine's connections are not counted for their address.

    A connection too many is closed at once, before anything is read from it. Each counts from the beginning,
    also while TLS shakes hands, and for its address, of IPv6 for the whole network.

    Attributes:
        received: where all connections receive, one after the other. Otherwise asyncio takes a block of its
            own for each piece and cuts it to the piece's size, which leaves the heap full of holes.
    """

    def __init__(self, *, of_one_address: int = OF_ONE_ADDRESS) -> None:
        self._most = min(MOST, max(SPARE_FILES, _most_files() - SPARE_FILES))
        self._of_one_address = min(of_one_address, max(1, self._most // SENDERS))
        self._of: Counter[str] = Counter()
        self._all = 0
        self.received = memoryview(bytearray(RECEIVED_BYTES))

    def wrapping(
        self, factory: Callable[[], asyncio.Protocol], *, tls: ssl.SSLContext | None = None
    ) -> Callable[[], asyncio.BufferedProtocol]:
        """The same factory, of connections that are counted; with `tls`, of what they encrypt."""

        def plain() -> asyncio.BufferedProtocol:
            return _Connection(factory(), self)

        return lambda: _Counted(plain if tls is None else lambda: _encrypted(plain(), tls), self)

    def open(self, address: str) -> bool:
        """Count a connection; False when it is one too many."""
        sender = network_of(address)
        most = self._most if is_loopback(sender) else self._of_one_address
        if self._all >= self._most or self._of[sender] >= most:
            return False
        self._of[sender] += 1
        self._all += 1
        return True

    def close(self, address: str) -> None:
        """A connection that was counted is gone."""
        sender = network_of(address)
        self._of[sender] -= 1
        self._all -= 1
        if not self._of[sender]:
            del self._of[sender]


def _most_files() -> int:
    """How many files may be open, after asking for as many as there is use for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + SPARE_FILES
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return wanted if soft == resource.RLIM_INFINITY else soft
    with suppress(OSError, ValueError):  # some systems allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return soft


def _encrypted(inner: asyncio.BufferedProtocol, tls: ssl.SSLContext) -> asyncio.BufferedProtocol:
    """What asyncio puts in front of a protocol by itself, but before anybody could count."""
    return SSLProtocol(
        asyncio.get_running_loop(),
        inner,
        tls,
        None,  # type: ignore[arg-type] # nobody waits for the handshake
        server_side=True,
        ssl_handshake_timeout=HANDSHAKE_SECONDS,
    )


class _Counted(asyncio.BufferedProtocol):
    """A connection, whose protocol is made unless it is one too many."""

    _inner: asyncio.BufferedProtocol

    def __init__(self, make: Callable[[], asyncio.BufferedProtocol], connections: Connections) -> None:
        self._make = make
        self._connections = connections
        self._address: str | None = None  # while it is counted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        address = str((transport.get_extra_info("peername") or ("",))[0])
        if not self._connections.open(address):
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
            return
        self._address = address
        self._inner = self._make()
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._address is not None:
            self._connections.close(self._address)
            self._inner.connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._inner.get_buffer(sizehint))

    def buffer_updated(self, nbytes: int) -> None:
        self._inner.buffer_updated(nbytes)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


class _Connection(asyncio.BufferedProtocol):
    """Receives where all do, and has a time limit for who does not read."""

    def __init__(self, inner: asyncio.Protocol, connections: Connections) -> None:
        self._inner = inner
        self._received = connections.received
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._inner.connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._received

    def buffer_updated(self, nbytes: int) -> None:
        self._inner.data_received(bytes(self._received[:nbytes]))

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
