"""`dvtfast operator` and `dvtfast deposits`. What a command needs is imported when it runs."""

from __future__ import annotations

import click

from ...command import Commands
from ...settings import (
    CollectSettings,
    ConsolidateSettings,
    DepositsSettings,
    FundSettings,
    RegisterSettings,
    RotateExitsSettings,
    RunSettings,
    ScanSettings,
    StatusSettings,
    WithdrawSettings,
    options,
)


@click.group(cls=Commands)
def operator() -> None:
    """Work for the operator of a vault."""


@operator.command(short_help="Register the next batch of validators, exactly once")
@options(RegisterSettings)
def register(settings: RegisterSettings) -> None:
    """Register the next batch of a vault's validators on chain, exactly once.

    The relayer's nodes sign, the oracles approve, and the transaction is simulated and put on record before
    it is sent. What was begun and not ended, by whatever end of this program, is gone on with first.

    \b
    dvtfast operator register --network hoodi --vault 0x... \\
        --relayer http://relayer:8000 --ipfs-gateway https://ipfs.io \\
        --execution-endpoint http://geth:8545 \\
        --consensus-endpoint http://lighthouse:5052 \\
        --wallet-keystore wallet.json --wallet-password-file wallet.txt
    """
    from .register import run

    raise SystemExit(run(settings))


@operator.command(name="run", short_help="Register validators whenever the vault has enough")
@options(RunSettings)
def run_operator(settings: RunSettings) -> None:
    """Register validators whenever the vault has enough for them, until stopped; as `register`."""
    from .run import run

    raise SystemExit(run(settings))


@operator.command(short_help="Show what was sent, and what came of it")
@options(StatusSettings)
def status(settings: StatusSettings) -> None:
    """Show what the operator sent and what came of it; the exit code is 5 while an action is open."""
    from .status import run

    raise SystemExit(run(settings))


@operator.command(name="fund", short_help="Top validators up from the vault's assets")
@options(FundSettings)
def fund_validators(settings: FundSettings) -> None:
    """Top compounding validators up from the vault's assets, in one transaction.

    The relayer's manager signs for it (--allow fund there). All of it is shown, and asked for, before it is
    put on record and sent; what was begun and not ended is gone on with first.

    \b
    dvtfast operator fund --env-file .env \\
        --validator 0x8f...=1.5eth --validator 0xa0...=32eth
    dvtfast operator fund --env-file .env --validators-file amounts.csv --dry-run
    """
    from .manager_actions import fund

    raise SystemExit(fund(settings))


@operator.command(name="withdraw", short_help="Withdraw from validators, or end them")
@options(WithdrawSettings)
def withdraw_validators(settings: WithdrawSettings) -> None:
    """Withdraw from validators, or end them with --exit, in one transaction; as `fund`.

    \b
    dvtfast operator withdraw --env-file .env --validator 0x8f...=1.5eth
    dvtfast operator withdraw --env-file .env --exit --validator 0x8f...
    """
    from .manager_actions import withdraw

    raise SystemExit(withdraw(settings))


@operator.command(name="consolidate", short_help="Move all stake of validators to others")
@options(ConsolidateSettings)
def consolidate_validators(settings: ConsolidateSettings) -> None:
    """Move all stake of validators to others, which ends them, in one transaction; as `fund`.

    The target must be a compounding validator. The same key twice makes one of it, which oracles approve of.

    \b
    dvtfast operator consolidate --env-file .env --pair 0x8f...=0x8f...
    dvtfast operator consolidate --env-file .env \\
        --pair 0xa0...=0x8f... --pair 0xb1...=0x8f...
    """
    from .manager_actions import consolidate

    raise SystemExit(consolidate(settings))


@operator.command(name="rotate", short_help="Give exits to the oracles of today")
@options(RotateExitsSettings)
def rotate_exits(settings: RotateExitsSettings) -> None:
    """Give the exits of a vault's validators to the oracles of today, when these want them.

    `run` does it by itself. Who could not be rotated is named, and the exit code is 4 then.

    \b
    dvtfast operator rotate --env-file .env --dry-run
    """
    from .rotate import run

    raise SystemExit(run(settings))


@operator.command(short_help="Get the oracle shares alone, as one file")
@options(CollectSettings)
def collect(settings: CollectSettings) -> None:
    """Get the oracle shares of the validators in a deposit data file, checked, as one bundle.

    \b
    dvtfast operator collect --network hoodi --relayer http://relayer:8000 \\
        --deposit-data deposit_data.json --start-index 1200000
    """
    from .collect import run

    raise SystemExit(run(settings))


@click.group(cls=Commands)
def deposits() -> None:
    """Read the deposit contract: which validators there are, and which index the next one gets."""


@deposits.command(name="scan", short_help="Read what is new, and print the next validator index")
@options(ScanSettings)
def deposits_scan(settings: ScanSettings) -> None:
    """Read all deposits that are new into the database, and print the next validator index.

    The first time takes long, and may be interrupted. With --consensus-endpoint, a beacon node must say
    the same. The exit code is 1 when the index cannot be told.

    \b
    dvtfast deposits scan --network mainnet --execution-endpoint http://geth:8545
    dvtfast deposits scan --network hoodi --execution-endpoint http://geth:8545 \\
        --genesis-validators genesis_validators.bin
    """
    from .deposits import scan

    raise SystemExit(scan(settings))


@deposits.command(name="status", short_help="Print what is known, without a node")
@options(DepositsSettings)
def deposits_status(settings: DepositsSettings) -> None:
    """Print what the database knows of final blocks, without a node."""
    from .deposits import status

    raise SystemExit(status(settings))
