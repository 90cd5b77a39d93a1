"""Payloads of a ceremony between this node and its peers.

A payload goes in parts, each of which is answered, so that it may be longer than what a circuit of a relay
carries. It may be lost all the same: the machine that lacks it asks again. So nothing is waited for, and a
queue that is full forgets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress

from ...p2p.errors import P2PError
from ...p2p.host import Host, Terms
from ...process import logs
from ...process.background import in_background
from .parts import MOST_MESSAGE_BYTES, IncomingPayload, OutgoingPayload

PROTOCOL = "/dvtfast/dkg/1"
STALL_SECONDS = 60.0  # for a part and its answer, on a slow line
MOST_QUEUED = 256  # payloads to one peer; asking again brings back what is forgotten
MOST_UNREAD = 16  # payloads of one peer; it waits with the next

log = logs.get("ceremony")


class _Outbox:
    """Payloads to one peer, in order; the same one waits once, however often it was asked for.

    Attributes:
        is_empty: an event, set while nothing waits.
    """

    def __init__(self) -> None:
        self._payloads: dict[bytes, None] = {}
        self._some = asyncio.Event()
        self.is_empty = asyncio.Event()
        self.is_empty.set()

    def add(self, payload: bytes) -> None:
        if len(self._payloads) >= MOST_QUEUED:
            self.remove(next(iter(self._payloads)))
        self._payloads.setdefault(payload)
        self._some.set()
        self.is_empty.clear()

    async def first(self) -> bytes:
        await self._some.wait()
        return next(iter(self._payloads))

    def remove(self, payload: bytes) -> None:
        self._payloads.pop(payload, None)
        if not self._payloads:
            self._some.clear()
            self.is_empty.set()


class Mailbox:
    """What came, one after the other, and what goes out, to each peer in order.

    Args:
        operators: all of them, with this node at `position`.
        most_bytes: of a payload.

    Attributes:
        heard: when something came last from each operator, by the loop's clock.
    """

    def __init__(self, host: Host, operators: Sequence[bytes], position: int, *, most_bytes: int) -> None:
        self._host, self._operators, self._position = host, operators, position
        self._terms = Terms(most_bytes=MOST_MESSAGE_BYTES, seconds=None, stall_seconds=STALL_SECONDS)
        self._coming = [IncomingPayload(most_bytes) for _ in operators]
        self._came: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._free = [asyncio.Semaphore(MOST_UNREAD) for _ in operators]
        self._out = [_Outbox() for _ in operators]
        self.heard = [asyncio.get_running_loop().time()] * len(operators)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Speak the protocol inside the block."""
        self._host.handle(PROTOCOL, self._receive, terms=self._terms)
        try:
            others = (to for to in range(len(self._operators)) if to != self._position)
            async with in_background(*(self._deliver(to) for to in others)):
                yield
        finally:
            self._host.forget(PROTOCOL)

    def send(self, to: int, payload: bytes) -> None:
        """Put a payload behind those that go to a peer."""
        self._out[to].add(payload)

    async def next(self) -> tuple[int, bytes]:
        """What came next: the sender's position, and the payload."""
        peer, payload = await self._came.get()
        self._free[peer].release()
        return peer, payload

    async def flush(self, seconds: float, *, for_all: bool, but: Collection[int | None]) -> None:
        """Wait until everything has left, at most so long.

        Args:
            for_all: for those who are not connected, too; they may yet come.
            but: positions of whom nobody waits for.
        """
        connected = {state.key for state in self._host.states() if state.is_connected or for_all}
        boxes = [
            self._out[to] for to, key in enumerate(self._operators) if key in connected and to not in but
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(box.is_empty.wait() for box in boxes))

    async def _receive(self, key: bytes, part: bytes) -> bytes:
        peer = self._operators.index(key)
        self.heard[peer] = asyncio.get_running_loop().time()
        answer, payload = self._coming[peer].take(part)
        if payload is not None:
            await self._free[peer].acquire()
            self._came.put_nowait((peer, payload))
        return answer

    async def _deliver(self, to: int) -> None:
        box = self._out[to]
        while True:
            payload = await box.first()
            outgoing = OutgoingPayload(payload)
            try:
                while not outgoing.is_there:
                    part = outgoing.part()
                    answer = await self._host.request(self._operators[to], PROTOCOL, part, terms=self._terms)
                    outgoing.answered(answer)
            except (P2PError, TimeoutError) as error:
                log.debug("not sent", to=to, bytes=len(payload), error=str(error))
            box.remove(payload)
