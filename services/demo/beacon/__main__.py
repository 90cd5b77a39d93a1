"""`python -m dvtfast.services.demo.beacon`."""

from __future__ import annotations

import click

from ...process import logs
from ...settings import options
from .settings import DemoBeaconSettings


@click.command()
@options(DemoBeaconSettings)
def main(settings: DemoBeaconSettings) -> None:
    """Run a beacon chain on this machine, whose rules are the executable specification."""
    from .app import run

    logs.configure(settings.log_format, settings.log_level)
    raise SystemExit(run(settings))


if __name__ == "__main__":
    main()
