"""The sidecar's journal: what is on record, that it stays, and what it forbids."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dvtfast.services.offload import UnavailableError
from dvtfast.services.sidecar import journal as journal_module
from dvtfast.services.sidecar.journal import DepositEntry, ExitEntry, Journal, JournalError, Party

PARTY = Party("hoodi", "relayer:8000", 2**64 - 1)
KEY, OTHER_KEY = bytes([1] * 48), bytes([2] * 48)
VAULT, OTHER_VAULT = bytes([3] * 20), bytes([4] * 20)


def exits(count: int, *, key: bytes = KEY) -> list[ExitEntry]:
    return [ExitEntry(key, 2**64 - 1 - i, i.to_bytes(32, "big")) for i in range(count)]


def deposit(root: int, *, key: bytes = KEY, vault: bytes = VAULT) -> DepositEntry:
    return DepositEntry(key, vault, 1, 32 * 10**9, root.to_bytes(32, "big"))


def rows(path: Path, columns: str = "*") -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(f"SELECT {columns} FROM signatures ORDER BY id").fetchall()


async def test_ten_thousand_exits_at_once_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    for party in (PARTY, PARTY, Party("hoodi", "another", 2**64 - 1)):
        await journal.admit_exits(party, exits(10_000), most_a_day=10**6)
    await journal.close()
    found = rows(path, "network, relayer, share_index, kind, public_key, validator_index, signing_root")
    assert len(found) == 20_000
    first = ("hoodi", "relayer:8000", str(2**64 - 1), "exit", KEY, str(2**64 - 1), bytes(32))
    assert found[0] == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    journal = Journal(path)
    await journal.admit_exits(PARTY, exits(10_001), most_a_day=10**6)
    await journal.close()
    assert len(rows(path)) == 20_001


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE signatures SET relayer = 'nobody'",
        "DELETE FROM signatures",
        "INSERT OR REPLACE INTO signatures SELECT id, 0, '', '', '', '', x'', '', x'', 0, '', x''"
        " FROM signatures",
    ],
)
async def test_nothing_is_changed_or_removed(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    await journal.admit_exits(PARTY, exits(3), most_a_day=10**6)
    await journal.close()
    before = rows(path)
    with sqlite3.connect(path) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    assert rows(path) == before


async def test_a_validator_is_deposited_to_for_one_vault(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    reasons = await journal.admit_deposits(
        PARTY,
        [deposit(1), deposit(2, vault=OTHER_VAULT), deposit(3), deposit(4, key=OTHER_KEY, vault=OTHER_VAULT)],
        most_a_day=100,
    )
    assert [bool(reason) for reason in reasons] == [False, True, False, False]
    assert "another vault" in reasons[1]
    await journal.close()
    journal = Journal(path)  # also after a restart, for another relayer, and by another share index
    party = Party("hoodi", "another", 7)
    entries = [deposit(5, vault=OTHER_VAULT), deposit(1)]
    asked = await journal.refusals_of_deposits(party, entries, most_a_day=100)
    assert len(rows(path)) == 3
    assert await journal.admit_deposits(party, entries, most_a_day=100) == asked
    await journal.close()
    assert [bool(reason) for reason in asked] == [True, False]
    assert rows(path, "vault, validator_type, amount_gwei") == [
        (VAULT, 1, str(32 * 10**9)),
        (VAULT, 1, str(32 * 10**9)),
        (OTHER_VAULT, 1, str(32 * 10**9)),
        (VAULT, 1, str(32 * 10**9)),
    ]


async def test_so_many_deposits_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(None)
    now = 1_800_000_000
    monkeypatch.setattr(journal_module.time, "time", lambda: now)
    wanted = [deposit(i) for i in range(5)]
    reasons = await journal.admit_deposits(PARTY, [*wanted, *wanted], most_a_day=3)
    assert [not reason for reason in reasons] == [True, True, True, False, False] * 2
    assert "3 deposits a day" in reasons[3]
    # What is on record may be signed again, by anybody, and uses nothing up.
    again = await journal.admit_deposits(Party("hoodi", "b", 2), wanted, most_a_day=3)
    assert [not reason for reason in again] == [True, True, True, False, False]
    now += 86_400
    assert await journal.admit_deposits(PARTY, wanted, most_a_day=3) == [""] * 5
    await journal.close()


async def test_so_many_exits_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one relayer, by all share indices, also across a restart."""
    now, path = 1_800_000_000, tmp_path / "journal.db"
    monkeypatch.setattr(journal_module.time, "time", lambda: now)
    other_index = Party(PARTY.network, PARTY.relayer, 7)

    async def admitted(journal: Journal, party: Party, count: int) -> int:
        return (await journal.admit_exits(party, exits(count), most_a_day=5)).count("")

    journal = Journal(path)
    assert [await admitted(journal, PARTY, count) for count in (3, 3, 4)] == [3, 3, 4]
    assert await admitted(journal, other_index, 10) == 1
    await journal.close()
    journal = Journal(path)
    assert [await admitted(journal, party, 10) for party in (PARTY, other_index)] == [4, 1]
    assert await admitted(journal, Party("hoodi", "another", 7), 10) == 5
    now += 86_400 - now % 86_400 - 1
    assert await admitted(journal, PARTY, 10) == 4
    now += 1
    assert await admitted(journal, PARTY, 10) == 9
    now -= 1  # a clock that is set back is the day before
    assert await admitted(journal, PARTY, 10) == 9
    await journal.close()


async def test_files_that_are_no_journals(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, but long enough to be read as one" * 40)
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE other (x)")
    for path in (tmp_path / "text", tmp_path / "other.db", tmp_path / "nowhere" / "journal.db", tmp_path):
        with pytest.raises(JournalError, match=path.name):
            Journal(path)


async def test_a_journal_that_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    await journal.admit_exits(PARTY, exits(1), most_a_day=10**6)
    path.unlink()
    with pytest.raises(UnavailableError, match=r"journal\.db"):
        await journal.admit_exits(PARTY, exits(2), most_a_day=10**6)
    path.touch()
    with pytest.raises(UnavailableError, match="replaced"):
        await journal.admit_exits(PARTY, exits(2), most_a_day=10**6)
    await journal.close()


def test_what_was_admitted_survives_a_kill(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, sys; from pathlib import Path;"
        "from tests.services.test_sidecar_journal import PARTY, exits, Journal;"
        "journal = Journal(Path(sys.argv[1]));"
        "asyncio.run(journal.admit_exits(PARTY, exits(100), most_a_day=100)); os.kill(os.getpid(), 9)"
    )
    path = tmp_path / "journal.db"
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=Path(__file__).parents[2])
    assert done.returncode == -9
    assert len(rows(path)) == 100
    assert os.access(path, os.R_OK)


def test_several_processes_share_a_journal(tmp_path: Path) -> None:
    """Three make it at once; one of them gets to deposit for a vault, the others for no other."""
    program = (
        "import asyncio, sys; from pathlib import Path;"
        "from tests.services.test_sidecar_journal import PARTY, deposit, Journal;"
        "journal = Journal(Path(sys.argv[1])); vault = bytes([int(sys.argv[2])] * 20);"
        "entries = [deposit(i + 100 * vault[0], key=bytes([i] * 48), vault=vault) for i in range(50)];"
        "admitted = [asyncio.run(journal.admit_deposits(PARTY, [e], most_a_day=1000)) for e in entries];"
        "print(admitted.count(['']))"
    )
    path = tmp_path / "journal.db"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), str(vault)],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
        )
        for vault in (1, 2, 3)
    ]
    admitted = [int(process.communicate()[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sum(admitted) == len(rows(path)) == 50
