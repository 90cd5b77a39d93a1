"""A node of a charon ceremony on the network: what its machine wants is sent, and what comes is handed to it.

Everything that decides is in `dvtfast.dkg.frost`. Here are streams, patience and threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine

from dvtfast.dkg.frost.ceremony import Ceremony
from dvtfast.dkg.frost.dialects import PARTIALS, SHARES, SYNC
from dvtfast.dkg.frost.messages import BadMessageError
from dvtfast.dkg.frost.outputs import Ask, LockWanted, Sealed
from dvtfast.dkg.frost.steps import HEADER_BYTES, body_bytes, frame
from dvtfast.dkg.frost.terms import Terms
from dvtfast.dkg.outputs import Aborted, Finished, Phase, Send

from ..p2p.errors import P2PError
from ..p2p.host import Host
from ..p2p.swarm.exchange import Terms as Limits
from ..p2p.swarm.stream import Stream

REPORT_SECONDS = 0.1
# A stream of sync that broke is opened again, at first soon.
RETRY_SECONDS = 0.1
MOST_RETRY_SECONDS = 1.0
# How often a message is tried, and how long each time. The first is sent when all are connected.
ATTEMPTS = 5
SEND_SECONDS = 60.0
# Who has ended goes on reporting, so that all see it.
LAST_REPORTS_SECONDS = 1.0

# What the others are told when `make_lock`, `store` or `show` raises.
OWN_FAULT = "the node has a fault of its own"


class CeremonyAbortedError(Exception):
    """The ceremony ended without keys.

    Attributes:
        end: why.
    """

    def __init__(self, end: Aborted) -> None:
        self.end = end
        super().__init__(end.reason)


class CharonNode:
    """Runs one ceremony.

    Args:
        host: among the other operators' nodes.
        ceremony: the machine.
        terms: what it was made of.
        make_lock: the hash of the lock that is made of the keys and signatures.
        store: verifies and stores everything.
        show: told of each phase.
    """

    def __init__(
        self,
        host: Host,
        ceremony: Ceremony,
        terms: Terms,
        *,
        make_lock: Callable[[LockWanted], Awaitable[bytes]],
        store: Callable[[Sealed], Awaitable[None]],
        show: Callable[[Phase], None] = lambda phase: None,
    ) -> None:
        self._host, self._ceremony, self._terms = host, ceremony, terms
        self._make_lock, self._store, self._show = make_lock, store, show
        self._something_came = asyncio.Event()
        self._end: asyncio.Future[Finished | Aborted] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> Finished:
        """Take part until the end.

        Raises:
            CeremonyAbortedError: it ended without keys.
            Exception: what `make_lock` or `store` raised; the others are told that this node ended.
        """
        dialect = self._terms.dialect
        messages = (SHARES, PARTIALS, dialect.signature_protocol, dialect.message_protocol)
        for protocol in messages:
            self._host.handle(protocol, self._receiving(protocol), terms=self._limits(protocol))
        self._host.handle_stream(SYNC, self._serve_sync)
        for peer in self._terms.peers:
            self._start(self._report(peer))
        self._start(self._advance())
        try:
            await asyncio.wait([self._end])
            await asyncio.sleep(LAST_REPORTS_SECONDS)  # in which the others see it, or are told why
            end = self._end.result()
            if isinstance(end, Aborted):
                raise CeremonyAbortedError(end)
            return end
        finally:
            for protocol in (*messages, SYNC):
                self._host.forget(protocol)
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        """Do something until the end; what it raises ends everything."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._end.done():
            self._ceremony.give_up(OWN_FAULT)
            self._end.set_exception(error)

    async def _advance(self) -> None:
        """Let the machine work in a thread whenever something came."""
        while True:
            self._something_came.clear()
            for output in await asyncio.to_thread(self._ceremony.advance):
                if isinstance(output, Phase):
                    self._show(output)
                elif isinstance(output, Send | Ask):
                    self._start(self._deliver(output))
                elif isinstance(output, LockWanted):
                    self._start(self._lock(output))
                elif isinstance(output, Sealed):
                    self._start(self._seal(output))
                elif not self._end.done():
                    self._end.set_result(output)
            await self._something_came.wait()

    async def _lock(self, wanted: LockWanted) -> None:
        self._ceremony.sign_lock(await self._make_lock(wanted))
        self._something_came.set()

    async def _seal(self, sealed: Sealed) -> None:
        await self._store(sealed)
        self._ceremony.stored()
        self._something_came.set()

    async def _deliver(self, output: Send | Ask) -> None:
        """Send a message, and take its answer if it has one."""
        peer = self._terms.nodes[output.to]
        problem: Exception | None = None
        for attempt in range(ATTEMPTS):
            try:
                if isinstance(output, Send):
                    await self._host.send(peer, output.kind, output.payload, terms=self._limits(output.kind))
                else:
                    answer = await self._host.request(
                        peer, output.kind, output.payload, terms=self._limits(output.kind)
                    )
                    self._ceremony.answered(output.to, output.kind, answer)
                    self._something_came.set()
                return
            except (P2PError, TimeoutError) as error:
                problem = error
                await asyncio.sleep(RETRY_SECONDS * 2**attempt)
        self._ceremony.undelivered(output.to, str(problem))
        self._something_came.set()

    def _limits(self, protocol: str) -> Limits:
        return Limits(most_bytes=self._terms.most_bytes(protocol), seconds=SEND_SECONDS)

    def _receiving(self, protocol: str) -> Callable[[bytes, bytes], Awaitable[bytes | None]]:
        async def receive(peer: bytes, message: bytes) -> bytes | None:
            answer = self._ceremony.receive(self._terms.nodes.index(peer), protocol, message)
            self._something_came.set()
            return answer

        return receive

    # Sync: a stream each way with each peer.

    async def _serve_sync(self, peer: bytes, stream: Stream) -> None:
        position = self._terms.nodes.index(peer)
        try:
            while True:
                message = await stream.read_exactly(body_bytes(await stream.read_exactly(HEADER_BYTES)))
                answer = self._ceremony.receive(position, SYNC, message)
                self._something_came.set()
                if answer is None:
                    return
                await stream.write(frame(answer))
        except (P2PError, BadMessageError):
            pass
        finally:
            self._ceremony.lost(position)

    async def _report(self, position: int) -> None:
        peer, pause = self._terms.nodes[position], RETRY_SECONDS
        while True:
            with contextlib.suppress(P2PError, TimeoutError, BadMessageError):
                async with await self._host.open_stream(peer, SYNC) as stream:
                    while True:
                        now = time.time_ns()
                        report = self._ceremony.report(now // 10**9, now % 10**9)
                        await stream.write(frame(report))
                        size = body_bytes(await stream.read_exactly(HEADER_BYTES))
                        self._ceremony.answered(position, SYNC, await stream.read_exactly(size))
                        self._something_came.set()
                        pause = RETRY_SECONDS
                        await asyncio.sleep(REPORT_SECONDS)
            self._ceremony.lost(position)
            await asyncio.sleep(pause)
            pause = min(pause * 1.6, MOST_RETRY_SECONDS)
