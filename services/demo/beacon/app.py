"""The chain and its nodes, as a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import click

from ...process import logs, running
from ...process.background import in_background
from ...process.offload import Workers
from ...settings import EXIT_CODE
from ...web import http
from .chain import JudgingChain
from .clock import Clock
from .genesis import genesis_state
from .node import BeaconWorld, DemoBeaconNode, Events
from .routes.table import application
from .settings import DemoBeaconSettings, read_validators
from .specification import NetworkConstants, load

HOST: Final = "127.0.0.1"
LOOK_SECONDS: Final = 0.02  # between two looks at the clock

log = logs.get("beacon")


def run(settings: DemoBeaconSettings) -> int:
    """Run until told to stop; the exit code."""
    try:
        public_keys = read_validators(settings.validators)
        world = make_world(settings, public_keys)
    except (ValueError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        return EXIT_CODE
    return running.run(partial(_serve, settings, world))


def make_world(settings: DemoBeaconSettings, public_keys: Sequence[bytes]) -> BeaconWorld:
    """A chain at its genesis.

    Raises:
        ValueError: there can be none.
    """
    constants = NetworkConstants(
        settings.preset, settings.genesis_fork_version, settings.chain_id, settings.seconds_per_slot
    )
    spec = load(constants)
    clock = Clock(settings.genesis_time, settings.seconds_per_slot, by_hand=settings.by_hand)
    return BeaconWorld.of(JudgingChain(spec, genesis_state(spec, public_keys, settings.genesis_time), clock))


async def _serve(settings: DemoBeaconSettings, world: BeaconWorld, stop: asyncio.Event) -> int:
    try:
        async with serving(settings, world) as ports:
            log.info("listening", ports=ports)
            await stop.wait()
    except OSError as error:
        log.error("cannot run", error=str(error))
        return 1
    return 0


@asynccontextmanager
async def serving(settings: DemoBeaconSettings, world: BeaconWorld) -> AsyncIterator[list[int]]:
    """Run the nodes before a chain inside the block; yields their ports."""
    async with AsyncExitStack() as stack:
        workers = Workers("beacon", threads=1, deadline_seconds=None)
        stack.push_async_callback(workers.close)
        events = Events(asyncio.get_running_loop())
        world.chain.listeners.append(events.tell)
        ports = []
        for number in range(settings.nodes):
            app = application(DemoBeaconNode(f"node{number}", world, events), workers)
            port = settings.port + number if settings.port else 0
            ports.append(await stack.enter_async_context(http.listening(app, HOST, port)))
        stack.callback(events.close)
        await stack.enter_async_context(in_background(_keep_time(world, workers)))
        yield ports


async def _keep_time(world: BeaconWorld, workers: Workers) -> None:
    """Begin each slot in time, whether anybody asks for something or not."""
    while True:
        if world.chain.clock.slot() > world.chain.slot:
            await workers.run(world.tick)
        await asyncio.sleep(LOOK_SECONDS)
