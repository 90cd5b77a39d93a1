"""The `dvtfast` command line. What a command needs is imported when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import click

from .command import Commands
from .settings import (
    ClusterVerifySettings,
    CollectSettings,
    ConsolidateSettings,
    DatabaseSettings,
    DemoSettings,
    DepositsSettings,
    EncryptSettings,
    ExportSettings,
    ForgetSettings,
    FundSettings,
    KeyCacheSettings,
    ListSettings,
    PlanSettings,
    RegisterSettings,
    RelayerSettings,
    ReleaseSettings,
    RotateExitsSettings,
    RotateSettings,
    RunSettings,
    ScanSettings,
    SidecarSettings,
    StatusSettings,
    TokenCreateSettings,
    TokenListSettings,
    VerifySettings,
    WithdrawSettings,
    options,
)

PATH = click.Path(readable=False, path_type=Path)  # whose files these are the commands say, not click
DIRECTORY = click.argument("directory", type=PATH)
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(cls=Commands, context_settings=CONTEXT)
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

    raise SystemExit(run(settings))


@relayer.command()
@click.argument("file", type=PATH)
def storage_key(file: Path) -> None:
    """Make a key for --storage-key-file, in a new file that only you may read."""
    from .relayer.database_commands import make_key

    raise SystemExit(make_key(file))


@relayer.command()
@options(EncryptSettings)
def encrypt_storage(settings: EncryptSettings) -> None:
    """Seal the signatures of a database that was kept without a storage key; stop the relayer first.

    Nothing readable is left in the database's files. Older backups, and WAL that was archived, stay
    as they are: remove them.
    """
    from .relayer.database_commands import encrypt

    raise SystemExit(encrypt(settings))


@relayer.command()
@options(RotateSettings)
def rotate_storage_key(settings: RotateSettings) -> None:
    """Seal the signatures of a database under another storage key; stop the relayer first."""
    from .relayer.database_commands import rotate

    raise SystemExit(rotate(settings))


@relayer.command()
@click.argument("file", type=PATH)
@options(DatabaseSettings)
def backup(settings: DatabaseSettings, file: Path) -> None:
    """Copy the database to a new file, while the relayer runs or not.

    To restore it, stop the relayer and put the copy in the place of the database.
    """
    from .relayer.database_commands import back_up

    raise SystemExit(back_up(settings, file))


@relayer.command()
@click.argument("public_keys", nargs=-1, metavar="[PUBLIC_KEY]...")
@options(ForgetSettings)
def forget(settings: ForgetSettings, public_keys: Sequence[str]) -> None:
    """Remove validators with their shares and signatures, while the relayer runs or not.

    The relayer itself forgets only validators that nobody asked for during --validator-lifetime, and
    of which nothing was handed out.
    """
    from .relayer.database_commands import forget_validators

    raise SystemExit(forget_validators(settings, public_keys))


@relayer.group()
def token() -> None:
    """Say who may call the relayer. It need not be started again, whatever is made or revoked.

    From the first token on everybody needs one, as Bearer, or as the password in an address:
    https://u:TOKEN@relayer. Of a token only a digest is kept.
    """


@token.command()
@options(TokenCreateSettings)
def create(settings: TokenCreateSettings) -> None:
    """Make a token and print it, once.

    A sidecar hands in shares of its node; an operator registers for its vaults; read-only looks.

    \b
    dvtfast relayer token create --role sidecar --cluster 0x... --share-index 2 --output node-2.token
    dvtfast relayer token create --role operator --vault 0x...
    """
    from .relayer.access import commands

    raise SystemExit(commands.create(settings))


@token.command(name="list")
@options(TokenListSettings)
def list_tokens(settings: TokenListSettings) -> None:
    """Print all tokens, without their secrets, revoked ones too."""
    from .relayer.access import commands

    raise SystemExit(commands.show(settings))


@token.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@options(DatabaseSettings)
def revoke(settings: DatabaseSettings, ids: tuple[str, ...]) -> None:
    """Make tokens worthless, within a second, while the relayer runs or not."""
    from .relayer.access import commands

    raise SystemExit(commands.revoke(settings, ids))


@main.group(invoke_without_command=True)
@options(SidecarSettings)
def sidecar(settings: SidecarSettings) -> None:
    """Run beside the nodes of a cluster: sign what relayers ask for with the nodes' key shares.

    Exits are signed for the validators of the cluster, deposits only for vaults of --allow-vault. All of it
    goes on record first, in --journal. Keys are read anew on SIGHUP, and when their files change.

    \b
    dvtfast sidecar --network hoodi --relayer http://relayer:8000 \\
        --cluster-lock cluster-lock.json --keystores validator_keys
    dvtfast sidecar --network hoodi --relayer http://relayer:8000 \\
        --cluster-lock cluster-lock.json --remote-signer http://web3signer:9000
    """
    from .sidecar.app import run

    raise SystemExit(run(settings))


@sidecar.command()
@options(PlanSettings)
def plan(settings: PlanSettings) -> None:
    """Print what the sidecar would sign for its relayers now, and what it would refuse; sign nothing."""
    from .sidecar.plan import run

    raise SystemExit(run(settings))


@sidecar.command()
@options(ReleaseSettings)
def release(settings: ReleaseSettings) -> None:
    """Bind validators to another vault than deposits were signed for; explains the danger, and asks.

    A validator is deposited to for one vault only: the one that a relayer asked for first. When that was the
    wrong one, and nobody will ever deposit for it, this is the way out.

    \b
    dvtfast sidecar release --journal sidecar-journal.db --from-vault 0x... --to-vault 0x... \\
        --validator 0x... --consensus-endpoint http://beacon:5052
    """
    from .sidecar.release import run

    raise SystemExit(run(settings))


@main.group()
def operator() -> None:
    """Work for the operator of a vault."""


@operator.command()
@options(CollectSettings)
def collect(settings: CollectSettings) -> None:
    """Get the oracle shares of the validators in a deposit data file, checked, as one bundle.

    \b
    dvtfast operator collect --network hoodi --relayer http://relayer:8000 \\
        --deposit-data deposit_data.json --start-index 1200000
    """
    from .operator.commands.collect import run

    raise SystemExit(run(settings))


@main.group()
def deposits() -> None:
    """Read the deposit contract: which validators there are, and which index the next one gets."""


@deposits.command(name="scan")
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
    from .operator.commands.deposits import scan

    raise SystemExit(scan(settings))


@deposits.command(name="status")
@options(DepositsSettings)
def deposits_status(settings: DepositsSettings) -> None:
    """Print what the database knows of final blocks, without a node."""
    from .operator.commands.deposits import status

    raise SystemExit(status(settings))


@operator.command()
@options(RegisterSettings)
def register(settings: RegisterSettings) -> None:
    """Register the next batch of a vault's validators on chain, exactly once.

    The relayer's nodes sign, the oracles approve, and the transaction is simulated and put on record before
    it is sent. What was begun and not ended, by whatever end of this program, is gone on with first.

    \b
    dvtfast operator register --network hoodi --vault 0x... --relayer http://relayer:8000 \\
        --execution-endpoint http://geth:8545 --consensus-endpoint http://lighthouse:5052 \\
        --ipfs-gateway https://ipfs.io --wallet-keystore wallet.json --wallet-password-file wallet.txt
    """
    from .operator.commands.register import run

    raise SystemExit(run(settings))


@operator.command(name="run")
@options(RunSettings)
def run_operator(settings: RunSettings) -> None:
    """Register validators whenever the vault has enough for them, until stopped; as `register`."""
    from .operator.commands.run import run

    raise SystemExit(run(settings))


@operator.command(name="fund")
@options(FundSettings)
def fund_validators(settings: FundSettings) -> None:
    """Top compounding validators up from the vault's assets, in one transaction.

    The relayer's manager signs for it (--allow fund there). All of it is shown, and asked for, before it is
    put on record and sent; what was begun and not ended is gone on with first.

    \b
    dvtfast operator fund --env-file .env --validator 0x8f...=1.5eth --validator 0xa0...=32eth
    dvtfast operator fund --env-file .env --validators-file amounts.csv --dry-run
    """
    from .operator.commands.manage import fund

    raise SystemExit(fund(settings))


@operator.command(name="withdraw")
@options(WithdrawSettings)
def withdraw_validators(settings: WithdrawSettings) -> None:
    """Withdraw from validators, or end them with --exit, in one transaction; as `fund`.

    \b
    dvtfast operator withdraw --env-file .env --validator 0x8f...=1.5eth
    dvtfast operator withdraw --env-file .env --exit --validator 0x8f...
    """
    from .operator.commands.manage import withdraw

    raise SystemExit(withdraw(settings))


@operator.command(name="consolidate")
@options(ConsolidateSettings)
def consolidate_validators(settings: ConsolidateSettings) -> None:
    """Move all stake of validators to others, which ends them, in one transaction; as `fund`.

    The target must be a compounding validator. The same key twice makes one of it, which oracles approve of.

    \b
    dvtfast operator consolidate --env-file .env --pair 0x8f...=0x8f...
    dvtfast operator consolidate --env-file .env --pair 0xa0...=0x8f... --pair 0xb1...=0x8f...
    """
    from .operator.commands.manage import consolidate

    raise SystemExit(consolidate(settings))


@operator.command(name="rotate")
@options(RotateExitsSettings)
def rotate_exits(settings: RotateExitsSettings) -> None:
    """Give the exits of a vault's validators to the oracles of today, when these want them.

    `run` does it by itself. Who could not be rotated is named, and the exit code is 4 then.

    \b
    dvtfast operator rotate --env-file .env --dry-run
    """
    from .operator.commands.rotate import run

    raise SystemExit(run(settings))


@operator.command()
@options(StatusSettings)
def status(settings: StatusSettings) -> None:
    """Show what the operator sent and what came of it; the exit code is 5 while an action is open."""
    from .operator.commands.status import run

    raise SystemExit(run(settings))


@main.group()
def cluster() -> None:
    """Look at the files of a cluster."""


@cluster.command(name="verify")
@click.argument("lock", type=PATH)
@options(ClusterVerifySettings)
def cluster_verify(settings: ClusterVerifySettings, lock: Path) -> None:
    """Check everything in a cluster-lock.json: hashes, keys, shares, everybody's signatures, deposits.

    The exit code is 1 on any fault.
    """
    from .keys.verify_lock import verify

    raise SystemExit(verify(settings, lock))


@main.group()
def keys() -> None:
    """Work on the keystores of a node, in a directory as charon's validator_keys."""


@keys.command(name="import")
@DIRECTORY
@options(KeyCacheSettings)
def import_(settings: KeyCacheSettings, directory: Path) -> None:
    """Decrypt all keystores now, so that the sidecar's first start is immediate."""
    from .keys import commands

    raise SystemExit(commands.run(lambda: commands.import_keys(settings, directory)))


@keys.command(name="list")
@DIRECTORY
@options(ListSettings)
def list_(settings: ListSettings, directory: Path) -> None:
    """Print each keystore, and with --cluster-lock whose share it states to be; none is decrypted."""
    from .keys import commands

    raise SystemExit(commands.run(lambda: commands.list_keys(settings, directory)))


@keys.command(name="verify")
@DIRECTORY
@options(VerifySettings)
def verify_keys(settings: VerifySettings, directory: Path) -> None:
    """Decrypt all keystores and check each key against what it states, and against the cluster lock.

    The exit code is 1 if a keystore is of no use, or a validator has none.
    """
    from .keys import commands

    raise SystemExit(commands.run(lambda: commands.verify_keys(settings, directory)))


@keys.command()
@DIRECTORY
@click.argument("output", type=PATH)
@options(ExportSettings)
def export(settings: ExportSettings, directory: Path, output: Path) -> None:
    """Write all keys as new keystores to a new directory OUTPUT, as a backup or to move them.

    Never let two sidecars or validator clients sign with the same keys in two places.
    """
    from .keys import commands

    raise SystemExit(commands.run(lambda: commands.export_keys(settings, directory, output)))


@main.command()
@options(DemoSettings)
def demo(settings: DemoSettings) -> None:
    """Make a cluster, run relayer, sidecars and operator on this machine, and prove the result.

    The files are real, only their passwords are cheap to guess: never deposit for these validators.
    With --chain there are oracles and a chain, too, on which the validators are registered.

    \b
    dvtfast demo --validators 100
    dvtfast demo --chain --validators 20
    """
    from .demo.main import run

    raise SystemExit(run(settings))
