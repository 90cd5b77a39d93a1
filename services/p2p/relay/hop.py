"""A relay's work: peers that nobody can dial are reached through it, and it cannot read what they say.

Its limits are those of charon's relay: a circuit ends after 32 MiB one way, or an hour; 512 circuits of one
peer, 512 reservations of one address, 16,384 in all.

Source: libp2p/specs relay/circuit-v2.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from ..errors import P2PError, WireError
from ..limits import MIB
from ..swarm.connection import Connection
from ..swarm.exchange import framed
from ..swarm.stream import Stream
from ..swarm.swarm import Swarm
from ..wire import peers, records
from ..wire.addresses import Multiaddr, with_peer
from ..wire.messages import (
    CIRCUIT_MESSAGE_BYTES,
    STOP,
    Hop,
    HopKind,
    Limit,
    Reservation,
    Status,
    Stop,
    StopKind,
)

ANSWER_SECONDS = 30.0  # of whom somebody wants to reach
STALL_SECONDS = 30.0  # that a piece of a circuit may wait until its other side takes it
MOST_CALLS = 8  # of one address to one peer that has not answered yet


ALL: Final = ""
# Whose circuits are counted: those of all, of a peer, of an address; or calls from an address to a peer.
T = TypeVar("T")
Counted = str | bytes | tuple[str, bytes]


@dataclass(frozen=True)
class RelayLimits:
    """What a relay carries.

    Attributes:
        reservations: in all.
        address_reservations: of one address.
        circuits: in all.
        address_circuits: that peers of one address have asked for.
        peer_circuits: of one peer, at once: those that it asked for, and those that it took.
        circuit_bytes: each way.
        circuit_seconds: of a circuit.
        reservation_seconds: of a reservation, unless it is renewed.
    """

    reservations: int = 16_384
    address_reservations: int = 512
    circuits: int = 16_384
    address_circuits: int = 2048
    peer_circuits: int = 512
    circuit_bytes: int = 32 * MIB
    circuit_seconds: float = 3600.0
    reservation_seconds: float = 3600.0


@dataclass
class Counts:
    """What a relay has done since it began.

    Attributes:
        bytes_carried: both ways.
        answers: of each kind, by request and status.
    """

    bytes_carried: int
    answers: Counter[tuple[str, Status]]


class HopService:
    """The relay of a swarm.

    Attributes:
        counts: what it has done.
    """

    def __init__(
        self, swarm: Swarm, *, limits: RelayLimits, addresses: Callable[[Connection], list[Multiaddr]]
    ) -> None:
        """`addresses` are those of the relay, as the other side of a connection sees them."""
        self._swarm = swarm
        self._limits = limits
        self._addresses = addresses
        self._reservations: dict[bytes, tuple[float, str]] = {}  # until when (Unix), and the address
        self._by_address: Counter[str] = Counter()
        self._count: Counter[Counted] = Counter()
        self._carried: dict[Stream, str] = {}  # circuits, and the address of who asked for each
        self.counts = Counts(0, Counter())

    @property
    def reservations(self) -> int:
        """How many there are now."""
        return len(self._reservations)

    @property
    def circuits(self) -> int:
        """How many there are now, or are asked for."""
        return self._count[ALL]

    def ended(self, connection: Connection) -> None:
        """Who is not connected any more cannot be reached."""
        if all(each.is_limited or each.is_closed for each in self._swarm.connections(connection.peer)):
            self._release(connection.peer)

    async def handle(self, stream: Stream) -> None:
        """Answer one request; a circuit lasts as long as this does."""
        async with asyncio.timeout(self._swarm.limits.negotiation_seconds):
            data = await stream.read_message(CIRCUIT_MESSAGE_BYTES)
        try:
            request = Hop.decode(data)
        except WireError:
            await self._answer(stream, "unknown", Hop(HopKind.STATUS, status=Status.MALFORMED))
            return
        if request.kind == HopKind.RESERVE:
            await self._answer(stream, "reserve", self._reserve(stream.connection))
        elif request.kind == HopKind.CONNECT:
            await self._connect(stream, request)
        else:
            await self._answer(stream, "unknown", Hop(HopKind.STATUS, status=Status.UNEXPECTED))

    # Reservations.

    def _reserve(self, connection: Connection) -> Hop:
        limits, peer = self._limits, connection.peer
        if connection.is_limited:
            return Hop(HopKind.STATUS, status=Status.DENIED)
        self._drop_expired()
        address = connection.network
        known = self._reservations.get(peer)
        is_new_here = known is None or known[1] != address
        if is_new_here and self._by_address[address] >= limits.address_reservations:
            return Hop(HopKind.STATUS, status=Status.RESERVATION_REFUSED)
        if known is None and len(self._reservations) >= limits.reservations:
            whose = {each: of for each, (_, of) in self._reservations.items()}
            if (other := _one_of_most(whose, address)) is None:
                return Hop(HopKind.STATUS, status=Status.RESERVATION_REFUSED)
            self._release(other)
        self._release(peer)
        expires = time.time() + limits.reservation_seconds
        self._reservations[peer] = expires, address
        self._by_address[address] += 1
        relay = self._swarm.identity
        voucher = records.Voucher(relay.public_key, peer, int(expires)).sign(relay)
        own = tuple(with_peer(a, relay.public_key).to_bytes() for a in self._addresses(connection))
        return Hop(
            HopKind.STATUS,
            reservation=Reservation(int(expires), own, voucher),
            limit=self._limit,
            status=Status.OK,
        )

    def _release(self, peer: bytes) -> None:
        if (known := self._reservations.pop(peer, None)) is not None:
            self._by_address[known[1]] -= 1
            if not self._by_address[known[1]]:
                del self._by_address[known[1]]

    def _drop_expired(self) -> None:
        """The oldest come first: renewing puts a reservation at the end."""
        now = time.time()
        while self._reservations:
            peer, (expires, _) = next(iter(self._reservations.items()))
            if expires > now:
                return
            self._release(peer)

    # Circuits.

    async def _connect(self, stream: Stream, request: Hop) -> None:
        source, target = stream.peer, b""
        status = Status.OK
        try:
            target = peers.key_of_id(request.peer)
        except WireError:
            status = Status.MALFORMED
        self._drop_expired()
        connection = next((c for c in reversed(self._swarm.connections(target)) if not c.is_limited), None)
        if status is not Status.OK:
            pass
        elif stream.connection.is_limited or source == target:
            status = Status.DENIED
        elif target not in self._reservations or connection is None:
            status = Status.NO_RESERVATION
        elif self._is_too_much(stream.connection, target):
            status = Status.LIMIT_EXCEEDED
        if status is not Status.OK or connection is None:
            await self._answer(stream, "connect", Hop(HopKind.STATUS, status=status))
            return
        with self._counted(ALL, source, stream.connection.network):
            self._carried[stream] = stream.connection.network
            try:
                await self._bring(stream, connection)
            finally:
                self._carried.pop(stream, None)

    def _is_too_much(self, source: Connection, target: bytes) -> bool:
        """Whether there are too many circuits; a peer has those that it asked for, and those that it took."""
        limits = self._limits
        most: dict[Counted, int] = {
            source.peer: limits.peer_circuits,
            target: limits.peer_circuits,
            source.network: limits.address_circuits,
            (source.network, target): MOST_CALLS,
        }
        if any(self._count[whose] >= limit for whose, limit in most.items()):
            return True
        if self._count[ALL] < limits.circuits:
            return False
        if (other := _one_of_most(self._carried, source.network)) is not None:
            del self._carried[other]
            other.reset()
        return other is None

    async def _bring(self, stream: Stream, connection: Connection) -> None:
        """A circuit from its call to its end."""
        try:
            with self._counted((stream.connection.network, connection.peer)):
                other = await self._call(connection, stream.peer)
        except (P2PError, TimeoutError):
            failed = Hop(HopKind.STATUS, status=Status.CONNECTION_FAILED)
            await self._answer(stream, "connect", failed)
            return
        async with other:
            with self._counted(connection.peer):
                taken = Hop(HopKind.STATUS, limit=self._limit, status=Status.OK)
                await self._answer(stream, "connect", taken)
                await self._carry(stream, other)

    async def _call(self, connection: Connection, source: bytes) -> Stream:
        """Tell a peer who wants to reach it; the stream on which it agrees.

        Raises:
            P2PError, TimeoutError: it does not.
        """
        stream = connection.open_stream(STOP)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                call = Stop(StopKind.CONNECT, peer=peers.peer_id(source), limit=self._limit)
                await stream.write(framed(call.encode()))
                answer = Stop.decode(await stream.read_message(CIRCUIT_MESSAGE_BYTES))
            if answer.kind != StopKind.STATUS or answer.status != Status.OK:
                raise WireError("the peer does not want the circuit")
        except BaseException:
            stream.reset()
            raise
        return stream

    async def _carry(self, one: Stream, other: Stream) -> None:
        """Both ways, until both have ended, or a limit is reached.

        Raises:
            P2PError, TimeoutError: it was cut off.
        """
        ways = [
            asyncio.create_task(self._carry_one_way(source, target))
            for source, target in ((one, other), (other, one))
        ]
        try:
            async with asyncio.timeout(self._limits.circuit_seconds):
                await asyncio.gather(*ways)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _carry_one_way(self, source: Stream, target: Stream) -> None:
        left = self._limits.circuit_bytes
        while data := await source.read():
            if len(data) > left:
                raise P2PError("a circuit has carried all that it may")
            left -= len(data)
            self.counts.bytes_carried += len(data)
            async with asyncio.timeout(STALL_SECONDS):
                await target.write(data)
        target.finish()

    # Answers.

    @property
    def _limit(self) -> Limit:
        return Limit(int(self._limits.circuit_seconds), self._limits.circuit_bytes)

    async def _answer(self, stream: Stream, request: str, answer: Hop) -> None:
        self.counts.answers[request, Status(answer.status)] += 1
        await stream.write(framed(answer.encode()))

    @contextmanager
    def _counted(self, *whose: Counted) -> Iterator[None]:
        """One circuit more, as long as it lasts."""
        self._count.update(whose)
        try:
            yield
        finally:
            self._count.subtract(whose)
            for each in whose:
                if not self._count[each]:
                    del self._count[each]


def _one_of_most(whose: Mapping[T, str], address: str) -> T | None:
    """The oldest thing of the address that has most of all, if that is more than another one would have then.

    So however many addresses fill a relay together, they make room for who comes, until all have as much.
    """
    by_address = Counter(whose.values())
    heaviest, most = by_address.most_common(1)[0]
    if most <= by_address[address] + 1:
        return None
    return next(each for each, of in whose.items() if of == heaviest)
