"""A connection with a relay, and its word that it lets others in to us, kept for as long as it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from ...process import logs
from ..backoff import Backoff
from ..errors import P2PError, UnreachableError
from ..swarm.connection import Connection
from ..swarm.swarm import Swarm
from ..wire import peers
from . import client, lookup

RENEWED_BEFORE_SECONDS = 120.0
LEAST_SECONDS, MOST_SECONDS = 30.0, 3600.0  # between two reservations, whatever the relay's clock says

log = logs.get("relay")


class Relay:
    """One relay of ours.

    Attributes:
        name: as it was given, a multiaddr or a URL.
        peer: its key, once it is known.
        connection: while there is one.
        is_reserved: whether it lets others in to us.
        problem: why not, for people.
    """

    def __init__(
        self, swarm: Swarm, name: str, *, headers: Mapping[str, str], on_change: Callable[[], None]
    ) -> None:
        """`on_change` hears of a new connection or reservation."""
        self.name = name
        self.peer = b""
        self.connection: Connection | None = None
        self.is_reserved = False
        self.problem = "not asked yet"
        self._swarm = swarm
        self._headers = headers
        self._on_change = on_change

    async def keep(self) -> None:
        """Connect and reserve, again and again."""
        backoff = Backoff()
        while True:
            try:
                await self._connect()
                await self._stay(backoff)
                self.problem = "the connection ended"
            except (P2PError, TimeoutError) as error:
                self._failed(error)
            finally:
                self.connection, self.is_reserved = None, False
            await asyncio.sleep(backoff.pause())

    async def _connect(self) -> None:
        place = await lookup.look_up(self.name, self._headers)
        self.peer = place.peer
        self.connection = next((c for c in self._swarm.connections(place.peer) if not c.is_limited), None)
        problems = []
        for host, port in place.endpoints:
            if self.connection is not None:
                break
            try:
                self.connection = await self._swarm.dial(host, port, place.peer)
            except UnreachableError as error:
                problems.append(f"{host}:{port}: {error}")
        if self.connection is None:
            raise UnreachableError("; ".join(problems))
        self._on_change()

    async def _stay(self, backoff: Backoff) -> None:
        """Reserve, and renew in time; returns when the connection is over."""
        connection = self.connection
        assert connection is not None
        while not connection.is_closed:
            try:
                reservation = await client.reserve(connection)
            except (P2PError, TimeoutError) as error:  # others can still be reached through it
                self.is_reserved = False
                self._failed(error)
                pause = backoff.pause()
            else:
                backoff.reset()
                if not self.is_reserved:
                    log.info("relay reserved", relay=self.name, peer=peers.shown(self.peer))
                self.is_reserved, self.problem = True, ""
                self._on_change()
                left = reservation.expires - time.time() - RENEWED_BEFORE_SECONDS
                pause = min(max(left, LEAST_SECONDS), MOST_SECONDS)
            try:
                async with asyncio.timeout(pause):
                    await connection.closed.wait()
            except TimeoutError:
                continue

    def _failed(self, error: Exception) -> None:
        said = str(error) or "no answer in time"
        if said != self.problem:
            log.warning("relay not reserved", relay=self.name, error=said)
        self.problem = said
