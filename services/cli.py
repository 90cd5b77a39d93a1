"""The `dvtfast` command line: which commands there are. Each lies beside its service."""

from __future__ import annotations

from importlib.metadata import version

import click

from .command import Commands

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

OPERATOR = "operator.commands.command_line"
CEREMONY = "ceremony.commands.command_line"
NODE, EXITS = "node.commands.command_line", "node.commands.exit_command_line"
_ROOMS = {
    "To begin with": {
        "demo": ("demo.commands", "Run a whole cluster here, and prove its result"),
    },
    "Services": {
        "node": (NODE, "Do a cluster's duties together with its other nodes"),
        "relayer": ("relayer.commands", "Collect partial exits, share whole ones out to oracles"),
        "sidecar": ("sidecar.commands", "Sign with a node's key shares what relayers ask for"),
        "operator": (OPERATOR, "Register a vault's validators, fund them, end them"),
    },
    "New clusters": {
        "create": (CEREMONY, "Make a node's key, a definition, or a whole cluster"),
        "dkg": (CEREMONY, "Make a node's keys together with the other nodes"),
        "combine": (CEREMONY, "Make whole keys of the folders of enough nodes"),
    },
    "Networks": {
        "p2p-relay": ("p2p.relay.commands", "Let nodes reach each other that nobody can dial"),
    },
    "Files and chain": {
        "cluster": ("keys.commands", "Check the files of a cluster"),
        "keys": ("keys.commands", "Check, list and copy the keystores of a node"),
        "slashing-protection": (NODE, "Take over what was signed elsewhere, or hand it over"),
        "exit": (EXITS, "End validators: a cluster's nodes sign among themselves"),
        "deposits": (
            OPERATOR,
            "Read the deposit contract: the next validator's index",
        ),
    },
}
ELSEWHERE = {
    title: {name: (f"{__package__}.{module}", line) for name, (module, line) in some.items()}
    for title, some in _ROOMS.items()
}


@click.group(cls=Commands, elsewhere=ELSEWHERE, context_settings=CONTEXT)
@click.version_option(version("dvtfast"), prog_name="dvtfast")
def main() -> None:
    """Distributed validators: their keys, their duties, their registration.

    A node of a cluster performs its duties with the others. One relayer serves a cluster that registers
    validators, one sidecar runs beside each node, and the operator registers. Try all of it on this machine
    with `dvtfast demo`.

    Every option is also an environment variable, named in its help; --env-file reads them from a
    file. A flag goes before the environment, the environment before the file.
    """
