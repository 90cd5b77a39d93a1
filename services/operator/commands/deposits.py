"""`dvtfast deposits`: read the deposit contract's history, and tell what is known of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import click
import msgspec

from ...chain.deposits.ledger import Ledger, LedgerSource
from ...chain.index.choice import choose_index_source
from ...chain.index_source import IndexUnknownError
from ...files import paths
from ...process import logs
from ...process.offload import UnavailableError
from ...process.progress import showing_progress
from ...settings.chain_clients import index_sources, node_client
from ...settings.deposits import DepositsSettings, ScanSettings

FAILED = 1


def scan(settings: ScanSettings) -> int:
    """Read all that is new, and print what it comes to; the exit code is 1 when no index can be told."""
    return _reported(lambda: asyncio.run(_scan(settings)))


def status(settings: DepositsSettings) -> int:
    """Print what the database knows of final blocks; nobody is asked."""
    return _reported(lambda: _status(settings))


async def _scan(settings: ScanSettings) -> int:
    network = settings.network
    async with (
        node_client(settings) as node,
        index_sources(settings, node, network) as (deposits, beacon),
    ):
        assert deposits is not None, "there is a database"
        with showing_progress("reading deposits, by block") as progress:
            await deposits.look(progress)
        found = await deposits.status()
        index = problem = None
        source = choose_index_source(
            network=network, scan=deposits, beacon=beacon, node=node, threads=settings.threads
        )
        assert source is not None, "there is a scan"
        try:
            index = await source.next_index()
        except IndexUnknownError as error:
            problem = str(error)
    _show(
        {
            "network": network.name,
            "next validator index": index,
            "validators with a deposit": found.validators,
            "of them pending": found.pending,
            "deposits": found.deposits,
            "bad signatures": found.bad_signatures,
            "last block": found.head,
            "last final block": found.final_block,
        },
        as_json=settings.json,
    )
    if problem is not None:
        click.echo(f"error: {problem}", err=True)
        return FAILED
    return 0


def _status(settings: DepositsSettings) -> int:
    network, path = settings.network, settings.deposits_database
    if problem := paths.no_file(path, noun="database"):
        raise UnavailableError(f"{problem}; `dvtfast deposits scan` makes it")
    ledger = Ledger(path, LedgerSource.of(network))
    try:
        totals, checkpoints, seed = ledger.totals(), ledger.checkpoints(), ledger.seed
    finally:
        ledger.close()
    _show(
        {
            "network": network.name,
            "validators with a final deposit": totals.validators,
            "of them from the dump": 0 if seed is None else seed.validators,
            "deposits": totals.deposits,
            "bad signatures": totals.bad_signatures,
            "last final block": checkpoints[-1].number if checkpoints else None,
        },
        as_json=settings.json,
    )
    return 0


def _show(facts: dict[str, str | int | None], *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({name.replace(" ", "_"): value for name, value in facts.items()}))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        shown = "not known" if value is None else logs.printable(str(value))
        click.echo(f"{name.ljust(width)}  {shown}")


def _reported(work: Callable[[], int]) -> int:
    try:
        return work()
    except (UnavailableError, OSError) as error:
        click.echo(f"error: {paths.told(error)}", err=True)
        return FAILED
