"""The sidecar as a process: its files read and checked, its parts wired, started and stopped."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

import click
import tenacity

from dvtfast import DvtfastError

from ..keys.key_shares import NoKeysError
from ..process import logs, running
from ..process.background import in_background
from ..process.hardening import forbid_dumps
from ..process.memory import use_one_arena
from ..process.offload import UnavailableError, Workers
from ..relayer_client.client import RelayerClient
from ..settings import EXIT_CODE, SidecarSettings
from ..settings.chain_clients import beacon_client
from ..web.http import listening
from ..wire import Address, ValidatorType
from .journal.signing_journal import SigningJournal, SigningJournalError
from .metrics import SidecarMetrics
from .nodes.node import Node, NodeSource
from .nodes.node_sources import sources_of
from .nodes.reload import KeyReload
from .sidecars import Sidecars
from .signing.deposit_policy import DepositPolicy
from .signing.live_validators import LiveValidators
from .signing.signing import Signing

ANSWER_LIMIT_BYTES = 32 * 1024 * 1024  # 50,000 validators as the first makers' relayers list them
LONGEST_RETRY_SECONDS = 15.0  # between two looks for keys that cannot be had yet


log = logs.get("sidecar")


def run(settings: SidecarSettings) -> int:
    """Run until told to stop; the exit code."""
    forbid_dumps()
    use_one_arena()
    return running.run(partial(_serve, settings))


async def _serve(settings: SidecarSettings, stop: asyncio.Event) -> int:
    asked = asyncio.Event()  # to read the keys anew
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    async with AsyncExitStack() as stack:
        workers = Workers("signing", threads=1, deadline_seconds=None, gives_way=True)
        stack.push_async_callback(workers.close)
        try:
            sources = sources_of(settings, workers, stack)
            journal = SigningJournal(settings.journal)
            stack.push_async_callback(journal.close)
            states = [source.fingerprint() for source in sources]
            nodes = await running.unless_stopped(_load_all(sources), stop)
        except (DvtfastError, NoKeysError, SigningJournalError) as error:
            click.echo(f"error: {error}", err=True)
            return EXIT_CODE
        if nodes is None:
            return 0
        metrics = SidecarMetrics(tuple(settings.relayer_names))
        signing = await signing_of(settings, journal, metrics, stack)
        clients = {}
        relayers = zip(settings.relayer_names, settings.relayers, settings.accesses(), strict=True)
        for name, relayer, access in relayers:
            client = RelayerClient(
                relayer,
                access=access,
                timeout_seconds=settings.relayer_timeout,
                answer_limit_bytes=ANSWER_LIMIT_BYTES,
                name=name,
                on_failure=metrics.failures.labels(name).inc,
            )
            clients[name] = await stack.enter_async_context(client)
        sidecars = Sidecars(
            clients, signing, poll_seconds=settings.poll_interval, wait_seconds=settings.wait_seconds
        )
        stack.push_async_callback(sidecars.close)
        for place, of_source in enumerate(nodes):
            await sidecars.update(place, of_source)
        if settings.metrics_port is not None:
            pages = listening(metrics.application(), settings.metrics_host, settings.metrics_port)
            log.info("listening", port=await stack.enter_async_context(pages))
        reloading = KeyReload(sources, states, sidecars, metrics, asked=asked)
        await stack.enter_async_context(in_background(reloading.run()))
        await running.unless_stopped(sidecars.nothing_left.wait(), stop)
    log.info("stopped")
    return 0 if stop.is_set() else 1


async def _load_all(sources: Sequence[NodeSource]) -> list[Sequence[Node]]:
    """The nodes of each source, which may have to be waited for.

    Raises:
        NoKeysError, DvtfastError: nothing can be signed.
    """
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(UnavailableError),
        wait=tenacity.wait_random_exponential(1, LONGEST_RETRY_SECONDS),
        before_sleep=lambda state: log.warning(
            "no keys yet", error=str(state.outcome.exception()) if state.outcome else ""
        ),
    )
    return [await retrying(source.load) for source in sources]


async def signing_of(
    settings: SidecarSettings, journal: SigningJournal, metrics: SidecarMetrics, stack: AsyncExitStack
) -> Signing:
    """What the settings allow to be signed; what is open for it is closed with the stack."""
    types = frozenset(map(ValidatorType.of, settings.allow_types)) or frozenset(ValidatorType)
    vaults = settings.vaults_by_relayer
    if None in vaults and len(settings.relayers) > 1:
        log.warning(
            "any of the relayers may ask for these vaults; bind them with --allow-vault RELAYER=ADDRESS",
            vaults=sorted(Address(vault).to_wire() for vault in vaults[None]),
        )
    policy = DepositPolicy(
        vaults.pop(None, frozenset()),
        types,
        most_a_day=settings.deposits_per_day,
        most_of_one=settings.deposits_per_validator,
        vaults_of={relayer: of_one for relayer, of_one in vaults.items() if relayer is not None},
    )
    live = None
    if (beacon := beacon_client(settings, settings.network)) is not None:
        opened = await stack.enter_async_context(beacon)
        live = LiveValidators(opened, settings.network, may_rotate=settings.allow_rotation)
    return Signing(
        settings.network,
        journal,
        metrics,
        policy=policy,
        exits_per_day=settings.exits_per_day,
        exits_per_validator=settings.exits_per_validator,
        live=live,
    )
