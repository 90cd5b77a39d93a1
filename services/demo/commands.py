"""`dvtfast demo`. What it needs is imported when it runs."""

from __future__ import annotations

import click

from ..command import Command
from ..settings import DemoSettings, options


@click.command(cls=Command)
@options(DemoSettings)
def demo(settings: DemoSettings) -> None:
    """Make a cluster, run relayer, sidecars and operator on this machine, and prove the result.

    The files are real, only their passwords are cheap to guess: never deposit for these validators.
    With --dkg the cluster makes its keys itself. With --chain there are oracles and a chain, too, on which
    the validators are registered. With --duties its nodes perform the duties of their validators instead.

    \b
    dvtfast demo --validators 100
    dvtfast demo --dkg --validators 100
    dvtfast demo --chain --validators 20
    dvtfast demo --duties
    """
    from .main import run

    raise SystemExit(run(settings))
