"""`dvtfast sidecar`: it, and what is in its journal. What a command needs is imported when it runs."""

from __future__ import annotations

import click

from ..command import Commands
from ..settings import PlanSettings, ReleaseSettings, SidecarSettings, options


@click.group(cls=Commands, invoke_without_command=True)
@options(SidecarSettings)
def sidecar(settings: SidecarSettings) -> None:
    """Run beside the nodes of a cluster: sign what relayers ask for with the nodes' key shares.

    Exits are signed for the validators of the cluster, deposits only for vaults of --allow-vault. All of it
    goes on record first, in --journal. Keys are read anew on SIGHUP, and when their files change.

    \b
    dvtfast sidecar --network hoodi --relayer http://relayer:8000 \\
        --cluster-lock cluster-lock.json --keystores validator_keys
    dvtfast sidecar --network hoodi --relayer http://relayer:8000 \\
        --cluster-lock cluster-lock.json --remote-signer http://web3signer:9000
    """
    from .app import run

    raise SystemExit(run(settings))


@sidecar.command(short_help="Show what would be signed now; sign nothing")
@options(PlanSettings)
def plan(settings: PlanSettings) -> None:
    """Print what the sidecar would sign for its relayers now, and what it would refuse; sign nothing."""
    from .dry_run import run

    raise SystemExit(run(settings))


@sidecar.command(short_help="Bind validators to another vault than before")
@options(ReleaseSettings)
def release(settings: ReleaseSettings) -> None:
    """Bind validators to another vault than deposits were signed for; explains the danger, and asks.

    A validator is deposited to for one vault only: the one that a relayer asked for first. When that was the
    wrong one, and nobody will ever deposit for it, this is the way out.

    \b
    dvtfast sidecar release --journal sidecar-journal.db \\
        --from-vault 0x... --to-vault 0x... --validator 0x... \\
        --consensus-endpoint http://beacon:5052
    """
    from .release import run

    raise SystemExit(run(settings))
