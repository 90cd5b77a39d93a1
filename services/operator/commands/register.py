"""`dvtfast operator register`: the next batch of a vault's validators, on chain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...settings import RegisterSettings
from ..progress import ProgressReport
from ..registration.planner import RegistrationPlanner
from ..sending.action import Action, ActionKind
from . import executor
from .executor import Task
from .parts import Parts, open_registration


def run(settings: RegisterSettings) -> int:
    """Register one batch; the exit code."""

    @asynccontextmanager
    async def opened(report: ProgressReport) -> AsyncIterator[Task]:
        async with open_registration(settings, report) as (parts, planner, _):
            yield registration_task(parts, planner)

    return executor.run(settings, opened)


def registration_task(parts: Parts, planner: RegistrationPlanner) -> Task:
    """To register the next batch."""

    def is_done_by(action: Action) -> bool:
        return (action.kind, action.vault) == (ActionKind.REGISTER, planner.vault)

    return Task(parts.chain, parts.sender, planner.prepare, parts.report, is_done_by)
