"""Whatever SQLite file is named: another program's stays as it was, to the byte."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dvtfast import HOODI
from dvtfast.services.chain.deposits.ledger import Ledger, LedgerError, LedgerSource
from dvtfast.services.files.locks import lock_beside
from dvtfast.services.files.sqlite_files import FileKind, SQLiteFile
from dvtfast.services.operator.sending.journal import Journal, JournalError
from dvtfast.services.relayer.store.engine.database import Database, ForeignDatabaseError
from dvtfast.services.sidecar.journal.signing_journal import SigningJournal, SigningJournalError
from dvtfast.services.ssv.registry import ChainSource, Registry, RegistryError

SSV = ChainSource(HOODI.chain_id, bytes(20), 0, frozenset({1}))

OPENERS: dict[str, tuple[Callable[[Path], object], type[Exception]]] = {
    "sidecar": (SigningJournal, SigningJournalError),
    "operator": (Journal, JournalError),
    "deposits": (lambda path: Ledger(path, LedgerSource.of(HOODI)), LedgerError),
    "ssv": (lambda path: Registry(path, SSV), RegistryError),
}


def close(opened: Any) -> None:
    """What of it is a file."""
    opened._file.close()


def others_file(path: Path, version: int) -> None:
    """As StakeWise's relayer keeps one: no write-ahead log."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE network_validators (public_key TEXT)")
        connection.execute("INSERT INTO network_validators VALUES ('0x')")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()


@pytest.mark.parametrize("version", [0, 1, 2, 3])
@pytest.mark.parametrize("name", OPENERS)
def test_another_programs_file_stays_as_it_was(name: str, version: int, tmp_path: Path) -> None:
    """Also when its version is one that ours has, too."""
    path = tmp_path / "dvt-relayer.db"
    others_file(path, version)
    before = path.read_bytes()
    opened, error = OPENERS[name]
    with pytest.raises(error, match="it holds tables of another program"):
        opened(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


async def test_the_relayer_leaves_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "dvt-relayer.db"
    others_file(path, 0)
    before = path.read_bytes()
    with pytest.raises(ForeignDatabaseError, match="network_validators"):
        await Database.open(f"sqlite:///{path}")
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.parametrize("others", OPENERS)
def test_files_of_ours_are_not_mixed_up(name: str, others: str, tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    OPENERS[others][0](path)
    opened, error = OPENERS[name]
    if name != others:
        with pytest.raises(error, match="it holds tables of another program"):
            opened(path)


@pytest.mark.parametrize("name", OPENERS)
def test_a_newer_versions_file_is_not_begun_anew(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    opened, error = OPENERS[name]
    close(opened(path))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(error, match="got 99, of a newer dvtfast"):
        opened(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)


@pytest.mark.parametrize("name", OPENERS)
def test_what_is_no_database_is_told(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    path.write_text("not a database, but something that somebody wrote" * 100)
    opened, error = OPENERS[name]
    with pytest.raises(error, match="file is not a database"):
        opened(path)


@pytest.mark.parametrize("kind", ["pipe", "loop", "directory"])
@pytest.mark.parametrize("name", OPENERS)
def test_what_is_no_file_is_told(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "there"
    {"pipe": os.mkfifo, "loop": lambda loop: loop.symlink_to(loop), "directory": os.mkdir}[kind](path)
    opened, error = OPENERS[name]
    with pytest.raises(error, match=r"something else|Too many levels|too many|is a directory"):
        opened(path)


@pytest.mark.parametrize("kind", ["pipe", "loop"])
def test_to_look_at_what_is_no_file_ends(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "there"
    {"pipe": os.mkfifo, "loop": lambda loop: loop.symlink_to(loop)}[kind](path)
    with pytest.raises(SigningJournalError):
        SigningJournal(path, only_looks=True)


KIND = FileKind(
    holds="notes",
    tables=["notes"],
    application_id=7,
    version=2,
    create=["CREATE TABLE notes (text, at)"],
    upgrades={1: ["ALTER TABLE notes ADD COLUMN at"]},
)


class RefusedError(Exception):
    pass


class FailedError(Exception):
    pass


def notes(path: Path | None, kind: FileKind = KIND, **options: Any) -> SQLiteFile:
    return SQLiteFile(path, kind, refused=RefusedError, failed=FailedError, **options)


def old(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in (
            "CREATE TABLE notes (text)",
            "PRAGMA application_id = 7",
            "PRAGMA user_version = 1",
        ):
            connection.execute(statement)


def write(file: SQLiteFile, text: str, **options: Any) -> None:
    with file.transaction(**options):
        file.connection.execute("INSERT INTO notes (text) VALUES (?)", (text,))


def write_and(file: SQLiteFile, then: Callable[[], object]) -> None:
    with file.transaction():
        file.connection.execute("INSERT INTO notes (text) VALUES ('half')")
        then()


def texts(path: Path) -> list[str]:
    file = notes(path, only_looks=True)
    with file.alone():
        found = [text for (text,) in file.connection.execute("SELECT text FROM notes ORDER BY rowid")]
    file.close()
    return found


def test_a_transaction_is_kept_or_was_not(tmp_path: Path) -> None:
    file = notes(tmp_path / "notes.db")
    write(file, "kept")
    write(file, "tried", keep=False)
    with pytest.raises(ZeroDivisionError):
        write_and(file, lambda: 1 // 0)
    with pytest.raises(FailedError, match=r"notes: .*notes\.db: no such table: others"):
        write_and(file, lambda: file.connection.execute("INSERT INTO others VALUES (1)"))
    file.close()
    assert texts(tmp_path / "notes.db") == ["kept"]


@pytest.mark.parametrize("is_replaced", [True, False])
def test_nothing_is_written_to_a_file_that_is_gone(tmp_path: Path, is_replaced: bool) -> None:
    path = tmp_path / "notes.db"
    file = notes(path)
    path.rename(tmp_path / "moved.db")
    if is_replaced:
        path.write_bytes((tmp_path / "moved.db").read_bytes())
    with pytest.raises(FailedError, match=r"was replaced" if is_replaced else "No such file"):
        write(file, "lost")
    file.close()
    assert texts(tmp_path / "moved.db") == []


def test_an_older_version_is_brought_up_to_date_or_left(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    old(path)
    before = path.read_bytes()
    look = notes(path, only_looks=True)
    write(look, "in memory")
    look.close()
    with pytest.raises(RefusedError, match="it is of version 1: somebody else uses it"):
        notes(path, not_upgraded="somebody else uses it")
    with pytest.raises(RefusedError, match="expected version 2, got 1; nothing was changed"):
        notes(path, FileKind(holds="notes", tables=["notes"], application_id=7, version=2, create=()))
    assert path.read_bytes() == before
    write(file := notes(path), "new")
    file.close()
    assert texts(path) == ["new"]


@pytest.mark.parametrize("is_private", [True, False])
def test_whose_it_is(tmp_path: Path, is_private: bool) -> None:
    path, umask = tmp_path / "notes.db", os.umask(0o022)
    try:
        notes(path, FileKind(holds="notes", tables=(), version=1, create=(), is_private=is_private)).close()
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == (0o600 if is_private else 0o644)


def test_a_file_whose_name_means_something_to_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", "file:a?mode=memory", "with space%20#1?.db"):
        write(file := notes(Path(name)), name)
        file.close()
        assert (tmp_path / name).stat().st_size > 0
        assert texts(Path(name)) == [name]


def test_one_process_has_it_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    program = (
        "import sys; from pathlib import Path; from dvtfast.services.files.locks import lock_beside;"
        "assert lock_beside(Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        assert lock_beside(path) is None
        with pytest.raises(RefusedError, match="another clerk works with this notes; stop it first"):
            notes(path, one_writer="clerk")
        other.kill()
        other.wait()
    write(file := notes(path, one_writer="clerk"), "mine")
    with pytest.raises(RefusedError, match="another clerk"):
        notes(path, one_writer="clerk")
    file.close()
    notes(path, one_writer="clerk").close()
