"""`dvtfast sidecar release`: validators bound to another vault than deposits were signed for."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import click

from dvtfast import network_named

from .. import wire
from ..chain.beacon.client import BeaconClient
from ..chain.beacon.head import fresh_head
from ..chain.encoding import write_data
from ..process import logs
from ..process.offload import UnavailableError
from ..settings import EXIT_CODE, ReleaseSettings
from .journal.signing_journal import Binding, SigningJournal, SigningJournalError
from .nodes.node import SHOWN_ITEMS

FAILED = 1
NOT_MEANT = 130  # as the operator ends when somebody says no

DANGER = """\
Deposits of {count} were signed for the vault
    {from_vault}
with shares of this node. Whoever has enough nodes' shares can still send such a deposit. Of two deposits of a
validator the first one on chain says whom all its stake goes back to: if {from_vault}
is deposited for first, what {to_vault} deposits is lost to it.

Release only when all of this is true:
  * none of these validators has a deposit on chain, of whichever vault{checked};
  * nobody will ever register them for {from_vault}: its operator and its relayer agree;
  * the operators of the cluster's other nodes know of it, since enough of them must release, too.

From then on this node signs deposits of them for {to_vault} only.
"""

log = logs.get("sidecar")


class NotReleasedError(Exception):
    """Why nothing was released."""


def run(settings: ReleaseSettings) -> int:
    """Explain, ask, and put it on record; the exit code."""
    try:
        return asyncio.run(_run(settings))
    except (SigningJournalError, NotReleasedError, UnavailableError) as error:
        click.echo(f"error: {error}", err=True)
        return EXIT_CODE if isinstance(error, SigningJournalError) else FAILED


async def _run(settings: ReleaseSettings) -> int:
    journal = SigningJournal(settings.journal, upgrades=False)
    try:
        bound = {each.public_key: each for each in await journal.bindings(vault=settings.from_vault)}
        if not settings.validators and not settings.all:
            raise NotReleasedError(
                f"{len(bound)} validators are bound to {_written(settings.from_vault)}: name those that are"
                f" meant with --validator, or --all{_shown(bound)}"
            )
        keys = [bytes(key) for key in settings.validators] or list(bound)
        if strangers := [key for key in keys if key not in bound]:
            raise NotReleasedError(
                f"{len(strangers)} of {len(keys)} are not bound to {_written(settings.from_vault)}"
                f"{_shown(strangers)}"
            )
        if not keys:
            raise NotReleasedError(f"no validator is bound to {_written(settings.from_vault)}")
        meant = [bound[key] for key in dict.fromkeys(keys)]
        await _require_no_deposit(settings, meant)
        _explain(settings, meant)
        if not settings.yes and not _is_meant(settings.to_vault):
            click.echo("nothing was released", err=True)
            return NOT_MEANT
        await journal.release(
            [each.public_key for each in meant],
            from_vault=settings.from_vault,
            to_vault=settings.to_vault,
        )
    except ValueError as error:  # another process was faster
        raise NotReleasedError(str(error)) from None
    finally:
        await journal.close()
    log.info("released", count=len(meant), to_vault=_written(settings.to_vault))
    return 0


async def _require_no_deposit(settings: ReleaseSettings, meant: Sequence[Binding]) -> None:
    """Refuse those that the beacon chain has a deposit of, if there is somebody to ask."""
    if not settings.consensus_endpoints:
        return
    networks = {each.network for each in meant}
    if len(networks) > 1:
        raise NotReleasedError(f"they are of {', '.join(sorted(networks))}: release those of one at a time")
    network = network_named(networks.pop())
    async with BeaconClient(
        settings.consensus_endpoints, timeout_seconds=settings.consensus_timeout, network=network
    ) as beacon:
        state = write_data((await fresh_head(beacon, network)).state_root)
        keys = [each.public_key for each in meant]
        there = {deposit.public_key for deposit in await beacon.pending_deposits(state)}
        there |= (await beacon.validators(keys, state=state)).keys()
    if deposited := [key for key in keys if key in there]:
        raise NotReleasedError(
            f"{len(deposited)} of {len(keys)} have a deposit on chain: whom their stake goes back to is"
            f" decided, and no deposit of them is to be signed any more{_shown(deposited)}"
        )


def _explain(settings: ReleaseSettings, bound: Sequence[Binding]) -> None:
    count = "1 validator" if len(bound) == 1 else f"{len(bound)} validators"
    checked = " (a beacon node says so now)" if settings.consensus_endpoints else ""
    vaults = {name: _written(getattr(settings, name)) for name in ("from_vault", "to_vault")}
    click.echo(DANGER.format(count=count, checked=checked, **vaults), err=True)
    for each in bound[:SHOWN_ITEMS]:
        last = datetime.fromtimestamp(each.last_at, UTC).isoformat(" ")
        click.echo(f"    {wire.PublicKey(each.public_key).to_wire()}  last signed {last}", err=True)
    if len(bound) > SHOWN_ITEMS:
        click.echo(f"    and {len(bound) - SHOWN_ITEMS} more", err=True)


def _is_meant(to_vault: bytes) -> bool:
    """Whether somebody types the vault's address: nobody does so by accident."""
    try:
        typed = click.prompt("The address of the vault that they are to be bound to", err=True, default="")
        return wire.Address.from_wire(typed.strip()) == to_vault
    except (click.Abort, ValueError):
        return False


def _shown(keys: Collection[bytes]) -> str:
    shown = [f"\n    {wire.PublicKey(key).to_wire()}" for key in list(keys)[:SHOWN_ITEMS]]
    more = [f"\n    and {len(keys) - SHOWN_ITEMS} more"] if len(keys) > SHOWN_ITEMS else []
    return "".join(shown + more)


def _written(vault: bytes) -> str:
    return wire.Address(vault).to_wire()
