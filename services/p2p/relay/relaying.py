"""A relay on a swarm of its own: everybody may come."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address

from dvtfast.secp256k1 import IdentityKey

from ...web.addresses import is_public
from ..limits import MIB, Limits
from ..swarm import identify
from ..swarm.connection import Connection
from ..swarm.swarm import Swarm
from ..wire import messages
from ..wire.addresses import Multiaddr, with_peer
from .hop import HopService, RelayLimits

AGENT = "dvtfast-p2p-relay"
Endpoint = tuple[str, int]

# Circuits of one peer are streams of its connection, its own and others'; what they hold is moved on at once.
# Anybody may come, so that an address has a part of all; many nodes may share one.
SWARM_LIMITS = replace(
    Limits(),
    inbound_streams=1024,
    connections=16_384,
    address_connections=1024,
    handshakes=1024,
    peer_bytes=32 * MIB,
    address_bytes=64 * MIB,
    all_bytes=512 * MIB,
    unsent_bytes=MIB // 8,
)


class Relaying:
    """A relay that runs.

    Attributes:
        service: its reservations and circuits.
        swarm: its connections.
        bound: addresses and ports that it listens on.
    """

    def __init__(
        self,
        identity: IdentityKey,
        *,
        external: Iterable[str],
        shows_private: bool,
        limits: RelayLimits,
        swarm_limits: Limits,
    ) -> None:
        self.bound: list[Endpoint] = []
        self._seen: list[Endpoint] = []  # where it listens, for those who look it up
        self._external = list(external)
        self._shows_private = shows_private
        self.swarm = Swarm(identity, is_welcome=lambda _: True, limits=swarm_limits, on_ended=self._ended)
        self.service = HopService(self.swarm, limits=limits, addresses=self._addresses)
        self.swarm.handlers[messages.HOP] = self.service.handle
        self.swarm.handlers[messages.IDENTIFY] = identify.identifying(self._introduce)
        self.swarm.handlers[messages.PING] = identify.echoing

    async def listen(self, host: str, port: int) -> None:
        """Let peers in at an address.

        Raises:
            OSError: it cannot be had.
        """
        name, port = await self.swarm.listen(host, port)
        self.bound.append((name, port))
        self._seen += [(each, port) for each in await _hosts(name)]

    def addresses(self) -> list[str]:
        """Where it is, as its clients are told: multiaddrs that end in its id; as it was when it began."""
        own = self.swarm.identity.public_key
        return [str(with_peer(address, own)) for address in self._shown(self._seen)]

    def _ended(self, connection: Connection) -> None:
        self.service.ended(connection)

    def _addresses(self, connection: Connection) -> list[Multiaddr]:
        found = identify.listening(connection, self.bound)
        return self._shown([endpoint for each in found if (endpoint := each.endpoint) is not None])

    def _shown(self, bound: Iterable[Endpoint]) -> list[Multiaddr]:
        """At what is given as external, and where it listens, as far as others may see that."""
        bound = list(bound)
        external = [(name, port) for name in self._external for _, port in bound]
        seen = [each for each in bound if self._shows_private or is_public(each[0])]
        return [Multiaddr.of(*each) for each in dict.fromkeys([*external, *seen])]

    def _introduce(self, connection: Connection) -> messages.Identify:
        return messages.Identify(
            public_key=self.swarm.identity.public_key,
            addresses=tuple(each.to_bytes() for each in self._addresses(connection)),
            protocols=tuple(sorted(self.swarm.handlers)),
            protocol_version=identify.PROTOCOL_VERSION,
            agent=AGENT,
        )


async def _hosts(name: str) -> list[str]:
    """The addresses that one that is listened on stands for: all of this machine's, if it is all of them."""
    if not ip_address(name).is_unspecified:
        return [name]
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    try:
        found = await asyncio.get_running_loop().getaddrinfo(socket.gethostname(), None, family=family)
        own = [str(info[4][0]) for info in found]
    except OSError:
        own = []
    loopback = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    return list(dict.fromkeys([*(each.partition("%")[0] for each in own), loopback]))


@asynccontextmanager
async def relaying(
    identity: IdentityKey,
    *,
    listen: Iterable[Endpoint],
    external: Iterable[str] = (),
    shows_private: bool = False,
    limits: RelayLimits = RelayLimits(),  # noqa: B008 - frozen
    swarm_limits: Limits = SWARM_LIMITS,
) -> AsyncIterator[Relaying]:
    """Relay inside the block.

    Args:
        listen: addresses and ports of TCP.
        external: addresses or names at which others reach it, with the ports that it listens on.
        shows_private: whether clients are told of private and loopback addresses, too.

    Raises:
        OSError: an address cannot be listened on.
    """
    relay = Relaying(
        identity, external=external, shows_private=shows_private, limits=limits, swarm_limits=swarm_limits
    )
    try:
        for host, port in listen:
            await relay.listen(host, port)
        yield relay
    finally:
        await relay.swarm.close()
