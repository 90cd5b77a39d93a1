"""`dvtfast sidecar plan`: what would be signed now, and what refused; nothing is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass

import click
import msgspec
from rich.console import Console
from rich.table import Table

from dvtfast import DvtfastError
from dvtfast.networks import Network

from .. import wire
from ..chain import units
from ..files import paths
from ..keys.key_shares import NoKeysError
from ..process.hardening import forbid_dumps
from ..process.offload import UnavailableError, Workers
from ..relayer_client.client import RelayerClient, RelayerRefusedError, RelayerUnavailableError
from ..settings import EXIT_CODE, PlanSettings
from .app import ANSWER_LIMIT_BYTES, signing_of
from .journal.signing_journal import SigningJournal, SigningJournalError
from .journal.tables import DEPOSIT, EXIT
from .metrics import SidecarMetrics
from .nodes.node import Node
from .nodes.node_sources import sources_of
from .polling.loop import Sidecar
from .polling.poll import NO_SUCH_ROUTE
from .polling.questions import ExitPoll, ValidatorPoll


@dataclass(frozen=True)
class Planned:
    """One message; `refused` says why it would not be signed."""

    relayer: str
    share_index: int
    kind: str
    public_key: str
    subject: str
    refused: str


def run(settings: PlanSettings) -> int:
    """Print the plan; 1 when a relayer could not be asked."""
    forbid_dumps()
    try:
        planned, problems = asyncio.run(plan(settings))
    except (DvtfastError, NoKeysError, SigningJournalError, UnavailableError) as error:
        click.echo(f"error: {error}", err=True)
        return EXIT_CODE
    if settings.json:
        document = {"planned": [asdict(each) for each in planned], "problems": problems}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(document)).decode() + "\n")
    else:
        _show(planned)
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    return 1 if problems else 0


async def plan(settings: PlanSettings) -> tuple[list[Planned], list[str]]:
    """What each relayer wants of each node, and what is wrong with relayers."""
    planned: list[Planned] = []
    problems: list[str] = []
    async with AsyncExitStack() as stack:
        workers = Workers("signing", threads=1, deadline_seconds=None)
        stack.push_async_callback(workers.close)
        journal = SigningJournal(
            settings.journal if paths.is_there(settings.journal) else None, only_looks=True
        )
        stack.push_async_callback(journal.close)
        nodes = [node for source in sources_of(settings, workers, stack) for node in await source.load()]
        for node in nodes:
            await node.signer.close()
        signing = await signing_of(settings, journal, SidecarMetrics(), stack)
        relayers = zip(settings.relayer_names, settings.relayers, settings.accesses(), strict=True)
        for name, address, access in relayers:
            client = RelayerClient(
                address,
                access=access,
                timeout_seconds=settings.relayer_timeout,
                attempts=1,
                answer_limit_bytes=ANSWER_LIMIT_BYTES,
            )
            async with client:
                try:
                    network = (await client.info()).network
                    if network != settings.network.name:
                        raise RelayerUnavailableError(f"it serves {network}")
                    for node in nodes:
                        sidecar = Sidecar(client, node, signing, relayer=name, poll_seconds=1)
                        planned += await _planned(sidecar, node, settings.network)
                except (RelayerUnavailableError, RelayerRefusedError) as error:
                    problems.append(f"relayer {name}: {error}")
    return planned, problems


async def _planned(sidecar: Sidecar, node: Node, network: Network) -> list[Planned]:
    exits, validators = ExitPoll(sidecar), ValidatorPoll(sidecar)
    denied = [error for poll in (exits, validators) if (error := await _asked(poll))]
    if len(denied) == 2:
        raise denied[0]
    wanted = list(validators.open_items(node).values())
    reasons = await sidecar.signing.refusals(node, sidecar.relayer, wanted)
    wanted_exits = list(exits.open_items(node).values())
    reasons_of_exits = await sidecar.signing.refusals_of_exits(node, sidecar.relayer, wanted_exits)

    def planned(kind: str, key: wire.PublicKey, subject: str, refused: str) -> Planned:
        return Planned(sidecar.relayer, node.share_index, kind, key.to_wire(), subject, refused)

    of_exits = [
        planned(EXIT, exit_.public_key, f"validator index {exit_.validator_index}", reason)
        for exit_, reason in zip(wanted_exits, reasons_of_exits, strict=True)
    ]
    of_validators = [
        planned(kind, v.public_key, subject, reason)
        for v, reason in zip(wanted, reasons, strict=True)
        for kind, subject in (
            (EXIT, f"validator index {v.validator_index}"),
            (DEPOSIT, f"{units.stake(v.amount, network)} of {v.vault.to_wire()}, {v.validator_type.value}"),
        )
    ]
    return of_exits + of_validators


async def _asked(poll: ExitPoll | ValidatorPoll) -> RelayerRefusedError | None:
    """Nothing, or what a relayer that does not know the question says."""
    try:
        await poll.ask()
    except RelayerRefusedError as error:
        if error.status not in NO_SUCH_ROUTE:
            raise
        return error
    return None


def _show(planned: Sequence[Planned]) -> None:
    console = Console(highlight=False)
    table = Table("relayer", "share", "kind", "validator", "what", "")
    for each in planned:
        verdict = f"refused: {each.refused}" if each.refused else "would be signed"
        table.add_row(each.relayer, str(each.share_index), each.kind, each.public_key, each.subject, verdict)
    if planned:
        console.print(table)
    refused = sum(bool(each.refused) for each in planned)
    console.print(f"{len(planned) - refused} would be signed, {refused} refused; nothing was signed")
