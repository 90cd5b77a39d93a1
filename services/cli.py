"""The `dvtfast` command line. What a command needs is imported when it runs."""

from __future__ import annotations

from importlib.metadata import version

import click

from . import logs
from .settings import DemoSettings, OperatorSettings, RelayerSettings, SidecarSettings, options

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=CONTEXT)
@click.version_option(version("dvtfast"), prog_name="dvtfast")
def main() -> None:
    """Register validators of distributed clusters: exit signatures, shared out to the oracles.

    One relayer serves a cluster, one sidecar runs beside each node, and the operator registers. Try
    all of it on this machine with `dvtfast demo`.

    Every option is also an environment variable, named in its help; --env-file reads them from a
    file. A flag goes before the environment, the environment before the file.
    """


@main.group(invoke_without_command=True)
@options(RelayerSettings)
def relayer(settings: RelayerSettings) -> None:
    """Run the relayer: collect partial exits, recover them, share them out to the oracles.

    It serves the validators of the clusters named with --cluster-lock and --ssv-keyshares, and with
    --signature-threshold those of any other. Its state is in the database; it may be killed and
    started again at any time, and nothing that it answered with 2xx is lost.

    \b
    dvtfast relayer --network hoodi --oracles config.json --cluster-lock cluster-lock.json
    dvtfast relayer --env-file .env --oracles config.json --start-index 1200000
    """
    from .relayer.app import run

    logs.configure(settings.log_format, settings.log_level)
    raise SystemExit(run(settings))


@main.command()
@options(SidecarSettings)
def sidecar(settings: SidecarSettings) -> None:
    """Run beside one node: sign the exits that the relayer asks for with the node's key shares.

    \b
    dvtfast sidecar --network hoodi --relayer http://relayer:8000 \\
        --cluster-lock cluster-lock.json --keystores validator_keys
    """
    from .sidecar.app import run

    logs.configure(settings.log_format, settings.log_level)
    raise SystemExit(run(settings))


@main.group()
def operator() -> None:
    """Work for the operator of a vault."""


@operator.command()
@options(OperatorSettings)
def register(settings: OperatorSettings) -> None:
    """Get the oracle shares of the validators in a deposit data file, checked, as one bundle.

    \b
    dvtfast operator register --network hoodi --relayer http://relayer:8000 \\
        --deposit-data deposit_data.json --start-index 1200000
    """
    from .operator.app import run

    logs.configure(settings.log_format, settings.log_level)
    raise SystemExit(run(settings))


@main.command()
@options(DemoSettings)
def demo(settings: DemoSettings) -> None:
    """Make a cluster, run relayer, sidecars and operator on this machine, and prove the result.

    The files are real, only their passwords are cheap to guess: never deposit for these validators.

    \b
    dvtfast demo --validators 100
    """
    from .demo import run

    raise SystemExit(run(settings))
