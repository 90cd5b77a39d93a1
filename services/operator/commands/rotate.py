"""`dvtfast operator rotate`: all exits that the oracles of today want, one batch after the other."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ...process import logs
from ...settings import RotateExitsSettings
from ..progress import Told
from ..rotation.rotation import Rotating, Rotation, said_of
from ..rotation.rotation_info import OraclesBehindError
from ..sending.action import Action, Kind
from . import executor, exit_codes
from .executor import Task, perform, unless_stopped
from .opening import Parts, open_rotating
from .results import Ended

log = logs.get("operator")


def run(settings: RotateExitsSettings) -> int:
    """Rotate; the exit code."""

    async def work(told: Told, stop: asyncio.Event) -> Ended:
        async with open_rotating(settings, told) as (parts, rotating):
            task = rotation_task(parts, rotating)
            return await unless_stopped(rotate_all(settings, task, rotating), task.sender, stop)

    return executor.run_until_stopped(settings, work)


async def rotate_all(settings: RotateExitsSettings, task: Task, rotating: Rotating) -> Ended:
    """Rotate batch after batch; how the last one that did something ended."""
    last: Ended | None = None
    while True:
        ended = await perform(
            task, dry_run=settings.dry_run, yes=settings.yes, seconds=settings.timeout_seconds
        )
        if ended.code == exit_codes.NOTHING_TO_DO and (last is not None or rotating.left_out):
            return _with_left_out(last or ended, rotating)
        if settings.dry_run or ended.code != exit_codes.DONE:
            return _with_left_out(ended, rotating)
        last = ended
        log.info("exits rotated", validators=len(ended.entry.action.public_keys) if ended.entry else 0)


def rotation_task(parts: Parts, rotating: Rotating) -> Task:
    """The next batch, as soon as the oracles know of the one before."""

    async def prepare() -> Rotation:
        while True:
            try:
                return await rotating.prepare()
            except OraclesBehindError as error:
                log.info("waiting for the oracles", why=str(error))
                await asyncio.sleep(parts.chain.network.seconds_per_slot)

    def is_done_by(action: Action) -> bool:
        return (action.kind, action.vault) == (Kind.UPDATE_EXITS, rotating.vault)

    return Task(parts.chain, parts.sender, prepare, parts.told, is_done_by)


def _with_left_out(ended: Ended, rotating: Rotating) -> Ended:
    """Never silent about a part."""
    if not rotating.left_out or ended.code not in (exit_codes.DONE, exit_codes.NOTHING_TO_DO):
        return ended
    problem = f"{said_of(rotating.left_out)}; start again when that is mended"
    return replace(ended, code=exit_codes.NOT_READY, problem=problem)
