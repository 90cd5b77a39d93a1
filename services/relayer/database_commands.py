"""What is done to a relayer's database from the command line: each function returns an exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from time import time
from typing import Any

import click
from sqlalchemy import Connection

from dvtfast import FileError
from dvtfast.files import read_text

from .. import wire
from ..files import paths
from ..process.hardening import forbid_dumps
from ..process.offload import UnavailableError
from ..settings import EXIT_CODE, DatabaseSettings, EncryptSettings, ForgetSettings, RotateSettings
from .storage_key import StorageKeyError, make_storage_key, read_storage_key
from .store.engine.backup import BackupError
from .store.engine.backup import back_up as copy_database
from .store.engine.database import ForeignDatabaseError
from .store.operators.asked_validators import ASKED_PRECISION_SECONDS, known_keys
from .store.operators.handouts import handed_out
from .store.operators.removal import expired_validators, forget
from .store.sealing.rewrite import open_existing, rewrite, sqlite_file
from .store.seals import KeyUnusableError, StorageKey, key_name

FAILED = 1
PG_DUMP = """error: the database is a PostgreSQL server's, whose own tools copy it while the relayer runs:
  pg_dump --format=custom --file={file} {url}
  pg_restore --clean --if-exists --dbname={url} {file}
The dump holds signatures as the database does: sealed, when it has a storage key."""
EXPECTED = (
    BackupError,
    StorageKeyError,
    KeyUnusableError,
    ForeignDatabaseError,
    UnavailableError,
    OSError,
)


def make_key(file: Path) -> int:
    """Make a storage key."""

    def work() -> None:
        key = make_storage_key(file)
        click.echo(f"storage key {key_name(key.id)} is in {file}; keep a copy of it apart from the backups")

    return reported(work)


def encrypt(settings: EncryptSettings) -> int:
    """Seal what is plaintext."""
    return reported(lambda: _rewrite(settings.database, None, read_storage_key(settings.storage_key_file)))


def rotate(settings: RotateSettings) -> int:
    """Seal everything under another key."""

    def work() -> None:
        old, new = (
            read_storage_key(settings.storage_key_file),
            read_storage_key(settings.new_storage_key_file),
        )
        if old.id == new.id:
            raise StorageKeyError(settings.new_storage_key_file, "the same key as --storage-key-file")
        _rewrite(settings.database, old, new)

    return reported(work)


def back_up(settings: DatabaseSettings, file: Path) -> int:
    """Copy the database."""
    path = sqlite_file(settings.database)
    if path is None:
        click.echo(PG_DUMP.format(file=file, url="postgresql://USER@HOST/DATABASE"), err=True)
        return EXIT_CODE

    def work() -> None:
        copy_database(path, file)
        click.echo(f"{path} is copied to {file}")

    return reported(work)


def forget_validators(settings: ForgetSettings, public_keys: Sequence[str]) -> int:
    """Remove validators, once the user says so."""
    keys, problems = _named(settings, public_keys)
    if not settings.all_expired and not keys and not problems:
        problems = ["nothing to forget; name public keys, --file or --all-expired"]
    if settings.with_handed_out and not settings.all_expired:
        problems.append("--with-handed-out goes with --all-expired; public keys are forgotten in any case")
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    if problems:
        return EXIT_CODE
    return reported(lambda: run(_forget(settings, keys)))


def _named(settings: ForgetSettings, public_keys: Sequence[str]) -> tuple[list[bytes], list[str]]:
    keys: list[bytes] = []
    problems: list[str] = []
    for value in public_keys:
        try:
            keys.append(wire.PublicKey.from_wire(value))
        except ValueError as error:
            problems.append(f"{value}: {error}")
    if settings.file is not None:
        try:
            listed, wrong = wire.public_keys_in(read_text(settings.file, limit_bytes=wire.KEYS_FILE_BYTES))
        except FileError as error:
            return keys, [*problems, str(error)]
        keys += listed
        problems += [f"{settings.file}: {problem}" for problem in wrong]
    return keys, problems


async def _forget(settings: ForgetSettings, named: Sequence[bytes]) -> None:
    asked_before = int(time() - settings.validator_lifetime) - ASKED_PRECISION_SECONDS

    def chosen(connection: Connection) -> tuple[set[bytes], set[bytes]]:
        keys = known_keys(connection, named)
        if settings.all_expired:
            keys.update(
                expired_validators(connection, asked_before, None, with_handed_out=settings.with_handed_out)
            )
        return keys, handed_out(connection, keys)

    def forget_chosen(connection: Connection, keys: set[bytes]) -> int:
        """Those that were meant, except the expired ones that somebody asked for in between."""
        still, _ = chosen(connection)
        return forget(connection, keys & still)

    database = await open_existing(settings.database)
    try:
        keys, were_handed_out = await database.run(chosen)
        if unknown := len(set(named) - keys):
            click.echo(f"{unknown} of the public keys are not in the database")
        if keys and not settings.yes:
            click.confirm(
                f"Forget {len(keys)} validators with their shares and signatures; oracle shares of"
                f" {len(were_handed_out)} of them were handed out?",
                abort=True,
            )
        count = await database.run(forget_chosen, keys)
    finally:
        await database.close()
    click.echo(f"{count} validators are forgotten")


def _rewrite(url: str, old: StorageKey | None, new: StorageKey) -> None:
    count = run(rewrite(url, old, new))
    if count is None:
        click.echo(
            f"signatures were sealed under storage key {key_name(new.id)} before; the files are rewritten"
        )
    else:
        click.echo(
            f"{count} signatures are sealed under storage key {key_name(new.id)}; the files are rewritten"
        )
    click.echo("older backups, and WAL archived before, stay readable as they were: remove them")


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """What comes of it, on an event loop of its own."""
    return asyncio.run(work)


def reported(work: Callable[[], None]) -> int:
    """Do it; what goes wrong that may is told, and the exit code says so.

    Storage keys, tokens and whole exit signatures pass through, so nothing of the process is dumped.
    """
    forbid_dumps()
    try:
        work()
    except EXPECTED as error:
        click.echo(f"error: {paths.told(error)}", err=True)
        return FAILED
    return 0
