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
from ..progress import showing_reports
from ..registration.planner import RegistrationPlanner
from ..rotation.plan import RotationPlan
from ..rotation.planner import NotFinalYetError, RotationPlanner
from ..rotation.rotation_info import OraclesBehindError
from ..sending.action import Outcome
from . import exit_codes
from .executor import Task, begin_next, result_of, result_of_entry, timed, unless_stopped
from .metrics import OperatorMetrics
from .parts import Parts, open_registration
from .register import registration_task
from .results import OTHER_DEPOSITS, WRONG, CommandResult, problems_of

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
        report = stack.enter_context(showing_reports())
        try:
            opened = await stack.enter_async_context(open_registration(settings, report))
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
        result = await unless_stopped(registrar.watch(), registrar.parts.sender, stop)
    log.info("stopped", state=result.problem)
    return result.code if result.code in (exit_codes.OPEN, exit_codes.NOT_DONE) else exit_codes.DONE


@dataclass
class Registrar:
    """Registers what there is, and looks after the exits of what is registered."""

    settings: RunSettings
    metrics: OperatorMetrics
    parts: Parts
    planner: RegistrationPlanner
    rotation_planner: RotationPlanner | None

    async def watch(self) -> CommandResult:
        """Look again and again; a failure makes the pause longer, and ends nothing.

        Only deposits of others than it should make end it: what comes next would go the same way.
        """
        settings, failures, rotation_due, rotates = self.settings, 0, monotonic(), False
        while True:
            result = await self.look()
            self.metrics.looked()
            if result.problem == OTHER_DEPOSITS:
                log.error("not registered any more", why=result.problem)
                return result
            if rotates or monotonic() >= rotation_due:
                rotates = (await self.look_after_exits(goes_on=rotates)).code == exit_codes.DONE
                rotation_due = monotonic() + settings.rotation_interval
            if result.code in (exit_codes.DONE, exit_codes.SUBMITTED, exit_codes.NOTHING_TO_DO):
                failures = 0
            else:
                failures += 1
                self.metrics.failures.labels(KINDS.get(result.code, "failed")).inc()
            if rotates or result.code in (exit_codes.DONE, exit_codes.SUBMITTED):
                continue  # there may be enough for the next batch, or more exits
            pause = settings.interval
            if failures:
                pause = min(settings.interval * 2 ** min(failures - 1, 10), max(LONGEST_PAUSE_SECONDS, pause))
                log.warning("not registered", why=result.problem, failures=failures, again_in_seconds=pause)
            else:
                log.debug("nothing to register", why=result.problem)
            await asyncio.sleep(pause)

    async def look(self) -> CommandResult:
        """Go on with what is open, or register the next batch, whatever happens."""
        return await self._whatever_happens(self._look())

    async def look_after_exits(self, *, goes_on: bool = False) -> CommandResult:
        """Give the oracles of today the next batch of exits that they want, whatever happens.

        Args:
            goes_on: they got a batch just now, which they may not know of yet.
        """
        rotation_planner = self.rotation_planner
        assert rotation_planner is not None
        if not goes_on:
            rotation_planner.left_out.clear()  # they may be there by now

        async def prepare() -> RotationPlan:
            try:
                return await rotation_planner.prepare()
            except OraclesBehindError as error:
                if not goes_on and not isinstance(error, NotFinalYetError):
                    raise
                raise NothingToDoError(str(error)) from None

        task = Task(self.parts.chain, self.parts.sender, prepare)
        result = await self._whatever_happens(timed(begin_next(task), self.settings.timeout_seconds, task))
        if result.code == exit_codes.DONE:
            return result
        self.metrics.left_out.set(len(rotation_planner.left_out))
        if result.code != exit_codes.NOTHING_TO_DO or rotation_planner.left_out:
            self.metrics.failures.labels("not rotated").inc()
            log.warning("not rotated", why=result.problem, again_in_seconds=self.settings.rotation_interval)
        return result

    async def _whatever_happens(self, work: Coroutine[Any, Any, CommandResult]) -> CommandResult:
        try:
            result = await result_of(work, self.parts.sender)
        except Exception as error:
            log.exception("look failed")
            result = CommandResult(exit_codes.FAILED, problem=f"{type(error).__name__}: see the log")
        self.metrics.open.set(result.code == exit_codes.OPEN)
        if result.entry is not None and result.entry.conclusion is not None:
            self.metrics.concluded(result.entry)
        return result

    async def _look(self) -> CommandResult:
        chain, sender = self.parts.chain, self.parts.sender
        await sender.look_back()
        if await sender.open_entry() is not None:
            self.metrics.open.set(1)
            resumed = await sender.resume()
            assert resumed is not None
            assert resumed.conclusion is not None
            if resumed.conclusion.outcome is not Outcome.UNSENT:
                return await result_of_entry(chain, resumed)
        state = await self.planner.vault_state()
        withdrawable = state.assets.withdrawable_wei / WEI_PER_TOKEN
        self.metrics.withdrawable.labels(chain.network.stake_symbol).set(withdrawable)
        await self.planner.amounts(state)
        task = registration_task(self.parts, self.planner)
        return await timed(begin_next(task), self.settings.timeout_seconds, task)
