"""A circuit whose other end takes nothing."""

import asyncio

from dvtfast.services.p2p.circuit.carrier import CircuitCarrier
from dvtfast.services.p2p.errors import StreamResetError

from ..patience import PATIENCE_SECONDS


class StuckStream:
    """What is written to it never leaves, and nothing comes, until it is reset."""

    def __init__(self):
        self.writes = asyncio.Event()
        self._reset = asyncio.Event()

    async def write(self, data):
        self.writes.set()
        await self.read()

    async def read(self):
        await self._reset.wait()
        raise StreamResetError(0)

    def reset(self):
        self._reset.set()

    def close(self):
        pass


class Ends:
    """A connection that is told when its carrier is gone."""

    def __init__(self):
        self.lost = []

    def connection_made(self, carrier):
        pass

    def connection_lost(self, error):
        self.lost.append(error)


async def test_aborting_ends_what_waits_for_the_stream():
    stream, connection = StuckStream(), Ends()
    carrier = CircuitCarrier(stream, connection)
    running = asyncio.create_task(carrier.run())
    await asyncio.sleep(0)
    carrier.write(b"x")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await stream.writes.wait()
        carrier.abort()
        await running
    assert len(connection.lost) == 1
