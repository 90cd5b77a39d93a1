"""`dvtfast operator run`: registers whenever the vault has enough, until it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
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
from ..rotation.rotating import NotFinalYetError, Rotation
from ..rotation.wanted import OraclesBehindError
from ..sending.action import Outcome
from . import exit_codes
from .executor import Task, begin_next, ending, of_entry, timed, unless_stopped
from .metrics import Metrics
from .opening import Office, open_office
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
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        told = stack.enter_context(telling())
        try:
            office = await stack.enter_async_context(open_office(settings, told))
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
        ended = await unless_stopped(watch(settings, office, metrics), office.sender, stop)
    log.info("stopped", state=ended.problem)
    return ended.code if ended.code in (exit_codes.OPEN, exit_codes.NOT_DONE) else exit_codes.DONE


async def watch(settings: RunSettings, office: Office, metrics: Metrics) -> Ended:
    """Look again and again; a failure makes the pause longer, and ends nothing.

    Only deposits of others than it should make end it: what comes next would go the same way.
    """
    failures, rotation_due, rotates = 0, monotonic(), False
    while True:
        ended = await look(settings, office, metrics)
        metrics.looked()
        if ended.problem == OTHER_DEPOSITS:
            log.error("not registered any more", why=ended.problem)
            return ended
        if rotates or monotonic() >= rotation_due:
            rotated = await look_after_exits(settings, office, metrics, goes_on=rotates)
            rotation_due, rotates = (
                monotonic() + settings.rotation_interval,
                rotated.code == exit_codes.DONE,
            )
        if ended.code in (exit_codes.DONE, exit_codes.SUBMITTED, exit_codes.NOTHING_TO_DO):
            failures = 0
        else:
            failures += 1
            metrics.failures.labels(KINDS.get(ended.code, "failed")).inc()
        if rotates or ended.code in (exit_codes.DONE, exit_codes.SUBMITTED):
            continue  # there may be enough for the next batch, or more exits
        pause = settings.interval
        if failures:
            pause = min(settings.interval * 2 ** min(failures - 1, 10), max(LONGEST_PAUSE_SECONDS, pause))
            log.warning("not registered", why=ended.problem, failures=failures, again_in_seconds=pause)
        else:
            log.debug("nothing to register", why=ended.problem)
        await asyncio.sleep(pause)


async def look(settings: RunSettings, office: Office, metrics: Metrics) -> Ended:
    """Go on with what is open, or register the next batch, whatever happens."""
    return await _whatever_happens(_look(settings, office, metrics), office, metrics)


async def look_after_exits(
    settings: RunSettings, office: Office, metrics: Metrics, *, goes_on: bool = False
) -> Ended:
    """Give the oracles of today the next batch of exits that they want, whatever happens.

    Args:
        goes_on: they got a batch just now, which they may not know of yet.
    """
    rotating = office.rotating
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

    task = Task(office.chain, office.sender, prepare)
    ended = await _whatever_happens(timed(begin_next(task), settings.timeout_seconds, task), office, metrics)
    if ended.code == exit_codes.DONE:
        return ended
    metrics.left_out.set(len(rotating.left_out))
    if ended.code != exit_codes.NOTHING_TO_DO or rotating.left_out:
        metrics.failures.labels("not rotated").inc()
        log.warning("not rotated", why=ended.problem, again_in_seconds=settings.rotation_interval)
    return ended


async def _whatever_happens(work: Coroutine[Any, Any, Ended], office: Office, metrics: Metrics) -> Ended:
    try:
        ended = await ending(work, office.sender)
    except Exception as error:
        log.exception("look failed")
        ended = Ended(exit_codes.FAILED, problem=f"{type(error).__name__}: see the log")
    metrics.open.set(ended.code == exit_codes.OPEN)
    if ended.entry is not None and ended.entry.conclusion is not None:
        metrics.concluded(ended.entry)
    return ended


async def _look(settings: RunSettings, office: Office, metrics: Metrics) -> Ended:
    await office.sender.look_back()
    if await office.sender.open_entry() is not None:
        metrics.open.set(1)
        resumed = await office.sender.resume()
        assert resumed is not None
        assert resumed.conclusion is not None
        if resumed.conclusion.outcome is not Outcome.UNSENT:
            return await of_entry(office.chain, resumed)
    situation = await office.preparing.situation()
    withdrawable = situation.assets.withdrawable_wei / WEI_PER_TOKEN
    metrics.withdrawable.labels(office.network.stake_symbol).set(withdrawable)
    await office.preparing.amounts(situation)
    return await timed(begin_next(office.task), settings.timeout_seconds, office.task)
