"""`dvtfast node` and `dvtfast slashing-protection`. What a command needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click

from ...command import PATH, Command, Commands
from ...settings import EXIT_CODE, ImportSettings, NodeSettings, ProtectionSettings, options, parsing
from ...settings.node.charon_flags import sifted

SWITCHES = [source.flag for source in NodeSettings.sources().values() if source.parse is parsing.switch]


class NodeCommand(Command):
    """One that also understands the flags of `charon run`, or says why it does not."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line."""
        args, problems = sifted(args, SWITCHES)
        for problem in problems:
            click.echo(f"error: {problem}", err=True)
        if problems:
            ctx.exit(EXIT_CODE)
        return super().parse_args(ctx, args)


@click.command(cls=NodeCommand)
@options(NodeSettings)
def node(settings: NodeSettings) -> None:
    """Perform the duties of a cluster's validators together with its other nodes, of charon or of dvtfast.

    It agrees with them on what is signed, signs with this node's key shares, and sends what the cluster has
    signed to the beacon nodes. No validator client is needed. What was signed is on disk before a signature
    leaves; bring along what the node's validator client has signed with `dvtfast slashing-protection import`.

    Flags are those of `charon run` where they mean the same, and so are its CHARON_ variables; what has no
    meaning here is refused by name. docs/node.md has all of them, and what to do when something fails.

    \b
    dvtfast node --data-dir .charon --beacon-node http://beacon:5052 \\
        --p2p-tcp-address 0.0.0.0:3610
    """
    from .run import run

    raise SystemExit(run(settings))


@click.group(cls=Commands)
def slashing_protection() -> None:
    """What a node has signed, as the file (EIP-3076) in which signers hand it over to each other."""


@slashing_protection.command(name="import", short_help="Take over what was signed elsewhere")
@click.argument("file", type=PATH)
@options(ImportSettings)
def import_(settings: ImportSettings, file: Path) -> None:
    """Take over what another signer of this node's key shares has signed; all of the file, or nothing.

    Stop that signer for good, export what it signed, and import that before the node is started. What is
    signed from then on is above all that is in the file.

    \b
    dvtfast slashing-protection import interchange.json --data-dir .charon
    """
    from .protection import import_file

    raise SystemExit(import_file(settings, file))


@slashing_protection.command(name="export", short_help="Hand over what was signed here")
@click.argument("file", type=PATH)
@options(ProtectionSettings)
def export(settings: ProtectionSettings, file: Path) -> None:
    """Write what this node has signed for the signer that comes after it. Stop the node first, for good.

    \b
    dvtfast slashing-protection export interchange.json --data-dir .charon
    """
    from .protection import export_file

    raise SystemExit(export_file(settings, file))
