"""`dvtfast keys` and `dvtfast cluster`. What a command needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click

from ..command import PATH, Commands
from ..settings import (
    ClusterVerifySettings,
    ExportSettings,
    KeyCacheSettings,
    ListSettings,
    VerifySettings,
    options,
)

DIRECTORY = click.argument("directory", type=PATH)


@click.group(cls=Commands)
def cluster() -> None:
    """Look at the files of a cluster."""


@cluster.command(name="verify", short_help="Check everything in a cluster-lock.json")
@click.argument("lock", type=PATH)
@options(ClusterVerifySettings)
def cluster_verify(settings: ClusterVerifySettings, lock: Path) -> None:
    """Check everything in a cluster-lock.json: hashes, keys, shares, everybody's signatures, deposits.

    The exit code is 1 on any fault.
    """
    from .verify_lock import verify

    raise SystemExit(verify(settings, lock))


@click.group(cls=Commands)
def keys() -> None:
    """Work on the keystores of a node, in a directory as charon's validator_keys."""


@keys.command(name="import", short_help="Decrypt all, so that the sidecar starts at once")
@DIRECTORY
@options(KeyCacheSettings)
def import_all(settings: KeyCacheSettings, directory: Path) -> None:
    """Decrypt all keystores now, so that the sidecar's first start is immediate."""
    from .keystore_directory import import_keys, run

    raise SystemExit(run(lambda: import_keys(settings, directory)))


@keys.command(name="list", short_help="Print what each keystore states; decrypt none")
@DIRECTORY
@options(ListSettings)
def list_all(settings: ListSettings, directory: Path) -> None:
    """Print each keystore, and with --cluster-lock whose share it states to be; none is decrypted."""
    from .keystore_directory import list_keys, run

    raise SystemExit(run(lambda: list_keys(settings, directory)))


@keys.command(name="verify", short_help="Decrypt all, and check each key")
@DIRECTORY
@options(VerifySettings)
def verify(settings: VerifySettings, directory: Path) -> None:
    """Decrypt all keystores and check each key against what it states, and against the cluster lock.

    The exit code is 1 if a keystore is of no use, or a validator has none.
    """
    from .keystore_directory import run, verify_keys

    raise SystemExit(run(lambda: verify_keys(settings, directory)))


@keys.command(short_help="Write all keys as new keystores to another directory")
@DIRECTORY
@click.argument("output", type=PATH)
@options(ExportSettings)
def export(settings: ExportSettings, directory: Path, output: Path) -> None:
    """Write all keys as new keystores to a new directory OUTPUT, as a backup or to move them.

    Never let two sidecars or validator clients sign with the same keys in two places.
    """
    from .keystore_directory import export_keys, run

    raise SystemExit(run(lambda: export_keys(settings, directory, output)))
