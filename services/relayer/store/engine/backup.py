"""A copy of the database while the relayer runs."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from ....files import paths
from ....process.offload import UnavailableError
from .database import ForeignDatabaseError

OWNER_MAY_READ_AND_WRITE = 0o600
BUSY_SECONDS = 5.0


class BackupError(Exception):
    """No backup was made, and why."""


def back_up(database: Path, target: Path) -> None:
    """Copy a SQLite database as it is at one moment; the copy appears when it is complete and durable.

    Readers and writers of the database go on meanwhile.

    Raises:
        BackupError: the target exists or cannot be written.
        ForeignDatabaseError: it is not a relayer's database.
        UnavailableError: the database cannot be read.
    """
    if problem := paths.no_file(database, noun="database"):
        raise UnavailableError(problem)
    if problem := paths.no_place(target):
        raise BackupError(problem)
    if paths.is_there(target):
        raise BackupError(f"{target}: there is a file already, which is not overwritten")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_MAY_READ_AND_WRITE))
        _copy(database, partial)
        _sync(partial)
        os.link(partial, target)  # unlike a rename it never replaces anything
    except FileExistsError as error:
        raise BackupError(f"{error.filename2 or error.filename}: there is a file already") from None
    except OSError as error:
        raise BackupError(f"{target}: cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
    _sync(target.parent)


def _copy(database: Path, partial: Path) -> None:
    """In one step, hence within one transaction of the database that reads."""
    try:
        with (
            closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True)) as source,
            closing(sqlite3.connect(partial, isolation_level=None)) as copy,
        ):
            source.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
            tables = {name for (name,) in source.execute("SELECT name FROM sqlite_master")}
            if not {"alembic_version", "made_for"} <= tables:
                raise ForeignDatabaseError(f"{database} is not the database of a relayer")
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # the copy is one file
            if (found := copy.execute("PRAGMA quick_check").fetchone()) != ("ok",):
                raise UnavailableError(f"database: {database} is damaged: {found[0]}")
    except sqlite3.Error as error:
        raise UnavailableError(f"database: {error}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
