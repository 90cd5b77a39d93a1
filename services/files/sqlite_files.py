"""What is in a SQLite file, before anything in it is changed: another program's stays as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .paths import is_there, no_file

BUSY_SECONDS: Final = 5.0
SHOWN_TABLES: Final = 10


class ForeignFileError(sqlite3.DatabaseError):
    """Another program's file."""


@dataclass(frozen=True)
class Found:
    """What is in a file."""

    tables: frozenset[str]
    application_id: int
    version: int


def look(path: Path) -> Found:
    """Read a file that may be another program's, and change nothing.

    Raises:
        sqlite3.Error: it is no database, no file, or cannot be read.
    """
    if not is_there(path):
        return Found(frozenset(), 0, 0)
    if no_file(path):  # to open a pipe is to wait for ever
        raise ForeignFileError("it is no file that can be read; nothing was changed")
    uri = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as connection:
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    return Found(frozenset(tables), application_id, version)


def copy(path: Path, into: sqlite3.Connection) -> None:
    """Put what is in a file into an empty database; the file is only read.

    Raises:
        sqlite3.Error: it is no database, or cannot be read.
    """
    uri = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as connection:
        connection.backup(into)


def require_tables(path: Path, wanted: Collection[str]) -> None:
    """Refuse a file that has tables, and not those that every version of ours has.

    Raises:
        ForeignFileError: another program made it; nothing was changed.
        sqlite3.Error: it is no database, or cannot be read.
    """
    tables = look(path).tables
    if tables and not set(wanted) <= tables:
        shown = ", ".join(sorted(tables)[:SHOWN_TABLES])
        raise ForeignFileError(f"it holds tables of another program: {shown}; nothing was changed")
