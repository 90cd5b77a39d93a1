"""All connections of a host: who may come, how many, and what is spoken with them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING

from dvtfast.secp256k1 import IdentityKey

from ...process import logs
from ..errors import P2PError, TooMuchError, UnreachableError
from ..limits import Account, Accounts, Bucket, Limits
from ..wire import peers
from .connection import Connection

if TYPE_CHECKING:
    from .stream import Stream

Handler = Callable[["Stream"], Awaitable[None]]

RECEIVE_BYTES = (
    64 * 1024
)  # at once, of one connection, so that the frames in it take some milliseconds at most
_MOST_ADDRESSES = 4096  # of strangers, that are remembered
_BURST_SECONDS = 2.0  # of frames, that may come at once

log = logs.get("p2p")


class _Guest:
    """What one peer has here."""

    def __init__(self, limits: Limits, now: float) -> None:
        self.connections: list[Connection] = []  # the newest last
        self.account = Account(limits.peer_bytes)
        self.inbound_streams = 0
        self.bucket = Bucket(limits.frames_per_second, limits.frames_per_second * _BURST_SECONDS, now)


class _Address:
    """What peers of one address have here."""

    def __init__(self, limits: Limits) -> None:
        self.connections = 0
        self.account = Account(limits.address_bytes)


class Swarm:
    """The connections of one identity.

    Attributes:
        handlers: what is spoken here; may change at any time.
        handlers_for: what of it is spoken with a peer.
        is_welcome: says of a proven key whether it may be here.
        received: where the bytes of any connection go first.
    """

    def __init__(
        self,
        identity: IdentityKey,
        *,
        is_welcome: Callable[[bytes], bool],
        limits: Limits,
        handlers_for: Callable[[bytes], Mapping[str, Handler]] | None = None,
        on_opened: Callable[[Connection], None] = lambda _: None,
        on_ended: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        """All is spoken with everybody, unless told. The callbacks hear of connections with welcome peers."""
        self.identity = identity
        self.limits = limits
        self.is_welcome = is_welcome
        self.handlers: dict[str, Handler] = {}
        self.handlers_for = handlers_for or (lambda _: self.handlers)
        self.received = memoryview(bytearray(RECEIVE_BYTES))
        self._on_opened = on_opened
        self._on_ended = on_ended
        self._guests: dict[bytes, _Guest] = {}
        self._addresses: dict[str, _Address] = {}  # of guests
        self._open = 0
        self._all_bytes = Account(limits.all_bytes)
        self._strangers: dict[str, OrderedDict[Connection, None]] = {}  # the oldest first
        self._under_way = 0
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._is_closed = False

    # Connections.

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Let others in at an address; returns it, with the port that it got.

        Raises:
            OSError: it cannot be had.
        """
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self, is_dialed=False), host, port)
        self._servers.append(server)
        name = server.sockets[0].getsockname()
        return name[0], name[1]

    async def dial(self, host: str, port: int, peer: bytes) -> Connection:
        """Connect to a peer at an address.

        Raises:
            UnreachableError: it is not there, or it is not that peer.
        """
        connection = Connection(self, is_dialed=True, expected=peer)
        try:
            async with asyncio.timeout(self.limits.dial_seconds):
                await asyncio.get_running_loop().create_connection(lambda: connection, host, port)
        except TimeoutError:
            raise UnreachableError("no connection in time") from None
        except OSError as error:
            raise UnreachableError(error.strerror or type(error).__name__) from None
        return await self.until_open(connection)

    async def until_open(self, connection: Connection) -> Connection:
        """Wait for the handshake.

        Raises:
            UnreachableError: there will be none.
        """
        try:
            return await asyncio.shield(connection.opened)
        except asyncio.CancelledError:
            connection.close()
            raise
        except (P2PError, TimeoutError) as error:
            raise UnreachableError(str(error)) from None

    def best(self, peer: bytes) -> Connection | None:
        """The connection to use: one that no relay ends, and the newest of these."""
        guest = self._guests.get(peer)
        if guest is None or not guest.connections:
            return None
        return next((c for c in reversed(guest.connections) if not c.is_limited), guest.connections[-1])

    def connections(self, peer: bytes) -> list[Connection]:
        """All with a peer, the newest last."""
        guest = self._guests.get(peer)
        return list(guest.connections) if guest is not None else []

    @property
    def connected(self) -> list[bytes]:
        """Those with whom there is a connection."""
        return [peer for peer, guest in self._guests.items() if guest.connections]

    @property
    def held_bytes(self) -> int:
        """How much of all peers is held."""
        return self._all_bytes.held

    async def close(self) -> None:
        """End all of it."""
        self._is_closed = True
        for server in self._servers:
            server.close()
        for guest in list(self._guests.values()):
            for connection in list(guest.connections):
                connection.close()
        for strangers in list(self._strangers.values()):
            for connection in list(strangers):
                connection.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def run(self, work: Coroutine[None, None, None]) -> None:
        """Do this beside everything else, until its end or that of the swarm."""
        if self._is_closed:
            work.close()
            return
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What connections say.

    def arrived(self, connection: Connection) -> bool:
        """Somebody is there, a stranger yet; whether there is room to hear who it is.

        Those whom relays bring have no address, and count as one.
        """
        if self._is_closed:
            return False
        if connection.is_dialed:
            return True
        address = connection.network
        if not self._may_begin(address, connection.loop.time()):
            return False
        if self._under_way >= self.limits.handshakes:
            crowded = max(self._strangers.values(), key=len)
            next(iter(crowded)).give_way()
        self._strangers.setdefault(address, OrderedDict())[connection] = None
        self._under_way += 1
        return True

    def admit(self, connection: Connection) -> tuple[Accounts, Bucket]:
        """Somebody is a peer that is welcome; returns its accounts, and what it may send.

        Raises:
            TooMuchError: there are too many peers, of its address or in all.
        """
        self._no_stranger(connection)
        if self._open >= self.limits.connections:
            raise TooMuchError("too many connections")
        address = self._addresses.setdefault(connection.network, _Address(self.limits))
        if address.connections >= self.limits.address_connections:
            raise TooMuchError("too many connections of one address")
        guest = self._guests.get(connection.peer)
        if guest is None:
            guest = self._guests[connection.peer] = _Guest(self.limits, connection.loop.time())
        guest.connections.append(connection)
        address.connections += 1
        self._open += 1
        if len(guest.connections) > self.limits.peer_connections:
            guest.connections[0].close()
        log.debug("connected", peer=peers.shown(connection.peer), relayed=connection.is_limited)
        connection.loop.call_soon(self._on_opened, connection)
        return Accounts(guest.account, address.account, self._all_bytes), guest.bucket

    def ended(self, connection: Connection) -> None:
        """A connection is over."""
        self._no_stranger(connection)
        guest = self._guests.get(connection.peer)
        if guest is None or connection not in guest.connections:
            return
        guest.connections.remove(connection)
        self._addresses[connection.network].connections -= 1
        self._open -= 1
        self._forget(connection, guest)
        self._on_ended(connection)

    def retire(self, connection: Connection) -> None:
        """The peer wants no more streams on it: others are used first."""
        guest = self._guests[connection.peer]
        guest.connections.remove(connection)
        guest.connections.insert(0, connection)

    def complain(self, connection: Connection, error: Exception) -> None:
        """A peer broke a rule, or is gone."""
        log.info("connection ended", peer=peers.shown(connection.peer), error=str(error))

    def may_open(self, connection: Connection) -> bool:
        """Count one more stream of a peer, if it may have one."""
        guest = self._guests[connection.peer]
        if guest.inbound_streams >= self.limits.inbound_streams:
            return False
        guest.inbound_streams += 1
        return True

    def stream_ended(self, connection: Connection, *, was_opened_there: bool) -> None:
        """One stream less."""
        if (guest := self._guests.get(connection.peer)) is not None:
            guest.inbound_streams -= was_opened_there
            if connection.is_closed:
                self._forget(connection, guest)

    def serve(self, stream: Stream) -> None:
        """Do what the other side wants; the handler is that of the protocol."""
        handler = stream.connection.protocols.get(stream.protocol)
        if handler is None or self._is_closed:  # taken away since
            stream.reset()
            return
        self.run(self._serve(stream, handler))

    async def _serve(self, stream: Stream, handler: Handler) -> None:
        try:
            await handler(stream)
        except Exception as error:
            # A TimeoutError with a number is the system's, of what the handler works with: a disk, for one.
            if isinstance(error, P2PError) or (isinstance(error, TimeoutError) and error.errno is None):
                log.debug(
                    "stream failed", protocol=stream.protocol, peer=peers.shown(stream.peer), error=str(error)
                )
                stream.reset()
                return
            log.error(
                "a handler failed",
                protocol=stream.protocol,
                peer=peers.shown(stream.peer),
                kind=type(error).__name__,
                error=str(error),
            )
            stream.reset()
        except BaseException:
            stream.reset()
            raise
        else:
            stream.close()

    def _forget(self, connection: Connection, guest: _Guest) -> None:
        """Keep nothing of who is gone."""
        if not guest.connections and not guest.inbound_streams:
            self._guests.pop(connection.peer, None)
        address = self._addresses.get(connection.network)
        if address is not None and not address.connections and not address.account.held:
            del self._addresses[connection.network]

    def _no_stranger(self, connection: Connection) -> None:
        address = connection.network
        strangers = self._strangers.get(address)
        if strangers is not None and connection in strangers:
            del strangers[connection]
            self._under_way -= 1
            if not strangers:
                del self._strangers[address]

    def _may_begin(self, address: str, now: float) -> bool:
        """Whether an address may begin another handshake."""
        bucket = self._buckets.pop(address, None)
        if bucket is None:
            bucket = Bucket(
                self.limits.address_handshakes_per_second, float(self.limits.address_handshakes), now
            )
        self._buckets[address] = bucket
        while len(self._buckets) > _MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        if bucket.would_wait(1.0, now):
            return False
        bucket.take(1.0, now)
        return True
