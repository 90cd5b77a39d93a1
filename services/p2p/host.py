"""What lies above libp2p sees of it: peers by their keys, messages, and streams.

async with Host.open(key, peers=keys, listen=[("0.0.0.0", 3610)], relays=[url]) as host:
    host.handle("/example/1.0.0", answer)
    await host.request(peer, "/example/1.0.0", b"question")
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Self, TypeVar

from dvtfast.secp256k1 import IdentityKey

from .circuit import client
from .circuit.reservations import Relay
from .errors import ConnectionEndedError, P2PError, StreamResetError, UnreachableError
from .limits import Limits
from .peering import Endpoint, Peer
from .swarm import exchange, identify
from .swarm.connection import Connection
from .swarm.exchange import RECEIVE_SECONDS, Function, Terms
from .swarm.stream import Stream
from .swarm.swarm import Handler, Swarm
from .wire import messages
from .wire.addresses import Multiaddr
from .wire.peers import check_key, shown

AGENT = "dvtfast"
RETRY_SECONDS = 0.1  # after which a stream that was cut off is tried once more, as charon does

T = TypeVar("T")


@dataclass(frozen=True)
class PeerState:
    """How it stands with a peer.

    Attributes:
        key: 33 bytes.
        is_connected: whether there is a connection.
        is_relayed: whether it goes through a relay.
        agent: what it says that it is; any text without control characters, empty while that is not known.
        problem: why there is no connection, for people.
    """

    key: bytes
    is_connected: bool
    is_relayed: bool
    agent: str
    problem: str


class Host:
    """A host of libp2p among known peers; everybody else is turned away.

    Attributes:
        public_key: our own key, 33 bytes.
        bound: addresses and ports that it listens on.
    """

    def __init__(
        self,
        identity_key: IdentityKey,
        *,
        peers: Iterable[bytes],
        relays: Iterable[str] = (),
        addresses: Mapping[bytes, Iterable[Endpoint]] | None = None,
        external: Iterable[Endpoint] = (),
        relay_headers: Mapping[str, str] | None = None,
        agent: str = AGENT,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        self.public_key = identity_key.public_key
        self.bound: list[Endpoint] = []
        self._identity = identity_key
        self._external = [Multiaddr.of(host, port) for host, port in external]
        self._agent = agent
        self._swarm = Swarm(
            identity_key,
            is_welcome=self._is_welcome,
            limits=limits,
            handlers_for=self._handlers_for,
            on_opened=self._opened,
            on_ended=self._ended,
        )
        self._relays = [
            Relay(self._swarm, name, headers=relay_headers or {}, on_change=self._relay_changed)
            for name in dict.fromkeys(relays)
        ]
        known = addresses or {}
        self._peers = {
            key: Peer(self._swarm, check_key(key), known.get(key, ()), self._relays)
            for key in peers
            if key != self.public_key
        }
        self._watchers: set[asyncio.Event] = set()
        # What is spoken with relays as well; what else is handled is for peers alone.
        self._for_relays: dict[str, Handler] = {
            messages.IDENTIFY: identify.identifying(self._introduce),
            messages.PING: identify.echoing,
        }
        if self._relays:
            self._for_relays[messages.STOP] = client.stopping(self._swarm, self._is_relay)
        self._swarm.handlers.update(self._for_relays)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        identity_key: IdentityKey,
        *,
        peers: Iterable[bytes],
        listen: Iterable[Endpoint] = (),
        relays: Iterable[str] = (),
        addresses: Mapping[bytes, Iterable[Endpoint]] | None = None,
        external: Iterable[Endpoint] = (),
        relay_headers: Mapping[str, str] | None = None,
        agent: str = AGENT,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> AsyncIterator[Self]:
        """Listen, and keep connections with all peers, inside the block.

        Args:
            identity_key: ours.
            peers: keys of those who may come, 33 bytes each; our own among them is passed over.
            listen: addresses and ports of TCP; port 0 is any, see `bound`. None: nobody comes but by relays.
            relays: multiaddrs that end in /p2p/ID, or URLs that answer with a JSON list of them.
            addresses: where peers listen, as far as it is known.
            external: addresses and ports at which others reach us, besides those that are listened on.
            relay_headers: what relays' URLs are asked with, such as `Charon-Cluster`.

        Raises:
            OSError: an address cannot be listened on.
            WireError: a peer's key is none.
        """
        host = cls(
            identity_key,
            peers=peers,
            relays=relays,
            addresses=addresses,
            external=external,
            relay_headers=relay_headers,
            agent=agent,
            limits=limits,
        )
        try:
            for name, port in listen:
                host.bound.append(await host._swarm.listen(name, port))
            for relay in host._relays:
                host._swarm.run(relay.keep())
            for peer in host._peers.values():
                host._swarm.run(peer.keep())
            yield host
        finally:
            await host._swarm.close()

    # Messages.

    def handle(
        self,
        protocol: str,
        function: Function,
        *,
        terms: Terms = Terms(seconds=RECEIVE_SECONDS),  # noqa: B008 - frozen
    ) -> None:
        """Answer messages of a protocol with what `function(peer, message)` returns; None: no answer.

        It may be called for one message twice, when the sender did not see what came of the first time. When
        it raises, the sender gets no answer.
        """
        handler = exchange.answering if terms.is_answered else exchange.taking
        self._swarm.handlers[protocol] = handler(function, terms)

    def handle_stream(self, protocol: str, function: Callable[[bytes, Stream], Awaitable[None]]) -> None:
        """Call `function(peer, stream)` for each stream of a protocol; it is closed when that returns."""

        async def handle(stream: Stream) -> None:
            await function(stream.peer, stream)

        self._swarm.handlers[protocol] = handle

    def forget(self, protocol: str) -> None:
        """Speak a protocol no longer."""
        self._swarm.handlers.pop(protocol, None)

    async def request(
        self,
        peer: bytes,
        protocol: str,
        message: bytes,
        *,
        terms: Terms = Terms(),  # noqa: B008 - frozen
    ) -> bytes:
        """The answer of a peer; waits for a connection when there is none.

        Raises:
            UnreachableError: there was no connection in time.
            UnsupportedProtocolError: the peer does not speak the protocol.
            P2PError: it gave no answer.
            TimeoutError: it gave none in time.
        """
        return await self._exchange(peer, protocol, message, terms, exchange.request)

    async def send(
        self,
        peer: bytes,
        protocol: str,
        message: bytes,
        *,
        terms: Terms = Terms(),  # noqa: B008 - frozen
    ) -> None:
        """Send a message that has no answer; that it left is no proof that it arrived.

        It counts as one under way until the peer has read it; with too many of them it waits.

        Raises:
            UnreachableError, P2PError, TimeoutError: it did not leave.
        """
        before = self._peer(peer).messages[protocol]
        await self._exchange(peer, protocol, message, terms, exchange.send, before)

    async def open_stream(self, peer: bytes, protocol: str, *, seconds: float | None = None) -> Stream:
        """A stream with a peer; waits for a connection when there is none. The caller closes it.

        Whether the peer speaks the protocol shows when it is read.

        Raises:
            UnreachableError: there was no connection in time.
            P2PError: the connection ended.
        """
        connection = await self._connection(self._peer(peer), seconds)
        stream = connection.open_stream(protocol)
        await stream.write(b"")
        return stream

    async def _exchange(
        self,
        key: bytes,
        protocol: str,
        message: bytes,
        terms: Terms,
        exchange_: Callable[[Connection, str, bytes, Terms], Awaitable[T]],
        before: asyncio.Semaphore | None = None,
    ) -> T:
        """What comes of it; a stream that comes of it keeps its places until its message is taken."""
        peer = self._peer(key)
        connection: Connection | None = None
        try:
            async with asyncio.timeout(terms.seconds), AsyncExitStack() as places:
                if before is not None:
                    await places.enter_async_context(before)
                await places.enter_async_context(peer.streams)
                connection = self._swarm.best(key) or await peer.connection()
                try:
                    found = await exchange_(connection, protocol, message, terms)
                except (StreamResetError, ConnectionEndedError):
                    connection = None
                    await asyncio.sleep(RETRY_SECONDS)
                    connection = await peer.connection()
                    found = await exchange_(connection, protocol, message, terms)
                if isinstance(found, Stream):
                    self._swarm.run(_until_taken(found, places.pop_all()))
                return found
        except TimeoutError:
            if connection is None:
                raise UnreachableError(f"{shown(key)} is not connected: {peer.problem}") from None
            raise TimeoutError(f"{shown(key)} did not answer in time ({protocol})") from None

    # Peers.

    async def connect(self, peer: bytes, *, seconds: float | None = None) -> None:
        """Wait for a connection with a peer.

        Raises:
            UnreachableError: there was none in time.
        """
        await self._connection(self._peer(peer), seconds)

    def add_address(self, peer: bytes, host: str, port: int) -> None:
        """A peer listens there, too."""
        self._peer(peer).add_endpoint(host, port)

    def states(self) -> list[PeerState]:
        """How it stands with each peer, in the order given."""
        found = []
        for key, peer in self._peers.items():
            best = self._swarm.best(key)
            problem = "" if best is not None else peer.problem or "the connection ended"
            found.append(
                PeerState(key, best is not None, best is not None and best.is_limited, peer.agent, problem)
            )
        return found

    def relay_problems(self) -> dict[str, str]:
        """Of each relay that does not let others in to us: why."""
        return {relay.name: relay.problem for relay in self._relays if not relay.is_reserved}

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[asyncio.Event]:
        """An event that is set at each change of `states` or `relay_problems`; whoever waits clears it."""
        event = asyncio.Event()
        self._watchers.add(event)
        try:
            yield event
        finally:
            self._watchers.discard(event)

    def _peer(self, key: bytes) -> Peer:
        try:
            return self._peers[key]
        except KeyError:
            raise ValueError(f"{shown(key)} is no peer of this host") from None

    async def _connection(self, peer: Peer, seconds: float | None) -> Connection:
        try:
            async with asyncio.timeout(seconds):
                return await peer.connection()
        except TimeoutError:
            raise UnreachableError(f"{shown(peer.key)} is not connected: {peer.problem}") from None

    # What the swarm says.

    def _is_welcome(self, key: bytes) -> bool:
        return key in self._peers or self._is_relay(key)

    def _handlers_for(self, key: bytes) -> Mapping[str, Handler]:
        return self._swarm.handlers if key in self._peers else self._for_relays

    def _is_relay(self, key: bytes) -> bool:
        return any(relay.peer == key for relay in self._relays)

    def _opened(self, connection: Connection) -> None:
        if (peer := self._peers.get(connection.peer)) is not None and not connection.is_closed:
            peer.opened()
            self._swarm.run(self._learn(peer, connection))
        self._tell()

    async def _learn(self, peer: Peer, connection: Connection) -> None:
        await peer.learn(connection)
        self._tell()

    def _ended(self, connection: Connection) -> None:
        if (peer := self._peers.get(connection.peer)) is not None:
            peer.ended()
        self._tell()

    def _relay_changed(self) -> None:
        for peer in self._peers.values():
            peer.relay_changed()
        self._tell()

    def _tell(self) -> None:
        for event in self._watchers:
            event.set()

    def _introduce(self, connection: Connection) -> messages.Identify:
        addresses = [*self._external, *identify.listening(connection, self.bound)]
        observed = b""
        if connection.remote_host is not None:
            observed = Multiaddr.of(connection.remote_host, connection.remote_port).to_bytes()
        return messages.Identify(
            public_key=self.public_key,
            addresses=tuple(each.to_bytes() for each in dict.fromkeys(addresses)),
            protocols=tuple(sorted(connection.protocols)),
            observed=observed,
            protocol_version=identify.PROTOCOL_VERSION,
            agent=self._agent,
        )


async def _until_taken(stream: Stream, places: AsyncExitStack) -> None:
    async with places:
        await exchange.until_taken(stream)


__all__ = ["Host", "IdentityKey", "Limits", "P2PError", "PeerState", "Stream", "Terms"]
