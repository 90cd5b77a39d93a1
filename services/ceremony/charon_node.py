"""A node of a charon ceremony on the network: what its machine wants is sent, and what comes is handed to it.

Everything that decides is in `dvtfast.dkg.frost`. Here are streams, patience and threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine

from dvtfast.dkg.frost.ceremony import Ceremony
from dvtfast.dkg.frost.dialects import PARTIALS, SHARES, SYNC
from dvtfast.dkg.frost.messages import BadMessageError
from dvtfast.dkg.frost.order import CONNECTING
from dvtfast.dkg.frost.outputs import Ask, Generated, LockWanted, Output, Sealed
from dvtfast.dkg.frost.steps import HEADER_BYTES, body_bytes, frame
from dvtfast.dkg.frost.terms import Terms
from dvtfast.dkg.outputs import Aborted, Finished, GeneratedKeys, Phase, Send

from ..p2p.errors import ConnectionEndedError, P2PError, UnreachableError
from ..p2p.host import Host
from ..p2p.swarm.exchange import Terms as Limits
from ..p2p.swarm.exchange import framed
from ..p2p.swarm.stream import Stream
from ..process import logs
from ..process.offload import Workers
from .errors import CeremonyFailedError
from .running.driver import ALIVE_FACTOR, CLOSE_SECONDS, Patience

REPORT_SECONDS = 0.1
STALL_SECONDS = 30.0  # of a stream on which nothing moves
# What broke, or was not taken, is tried again, at first soon.
RETRY_SECONDS, MOST_RETRY_SECONDS = 0.1, 1.0
REFUSALS = 20  # of one message, by a peer that is there
LOOK_SECONDS = 1.0  # at the clock
# Who has ended goes on reporting, so that all see it.
LAST_REPORTS_SECONDS = 2.0

# What the others are told when `keep`, `make_lock`, `store` or `show` raises.
OWN_FAULT = "the node has a fault of its own"

log = logs.get("ceremony")


class CharonNode:
    """Runs one ceremony.

    Args:
        host: among the other operators' nodes.
        ceremony: the machine; what is secret in it is overwritten in the end.
        terms: what it was made of.
        keep: puts the keys on the disk, before anybody signs with them; takes its copy when it is called.
        make_lock: the hash of the lock that is made of the keys and signatures.
        store: verifies everything, and puts it on the disk.
        publish: puts it in its place; all nodes have stored theirs.
        show: told of each phase.
    """

    def __init__(
        self,
        host: Host,
        ceremony: Ceremony,
        terms: Terms,
        *,
        keep: Callable[[GeneratedKeys], Awaitable[None]],
        make_lock: Callable[[LockWanted], Awaitable[bytes]],
        store: Callable[[Sealed], Awaitable[None]],
        publish: Callable[[], Coroutine[None, None, None]],
        patience: Patience,
        show: Callable[[Phase], None] = lambda phase: None,
    ) -> None:
        self._host, self._ceremony, self._terms = host, ceremony, terms
        self._keep, self._make_lock, self._store, self._publish = keep, make_lock, store, publish
        self._patience, self._show = patience, show
        self._workers = Workers("ceremony", threads=1, deadline_seconds=None)
        # What comes is read on another thread, of each peer one at a time: however long one message takes,
        # or how many come, streams go on, and so do the others.
        self._readers = Workers("reading", threads=1, deadline_seconds=None)
        self._turns = [asyncio.Lock() for _ in terms.nodes]
        self._is_closed = False
        self._something_came = asyncio.Event()
        self._phase, self._since = Phase(""), self._now()
        self._heard = [self._now()] * len(terms.nodes)
        self._talking: set[asyncio.Task[None]] = set()
        self._working: set[asyncio.Task[None]] = set()  # making lock and files, which is not broken off
        self._keys: GeneratedKeys | None = None
        self._is_finished = False
        self._aborts: list[Aborted] = []
        self._fault: BaseException | None = None

    async def run(self) -> None:
        """Take part until the end; afterwards everything is in its place.

        Raises:
            CeremonyFailedError: it ended without keys.
            Exception: what `keep`, `make_lock`, `store`, `publish` or `show` raised; the others are told that
                this node ended.
        """
        dialect = self._terms.dialect
        messages = (SHARES, PARTIALS, dialect.signature_protocol, dialect.message_protocol)
        for protocol in messages:
            self._host.handle(protocol, self._receiving(protocol), terms=self._limits(protocol))
        self._host.handle_stream(SYNC, self._serve_sync)
        try:
            for peer in self._terms.peers:
                self._start(self._report(peer), self._talking)
            await asyncio.wait([self._start(self._take_part(), self._talking)])
            await asyncio.sleep(LAST_REPORTS_SECONDS)  # in which the others see it, or are told why
        finally:
            for protocol in (*messages, SYNC):
                self._host.forget(protocol)
            await self._close()
        if self._fault is not None:
            raise self._fault
        if self._aborts:
            raise CeremonyFailedError(self._aborts, attempt=None)

    async def _take_part(self) -> None:
        """Let the machine work whenever something came, until it has nothing more to say."""
        while True:
            self._something_came.clear()
            for output in await self._workers.run(self._ceremony.advance):
                self._do(output)
            if self._ceremony.is_over:
                return
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._something_came.wait()
            except TimeoutError:
                pass
            self._look_at_the_clock()

    def _do(self, output: Output) -> None:
        match output:
            case Send() | Ask():
                self._start(self._deliver(output), self._talking)
            case Phase():
                if not output.name == self._phase.name == CONNECTING:  # whoever else comes and goes meanwhile
                    self._since = self._now()
                self._phase = output
                self._show(output)
            case Generated():
                self._start(self._keep_keys(self._keep(output.keys)), self._working)
            case LockWanted():
                self._start(self._lock(output), self._working)
            case Sealed():
                self._keys = output.keys
                self._start(self._seal(output), self._working)
            case Finished():
                self._is_finished = True
                self._start(self._publish(), self._working)
            case Aborted():
                self._aborts.append(output)
                log.warning("aborted; telling the others", reason=logs.printable(output.reason))

    def _start(self, work: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        """Do something beside; what it raises ends everything."""
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._talking.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fault = self._fault or error
            self._ceremony.fail(OWN_FAULT)
            self._something_came.set()

    async def _close(self) -> None:
        """Stop, and overwrite what is secret when nothing works with it any more."""
        for task in self._talking:
            task.cancel()
        await asyncio.gather(*self._talking, *self._working, return_exceptions=True)
        self._is_closed = True
        await self._workers.close()
        await self._readers.close()
        self._ceremony.forget()
        if self._keys is not None:
            self._keys.wipe()

    def _look_at_the_clock(self) -> None:
        """Give up when others were waited for long enough.

        Everybody reports all the time. So whoever is silent is at fault, though others may be missing, who
        wait for it as we do.
        """
        now, patience, phase = self._now(), self._patience, self._phase
        waited = now - self._since
        if self._is_finished or phase.name == CONNECTING:
            if waited > (CLOSE_SECONDS if self._is_finished else patience.join_seconds):
                self._ceremony.give_up()
        elif phase.missing:
            seconds = patience.silence_seconds
            silent = [peer for peer in self._terms.peers if now - self._heard[peer] > seconds]
            if silent or waited > ALIVE_FACTOR * seconds:
                self._ceremony.give_up(*silent)

    def _came(self, peer: int) -> None:
        self._heard[peer] = self._now()
        self._something_came.set()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # What this node has to make.

    async def _keep_keys(self, keeping: Awaitable[None]) -> None:
        await keeping
        self._ceremony.kept()
        self._something_came.set()

    async def _lock(self, wanted: LockWanted) -> None:
        self._ceremony.sign_lock(await self._make_lock(wanted))
        self._something_came.set()

    async def _seal(self, sealed: Sealed) -> None:
        await self._store(sealed)
        self._ceremony.stored()
        self._something_came.set()

    # Messages.

    async def _deliver(self, output: Send | Ask) -> None:
        """Send a message until it has arrived, and take its answer if it has one.

        Who cannot be reached is waited for as long as the whole ceremony waits.
        """
        peer, pause, refusals = self._terms.nodes[output.to], RETRY_SECONDS, 0
        while True:
            try:
                if isinstance(output, Send):
                    await self._send(peer, output)
                    return
                limits = self._limits(output.kind)
                answer = await self._host.request(peer, output.kind, bytes(output.payload), terms=limits)
            except (UnreachableError, ConnectionEndedError, TimeoutError) as error:
                problem: Exception = error
            except P2PError as error:
                problem, refusals = error, refusals + 1
            else:
                self._ceremony.answered(output.to, output.kind, answer)
                self._came(output.to)
                return
            log.debug("not sent", to=output.to, protocol=output.kind, error=str(problem))
            if refusals == REFUSALS:
                self._ceremony.undelivered(output.to, f"{output.kind}: {problem}")
                self._something_came.set()
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, MOST_RETRY_SECONDS)

    async def _send(self, peer: bytes, output: Send) -> None:
        """Send, and wait for the end of the stream, which its other side closes when it has read all."""
        async with await self._host.open_stream(peer, output.kind) as stream:
            stream.stall_seconds = STALL_SECONDS
            await stream.write(framed(bytes(output.payload)))
            stream.finish()
            while await stream.read():
                pass

    def _limits(self, protocol: str) -> Limits:
        most = self._terms.most_bytes(protocol)
        return Limits(most_bytes=most, seconds=None, stall_seconds=STALL_SECONDS)

    def _receiving(self, protocol: str) -> Callable[[bytes, bytes], Awaitable[bytes | None]]:
        async def receive(key: bytes, message: bytes) -> bytes | None:
            if key not in self._terms.nodes:
                return None  # a relay
            peer = self._terms.nodes.index(key)
            self._heard[peer] = self._now()
            async with self._turns[peer]:
                if self._is_closed:
                    return None
                answer = await self._readers.run(self._ceremony.receive, peer, protocol, message)
            self._came(peer)
            return answer

        return receive

    # Sync: a stream each way with each peer.

    async def _serve_sync(self, key: bytes, stream: Stream) -> None:
        if key not in self._terms.nodes:
            return
        peer = self._terms.nodes.index(key)
        stream.stall_seconds = STALL_SECONDS
        try:
            while True:
                message = await stream.read_exactly(body_bytes(await stream.read_exactly(HEADER_BYTES)))
                answer = self._ceremony.receive(peer, SYNC, message)
                self._came(peer)
                if answer is None:
                    return
                await stream.write(frame(answer))
        except (P2PError, TimeoutError, BadMessageError) as error:
            log.debug("its stream of sync ended", peer=peer, error=str(error))
        finally:
            self._ceremony.lost(peer)

    async def _report(self, peer: int) -> None:
        pause = RETRY_SECONDS
        while True:
            try:
                async with await self._host.open_stream(self._terms.nodes[peer], SYNC) as stream:
                    stream.stall_seconds = STALL_SECONDS
                    while True:
                        await self._report_once(peer, stream)
                        pause = RETRY_SECONDS
                        await asyncio.sleep(REPORT_SECONDS)
            except (P2PError, TimeoutError, BadMessageError) as error:
                log.debug("our stream of sync ended", peer=peer, error=str(error))
            self._ceremony.lost(peer)
            await asyncio.sleep(pause)
            pause = min(2 * pause, MOST_RETRY_SECONDS)

    async def _report_once(self, peer: int, stream: Stream) -> None:
        now = time.time_ns()
        await stream.write(frame(self._ceremony.report(now // 10**9, now % 10**9)))
        size = body_bytes(await stream.read_exactly(HEADER_BYTES))
        self._ceremony.answered(peer, SYNC, await stream.read_exactly(size))
        self._came(peer)
