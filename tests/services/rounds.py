"""What the tests of whole rounds share: the demo's cluster and processes, a few validators of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console

from dvtfast.services.demo.cluster import ObolCluster, make_cluster
from dvtfast.services.demo.steps import Steps
from dvtfast.services.relayer_client.client import RelayerClient
from dvtfast.services.settings import DemoSettings

ROUND_SECONDS = 400.0


def settings_of(validators: int, **others: str) -> DemoSettings:
    return DemoSettings.load({"validators": str(validators), **others}, {})


def silent_steps() -> Steps:
    return Steps(Console(quiet=True))


def cluster_of(validators: int, directory: Path) -> ObolCluster:
    return make_cluster(settings_of(validators), directory)


def client_of(url: str, *, attempts: int | None = None) -> RelayerClient:
    return RelayerClient(url, timeout_seconds=20, attempts=attempts)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(ROUND_SECONDS):
        while not await condition():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.05)
