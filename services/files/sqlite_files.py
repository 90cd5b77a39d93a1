"""A small SQLite file of ours: whose it is, of which version, who writes to it, and how.

Whatever is opened is looked at first: another program's file, or a newer version's, stays as it was. Tables
are made, and those of an older version brought up to date, in one transaction: a kill leaves either.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .locks import lock_beside
from .paths import is_there, no_file, of_database

FILE_MODE: Final = 0o600
LOOK_SECONDS: Final = 5.0
SHOWN_TABLES: Final = 10


class ForeignFileError(sqlite3.DatabaseError):
    """A file that is not for this program: another one's, or another version's."""


@dataclass(frozen=True)
class Found:
    """What is in a file."""

    tables: frozenset[str]
    application_id: int
    version: int

    @classmethod
    def by(cls, connection: sqlite3.Connection) -> Found:
        """What a connection finds."""
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = frozenset(name for (name,) in names)
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return cls(tables, application_id, version)


@dataclass(frozen=True, kw_only=True)
class FileKind:
    """One kind of file of ours.

    Attributes:
        holds: what is in it, for "no journal can be kept in it".
        tables: those that every version of it has, by which it is known.
        application_id: SQLite's mark of a file, where it has one.
        version: what `create` makes.
        upgrades: by older version, what makes a file of it one of this version.
        is_private: only its owner may read it.
        is_durable: what is written is on disk; without it the last transactions may be lost with the power.
        can_be_read_again: all that is in it comes from elsewhere.
        busy_seconds: how long another process may hold it.
    """

    holds: str
    tables: Collection[str]
    version: int
    create: Sequence[str]
    upgrades: Mapping[int, Sequence[str]] = field(default_factory=dict)
    application_id: int = 0
    is_private: bool = True
    is_durable: bool = True
    can_be_read_again: bool = False
    busy_seconds: float = 5.0

    def require(self, found: Found) -> None:
        """Refuse what is no file of this kind, or one of a newer version.

        Raises:
            ForeignFileError: nothing was changed.
        """
        if not found.tables and not found.version:
            return
        if not set(self.tables) <= found.tables or found.application_id != self.application_id:
            shown = ", ".join(sorted(found.tables)[:SHOWN_TABLES])
            raise ForeignFileError(f"it holds tables of another program: {shown}; nothing was changed")
        versions = f"expected version {self.version}, got {found.version}"
        if found.version > self.version:
            again = ", or remove the file, and all is read again" if self.can_be_read_again else ""
            raise ForeignFileError(f"{versions}, of a newer dvtfast: use that one{again}")
        if found.version != self.version and found.version not in self.upgrades:
            raise ForeignFileError(f"{versions}; nothing was changed")


def look(path: Path, into: sqlite3.Connection | None = None) -> Found:
    """Read a file that may be another program's, and change nothing.

    Args:
        into: an empty database that gets all that is in it.

    Raises:
        sqlite3.Error: it is no database, no file, or cannot be read.
    """
    if into is None and not is_there(path):
        return Found(frozenset(), 0, 0)
    if is_there(path) and no_file(path):  # to open a pipe is to wait for ever
        raise ForeignFileError("it is no file that can be read; nothing was changed")
    uri = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=LOOK_SECONDS)) as connection:
        found = Found.by(connection)
        if into is not None:
            connection.backup(into)
    return found


class SQLiteFile:
    """An open file of one kind, from any thread; its transactions are one after the other.

    Attributes:
        connection: for statements within `transaction` or `alone`.
    """

    def __init__(
        self,
        path: Path | None,
        kind: FileKind,
        *,
        refused: Callable[[str], Exception],
        failed: Callable[[str], Exception],
        only_looks: bool = False,
        not_upgraded: str = "",
        one_writer: str = "",
    ) -> None:
        """Open the file, or make it; without a path, forget all in the end.

        Args:
            refused: makes what is raised of the words why the file cannot be opened.
            failed: makes what `alone` and `transaction` raise when the file cannot be read or written.
            only_looks: the file stays as it is, whatever its version: it is read into memory.
            not_upgraded: why a file of an older version is not to become one of this.
            one_writer: which program has the file for itself.
        """
        self._path = path
        self._kind = kind
        self._failed = failed
        self._not_upgraded = not_upgraded
        self._lock = threading.RLock()
        self._process_lock: int | None = None
        self._identity: tuple[int, int] | None = None
        self.connection = _connected(":memory:", kind)
        try:
            if path is not None:
                self._require_ours(look(path, self.connection if only_looks else None))
                if not only_looks:
                    self._take(path, one_writer)
            self._set_up()
        except (OSError, sqlite3.Error) as error:
            self.close()
            why = of_database(error, path) if path else str(error)
            raise refused(f"{path}: no {kind.holds} can be kept in it: {why}") from None

    def close(self) -> None:
        """Close the file, once no other thread uses it."""
        with self._lock:
            self.connection.close()
            if self._process_lock is not None:
                os.close(self._process_lock)
                self._process_lock = None

    def is_in_place(self) -> bool:
        """Whether the path still names what is open here."""
        try:
            return self._path is None or self._identity in (None, _identity(self._path))
        except OSError:
            return False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other thread uses the connection; errors name the file."""
        with self._lock:
            try:
                yield
            except (OSError, sqlite3.Error) as error:
                why = of_database(error, self._path) if self._path else str(error)
                raise self._failed(f"{self._kind.holds}: {self._path}: {why}") from error

    @contextmanager
    def transaction(self, *, keep: bool = True) -> Iterator[None]:
        """All of it or nothing; when it ends, it is in the file that the path names.

        Within another one it is a part of that.

        Args:
            keep: off, nothing is written.
        """
        with self.alone():
            if self.connection.in_transaction:
                yield
                return
            self._require_file()
            with self._all_or_nothing(keep):
                yield
            self._require_file()

    @contextmanager
    def _all_or_nothing(self, keep: bool = True) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT" if keep else "ROLLBACK")
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def _take(self, path: Path, one_writer: str) -> None:
        if one_writer:
            self._process_lock = lock_beside(path)
            if self._process_lock is None:
                raise ForeignFileError(
                    f"another {one_writer} works with this {self._kind.holds}; stop it first"
                )
        if self._kind.is_private:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE_MODE))
        self.connection.close()
        self.connection = _connected(f"{path.resolve().as_uri()}?mode=rwc", self._kind)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute(f"PRAGMA synchronous = {'FULL' if self._kind.is_durable else 'NORMAL'}")
        self._identity = _identity(path)

    def _set_up(self) -> None:
        with self._all_or_nothing():
            found = Found.by(self.connection)
            self._require_ours(found)  # again: another process may have made it meanwhile
            if found.version == self._kind.version:
                return
            steps = self._kind.upgrades[found.version] if found.version else self._kind.create
            for statement in steps:
                self.connection.execute(statement)
            self.connection.execute(f"PRAGMA application_id = {self._kind.application_id}")
            self.connection.execute(f"PRAGMA user_version = {self._kind.version}")

    def _require_ours(self, found: Found) -> None:
        self._kind.require(found)
        if 0 < found.version < self._kind.version and self._not_upgraded:
            raise ForeignFileError(f"it is of version {found.version}: {self._not_upgraded}")

    def _require_file(self) -> None:
        """What is written to a file that was removed, or replaced, is nowhere."""
        if self._path is not None and self._identity not in (None, _identity(self._path)):
            raise self._failed(f"{self._kind.holds}: {self._path} was replaced; start again")


def _connected(name: str, kind: FileKind) -> sqlite3.Connection:
    return sqlite3.connect(
        name, uri=True, timeout=kind.busy_seconds, isolation_level=None, check_same_thread=False
    )


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
