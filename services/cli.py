"""The `dvtfast` command line: which commands there are. Each lies beside its service."""

from __future__ import annotations

from importlib.metadata import version

import click

from .command import Commands

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

OPERATOR = "operator.commands.command_line"
CEREMONY = "ceremony.commands.command_line"
_ROOMS = {
    "To begin with": {
        "demo": ("demo.commands", "Run a whole cluster on this machine, and prove its result"),
    },
    "Services": {
        "relayer": ("relayer.commands", "Collect partial exits, and share whole ones out to the oracles"),
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
    """Register validators of distributed clusters: exit signatures, shared out to the oracles.

    One relayer serves a cluster, one sidecar runs beside each node, and the operator registers. Try
    all of it on this machine with `dvtfast demo`.

    Every option is also an environment variable, named in its help; --env-file reads them from a
    file. A flag goes before the environment, the environment before the file.
    """
