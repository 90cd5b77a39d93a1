"""A node as a process: its files read and checked, its parts wired, started and stopped."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

import click

from dvtfast import DvtfastError

from ...chain.beacon.chain_constants import ChainConstants, ExpectedChain
from ...chain.beacon.client import BeaconError
from ...chain.beacon.duties import DutiesClient
from ...chain.encoding import write_data
from ...files import paths
from ...keys.key_shares import NodeKeys, NoKeysError
from ...p2p.host import Host
from ...process import logs, running
from ...process.background import in_background
from ...process.hardening import forbid_dumps
from ...process.key_lock import KeyLock, KeyTakenError
from ...process.memory import use_one_arena
from ...process.offload import Workers
from ...settings import EXIT_CODE, ExitChainSettings, NodeSettings, SettingsError
from ...web.http import listening
from ..exits.store import ExitStore, ExitStoreError
from ..monitoring.metrics import SHOWN_HASH, NodeMetrics
from ..monitoring.server import NodeServer
from ..monitoring.watched import Watched
from ..running import ClusterNode
from ..signing.slashing_protection import SlashingProtectionError
from ..slots import SlotClock
from ..validator_api.offers import Offers
from .clients import ClientAccess, read_access, serving_clients
from .files import NodeFiles, read_files
from .key_shares import offered_keys, signer_of

FAILED = 1
"""Nothing is wrong with what it was told: to start it again may help."""
COMMAND = "dvtfast node"
ASK_AGAIN_SECONDS = 2.0  # beacon nodes that do not answer
MILLISECONDS = 1000

log = logs.get("node")


def run(settings: NodeSettings) -> int:
    """Run until told to stop; the exit code."""
    forbid_dumps()
    use_one_arena()
    return running.run(partial(_serve, settings))


async def _serve(settings: NodeSettings, stop: asyncio.Event) -> int:
    try:
        files = await asyncio.to_thread(read_files, settings)
        access = await asyncio.to_thread(read_access, settings)
        async with AsyncExitStack() as stack:
            return await _run(settings, files, access, stack, stop)
    except (DvtfastError, NoKeysError, SettingsError, SlashingProtectionError) as error:
        click.echo(f"error: {error}", err=True)
        return EXIT_CODE
    except (KeyTakenError, OSError) as error:
        click.echo(f"error: {paths.told(error)}", err=True)
        return FAILED


async def _run(
    settings: NodeSettings,
    files: NodeFiles,
    access: ClientAccess | None,
    stack: AsyncExitStack,
    stop: asyncio.Event,
) -> int:
    cluster = files.cluster
    stack.enter_context(KeyLock(files.key_file, COMMAND, cluster_lock_hash=write_data(cluster.lock_hash)))
    workers, signing = Workers("node", threads=2), Workers("signing", threads=1)
    agreeing = Workers("consensus", threads=1)
    for each in (workers, signing, agreeing):
        stack.push_async_callback(each.close)
    watched = Watched(cluster, files.chain.name, settings.nickname, settings.relays)
    metrics = NodeMetrics(watched)
    server = NodeServer(watched, metrics, workers).application()
    with _told_where("--monitoring-address"):
        port = await stack.enter_async_context(listening(server, *settings.monitoring_address))
    log.info("monitoring", port=port)
    beacon = watched.beacon = await stack.enter_async_context(beacon_of(settings, files.chain))
    beacon.watcher = metrics.answered
    await stack.enter_async_context(in_background(metrics.keep_up()))
    keys = await running.unless_stopped(offered_keys(settings, files), stop)
    if keys is None:
        return 0
    if isinstance(keys, NodeKeys):
        stack.callback(keys.wipe)
    chain = await running.unless_stopped(learned(beacon), stop)
    if chain is None:
        return 0
    signer = signer_of(settings, cluster.members, keys, beacon, signing)
    stack.push_async_callback(signer.close)
    if (exits := exits_of(settings.exits_path, cluster.lock_hash)) is not None:
        stack.callback(exits.close)
    offers = Offers()
    with _told_where("--p2p-tcp-address"):
        host = watched.host = await stack.enter_async_context(host_of(settings, files))
    slots = SlotClock(chain.genesis_time, chain.milliseconds_per_slot / MILLISECONDS, chain.slots_per_epoch)
    opened = ClusterNode.open(
        cluster,
        key=files.identity,
        host=host,
        beacon=beacon,
        signer=signer if access is None else offers,
        slots=slots,
        workers=workers,
        agreeing=agreeing,
        nickname=settings.nickname,
        graffiti=settings.graffiti,
        builder=settings.builder_api,
        exits=exits,
    )
    node = watched.node = await stack.enter_async_context(opened)
    if access is not None:
        with _told_where("--validator-api-address"):
            serving = serving_clients(access, node, offers, signer, metrics.client_answered)
            await stack.enter_async_context(serving)
    log.info("running", node=cluster.members.position, ports=[bound[1] for bound in host.bound])
    await running.unless_stopped(node.run(), stop)
    log.info("stopped")
    return 0


def exits_of(path: Path, lock_hash: bytes) -> ExitStore | None:
    """The node's exits; without them it does its duties all the same."""
    try:
        return ExitStore(path, lock_hash)
    except ExitStoreError as error:
        log.error("no exits until the next start", why=str(error))
        return None


def beacon_of(settings: NodeSettings | ExitChainSettings, chain: ExpectedChain) -> DutiesClient:
    """The beacon nodes; none is asked yet."""
    return DutiesClient(
        settings.beacon_nodes,
        expected=chain,
        fallbacks=settings.fallback_beacon_nodes,
        timeout_seconds=settings.beacon_node_timeout,
        submit_seconds=settings.beacon_node_submit_timeout,
    )


async def learned(beacon: DutiesClient) -> ChainConstants:
    """The chain, as soon as a beacon node tells.

    Raises:
        SettingsError: all are on another one.
    """
    told = ""
    while True:
        try:
            return await beacon.learn()
        except BeaconError as error:
            if beacon.are_elsewhere:
                raise SettingsError([str(error).removeprefix("beacon: ")]) from None
            if (why := str(error)) != told:
                log.warning("waiting for a beacon node", why=why)
                told = why
        await asyncio.sleep(ASK_AGAIN_SECONDS)


def host_of(settings: NodeSettings, files: NodeFiles) -> AbstractAsyncContextManager[Host]:
    """Where the other nodes are met."""
    return Host.open(
        files.identity,
        peers=files.cluster.members.operators,
        listen=settings.p2p_tcp_address,
        relays=settings.relays,
        addresses=files.addresses,
        external=[(name, port) for name in settings.external_names for _, port in settings.p2p_tcp_address],
        relay_headers={"Charon-Cluster": write_data(files.cluster.lock_hash)[2 : 2 + SHOWN_HASH]},
        agent=f"dvtfast/{version('dvtfast')}",
    )


@contextmanager
def _told_where(flag: str) -> Iterator[None]:
    """What cannot be listened on is told by the flag that says so."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else str(error)
        raise OSError(f"{flag}: cannot listen there: {why[0].lower()}{why[1:]}") from None
