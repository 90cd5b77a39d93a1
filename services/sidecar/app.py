"""The sidecar as a process: its files read and checked, its parts wired, started and stopped."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from functools import partial
from time import perf_counter

import click

from dvtfast import DvtfastError

from .. import logs, running
from ..client import RelayerClient
from ..keys.loading import LockFile, default_cache, load_key_shares
from ..keys.progress import showing_progress
from ..offload import Workers
from ..settings import EXIT_CODE, SettingsError, SidecarSettings
from .keys import NodeKeys, NoKeysError, match_keys
from .loop import Sidecar, WrongNetworkError

log = logs.get("sidecar")


def run(settings: SidecarSettings) -> int:
    """Run until told to stop; the exit code."""
    try:
        keys = read_keys(settings)
    except SettingsError as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        return EXIT_CODE
    try:
        return running.run(partial(_serve, settings, keys))
    finally:
        keys.wipe()


def read_keys(settings: SidecarSettings) -> NodeKeys:
    """Read the lock and the keystores; what is wrong with single keystores is logged.

    Raises:
        SettingsError: no share can be signed with these files.
    """
    try:
        begin = perf_counter()
        lock = LockFile(settings.cluster_lock, network=settings.network)
        directory = settings.keystores_directory
        cache = None if settings.no_key_cache else settings.key_cache or default_cache(directory)
        with showing_progress("decrypting keystores") as progress:
            loaded = load_key_shares(
                directory, lock=lock, cache=cache, threads=settings.threads, progress=progress
            )
        cluster = lock.cluster()
        keys, problems = match_keys(cluster, loaded.keystores, node_index=settings.node_index)
    except (DvtfastError, NoKeysError) as error:
        raise SettingsError([str(error)]) from None
    for problem in problems:
        log.warning("keystore problem", problem=problem)
    log.info(
        "keys loaded",
        cluster=cluster.name,
        share_index=keys.share_index,
        count=len(keys.places),
        validators=len(cluster.public_keys),
        seconds=round(perf_counter() - begin, 3),
    )
    return keys


async def _serve(settings: SidecarSettings, keys: NodeKeys, stop: asyncio.Event) -> int:
    async with AsyncExitStack() as stack:
        workers = Workers("signing", threads=1, deadline_seconds=None)
        stack.push_async_callback(workers.close)
        client = RelayerClient(settings.relayer, timeout_seconds=settings.relayer_timeout)
        sidecar = Sidecar(
            await stack.enter_async_context(client),
            keys,
            workers,
            network=settings.network,
            poll_seconds=settings.poll_interval,
            wait_seconds=settings.wait_seconds,
            threads=settings.threads,
        )
        task = asyncio.create_task(sidecar.run())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for each in (task, stopping):
            each.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await task
        except WrongNetworkError as error:
            log.error("cannot run", error=str(error))
            return 1
    log.info("stopped")
    return 0
