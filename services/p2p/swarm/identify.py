"""What peers say of themselves: identify, both ways, and ping, of which only the answer is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from ..errors import UnsupportedProtocolError, WireError
from ..wire import messages, peers
from ..wire.addresses import Multiaddr
from .connection import Connection
from .exchange import framed
from .stream import Stream
from .swarm import Handler

PROTOCOL_VERSION = "ipfs/0.1.0"
SECONDS = 5.0  # for all of it, as go has it


def identifying(own: Callable[[Connection], messages.Identify]) -> Handler:
    """A handler that says who we are; `own` may look at whom it is for."""

    async def handle(stream: Stream) -> None:
        await stream.write(framed(own(stream.connection).encode()))

    return handle


async def echoing(stream: Stream) -> None:
    """Send back what comes, in pings."""
    while data := await stream.read(messages.PING_BYTES):
        if len(data) < messages.PING_BYTES:
            data += await stream.read_exactly(messages.PING_BYTES - len(data))
        await stream.write(data)


async def ask(connection: Connection) -> messages.Identify:
    """What the other side says of itself; nothing, when it does not speak identify.

    Raises:
        P2PError: it cannot be read.
        TimeoutError: it did not come in time.
    """
    parts = bytearray()
    try:
        async with asyncio.timeout(SECONDS), connection.open_stream(messages.IDENTIFY) as stream:
            await stream.write(b"")
            stream.finish()
            for _ in range(messages.IDENTIFY_PARTS):
                try:
                    parts += await stream.read_message(messages.IDENTIFY_PART_BYTES)
                except WireError:
                    if not parts:
                        raise
                    break
    except UnsupportedProtocolError:
        return messages.Identify()
    found = messages.Identify.decode(bytes(parts))
    if found.public_key not in (b"", connection.peer):
        raise WireError(f"identify: another key than that of {peers.shown(connection.peer)}")
    return found


def listening(connection: Connection, bound: Iterable[tuple[str, int]]) -> list[Multiaddr]:
    """Where we listen, as the other side of a connection sees it: of every address, the one it came to."""
    found = []
    for host, port in bound:
        shown = connection.local_host if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
        if shown is not None:
            found.append(Multiaddr.of(shown, port))
    return found
