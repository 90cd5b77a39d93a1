"""`dvtfast operator run`: registers whenever the vault has enough, until it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

import click

from ...chain.units import WEI_PER_TOKEN
from ...process import logs, running
from ...process.background import LONGEST_PAUSE_SECONDS
from ...process.offload import UnavailableError
from ...settings import EXIT_CODE, RunSettings
from ...web.http import listening
from ..plan import NothingToDoError
from ..progress import telling
from ..registration.preparing import Preparing
from ..rotation.rotation import NotFinalYetError, Rotating, Rotation
from ..rotation.rotation_info import OraclesBehindError
from ..sending.action import Outcome
from . import exit_codes
from .executor import Task, begin_next, ending, of_entry, timed, unless_stopped
from .metrics import OperatorMetrics
from .opening import Parts, open_preparing
from .register import registration_task
from .results import OTHER_DEPOSITS, WRONG, Ended, problems_of

log = logs.get("operator")

KINDS = {
    exit_codes.FAILED: "failed",
    exit_codes.NOT_READY: "not ready",
    exit_codes.OPEN: "open",
    exit_codes.NOT_DONE: "not done",
}


def run(settings: RunSettings) -> int:
    """Run until told to stop; the exit code."""
    return running.run(partial(_until_stopped, settings))


async def _until_stopped(settings: RunSettings, stop: asyncio.Event) -> int:
    metrics = OperatorMetrics()
    async with AsyncExitStack() as stack:
        told = stack.enter_context(telling())
        try:
            opened = await stack.enter_async_context(open_preparing(settings, told))
        except WRONG as error:
            for problem in problems_of(error):
                click.echo(f"error: {problem}", err=True)
            return EXIT_CODE
        except UnavailableError as error:
            click.echo(f"error: {error}; nothing was sent", err=True)
            return exit_codes.NOT_READY
        if settings.metrics_port is not None:
            pages = listening(metrics.application(), settings.metrics_host, settings.metrics_port)
            log.info("listening", port=await stack.enter_async_context(pages))
        log.info("watching the vault", network=settings.network.name, every_seconds=settings.interval)
        registrar = Registrar(settings, metrics, *opened)
        ended = await unless_stopped(registrar.watch(), registrar.parts.sender, stop)
    log.info("stopped", state=ended.problem)
    return ended.code if ended.code in (exit_codes.OPEN, exit_codes.NOT_DONE) else exit_codes.DONE


@dataclass
class Registrar:
    """Registers what there is, and looks after the exits of what is registered."""

    settings: RunSettings
    metrics: OperatorMetrics
    parts: Parts
    preparing: Preparing
    rotating: Rotating | None

    async def watch(self) -> Ended:
        """Look again and again; a failure makes the pause longer, and ends nothing.

        Only deposits of others than it should make end it: what comes next would go the same way.
        """
        settings, failures, rotation_due, rotates = self.settings, 0, monotonic(), False
        while True:
            ended = await self.look()
            self.metrics.looked()
            if ended.problem == OTHER_DEPOSITS:
                log.error("not registered any more", why=ended.problem)
                return ended
            if rotates or monotonic() >= rotation_due:
                rotates = (await self.look_after_exits(goes_on=rotates)).code == exit_codes.DONE
                rotation_due = monotonic() + settings.rotation_interval
            if ended.code in (exit_codes.DONE, exit_codes.SUBMITTED, exit_codes.NOTHING_TO_DO):
                failures = 0
            else:
                failures += 1
                self.metrics.failures.labels(KINDS.get(ended.code, "failed")).inc()
            if rotates or ended.code in (exit_codes.DONE, exit_codes.SUBMITTED):
                continue  # there may be enough for the next batch, or more exits
            pause = settings.interval
            if failures:
                pause = min(settings.interval * 2 ** min(failures - 1, 10), max(LONGEST_PAUSE_SECONDS, pause))
                log.warning("not registered", why=ended.problem, failures=failures, again_in_seconds=pause)
            else:
                log.debug("nothing to register", why=ended.problem)
            await asyncio.sleep(pause)

    async def look(self) -> Ended:
        """Go on with what is open, or register the next batch, whatever happens."""
        return await self._whatever_happens(self._look())

    async def look_after_exits(self, *, goes_on: bool = False) -> Ended:
        """Give the oracles of today the next batch of exits that they want, whatever happens.

        Args:
            goes_on: they got a batch just now, which they may not know of yet.
        """
        rotating = self.rotating
        assert rotating is not None
        if not goes_on:
            rotating.left_out.clear()  # they may be there by now

        async def prepare() -> Rotation:
            try:
                return await rotating.prepare()
            except OraclesBehindError as error:
                if not goes_on and not isinstance(error, NotFinalYetError):
                    raise
                raise NothingToDoError(str(error)) from None

        task = Task(self.parts.chain, self.parts.sender, prepare)
        ended = await self._whatever_happens(timed(begin_next(task), self.settings.timeout_seconds, task))
        if ended.code == exit_codes.DONE:
            return ended
        self.metrics.left_out.set(len(rotating.left_out))
        if ended.code != exit_codes.NOTHING_TO_DO or rotating.left_out:
            self.metrics.failures.labels("not rotated").inc()
            log.warning("not rotated", why=ended.problem, again_in_seconds=self.settings.rotation_interval)
        return ended

    async def _whatever_happens(self, work: Coroutine[Any, Any, Ended]) -> Ended:
        try:
            ended = await ending(work, self.parts.sender)
        except Exception as error:
            log.exception("look failed")
            ended = Ended(exit_codes.FAILED, problem=f"{type(error).__name__}: see the log")
        self.metrics.open.set(ended.code == exit_codes.OPEN)
        if ended.entry is not None and ended.entry.conclusion is not None:
            self.metrics.concluded(ended.entry)
        return ended

    async def _look(self) -> Ended:
        chain, sender = self.parts.chain, self.parts.sender
        await sender.look_back()
        if await sender.open_entry() is not None:
            self.metrics.open.set(1)
            resumed = await sender.resume()
            assert resumed is not None
            assert resumed.conclusion is not None
            if resumed.conclusion.outcome is not Outcome.UNSENT:
                return await of_entry(chain, resumed)
        situation = await self.preparing.situation()
        withdrawable = situation.assets.withdrawable_wei / WEI_PER_TOKEN
        self.metrics.withdrawable.labels(chain.network.stake_symbol).set(withdrawable)
        await self.preparing.amounts(situation)
        task = registration_task(self.parts, self.preparing)
        return await timed(begin_next(task), self.settings.timeout_seconds, task)
