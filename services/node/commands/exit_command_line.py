"""`dvtfast exit`. What a command needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click

from ...command import PATH, Commands
from ...settings import (
    ExitBroadcastSettings,
    ExitCancelSettings,
    ExitExportSettings,
    ExitImportSettings,
    ExitListSettings,
    ExitSignSettings,
    options,
)


@click.group(name="exit", cls=Commands)
def exit_() -> None:
    """End validators of a cluster: its operators order it, and the nodes sign among themselves.

    Each operator runs `dvtfast exit sign` where the node's folder is, as the user that the node runs as. The
    node that runs, or starts later, does what is ordered there: it signs, and sends its partial exits to the
    other nodes. Of the cluster's threshold of them comes an exit, which each of these nodes has then.
    """


@exit_.command(name="sign", short_help="Have this node sign exits of validators")
@options(ExitSignSettings)
def sign(settings: ExitSignSettings) -> None:
    """Have this node sign exits. Nothing else makes it sign one: what other nodes sign does not.

    A validator that the beacon chain does not know yet is signed for as soon as it does. All operators must
    say the same epoch.

    \b
    dvtfast exit sign --data-dir .charon --validator-public-key 0x8f...
    """
    from .exits import sign

    raise SystemExit(sign(settings))


@exit_.command(name="cancel", short_help="Take back what was ordered of this node")
@options(ExitCancelSettings)
def cancel(settings: ExitCancelSettings) -> None:
    """Take back what was ordered of this node: it signs nothing more of it, and sends nothing.

    What it has signed stays so, and nodes that have it can do without it; what was sent cannot be taken back.

    \b
    dvtfast exit cancel --validator-public-key 0x8f... --data-dir .charon
    """
    from .exits import cancel

    raise SystemExit(cancel(settings))


@exit_.command(name="list", short_help="Show all validators, and how far their exits are")
@options(ExitListSettings)
def list_all(settings: ExitListSettings) -> None:
    """Show all validators of the cluster: what the beacon chain says of them, and how far their exits are.

    \b
    dvtfast exit list --data-dir .charon --beacon-node http://beacon:5052
    """
    from .exits import list_all

    raise SystemExit(list_all(settings))


@exit_.command(name="broadcast", short_help="Send exits that the cluster has signed")
@options(ExitBroadcastSettings)
def broadcast(settings: ExitBroadcastSettings) -> None:
    """Send exits that the cluster has signed. What the beacon chain does not take yet the node sends later.

    \b
    dvtfast exit broadcast --all --data-dir .charon \\
        --beacon-node http://beacon:5052
    """
    from .exits import broadcast

    raise SystemExit(broadcast(settings))


@exit_.command(name="export", short_help="Write this node's partial exits for another node")
@click.argument("file", type=PATH)
@options(ExitExportSettings)
def export(settings: ExitExportSettings, file: Path) -> None:
    """Write what this node has signed, in charon's form, for a node that it does not reach.

    Whoever has the files of as many nodes as the threshold can end the validators in them.

    \b
    dvtfast exit export partial-exits.json --all --data-dir .charon
    """
    from .exits import export_file

    raise SystemExit(export_file(settings, file))


@exit_.command(name="import", short_help="Take over another node's partial exits")
@click.argument("file", type=PATH)
@options(ExitImportSettings)
def import_(settings: ExitImportSettings, file: Path) -> None:
    """Take over what another node has signed, from a file in charon's form; each partial exit is verified.

    \b
    dvtfast exit import partial-exits.json --data-dir .charon \\
        --beacon-node http://beacon:5052
    """
    from .exits import import_file

    raise SystemExit(import_file(settings, file))


exit = exit_
