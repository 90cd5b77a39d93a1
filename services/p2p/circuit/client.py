"""What is said to a relay: a reservation, a circuit to a peer, and the answer when it brings one.

Source: libp2p/specs relay/circuit-v2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..errors import P2PError, UnreachableError, WireError
from ..swarm.connection import Connection
from ..swarm.exchange import framed
from ..swarm.stream import Stream
from ..swarm.swarm import Handler, Swarm
from ..wire import peers, records
from ..wire.messages import (
    CIRCUIT_MESSAGE_BYTES,
    HOP,
    Hop,
    HopKind,
    Reservation,
    Status,
    Stop,
    StopKind,
    status_text,
)
from .carrier import CircuitCarrier

RENEWED_AFTER = 0.9  # of the time that the relay gives a circuit
SECONDS = 30.0  # for an answer of the relay, which may have to ask whom we want


async def reserve(relay: Connection) -> Reservation:
    """Have a relay let others in to us.

    Raises:
        P2PError: it will not.
        TimeoutError: it says nothing.
    """
    async with asyncio.timeout(SECONDS), relay.open_stream(HOP) as stream:
        answer = await _ask(stream, Hop(HopKind.RESERVE))
    if answer.reservation is None:
        raise WireError("relay: a reservation without a term")
    if answer.reservation.voucher:
        voucher = records.Voucher.open(answer.reservation.voucher)
        if voucher.relay != relay.peer:
            raise WireError("relay: a voucher of another relay")
    return answer.reservation


async def dial(swarm: Swarm, relay: Connection, peer: bytes) -> Connection:
    """A connection with a peer through a relay that both are connected with.

    Raises:
        UnreachableError: there is none.
    """
    try:
        stream = relay.open_stream(HOP)
        try:
            async with asyncio.timeout(SECONDS):
                answer = await _ask(stream, Hop(HopKind.CONNECT, peer=peers.peer_id(peer)))
        except BaseException:
            stream.reset()
            raise
    except TimeoutError:
        raise UnreachableError("the relay says nothing") from None
    except P2PError as error:
        raise UnreachableError(str(error)) from None
    connection = Connection(swarm, is_dialed=True, expected=peer, relay=relay)
    if answer.limit is not None and answer.limit.seconds:
        connection.renewed_at = connection.loop.time() + RENEWED_AFTER * answer.limit.seconds
    swarm.run(CircuitCarrier(stream, connection).run())
    return await swarm.until_open(connection)


def stopping(swarm: Swarm, is_relay: Callable[[bytes], bool]) -> Handler:
    """A handler of those whom relays bring; of relays that we have asked for it, and of nobody else."""

    async def handle(stream: Stream) -> None:
        async with asyncio.timeout(swarm.limits.negotiation_seconds):
            request = Stop.decode(await stream.read_message(CIRCUIT_MESSAGE_BYTES))
            status = _judge(request, stream, is_relay, swarm)
            answer = Stop(StopKind.STATUS, status=status)
            await stream.write(framed(answer.encode()))
        if status is Status.OK:
            peer = peers.key_of_id(request.peer)
            connection = Connection(swarm, is_dialed=False, expected=peer, relay=stream.connection)
            await CircuitCarrier(stream, connection).run()

    return handle


def _judge(request: Stop, stream: Stream, is_relay: Callable[[bytes], bool], swarm: Swarm) -> Status:
    if not is_relay(stream.peer) or stream.connection.is_limited:
        return Status.DENIED
    if request.kind != StopKind.CONNECT:
        return Status.UNEXPECTED
    try:
        peer = peers.key_of_id(request.peer)
    except WireError:
        return Status.MALFORMED
    return Status.OK if swarm.is_welcome(peer) else Status.DENIED


async def _ask(stream: Stream, message: Hop) -> Hop:
    await stream.write(framed(message.encode()))
    answer = Hop.decode(await stream.read_message(CIRCUIT_MESSAGE_BYTES))
    if answer.kind != HopKind.STATUS:
        raise WireError("relay: expected a status")
    if answer.status != Status.OK:
        raise UnreachableError(f"the relay says: {status_text(answer.status)}")
    return answer
