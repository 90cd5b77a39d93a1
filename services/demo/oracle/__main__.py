"""`python -m dvtfast.services.demo.oracle`."""

from __future__ import annotations

import click

from ...process import logs
from ...settings import options
from .settings import DemoOracleSettings


@click.command()
@options(DemoOracleSettings)
def main(settings: DemoOracleSettings) -> None:
    """Run one oracle on this machine, for a chain with contracts of dvtfast's own."""
    from .app import run

    logs.configure(settings.log_format, settings.log_level)
    raise SystemExit(run(settings))


if __name__ == "__main__":
    main()
