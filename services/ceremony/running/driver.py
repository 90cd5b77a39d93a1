"""Runs a machine: what it wants sent, recorded and stored, and when it is reminded of who does not answer.

Everything it computes and records is on one thread, which is waited for in the end; its keystores are made
on another, so that it answers its peers meanwhile.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from dvtfast.dkg.dvtfast_dkg.machine import CLOSED, REJOIN, STORE, Machine
from dvtfast.dkg.dvtfast_dkg.messages.mail import Outputs
from dvtfast.dkg.dvtfast_dkg.work import ToStore
from dvtfast.dkg.outputs import Aborted, Finished, GeneratedKeys, Phase, Record, Send

from ...process import logs
from ...process.background import in_background
from ...process.logs import printable
from ...process.offload import Workers
from .mailbox import Mailbox
from .records_file import RecordsFile

FIRST_REMINDER_SECONDS, LONGEST_REMINDER_SECONDS = 1.0, 10.0
LEAST_REMINDER_SECONDS = 0.25
REMINDERS = 8  # in vain, before anybody is given up: what one node misses, others are asked for
FLUSH_SECONDS = 10.0  # for the last messages, so that the others learn why
JOIN_FLUSH_SECONDS = 30.0  # the same while not all are connected yet
HELLO = "hello"  # the phase in which all come together, for the first time
JOINING = (HELLO, REJOIN)
CLOSE_SECONDS = 60.0  # for those who have not heard yet that all is well
ALIVE_FACTOR = 10  # somebody who answers, but not with what is missing, is waited for so much longer

log = logs.get("ceremony")


@dataclass
class Patience:
    """How long others are waited for.

    Attributes:
        join_seconds: until all are there.
        silence_seconds: then, without a word from one who is missing.
    """

    join_seconds: float
    silence_seconds: float


@dataclass
class AttemptEnd:
    """What became of an attempt.

    Attributes:
        finished: keys and lock are in their places.
        aborts: why there are no keys.
    """

    finished: bool = False
    aborts: list[Aborted] = field(default_factory=list)

    @property
    def is_unconfirmed(self) -> bool:
        """Whether others may have finished, and this node may yet."""
        return any(abort.unconfirmed for abort in self.aborts)


class Driver:
    """One attempt at a ceremony, from here to its end.

    Args:
        heard: what the machine has given for what was known before.
        store: puts keys and lock on the disk, and returns the hash of the files; runs on a thread, and ends
            soon when the event is set.
        confirm: decides on the disk that they are published, as all nodes have them; runs on a thread.
        publish: moves them to their places.
        show: is told each phase.
        work_seconds: that the slowest machine may take for what it has to compute and to write.
    """

    def __init__(
        self,
        machine: Machine,
        mailbox: Mailbox,
        records: RecordsFile,
        *,
        heard: Outputs,
        store: Callable[[ToStore, threading.Event], bytes],
        confirm: Callable[[], None],
        publish: Callable[[], Coroutine[None, None, None]],
        show: Callable[[Phase], None],
        patience: Patience,
        work_seconds: float,
    ) -> None:
        self._machine, self._mailbox, self._records = machine, mailbox, records
        self._heard, self._show = heard, show
        self._store, self._confirm, self._publish = store, confirm, publish
        self._patience, self._work_seconds = patience, work_seconds
        self._workers = Workers("ceremony", threads=1, deadline_seconds=None)
        self._phase = Phase(HELLO)  # which it also ends in when this node has trouble of its own
        self._storing: asyncio.Task[bytes] | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._stop = threading.Event()
        self._keys: list[GeneratedKeys] = []
        self._ended = AttemptEnd()

    async def run(self) -> AttemptEnd:
        """Until all is well at all nodes, or nothing more can come of it.

        Raises:
            OSError, FileError: this node's disk does not take what it must have.
            CeremonyError: all have stored theirs, and this node cannot publish its own; a later start can.
        """
        try:
            async with in_background(self._show_life()):
                await self._do([*self._heard, *await self._workers.run(self._machine.start)])
                while not self._is_lost and self._phase.name != CLOSED:
                    if not await self._step():
                        break
            culprits = {abort.culprit for abort in self._ended.aborts}
            is_joining = self._phase.name in ("", *JOINING)
            seconds = JOIN_FLUSH_SECONDS if is_joining else FLUSH_SECONDS
            await self._mailbox.flush(seconds, for_all=is_joining, but=culprits)
            if self._publishing is not None:
                await self._publishing
            return self._ended
        finally:
            self._stop.set()
            if self._publishing is not None:
                self._publishing.cancel()
            await _end(self._storing, self._publishing)
            await self._workers.close()
            for keys in self._keys:
                keys.wipe()

    @property
    def _is_lost(self) -> bool:
        """Whether nothing can come of it any more; what this node has stored may yet be confirmed."""
        return any(not abort.unconfirmed for abort in self._ended.aborts)

    async def _step(self) -> bool:
        """Take what comes next, or remind; False when there is nobody left to wait for."""
        since = reminded = self._now()
        pause, reminders = FIRST_REMINDER_SECONDS, 0
        phase = self._phase
        while phase == self._phase and not self._is_lost:
            if self._storing is not None and self._storing.done():
                task, self._storing = self._storing, None
                await self._do(await self._workers.run(self._machine.stored, task.result()))
                continue
            try:
                if self._now() >= reminded + pause:  # also while something is always there to be read
                    raise TimeoutError
                async with asyncio.timeout_at(reminded + pause):
                    peer, payload = await self._mailbox.next()
            except TimeoutError:
                pause = self._longer(pause)
                reminded, reminders = self._now(), reminders + 1
                await self._do(await self._workers.run(self._machine.remind))
                if phase == self._phase and reminders >= REMINDERS and self._is_over(since):
                    if self._ended.finished:
                        return False
                    await self._do(await self._workers.run(self._machine.give_up))
                    return False
                continue
            if payload is not None:
                await self._do(await self._workers.run(self._machine.receive, peer, payload))
        return True

    async def _show_life(self) -> None:
        """While this node works it says so to all, as nothing else may come of it for minutes."""
        while True:
            await asyncio.sleep(self._longest_pause)
            if self._storing is not None or self._workers.under_way:
                self._mailbox.show_life()

    def _longer(self, pause: float) -> float:
        """The next pause between reminders."""
        return min(2 * pause, self._longest_pause)

    @property
    def _longest_pause(self) -> float:
        """Between reminders, and between signs of life: there are enough while somebody is waited for."""
        patience = self._patience
        seconds = patience.join_seconds if self._phase.name in JOINING else patience.silence_seconds
        return min(LONGEST_REMINDER_SECONDS, max(seconds / REMINDERS, LEAST_REMINDER_SECONDS))

    def _is_over(self, since: float) -> bool:
        """Whether those who are missing were waited for long enough."""
        now, patience = self._now(), self._patience
        if self._ended.finished:
            return now - since > CLOSE_SECONDS
        if self._phase.name == STORE or not self._phase.missing:
            return False
        if self._phase.name in JOINING:
            return now - since > patience.join_seconds
        silent = now - max(since, min(self._mailbox.heard[peer] for peer in self._phase.missing))
        is_alive = now - since <= ALIVE_FACTOR * patience.silence_seconds + self._work_seconds
        return silent > patience.silence_seconds or not is_alive

    async def _do(self, outputs: Outputs) -> None:
        for output in outputs:
            match output:
                case Record():
                    await self._workers.run(self._records.append, output.content)
                case Send():
                    self._mailbox.send(output.to, output.payload)
                case Phase():
                    self._phase = output
                    self._show(output)
                case ToStore():
                    self._keys.append(output.keys)
                    self._storing = asyncio.create_task(asyncio.to_thread(self._store, output, self._stop))
                    self._storing.add_done_callback(lambda _: self._mailbox.wake())
                case Finished():
                    await self._workers.run(self._confirm)
                    self._ended.finished = True
                    self._publishing = asyncio.create_task(self._publish())
                    if output.result is not None:
                        self._keys.append(output.result)
                case Aborted():
                    self._ended.aborts.append(output)
                    if len(self._ended.aborts) == 1:
                        log.warning("aborted; telling the others", reason=printable(output.reason))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def _end(*tasks: asyncio.Task[Any] | None) -> None:
    """Wait for what was begun; what becomes of it is told elsewhere, or nobody's concern any more."""
    await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)
