"""The sidecar as a process: its files read and checked, its parts wired, started and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial

import click

from dvtfast import DvtfastError

from .. import logs, running
from ..client import RelayerClient
from ..offload import Workers
from ..settings import EXIT_CODE, SidecarSettings
from .loop import Sidecar, WrongNetworkError
from .nodes import Node, NoKeysError
from .sources import sources_of

log = logs.get("sidecar")


def run(settings: SidecarSettings) -> int:
    """Run until told to stop; the exit code."""
    return running.run(partial(_serve, settings))


async def _serve(settings: SidecarSettings, stop: asyncio.Event) -> int:
    async with AsyncExitStack() as stack:
        workers = Workers("signing", threads=1, deadline_seconds=None)
        stack.push_async_callback(workers.close)
        try:
            nodes = [node for source in sources_of(settings, workers) for node in await source.load()]
        except (DvtfastError, NoKeysError) as error:
            click.echo(f"error: {error}", err=True)
            return EXIT_CODE
        for node in nodes:
            stack.push_async_callback(node.signer.close)
        code = await _until_stopped(settings, nodes, stop)
    log.info("stopped")
    return code


async def _until_stopped(settings: SidecarSettings, nodes: Sequence[Node], stop: asyncio.Event) -> int:
    """Serve all relayers with all nodes; 1 when there is none to serve."""
    async with AsyncExitStack() as stack:
        loops: list[Coroutine[None, None, None]] = []
        for relayer in settings.relayers:
            client = RelayerClient(relayer, timeout_seconds=settings.relayer_timeout)
            await stack.enter_async_context(client)
            loops += [_serve_relayer(settings, client, node) for node in nodes]
        serving = asyncio.create_task(_all(loops))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        served = serving.done()
        for each in (serving, stopping):
            each.cancel()
        await asyncio.gather(serving, stopping, return_exceptions=True)
    return 1 if served else 0


async def _all(loops: Iterable[Coroutine[None, None, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for loop in loops:
            group.create_task(loop)


async def _serve_relayer(settings: SidecarSettings, client: RelayerClient, node: Node) -> None:
    sidecar = Sidecar(
        client,
        node,
        network=settings.network,
        poll_seconds=settings.poll_interval,
        wait_seconds=settings.wait_seconds,
    )
    try:
        await sidecar.run()
    except WrongNetworkError as error:
        log.error("cannot run", error=str(error))
