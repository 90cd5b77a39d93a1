"""The relayer as a process: its files read and checked, its parts wired, started and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ssl import SSLContext

import click

from dvtfast import DvtfastError, FileError, backend_info
from dvtfast.files import read_text
from dvtfast.protocol_config import OracleConfig, read_oracle_config

from .. import wire
from ..chain.index.choice import choose_index_source
from ..keys.account_key import AccountKeyError
from ..process import logs, running
from ..process.background import in_background, repeat
from ..process.hardening import forbid_dumps
from ..process.offload import UnavailableError, Workers
from ..settings import EXIT_CODE, RelayerSettings, SettingsError
from ..settings.chain_clients import beacon_client
from ..web import http
from ..web.addresses import is_loopback
from ..web.timings import Timings
from ..web.tls import LOOK_SECONDS, Certificate, CertificateError, Renewal, server_context
from .access.guard import Guard
from .access.known_tokens import KnownTokens, NoTokensError
from .access.vaults import Vaults
from .clusters.served import ClustersError, ServedClusters, read_clusters
from .documents import add_documents
from .health import Health
from .judging.current_oracles import CurrentOracles
from .judging.judge import Judge
from .judging.pipeline import Pipeline
from .judging.rounds import watch_rounds
from .manager.key import ManagerKey
from .manager.manager_policy import policy_of
from .manager.signer import Manager
from .metrics import RelayerMetrics
from .parts import KeysWatch, RelayerParts
from .registrations import VaultRegistrations
from .routes import Routes
from .status.page import StatusPage
from .storage_key import StorageKeyError, read_storage_key
from .store.engine.database import Database, ForeignDatabaseError
from .store.engine.network import keep_for
from .store.judging.due import take_stock
from .store.operators.reservations import mark_registered
from .store.sealing.key_check import unlock
from .store.seals import KeySeal, KeyUnusableError, StorageKey
from .watches.beacon_watch import BeaconWatch
from .watches.expiry import Expiry
from .watches.oracle_file import OracleFile

REQUEST_THREADS = 2  # they parse, check encodings and write answers

EXPECTED = (
    CertificateError,
    ForeignDatabaseError,
    KeyUnusableError,
    NoTokensError,
    OSError,
    UnavailableError,
)

log = logs.get("relayer")


@dataclass(frozen=True)
class Configuration:
    """The settings, and what the files say that they name."""

    settings: RelayerSettings
    clusters: ServedClusters
    oracles: OracleConfig | None  # None: the chain says
    manager_key: ManagerKey | None = None
    registered_keys: Sequence[bytes] = ()
    storage_key: StorageKey | None = None


def read_configuration(settings: RelayerSettings) -> Configuration:
    """Read every file that the settings name.

    Raises:
        SettingsError: with every problem of every file.
    """
    problems: list[str] = []
    oracles = clusters = manager_key = storage_key = None
    registered_keys: list[wire.PublicKey] = []
    try:
        if settings.oracles is not None:
            oracles = read_oracle_config(settings.oracles)
    except DvtfastError as error:
        problems.append(str(error))
    try:
        if settings.manager_keystore is not None and settings.manager_password is not None:
            manager_key = ManagerKey.load(settings.manager_keystore, settings.manager_password)
    except (AccountKeyError, DvtfastError) as error:
        problems.append(str(error))
    try:
        if settings.storage_key_file is not None:
            storage_key = read_storage_key(settings.storage_key_file)
    except StorageKeyError as error:
        problems.append(str(error))
    if settings.registered_keys is not None:
        try:
            text = read_text(settings.registered_keys, limit_bytes=wire.KEYS_FILE_BYTES)
            registered_keys, wrong = wire.public_keys_in(text)
            problems += [f"{settings.registered_keys}: {problem}" for problem in wrong]
        except FileError as error:
            problems.append(str(error))
    try:
        shares = read_clusters(
            settings.cluster_locks,
            settings.ssv_keyshares,
            settings.network,
            verify=not settings.no_verify,
        )
        clusters = ServedClusters(shares, signature_threshold=settings.signature_threshold)
        vaults_of(settings, clusters)
    except ClustersError as error:
        problems += error.problems
    if problems or clusters is None:
        raise SettingsError(problems)
    return Configuration(settings, clusters, oracles, manager_key, registered_keys, storage_key)


def vaults_of(settings: RelayerSettings, clusters: ServedClusters) -> Vaults:
    """The vaults of the settings, with their clusters.

    Raises:
        ClustersError: one is bound to a cluster that is not served.
    """
    bound = [(each.vault, each.cluster) for each in settings.vault_clusters]
    return Vaults(settings.vaults, bound, clusters)


@asynccontextmanager
async def relaying(configuration: Configuration) -> AsyncIterator[int]:
    """Run a relayer inside the block; yields its port. Afterwards nothing it accepted is lost.

    Raises:
        ForeignDatabaseError: the database belongs to another program, or network.
        UnavailableError: the database cannot be opened.
        NoTokensError: everybody would be let in.
        CertificateError: there can be no TLS.
        OSError: the address cannot be listened on.
    """
    settings, clusters = configuration.settings, configuration.clusters
    vaults = vaults_of(settings, clusters)
    _warn_of_vaults(vaults)
    async with AsyncExitStack() as stack:
        database = await Database.open(settings.database)
        stack.push_async_callback(database.close)
        await database.take()
        await database.run(keep_for, settings.network.name)
        await _unlock(database, configuration.storage_key)
        tokens = KnownTokens(
            database,
            clusters,
            most_pending=settings.pending_validators,
            moves_per_day=settings.moves_per_day,
        )
        await stack.enter_async_context(tokens.followed())
        tls = await stack.enter_async_context(_tls(settings))
        require_access(settings, tokens)
        await database.run(take_stock, clusters.threshold_of, is_shared=database.is_shared)
        await database.run(mark_registered, configuration.registered_keys, block_number=None)
        chain = None
        if settings.execution_endpoints:
            from .watches.chain_watch import ChainNodes  # needs the extra `chain`

            chain = await stack.enter_async_context(ChainNodes.connected(settings))
        if configuration.oracles is not None:
            oracles = CurrentOracles(configuration.oracles)
        else:
            assert chain is not None, "settings have one or the other"
            oracles = CurrentOracles(await chain.announced_oracles())
        metrics = RelayerMetrics(clusters)
        database.tell_times(metrics.transaction)
        metrics.count_messages_of(database)
        judge = Judge(settings.network, threads=settings.threads)
        pipeline = Pipeline(database, clusters, judge, oracles, metrics)
        workers = Workers("requests", threads=REQUEST_THREADS)
        metrics.watch(workers)
        stack.push_async_callback(workers.close)
        await stack.enter_async_context(pipeline.running())
        await stack.enter_async_context(Expiry(database, settings.validator_lifetime).running())
        watches: list[KeysWatch] = []
        if chain is not None:
            deposits = chain.watching(clusters, database, oracles, pipeline)
            watches.append(await stack.enter_async_context(deposits))
        if (beacon := beacon_client(settings, settings.network)) is not None:
            used = BeaconWatch(beacon, clusters, database).watching()
            watches.append(await stack.enter_async_context(used))
        if settings.oracles is not None:
            file = OracleFile(settings.oracles, oracles, pipeline)
            await stack.enter_async_context(file.watching())
        manager = None
        if configuration.manager_key is not None and chain is not None:
            address = configuration.manager_key.address
            await stack.enter_async_context(in_background(chain.compare_managers(address)))
            manager = Manager(
                configuration.manager_key,
                policy_of(settings),
                chain.vaults,
                chain_id=settings.network.chain_id,
                is_ours=clusters.is_named,
                database=database,
                workers=workers,
            )
        parts = RelayerParts(
            settings, clusters, vaults, oracles, database, pipeline, manager, metrics, workers, watches
        )
        next_index = None
        if settings.start_index is None:
            next_index = choose_index_source(
                network=settings.network,
                scan=chain.scan if chain else None,
                beacon=beacon,
                node=chain.node if chain else None,
                threads=settings.threads,
            )
        app = http.application()
        Guard(
            tokens,
            allow_anonymous=settings.allow_anonymous,
            requests_at_once=settings.requests_at_once,
            requests_per_second=settings.requests_per_second,
        ).add_to(app)
        Routes(parts, VaultRegistrations(parts), next_index).add_to(app)
        metrics.registry.add_to(app)
        add_documents(app)
        health = Health(parts)
        health.add_to(app)
        looking = Workers("status", threads=1, gives_way=True)
        stack.push_async_callback(looking.close)
        StatusPage(parts, health, looking).add_to(app)
        timings = Timings(metrics.registry, file=settings.timings_file)
        timings.add_to(app)
        await stack.enter_async_context(timings.sampled())
        await stack.enter_async_context(in_background(watch_rounds(database, metrics)))
        yield await stack.enter_async_context(http.listening(app, settings.host, settings.port, tls=tls))


def require_access(settings: RelayerSettings, tokens: KnownTokens) -> None:
    """Do not let everybody in who is not on this machine, unless told to.

    Raises:
        NoTokensError: that would be so.
    """
    is_local = is_loopback(settings.host)
    if not is_local and not tokens.exist and not settings.allow_anonymous:
        raise NoTokensError(
            f"nobody has a token, and {settings.host} is not only this machine: make tokens with `dvtfast"
            " relayer token create`, or set --allow-anonymous to serve everybody"
        )
    if settings.allow_anonymous:
        log.warning("everybody is served: --allow-anonymous is set", tokens=tokens.exist)
    elif not is_local and settings.tls_certificate is None:
        log.warning("tokens are sent in the clear: set --tls-certificate, or have a proxy with TLS in front")


@asynccontextmanager
async def _tls(settings: RelayerSettings) -> AsyncIterator[SSLContext | None]:
    """The context to serve with, whose certificate is renewed inside the block."""
    if settings.tls_certificate is None or settings.tls_key is None:
        yield None
        return
    certificate = Certificate(settings.tls_certificate, settings.tls_key)
    context = server_context(certificate, settings.tls_client_ca)
    renewal = Renewal(certificate, context)
    async with in_background(repeat("certificate", renewal.look, LOOK_SECONDS)):
        yield context


def _warn_of_vaults(vaults: Vaults) -> None:
    if useless := vaults.without_keys:
        log.warning(
            "no validator can be registered for a vault",
            vaults=", ".join(wire.Address(vault).to_wire() for vault in useless),
            do="name its clusters with --cluster-lock or --ssv-keyshares, and leave some for it if others are"
            " bound with --vault-cluster",
        )
    if undecided := vaults.undecided:
        log.warning(
            "nothing says which clusters are whose",
            vaults=", ".join(wire.Address(vault).to_wire() for vault in undecided),
            do="bind each vault with --vault-cluster; until then, who has no token or one of all vaults gets"
            " any validators for each of them, and other tokens have to name clusters",
        )


async def _unlock(database: Database, key: StorageKey | None) -> None:
    is_rewritten = await database.run(unlock, key)
    if key is not None:
        database.use_seal(KeySeal(key))
    if not is_rewritten:
        log.warning(
            "signatures of before may be left in the database's files",
            do="stop the relayer and run the command again that was interrupted: dvtfast relayer"
            " encrypt-storage or rotate-storage-key",
        )


def run(settings: RelayerSettings) -> int:
    """Run until told to stop; the exit code."""
    forbid_dumps()
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
            log.info(
                "listening",
                host=settings.host,
                port=port,
                network=settings.network.name,
                backend=backend_info().name,
            )
            await stop.wait()
            log.info("stopping")
    except EXPECTED as error:
        log.error("cannot run", error=str(error))
        return 1
    log.info("stopped")
    return 0
