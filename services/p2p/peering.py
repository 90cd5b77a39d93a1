"""A connection with each peer, kept: dialed where its addresses are known, through relays where not.

Whose key is smaller dials through relays; the other one waits for it, and dials only when nobody comes, since
two circuits for one pair are one too many for the relay. Who is connected through a relay goes on looking for
a direct way.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Sequence

from ..process import logs
from ..web.addresses import Reach, reach_of
from .backoff import Backoff
from .circuit import client
from .circuit.reservations import Relay
from .errors import P2PError, UnreachableError, WireError
from .swarm import identify
from .swarm.connection import Connection
from .swarm.swarm import Swarm
from .wire import peers
from .wire.addresses import Multiaddr

RELAY_WAIT_SECONDS = 10.0  # for the peer with the smaller key
DIRECT_SECONDS = 60.0  # between two attempts to do without a relay
LEARNED_SECONDS = 900.0  # that addresses are believed after the connection that told them
LASTING_SECONDS = 5.0  # after which a connection was no failure
ASK_AGAIN_SECONDS = 2.0  # who a peer is, when it did not say
RENEW_AGAIN_SECONDS = 10.0  # between two attempts to have another circuit
NUDGE_SECONDS = 1.0  # between two attempts when somebody waits
MOST_ENDPOINTS = 16  # learned of one peer

Endpoint = tuple[str, int]

log = logs.get("p2p")


class Peer:
    """A peer of ours, and the way to it.

    Attributes:
        key: 33 bytes.
        agent: what it says that it is; empty while that is not known.
        problem: why there is no connection, for people; empty when there is one.
        streams: how many more may be opened to it now.
        messages: by protocol, how many more without answers may be sent to it now.
    """

    def __init__(
        self, swarm: Swarm, key: bytes, endpoints: Iterable[Endpoint], relays: Sequence[Relay]
    ) -> None:
        """`endpoints` are where it is said to listen."""
        self.key = key
        self.agent = ""
        self.problem = "not tried yet"
        self.streams = asyncio.Semaphore(swarm.limits.outbound_streams)
        self.messages = defaultdict[str, asyncio.Semaphore](
            lambda: asyncio.Semaphore(swarm.limits.outbound_messages)
        )
        self._swarm = swarm
        self._configured = list(endpoints)
        self._learned: list[Endpoint] = []
        self._learned_at = 0.0
        self._relays = relays
        self._dials_through_relays = swarm.identity.public_key < key
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()

    def add_endpoint(self, host: str, port: int) -> None:
        """Where it is, too."""
        if (host, port) not in self._configured:
            self._configured.append((host, port))
        self._wanted.set()

    async def connection(self) -> Connection:
        """The connection to use, once there is one."""
        while (found := self._swarm.best(self.key)) is None:
            self._wanted.set()
            self._changed.clear()
            await self._changed.wait()
        return found

    def opened(self) -> None:
        """There is a connection, dialed here or there."""
        self.problem = ""
        self._changed.set()
        self._wanted.set()

    def ended(self) -> None:
        """There is one connection less."""
        if self._swarm.best(self.key) is None:
            self.agent = ""  # who comes next may be another program
        self._wanted.set()

    def relay_changed(self) -> None:
        """There may be a way through a relay."""
        self._wanted.set()

    async def learn(self, connection: Connection) -> None:
        """Ask a connection's other side what it is, and where it listens, for when the connection is gone."""
        found = None
        while found is None:
            try:
                found = await identify.ask(connection)
            except (P2PError, TimeoutError) as error:
                log.debug("not identified", peer=peers.shown(self.key), error=str(error))
                await asyncio.sleep(ASK_AGAIN_SECONDS)
                if connection.is_closed:
                    return
        self.agent = logs.printable(found.agent)[:100]
        seen = (connection.relay or connection).remote_host
        endpoints = list(dict.fromkeys(usable(found.addresses, seen)))[:MOST_ENDPOINTS]
        if endpoints:
            self._learned, self._learned_at = endpoints, asyncio.get_running_loop().time()
            self._wanted.set()

    async def keep(self) -> None:
        """See to it that there is a connection."""
        loop = asyncio.get_running_loop()
        backoff = Backoff()
        alone_since = loop.time()
        while True:
            connection = self._swarm.best(self.key)
            if connection is None:
                patient = not self._dials_through_relays and loop.time() - alone_since < RELAY_WAIT_SECONDS
                try:
                    connection = await self._reach(through_relays=not patient)
                except UnreachableError as error:
                    self.problem = str(error)
            if connection is not None:
                began = loop.time()
                await self._improve(connection)
                alone_since = loop.time()
                if alone_since - began >= LASTING_SECONDS:
                    backoff.reset()
            await self._pause(backoff.pause())

    async def _reach(self, *, through_relays: bool) -> Connection:
        """Connect, one way or the other.

        Raises:
            UnreachableError: there is none now.
        """
        problems = []
        try:
            if endpoints := self._endpoints():
                return await self._dial(endpoints)
            problems.append("no address known")
        except UnreachableError as error:
            problems.append(str(error))
        for relay in self._relays if through_relays else ():
            if relay.connection is None:
                problems.append(f"{relay.name}: {relay.problem}")
                continue
            try:
                return await client.dial(self._swarm, relay.connection, self.key)
            except UnreachableError as error:
                problems.append(f"{relay.name}: {error}")
        raise UnreachableError("; ".join(problems))

    async def _dial(self, endpoints: Sequence[Endpoint]) -> Connection:
        """Try all addresses at once; the first that answers is it.

        Raises:
            UnreachableError: none does.
        """
        works: list[Coroutine[None, None, Connection]] = [
            self._swarm.dial(host, port, self.key) for host, port in endpoints
        ]
        tasks = [asyncio.create_task(work) for work in works]
        problems = []
        try:
            for done in asyncio.as_completed(tasks):
                try:
                    return await done
                except UnreachableError as error:
                    problems.append(str(error))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise UnreachableError("; ".join(dict.fromkeys(problems)))

    async def _improve(self, connection: Connection) -> None:
        """Wait for the end of a connection; meanwhile, if it is relayed, try to do without.

        A circuit that the relay will end is followed by another one before that.
        """
        tried: list[Endpoint] = []
        tried_at = 0.0
        while not connection.is_closed:
            self._wanted.clear()
            now = asyncio.get_running_loop().time()
            is_best = connection.is_limited and self._swarm.best(self.key) is connection
            endpoints = self._endpoints() if is_best else []
            if is_best and self._is_old(connection):
                try:
                    await self._reach(through_relays=True)
                    return
                except UnreachableError as error:
                    log.debug("not renewed", peer=peers.shown(self.key), error=str(error))
                connection.renewed_at = now + RENEW_AGAIN_SECONDS
            if endpoints and (endpoints != tried or now - tried_at >= DIRECT_SECONDS):
                tried, tried_at = endpoints, now
                try:
                    await self._dial(endpoints)
                    return
                except UnreachableError as error:
                    log.debug("no direct way", peer=peers.shown(self.key), error=str(error))
                continue
            try:
                async with asyncio.timeout(self._pause_beside(connection)):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    def _is_old(self, connection: Connection) -> bool:
        """Whether the relay will soon end a connection."""
        at = connection.renewed_at
        return at is not None and connection.loop.time() >= at

    def _pause_beside(self, connection: Connection) -> float | None:
        """For how long there is nothing to do while there is a connection."""
        if not connection.is_limited:
            return None
        at = connection.renewed_at
        if at is None or self._swarm.best(self.key) is not connection:
            return DIRECT_SECONDS
        return min(DIRECT_SECONDS, max(0.0, at - connection.loop.time()))

    async def _pause(self, seconds: float) -> None:
        """Wait, but not for long when somebody asks."""
        self._wanted.clear()
        first = min(seconds, NUDGE_SECONDS)
        await asyncio.sleep(first)
        try:
            async with asyncio.timeout(seconds - first):
                await self._wanted.wait()
        except TimeoutError:
            return

    def _endpoints(self) -> list[Endpoint]:
        fresh = asyncio.get_running_loop().time() - self._learned_at < LEARNED_SECONDS
        return list(dict.fromkeys([*self._configured, *(self._learned if fresh else ())]))


def usable(addresses: Iterable[bytes], remote_host: str | None) -> list[Endpoint]:
    """What of a peer's addresses can be dialed: TCP, by number; a name could stand for anything.

    A peer is believed about what others can see of it at least as far away as it is itself: from the internet
    it does not have us connect to whatever has that address in our network, or on our machine.

    Args:
        remote_host: where the peer is, or the relay that brings it.
    """
    least = (reach_of(remote_host) or Reach.NETWORK) if remote_host is not None else Reach.INTERNET
    found = []
    for data in addresses:
        try:
            address = Multiaddr.from_bytes(data)
        except WireError:
            continue
        if (endpoint := address.endpoint) is None or not address.is_numeric:
            continue
        reach = reach_of(endpoint[0])
        if reach >= least and reach is not Reach.NOWHERE:
            found.append(endpoint)
    return found
