"""`dvtfast operator register`: the next batch of a vault's validators, on chain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...settings import RegisterSettings
from ..progress import Told
from . import executor
from .executor import Task
from .opening import open_office


def run(settings: RegisterSettings) -> int:
    """Register one batch; the exit code."""

    @asynccontextmanager
    async def opened(told: Told) -> AsyncIterator[Task]:
        async with open_office(settings, told) as office:
            yield office.task

    return executor.run(settings, opened)
