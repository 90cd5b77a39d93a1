"""Connections of a server: not too many of one sender, and none whose other end does not read or send."""

from __future__ import annotations

import asyncio
import resource
import ssl
from asyncio.sslproto import SSLProtocol
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from aiohttp.web_protocol import RequestHandler

from .addresses import is_loopback, network_of
from .heads import HEAD_BYTES, Heads

UNREAD_SECONDS = 60.0  # until who does not read its answer is let go
HANDSHAKE_SECONDS = 15  # of TLS
HEAD_SECONDS = (
    15.0  # for the head of a request, from its first byte on; of the first one, from the connection on
)
OF_ONE_ADDRESS = 512
NEW_OF_ONE_ADDRESS = 64  # of which no request was let in yet
MOST_NEW = 1024
SHARE_OF_NEW = 4  # of all connections, one in so many may be new
SENDERS = 8  # who have as many as they may, before there are no more for others
RECEIVED_BYTES = 256 * 1024  # at once, as asyncio does
SPARE_FILES = 128  # for the database, clients and logs
MOST = 16_384


class Connections:
    """Wraps the protocols of a server; this machine's connections are not counted for their address.

    A connection too many is closed at once, before anything is read from it. Each counts from the beginning,
    also while TLS shakes hands, and for its address, of IPv6 for the whole network. It is new until a request
    on it was let in: of those there are fewer, and when there are too many, the oldest goes, so that whoever
    holds many keeps nobody out who comes to send a request.

    Attributes:
        received: where all connections receive, one after the other. Otherwise asyncio takes a block of its
            own for each piece and cuts it to the piece's size, which leaves the heap full of holes.
    """

    def __init__(self, *, of_one_address: int = OF_ONE_ADDRESS) -> None:
        self._most = min(MOST, max(SPARE_FILES, _most_files() - SPARE_FILES))
        self._of_one_address = min(of_one_address, max(1, self._most // SENDERS))
        self._most_new = min(MOST_NEW, max(1, self._most // SHARE_OF_NEW))
        self._of: Counter[str] = Counter()
        self._all = 0
        self._new: dict[_Counted, str] = {}  # with its sender; the oldest first
        self._new_of: Counter[str] = Counter()
        self._by_handler: dict[object, _Counted] = {}
        self.received = memoryview(bytearray(RECEIVED_BYTES))

    def wrapping(
        self, factory: Callable[[], asyncio.Protocol], *, tls: ssl.SSLContext | None = None
    ) -> Callable[[], asyncio.BufferedProtocol]:
        """The same factory, of connections that are counted; with `tls`, of what they encrypt."""

        def connection() -> asyncio.BufferedProtocol:
            def plain() -> asyncio.BufferedProtocol:
                handler = factory()
                self._by_handler[handler] = counted
                counted.handler = handler
                return _Connection(handler, self)

            counted = _Counted(plain if tls is None else lambda: _encrypted(plain(), tls), self)
            return counted

        return connection

    def open(self, address: str) -> bool:
        """Count a connection; False when it is one too many."""
        sender = network_of(address)
        most = self._most if is_loopback(sender) else self._of_one_address
        if self._all >= self._most or self._of[sender] >= most:
            return False
        self._of[sender] += 1
        self._all += 1
        return True

    def begin(self, connection: _Counted, address: str) -> bool:
        """Note that a connection, which is counted, is new; False when it is one too many of its address."""
        sender = network_of(address)
        if not is_loopback(sender) and self._new_of[sender] >= NEW_OF_ONE_ADDRESS:
            return False
        if len(self._new) >= self._most_new:
            oldest = next(iter(self._new))
            self._no_longer_new(oldest)
            oldest.let_go()
        self._new[connection] = sender
        self._new_of[sender] += 1
        return True

    def let_in(self, handler: object) -> None:
        """A request was let in on the connection that has this protocol."""
        if (connection := self._by_handler.get(handler)) is not None:
            self._no_longer_new(connection)

    def end(self, connection: _Counted) -> None:
        """A connection is gone."""
        self._no_longer_new(connection)
        self._by_handler.pop(connection.handler, None)

    def _no_longer_new(self, connection: _Counted) -> None:
        sender = self._new.pop(connection, None)
        if sender is not None:
            self._new_of[sender] -= 1
            if not self._new_of[sender]:
                del self._new_of[sender]

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
    """A connection, whose protocol is made unless it is one too many.

    Attributes:
        handler: what its requests are handled by; None until it is made.
    """

    _inner: asyncio.BufferedProtocol
    _transport: asyncio.Transport

    def __init__(self, make: Callable[[], asyncio.BufferedProtocol], connections: Connections) -> None:
        self._make = make
        self._connections = connections
        self._address: str | None = None  # while it is counted
        self.handler: object = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        address = str((transport.get_extra_info("peername") or ("",))[0])
        if not self._connections.open(address):
            transport.abort()
            return
        if not self._connections.begin(self, address):
            self._connections.close(address)
            transport.abort()
            return
        self._address = address
        self._inner = self._make()
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._address is not None:
            self._connections.close(self._address)
            self._connections.end(self)
            self._inner.connection_lost(exc)

    def let_go(self) -> None:
        """Close it, for others."""
        self._transport.abort()

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
    """Receives where all do, and has time limits: for who does not read, and for heads of requests."""

    def __init__(self, inner: asyncio.Protocol, connections: Connections) -> None:
        self._inner = inner
        self._received = connections.received
        self._heads = Heads(inner) if isinstance(inner, RequestHandler) else None
        self._unread: asyncio.TimerHandle | None = None
        self._head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._inner.connection_made(transport)
        self._head = asyncio.get_running_loop().call_later(HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_unread_timer()
        self._stop_head_timer()
        self._inner.connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._received

    def buffer_updated(self, nbytes: int) -> None:
        for begin in range(0, nbytes, HEAD_BYTES):
            self._inner.data_received(bytes(self._received[begin : min(nbytes, begin + HEAD_BYTES)]))
        if self._heads is None or not self._heads.is_unfinished:
            self._stop_head_timer()
        elif self._head is None:
            self._head = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._transport.close)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()
        self._unread = asyncio.get_running_loop().call_later(UNREAD_SECONDS, self._transport.abort)

    def resume_writing(self) -> None:
        self._stop_unread_timer()
        self._inner.resume_writing()

    def _stop_unread_timer(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _stop_head_timer(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None
