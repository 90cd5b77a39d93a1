"""Whatever SQLite file is named: another program's stays as it was, to the byte."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dvtfast import HOODI
from dvtfast.services.chain.deposits.ledger import Ledger, LedgerError, LedgerSource
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
    with pytest.raises(error, match=r"another program|not a file of"):
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
        with pytest.raises(error, match=r"another program|not a file of"):
            opened(path)


@pytest.mark.parametrize("name", ["deposits", "ssv"])
def test_a_newer_versions_file_is_not_begun_anew(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    opened, error = OPENERS[name]
    opened(path)
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
