"""`dvtfast operator rotate`: all exits that the oracles of today want, one batch after the other."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ...process import logs
from ...settings import RotateExitsSettings
from ..progress import ProgressReport
from ..rotation.plan import RotationPlan, left_out_in_words
from ..rotation.planner import RotationPlanner
from ..rotation.rotation_info import OraclesBehindError
from ..sending.action import Action, ActionKind
from . import executor, exit_codes
from .executor import Task, perform, unless_stopped
from .parts import Parts, open_rotation
from .results import CommandResult

log = logs.get("operator")


def run(settings: RotateExitsSettings) -> int:
    """Rotate; the exit code."""

    async def work(report: ProgressReport, stop: asyncio.Event) -> CommandResult:
        async with open_rotation(settings, report) as (parts, rotation_planner):
            task = rotation_task(parts, rotation_planner)
            return await unless_stopped(rotate_all(settings, task, rotation_planner), task.sender, stop)

    return executor.run_until_stopped(settings, work)


async def rotate_all(
    settings: RotateExitsSettings, task: Task, rotation_planner: RotationPlanner
) -> CommandResult:
    """Rotate batch after batch; how the last one that did something ended."""
    last: CommandResult | None = None
    while True:
        result = await perform(
            task, dry_run=settings.dry_run, yes=settings.yes, seconds=settings.timeout_seconds
        )
        if result.code == exit_codes.NOTHING_TO_DO and (last is not None or rotation_planner.left_out):
            return _with_left_out(last or result, rotation_planner)
        if settings.dry_run or result.code != exit_codes.DONE:
            return _with_left_out(result, rotation_planner)
        last = result
        log.info("exits rotated", validators=len(result.entry.action.public_keys) if result.entry else 0)


def rotation_task(parts: Parts, rotation_planner: RotationPlanner) -> Task:
    """The next batch, as soon as the oracles know of the one before."""

    async def prepare() -> RotationPlan:
        while True:
            try:
                return await rotation_planner.prepare()
            except OraclesBehindError as error:
                log.info("waiting for the oracles", why=str(error))
                await asyncio.sleep(parts.chain.network.seconds_per_slot)

    def is_done_by(action: Action) -> bool:
        return (action.kind, action.vault) == (ActionKind.UPDATE_EXITS, rotation_planner.vault)

    return Task(parts.chain, parts.sender, prepare, parts.report, is_done_by)


def _with_left_out(result: CommandResult, rotation_planner: RotationPlanner) -> CommandResult:
    """Never silent about a part."""
    if not rotation_planner.left_out or result.code not in (exit_codes.DONE, exit_codes.NOTHING_TO_DO):
        return result
    problem = f"{left_out_in_words(rotation_planner.left_out)}; start again when that is mended"
    return replace(result, code=exit_codes.NOT_READY, problem=problem)
