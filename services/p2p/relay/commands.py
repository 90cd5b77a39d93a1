"""`dvtfast p2p-relay`. What it needs is imported when it runs."""

from __future__ import annotations

import click

from ...command import Command
from ...settings import P2PRelaySettings, options


@click.command(cls=Command)
@options(P2PRelaySettings)
def p2p_relay(settings: P2PRelaySettings) -> None:
    """Let nodes reach each other that nobody can dial: a relay of libp2p (circuit-v2), as `charon relay` is.

    It carries what it cannot read, 32 MiB each way and an hour at most, after which nodes connect anew.
    Nodes are told of it by its address, or by where it is looked up: --p2p-relays http://HOST:3640

    \\b
    dvtfast p2p-relay --p2p-external-ip 192.0.2.1 --http-address 0.0.0.0:3640
    """
    from .app import run

    raise SystemExit(run(settings))
