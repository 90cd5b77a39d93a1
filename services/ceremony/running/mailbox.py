"""Payloads of a ceremony between this node and its peers.

A payload goes in parts, each of which is answered, so that it may be longer than what a circuit of a relay
carries. It may be lost all the same: the machine that lacks it asks again. So nothing is waited for, and a
queue that is full forgets. The last part is answered when the payload was worked on, and the next one looked
at then: of each peer there is one payload here, and what more it sends counts for it within libp2p's limits.

Work may take long, so an answer is waited for as long as its peer gives signs of life: these pass by whatever
else is on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from dvtfast.dkg.dvtfast_dkg.messages.wanting import SIGN_OF_LIFE
from dvtfast.dkg.outputs import Joined

from ...p2p.errors import P2PError
from ...p2p.host import Host, Terms
from ...process import logs
from ...process.background import in_background
from .parts import MOST_MESSAGE_BYTES, IncomingPayload, OutgoingPayload, answer_to, is_whole

PROTOCOL = "/dvtfast/dkg/1"
STALL_SECONDS = 60.0  # without progress of a part that comes, or a sign of life of who has one to answer
MOST_QUEUED = 256  # payloads to one peer; asking again brings back what is forgotten
QUEUED_PAYLOADS = 2  # of the largest: so many bytes may wait for one peer, and what is small beside them
SMALL_BYTES = 1024 * 1024

log = logs.get("ceremony")


class _Outbox:
    """Payloads to one peer, in order; the same one waits once, however often it was asked for.

    Attributes:
        is_empty: an event, set while nothing waits.
    """

    def __init__(self, most_bytes: int) -> None:
        self._payloads: dict[bytes | Joined, None] = {}
        self._bytes, self._most_bytes = 0, most_bytes
        self._some = asyncio.Event()
        self.is_empty = asyncio.Event()
        self.is_empty.set()

    def add(self, payload: bytes | Joined) -> None:
        if payload in self._payloads:
            return
        while self._payloads and (
            len(self._payloads) >= MOST_QUEUED or self._bytes + len(payload) > self._most_bytes
        ):
            self.remove(next(iter(self._payloads)))
        self._payloads[payload] = None
        self._bytes += len(payload)
        self._some.set()
        self.is_empty.clear()

    async def first(self) -> bytes | Joined:
        await self._some.wait()
        return next(iter(self._payloads))

    def remove(self, payload: bytes | Joined) -> None:
        if payload in self._payloads:
            del self._payloads[payload]
            self._bytes -= len(payload)
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
        self._others = [to for to in range(len(operators)) if to != position]
        self._terms = Terms(most_bytes=MOST_MESSAGE_BYTES, seconds=None, stall_seconds=STALL_SECONDS)
        self._patient = replace(self._terms, stall_seconds=None)
        self._signs: dict[int, asyncio.Task[None]] = {}
        self._coming = [IncomingPayload(most_bytes) for _ in operators]
        self._came: asyncio.Queue[tuple[int, bytes | None, asyncio.Event]] = asyncio.Queue()
        self._turns = [asyncio.Lock() for _ in operators]
        self._waiting: set[asyncio.Event] = set()
        self._worked_on = asyncio.Event()  # what was taken last
        self._is_open = False
        most_queued = QUEUED_PAYLOADS * most_bytes + SMALL_BYTES
        self._out = [_Outbox(most_queued) for _ in operators]
        self.heard = [asyncio.get_running_loop().time()] * len(operators)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Speak the protocol inside the block; what was not taken in the end is forgotten."""
        self._is_open = True
        self._host.handle(PROTOCOL, self._receive, terms=self._terms)
        try:
            async with in_background(*(self._deliver(to) for to in self._others)):
                yield
        finally:
            self._take_no_more()
            for sign in self._signs.values():
                sign.cancel()
            await asyncio.gather(*self._signs.values(), return_exceptions=True)
            self._host.forget(PROTOCOL)

    def send(self, to: int, payload: bytes | Joined) -> None:
        """Put a payload behind those that go to a peer."""
        self._out[to].add(payload)

    def send_all(self, payload: bytes) -> None:
        """The same, to all peers."""
        for to in self._others:
            self.send(to, payload)

    def show_life(self) -> None:
        """Tell all that this node is at work, whatever else waits for them."""
        for to in self._others:
            if to not in self._signs or self._signs[to].done():
                self._signs[to] = asyncio.create_task(self._show_life(to))

    def wake(self) -> None:
        """Let who waits for what comes next look at something else."""
        self._came.put_nowait((self._position, None, asyncio.Event()))

    async def next(self) -> tuple[int, bytes | None]:
        """What came next: the sender's position, and the payload. The one before was worked on.

        From this node there is no payload: see `wake`.
        """
        self._worked_on.set()
        peer, payload, self._worked_on = await self._came.get()
        return peer, payload

    async def flush(self, seconds: float, *, for_all: bool, but: Collection[int | None]) -> None:
        """Wait until everything has left, at most so long; nothing is taken any more, and all is answered.

        Args:
            for_all: for those who are not connected, too; they may yet come.
            but: positions of whom nobody waits for.
        """
        self._take_no_more()  # who flushes, too, would wait for this node as it waits for them
        connected = {state.key for state in self._host.states() if state.is_connected or for_all}
        boxes = [
            self._out[to] for to, key in enumerate(self._operators) if key in connected and to not in but
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(box.is_empty.wait() for box in boxes))

    def _take_no_more(self) -> None:
        self._is_open = False
        for event in (self._worked_on, *self._waiting):
            event.set()

    async def _receive(self, key: bytes, part: bytes) -> bytes:
        peer = self._operators.index(key)
        self.heard[peer] = self._now()
        if is_whole(part, SIGN_OF_LIFE):
            return answer_to(SIGN_OF_LIFE)
        async with self._turns[peer]:
            answer, payload = self._coming[peer].take(part)
            if payload is not None and self._is_open:
                event = asyncio.Event()
                self._waiting.add(event)
                try:
                    self._came.put_nowait((peer, payload, event))
                    await event.wait()
                finally:
                    self._waiting.discard(event)
        return answer

    async def _deliver(self, to: int) -> None:
        box = self._out[to]
        while True:
            payload = await box.first()
            outgoing = OutgoingPayload(payload)
            try:
                while not outgoing.is_there:
                    part = outgoing.part()
                    outgoing.answered(await self._answer_to(part, to))
            except (P2PError, TimeoutError) as error:
                log.debug("not sent", to=to, bytes=len(payload), error=str(error))
            box.remove(payload)

    async def _answer_to(self, part: bytes, to: int) -> bytes:
        """What a peer answers to a part, however long it works before that.

        Raises:
            P2PError: it cannot be asked.
            TimeoutError: it gives no sign of life.
        """
        begun = self._now()
        asking = asyncio.create_task(
            self._host.request(self._operators[to], PROTOCOL, part, terms=self._patient)
        )
        try:
            while (left := max(begun, self.heard[to]) + STALL_SECONDS - self._now()) > 0:
                if (await asyncio.wait([asking], timeout=left))[0]:
                    return asking.result()
            raise TimeoutError
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _show_life(self, to: int) -> None:
        part = OutgoingPayload(SIGN_OF_LIFE).part()
        with suppress(P2PError, TimeoutError):
            await self._host.request(self._operators[to], PROTOCOL, part, terms=self._terms)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
