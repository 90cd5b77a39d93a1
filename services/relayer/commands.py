"""`dvtfast relayer`: it, its database, its tokens. What a command needs is imported when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ..command import PATH, Commands
from ..settings import (
    DatabaseSettings,
    EncryptSettings,
    ForgetSettings,
    RelayerSettings,
    RotateSettings,
    TokenCreateSettings,
    TokenListSettings,
    options,
)


@click.group(cls=Commands, invoke_without_command=True)
@options(RelayerSettings)
def relayer(settings: RelayerSettings) -> None:
    """Run the relayer: collect partial exits, recover them, share them out to the oracles.

    It serves the validators of the clusters named with --cluster-lock and --ssv-keyshares, and with
    --signature-threshold those of any other. Its state is in the database; it may be killed and
    started again at any time, and nothing that it answered with 2xx is lost.

    \b
    dvtfast relayer --network hoodi --oracles config.json \\
        --cluster-lock cluster-lock.json
    dvtfast relayer --env-file .env --oracles config.json --start-index 1200000
    """
    from .app import run

    raise SystemExit(run(settings))


@relayer.command(short_help="Make a storage key, in a file that only you may read")
@click.argument("file", type=PATH)
def storage_key(file: Path) -> None:
    """Make a key for --storage-key-file, in a new file that only you may read."""
    from .database_commands import make_key

    raise SystemExit(make_key(file))


@relayer.command(short_help="Seal a database under its first storage key")
@options(EncryptSettings)
def encrypt_storage(settings: EncryptSettings) -> None:
    """Seal the signatures of a database that was kept without a storage key; stop the relayer first.

    Nothing readable is left in the database's files. Older backups, and WAL that was archived, stay
    as they are: remove them.
    """
    from .database_commands import encrypt

    raise SystemExit(encrypt(settings))


@relayer.command(short_help="Seal a database under another storage key")
@options(RotateSettings)
def rotate_storage_key(settings: RotateSettings) -> None:
    """Seal the signatures of a database under another storage key; stop the relayer first."""
    from .database_commands import rotate

    raise SystemExit(rotate(settings))


@relayer.command(short_help="Copy the database, while the relayer runs or not")
@click.argument("file", type=PATH)
@options(DatabaseSettings)
def backup(settings: DatabaseSettings, file: Path) -> None:
    """Copy the database to a new file, while the relayer runs or not.

    To restore it, stop the relayer and put the copy in the place of the database.
    """
    from .database_commands import back_up

    raise SystemExit(back_up(settings, file))


@relayer.command(short_help="Remove validators with their shares and signatures")
@click.argument("public_keys", nargs=-1, metavar="[PUBLIC_KEY]...")
@options(ForgetSettings)
def forget(settings: ForgetSettings, public_keys: Sequence[str]) -> None:
    """Remove validators with their shares and signatures, while the relayer runs or not.

    The relayer itself forgets only validators that nobody asked for during --validator-lifetime, and
    of which nothing was handed out.
    """
    from .database_commands import forget_validators

    raise SystemExit(forget_validators(settings, public_keys))


@relayer.group(short_help="Make, list and revoke tokens: who may call it")
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
    dvtfast relayer token create --role sidecar --cluster 0x... \\
        --share-index 2 --output node-2.token
    dvtfast relayer token create --role operator --vault 0x...
    """
    from .access import commands

    raise SystemExit(commands.create(settings))


@token.command(name="list")
@options(TokenListSettings)
def list_tokens(settings: TokenListSettings) -> None:
    """Print all tokens, without their secrets, revoked ones too."""
    from .access import commands

    raise SystemExit(commands.show(settings))


@token.command(short_help="Make tokens worthless, within a second")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@options(DatabaseSettings)
def revoke(settings: DatabaseSettings, ids: tuple[str, ...]) -> None:
    """Make tokens worthless within a second, while the relayer runs or not."""
    from .access import commands

    raise SystemExit(commands.revoke(settings, ids))
