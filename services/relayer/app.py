"""The relayer as a process: its files read and checked, its parts wired, started and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import click

from dvtfast import DvtfastError
from dvtfast.protocol_config import OracleConfig, read_oracle_config

from .. import http, logs, running
from ..offload import UnavailableError, Workers
from ..settings import EXIT_CODE, RelayerSettings, SettingsError
from .clusters import ClustersError, ServedClusters, read_clusters
from .current_oracles import CurrentOracles
from .judge import Judge
from .pipeline import Pipeline
from .registering import Registering
from .routes import Routes
from .store.database import Database, ForeignDatabaseError
from .store.due import take_stock
from .store.network import keep_for

REQUEST_THREADS = 2  # they parse, check encodings and write answers

log = logs.get("relayer")


@dataclass(frozen=True)
class Configuration:
    """The settings, and what the files say that they name."""

    settings: RelayerSettings
    clusters: ServedClusters
    oracles: OracleConfig


def read_configuration(settings: RelayerSettings) -> Configuration:
    """Read every file that the settings name.

    Raises:
        SettingsError: with every problem of every file.
    """
    problems: list[str] = []
    oracles = clusters = None
    try:
        oracles = read_oracle_config(settings.oracles)
    except DvtfastError as error:
        problems.append(str(error))
    try:
        shares = read_clusters(settings.cluster_locks, settings.ssv_keyshares, settings.network)
        clusters = ServedClusters(shares, signature_threshold=settings.signature_threshold)
    except ClustersError as error:
        problems += error.problems
    if oracles is None or clusters is None:
        raise SettingsError(problems)
    return Configuration(settings, clusters, oracles)


@asynccontextmanager
async def relaying(configuration: Configuration) -> AsyncIterator[int]:
    """Run a relayer inside the block; yields its port. Afterwards nothing it accepted is lost.

    Raises:
        ForeignDatabaseError: the database belongs to another program, or network.
        UnavailableError: the database cannot be opened.
        OSError: the address cannot be listened on.
    """
    settings, clusters = configuration.settings, configuration.clusters
    async with AsyncExitStack() as stack:
        database = await Database.open(settings.database)
        stack.push_async_callback(database.close)
        await database.run(keep_for, settings.network.name)
        await database.run(take_stock, clusters.threshold_of)
        oracles = CurrentOracles(configuration.oracles)
        judge = Judge(settings.network, threads=settings.threads)
        pipeline = Pipeline(database, clusters, judge, oracles)
        await stack.enter_async_context(pipeline.running())
        workers = Workers("requests", threads=REQUEST_THREADS)
        stack.push_async_callback(workers.close)
        registering = Registering(
            vaults=settings.vaults,
            index_window=settings.index_window,
            shows_exit_signatures=settings.show_exit_signatures,
            clusters=clusters,
            oracles=oracles,
            database=database,
            pipeline=pipeline,
        )
        app = http.application()
        Routes(
            network=settings.network,
            start_index=settings.start_index,
            index_window=settings.index_window,
            clusters=clusters,
            oracles=oracles,
            database=database,
            pipeline=pipeline,
            registering=registering,
            workers=workers,
        ).add_to(app)
        yield await stack.enter_async_context(http.listening(app, settings.host, settings.port))


def run(settings: RelayerSettings) -> int:
    """Run until told to stop; the exit code."""
    try:
        configuration = read_configuration(settings)
    except SettingsError as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        return EXIT_CODE
    return running.run(partial(_serve, configuration))


async def _serve(configuration: Configuration, stop: asyncio.Event) -> int:
    settings = configuration.settings
    try:
        async with relaying(configuration) as port:
            log.info("listening", host=settings.host, port=port, network=settings.network.name)
            await stop.wait()
            log.info("stopping")
    except (ForeignDatabaseError, UnavailableError, OSError) as error:
        log.error("cannot run", error=str(error))
        return 1
    log.info("stopped")
    return 0
