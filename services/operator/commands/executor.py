"""One action from its preparation to its end, whatever it is: shown, agreed to, sent once, followed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from ...chain.calls import ContractError
from ...chain.execution.policies import NodesDisagreeError
from ...process import logs, running
from ...process.offload import UnavailableError
from ...settings import EXIT_CODE, ActionSettings
from ..chain import Chain
from ..plan import NothingToDoError, Plan, StaleError
from ..progress import ProgressReport, no_report, showing_reports
from ..sending.action import Action, ActionKind, JournalEntry, Outcome
from ..sending.estimator import NotSentError, StaleActionError, WouldRevertError
from ..sending.journal import RefusedError
from ..sending.sender import Sender
from . import exit_codes
from .consent import Consent
from .results import (
    GOES_ON,
    NOT_READY,
    OTHER_DEPOSITS,
    WHAT_TO_DO,
    WRONG,
    CommandResult,
    print_result,
    problems_of,
    words_of,
)

AGAIN_SECONDS = 1.0  # after something on chain made an action stale

log = logs.get("operator")


@dataclass(frozen=True)
class Task:
    """What a command does.

    Attributes:
        prepare: makes the next action ready. StaleError begins it again; what else it raises ends the
            command, as `NOT_READY` and others in results.py say.
        is_done_by: whether an action that was begun before is what the command is to do.
        look: looks whether the beacon chain shows an action that the vault took; the action as it is then.
    """

    chain: Chain
    sender: Sender
    prepare: Callable[[], Awaitable[Plan]]
    report: ProgressReport = no_report
    is_done_by: Callable[[Action], bool] = lambda _: True
    look: Callable[[JournalEntry], Awaitable[JournalEntry]] | None = None


def run(
    settings: ActionSettings, opened: Callable[[ProgressReport], AbstractAsyncContextManager[Task]]
) -> int:
    """Do one action as a command; the exit code.

    Args:
        opened: the task, inside the block.
    """

    async def work(report: ProgressReport, stop: asyncio.Event) -> CommandResult:
        async with opened(report) as task:
            doing = perform(
                task, dry_run=settings.dry_run, yes=settings.yes, seconds=settings.timeout_seconds
            )
            return await unless_stopped(doing, task.sender, stop)

    return run_until_stopped(settings, work)


def run_until_stopped(
    settings: ActionSettings, work: Callable[[ProgressReport, asyncio.Event], Awaitable[CommandResult]]
) -> int:
    """Do work that ends as commands end, and tell of it; the exit code."""
    return running.run(partial(_told_of, settings, work))


async def _told_of(
    settings: ActionSettings,
    work: Callable[[ProgressReport, asyncio.Event], Awaitable[CommandResult]],
    stop: asyncio.Event,
) -> int:
    with showing_reports() as report:
        try:
            result = await work(report, stop)
        except WRONG as error:
            for problem in problems_of(error):
                click.echo(f"error: {problem}", err=True)
            return EXIT_CODE
        except NOT_READY as error:
            result = CommandResult(exit_codes.NOT_READY, problem=f"{words_of(error)}; nothing was sent")
    print_result(result, is_json=settings.json)
    return result.code


async def perform(task: Task, *, dry_run: bool, yes: bool, seconds: float) -> CommandResult:
    """Go on with what is open; or else make an action ready, have it confirmed, send and follow it.

    Args:
        seconds: how long it may take until it is sent.
    """
    work = _dry_run(task, seconds) if dry_run else _perform(task, Consent(yes, task.report), seconds)
    return await result_of(work, task.sender)


async def _perform(task: Task, consent: Consent, seconds: float) -> CommandResult:
    if (entry := await task.sender.resume()) is not None and entry.transactions:
        result = await result_of_entry(task.chain, entry, task.look)
        if result.code not in (exit_codes.DONE, exit_codes.SUBMITTED) or task.is_done_by(entry.action):
            log.info("that was begun before, and was all there was to do now", action=entry.id)
            return result
        log.info("that was begun before; now what was asked for", action=entry.id)
    return await timed(begin_next(task, consent), seconds, task)


async def begin_next(task: Task, consent: Consent | None = None) -> JournalEntry | None:
    """Prepare the next action and sign it, again whenever what happens on chain makes it void.

    Returns:
        What to follow; None where a person says no.
    """
    while True:
        await task.sender.until_affordable()
        try:
            plan = await task.prepare()
            estimate = await task.sender.estimate(plan.action)
            if consent is not None and not await consent.to(plan, estimate):
                return None
            return await task.sender.begin(plan.action)
        except (StaleError, StaleActionError) as error:
            log.warning("begins again", why=str(error))
        except WouldRevertError as error:
            if not (why := await _why_stale(task, plan.action)):
                raise
            log.warning("begins again", why=why, refused=str(error))
        await asyncio.sleep(AGAIN_SECONDS)


async def _why_stale(task: Task, action: Action) -> str:
    """Why the contract would refuse it, if that is only as something happened meanwhile."""
    try:
        return await task.chain.why_stale(action)
    except NodesDisagreeError as error:  # some have seen it happen
        return str(error)


async def timed(work: Awaitable[JournalEntry | None], seconds: float, task: Task) -> CommandResult:
    """Do what comes before the sending in this time, then follow it for as long as it takes."""
    try:
        async with asyncio.timeout(seconds):
            entry = await work
    except TimeoutError:
        entry = await task.sender.resume()  # it may have been signed in the last moment
        if entry is None or not entry.transactions:
            problem = f"gave up after {seconds:g} s; nothing was sent"
            return CommandResult(exit_codes.NOT_READY, problem=problem)
        return await result_of_entry(task.chain, entry, task.look)
    if entry is None:
        return CommandResult(exit_codes.STOPPED, problem="not meant; nothing was sent")
    return await result_of_entry(task.chain, await task.sender.follow(entry), task.look)


async def result_of(work: Awaitable[CommandResult], sender: Sender) -> CommandResult:
    """How the work ends, with whatever others do not do told as what it is."""
    try:
        return await work
    except NothingToDoError as error:
        code, problem = exit_codes.NOTHING_TO_DO, str(error)
    except NOT_READY as error:
        code, problem = exit_codes.NOT_READY, words_of(error)
    except (NotSentError, RefusedError) as error:
        code, problem = exit_codes.FAILED, str(error)
    except Exception as error:
        log.exception("operator failed")
        code, problem = exit_codes.FAILED, f"{type(error).__name__}: see the log"
    try:
        entry = await sender.open_entry()
    except UnavailableError as error:
        return CommandResult(
            exit_codes.OPEN, problem=f"{problem}; whether an action is open cannot be told: {error}"
        )
    if entry is not None:
        return CommandResult(exit_codes.OPEN, entry, f"{problem}; {GOES_ON}")
    return CommandResult(code, problem=f"{problem}; nothing was sent")


async def unless_stopped(
    work: Coroutine[Any, Any, CommandResult], sender: Sender, stop: asyncio.Event
) -> CommandResult:
    """How the work ends, or what state a signal leaves."""
    if (result := await running.unless_stopped(work, stop)) is not None:
        return result
    entry = await sender.open_entry()
    if entry is None:
        return CommandResult(exit_codes.STOPPED, problem="stopped; nothing was sent")
    return CommandResult(exit_codes.OPEN, entry, f"stopped; {GOES_ON}")


async def result_of_entry(
    chain: Chain, entry: JournalEntry, look: Callable[[JournalEntry], Awaitable[JournalEntry]] | None = None
) -> CommandResult:
    """How a command ends whose action is concluded; the deposits that it should make are looked for.

    Args:
        look: as of `Task`.
    """
    conclusion = entry.conclusion
    assert conclusion is not None
    if conclusion.outcome is Outcome.DONE and entry.action.kind in (ActionKind.REGISTER, ActionKind.FUND):
        assert conclusion.transaction_hash is not None
        try:
            found = await chain.deposited_by(conclusion.transaction_hash)
        except (UnavailableError, ContractError) as error:
            log.warning("deposits not looked at", error=str(error))
        else:
            if found != list(entry.action.public_keys):
                return CommandResult(exit_codes.NOT_DONE, entry, OTHER_DEPOSITS)
    if entry.outcome is Outcome.SUBMITTED and look is not None:
        try:
            entry = await look(entry)
        except asyncio.CancelledError:  # whoever stops the program stops the look; what is done is done
            log.info("the beacon chain was not looked at to the end", action=entry.id)
    outcome = entry.outcome
    assert outcome is not None
    return CommandResult(exit_codes.OF_OUTCOME[outcome], entry, WHAT_TO_DO[outcome])


async def _dry_run(task: Task, seconds: float) -> CommandResult:
    if (entry := await task.sender.open_entry()) is not None:
        return CommandResult(exit_codes.OPEN, entry, f"an action is open; {GOES_ON}")
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    plan = await task.prepare()
                    break
                except StaleError as error:
                    log.warning("begins again", why=str(error))
                    await asyncio.sleep(AGAIN_SECONDS)
    except TimeoutError:
        return CommandResult(exit_codes.NOT_READY, problem=f"gave up after {seconds:g} s; nothing was sent")
    estimate = await task.sender.estimate(plan.action)
    return CommandResult(exit_codes.DONE, plan=plan, estimate=estimate)
