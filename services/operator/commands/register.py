"""`dvtfast operator register`: the next batch of a vault's validators, on chain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...settings import RegisterSettings
from ..progress import Told
from ..registration.preparing import Preparing
from ..sending.action import Action, Kind
from . import executor
from .executor import Task
from .opening import Parts, open_preparing


def run(settings: RegisterSettings) -> int:
    """Register one batch; the exit code."""

    @asynccontextmanager
    async def opened(told: Told) -> AsyncIterator[Task]:
        async with open_preparing(settings, told) as (parts, preparing, _):
            yield registration_task(parts, preparing)

    return executor.run(settings, opened)


def registration_task(parts: Parts, preparing: Preparing) -> Task:
    """To register the next batch."""

    def is_done_by(action: Action) -> bool:
        return (action.kind, action.vault) == (Kind.REGISTER, preparing.vault)

    return Task(parts.chain, parts.sender, preparing.prepare, parts.told, is_done_by)
