"""The sidecar's journal: what is on record, that it stays, and what it forbids."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from dvtfast.services import wire
from dvtfast.services.process.offload import UnavailableError
from dvtfast.services.sidecar.journal import retention
from dvtfast.services.sidecar.journal import signing_journal as journal_module
from dvtfast.services.sidecar.journal.admission import DepositEntry, ExitEntry, Limits, Party
from dvtfast.services.sidecar.journal.retention import first_day_kept
from dvtfast.services.sidecar.journal.signing_journal import SigningJournal, SigningJournalError

PARTY = Party("hoodi", "relayer:8000", 2**64 - 1)
KEY, OTHER_KEY = bytes([1] * 48), bytes([2] * 48)
VAULT, OTHER_VAULT = bytes([3] * 20), bytes([4] * 20)


def exits(count: int, *, key: bytes = KEY) -> list[ExitEntry]:
    return [ExitEntry(key, 2**64 - 1 - i, i.to_bytes(32, "big")) for i in range(count)]


def deposit(root: int, *, key: bytes = KEY, vault: bytes = VAULT) -> DepositEntry:
    return DepositEntry(key, vault, 1, 32 * 10**9, b"d" + root.to_bytes(31, "big"))


MANY = Limits(10**6, 10**6)
DAY = 86_400


async def admit_exits(
    journal: SigningJournal, party: Party, entries: Sequence[ExitEntry], limits: Limits = MANY
) -> list[str]:
    return await journal.admit(party, entries, exit_limits=limits)


async def admit_deposits(
    journal: SigningJournal,
    party: Party,
    entries: Sequence[DepositEntry],
    limits: Limits = MANY,
    *,
    exit_limits: Limits = MANY,
    write: bool = True,
) -> list[str]:
    """Each beside an exit of its validator, at the index of its root."""
    exits = [
        ExitEntry(e.public_key, int.from_bytes(e.signing_root[1:], "big"), b"e" + e.signing_root[1:])
        for e in entries
    ]
    return await journal.admit(
        party, exits, entries, exit_limits=exit_limits, deposit_limits=limits, write=write
    )


def rows(path: Path, columns: str = "*") -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(f"SELECT {columns} FROM signatures ORDER BY id").fetchall()


async def test_ten_thousand_exits_at_once_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SigningJournal(path)
    for party in (PARTY, PARTY, Party("hoodi", "another", 2**64 - 1)):
        await admit_exits(journal, party, exits(10_000))
    await journal.close()
    found = rows(path, "network, relayer, share_index, kind, public_key, validator_index, signing_root")
    assert len(found) == 20_000
    first = ("hoodi", "relayer:8000", str(2**64 - 1), "exit", KEY, str(2**64 - 1), bytes(32))
    assert found[0] == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    journal = SigningJournal(path)
    await admit_exits(journal, PARTY, exits(10_001))
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
    journal = SigningJournal(path)
    await admit_exits(journal, PARTY, exits(3))
    await journal.close()
    before = rows(path)
    with sqlite3.connect(path) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    assert rows(path) == before


async def test_a_validator_is_deposited_to_for_one_vault(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SigningJournal(path)
    reasons = await admit_deposits(
        journal,
        PARTY,
        [deposit(1), deposit(2, vault=OTHER_VAULT), deposit(3), deposit(4, key=OTHER_KEY, vault=OTHER_VAULT)],
    )
    assert [bool(reason) for reason in reasons] == [False, True, False, False]
    assert f"another vault, {wire.Address(VAULT).to_wire()}" in reasons[1]
    await journal.close()
    journal = SigningJournal(path)  # also after a restart, for another relayer, and by another share index
    party = Party("hoodi", "another", 7)
    entries = [deposit(5, vault=OTHER_VAULT), deposit(1)]
    asked = await admit_deposits(journal, party, entries, write=False)
    assert len(deposits_in(path)) == 3
    assert await admit_deposits(journal, party, entries) == asked
    await journal.close()
    assert [bool(reason) for reason in asked] == [True, False]
    assert deposits_in(path) == [
        (VAULT, 1, str(32 * 10**9)),
        (VAULT, 1, str(32 * 10**9)),
        (OTHER_VAULT, 1, str(32 * 10**9)),
        (VAULT, 1, str(32 * 10**9)),
    ]


def deposits_in(path: Path) -> list[tuple[object, ...]]:
    found = rows(path, "kind, vault, validator_type, amount_gwei")
    return [row[1:] for row in found if row[0] == "deposit"]


async def test_so_many_deposits_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each relayer by itself, by all processes that share the file."""
    journal, second = SigningJournal(tmp_path / "journal.db"), SigningJournal(tmp_path / "journal.db")
    now, three = 1_800_000_000, Limits(3, 100)
    monkeypatch.setattr(journal_module.time, "time", lambda: now)
    wanted = [deposit(i) for i in range(5)]
    reasons = await admit_deposits(journal, PARTY, [*wanted, *wanted], three)
    assert [not reason for reason in reasons] == [True, True, True, False, False] * 2
    assert "3 deposits a day" in reasons[3]
    # What is on record may be signed again, also by another node, and uses nothing up.
    again = await admit_deposits(second, Party("hoodi", PARTY.relayer, 2), wanted, three)
    assert [not reason for reason in again] == [True, True, True, False, False]
    # One relayer uses up nothing of another's.
    other = Party("hoodi", "b", 2)
    assert await admit_deposits(second, other, wanted[2:], three) == [""] * 3
    assert [not reason for reason in await admit_deposits(journal, other, wanted, three)] == [
        False, False, True, True, True,
    ]  # fmt: skip
    now += DAY
    assert await admit_deposits(journal, PARTY, wanted[:3], three) == [""] * 3
    await journal.close()
    await second.close()


async def test_one_validator_uses_up_its_own_part_of_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand amounts, or indices, of one leave the others theirs."""
    journal = SigningJournal(None)
    monkeypatch.setattr(journal_module.time, "time", lambda: 1_800_000_000)
    limits = Limits(100, 10)
    amounts = [deposit(i) for i in range(1_000)]
    reasons = await admit_deposits(journal, PARTY, [*amounts, deposit(1_000, key=OTHER_KEY)], limits)
    assert [i for i, reason in enumerate(reasons) if not reason] == [*range(10), 1_000]
    assert "10 deposits of one validator a day" in reasons[10]
    reasons = await admit_exits(journal, PARTY, [*exits(1_000), *exits(3, key=OTHER_KEY)], Limits(2_000, 20))
    assert [i for i, reason in enumerate(reasons) if not reason] == [*range(10), *range(1_000, 1_003)]
    assert "20 exits of one validator a day" in reasons[10]  # ten are beside its deposits
    await journal.close()


async def test_an_exit_and_its_deposit_are_on_record_together_or_not_at_all(tmp_path: Path) -> None:
    """What the limit of exits refuses binds no validator, and uses up no deposit."""
    path = tmp_path / "journal.db"
    journal = SigningJournal(path)
    entries = [deposit(1), deposit(2, key=OTHER_KEY)]
    reasons = await admit_deposits(journal, PARTY, entries, Limits(2, 2), exit_limits=Limits(1, 1))
    assert [bool(reason) for reason in reasons] == [False, True]
    assert "1 exits a day" in reasons[1]
    assert rows(path, "kind, public_key") == [("exit", KEY), ("deposit", KEY)]
    elsewhere = [deposit(3, key=OTHER_KEY, vault=OTHER_VAULT)]
    assert await admit_deposits(journal, PARTY, elsewhere, Limits(2, 2)) == [""]
    refused = [deposit(4, key=bytes([9] * 48))]  # by the limit of deposits: nor is the exit
    assert await admit_deposits(journal, PARTY, refused, Limits(2, 2)) != [""]
    assert len(rows(path)) == 4
    await journal.close()


async def test_a_release_binds_to_another_vault(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SigningJournal(path)
    third = bytes([5] * 20)
    await admit_deposits(journal, PARTY, [deposit(1), deposit(2, key=OTHER_KEY)])
    with pytest.raises(ValueError, match="bound to no vault"):
        await journal.release([KEY, bytes([9] * 48)], from_vault=VAULT, to_vault=OTHER_VAULT)
    with pytest.raises(ValueError, match=f"bound to {wire.Address(VAULT).to_wire()}, not to"):
        await journal.release([KEY], from_vault=third, to_vault=OTHER_VAULT)
    await journal.release([KEY], from_vault=VAULT, to_vault=OTHER_VAULT)
    await journal.close()
    journal = SigningJournal(path)
    wanted = [
        deposit(1),  # on record, and yet refused now
        deposit(3, vault=third),
        deposit(4, vault=OTHER_VAULT),
        deposit(5, key=OTHER_KEY, vault=OTHER_VAULT),
    ]
    reasons = await admit_deposits(journal, PARTY, wanted)
    assert [bool(reason) for reason in reasons] == [True, True, False, True]
    assert {each.public_key: each.vault for each in await journal.bindings()} == {
        KEY: OTHER_VAULT,
        OTHER_KEY: VAULT,
    }
    assert [each.public_key for each in await journal.bindings(vault=VAULT)] == [OTHER_KEY]
    await journal.release([KEY], from_vault=OTHER_VAULT, to_vault=VAULT)  # it was right after all
    assert await admit_deposits(journal, PARTY, [deposit(1)]) == [""]
    await journal.close()
    with sqlite3.connect(path) as connection:
        for statement in ("DELETE FROM releases", "UPDATE releases SET to_vault = x''"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)


async def test_so_many_exits_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one relayer, by all share indices, also across a restart."""
    now, path = 1_800_000_000, tmp_path / "journal.db"
    monkeypatch.setattr(journal_module.time, "time", lambda: now)
    other_index = Party(PARTY.network, PARTY.relayer, 7)

    async def admitted(journal: SigningJournal, party: Party, count: int) -> int:
        return (await admit_exits(journal, party, exits(count), Limits(5, 100))).count("")

    journal = SigningJournal(path)
    assert [await admitted(journal, PARTY, count) for count in (3, 3, 4)] == [3, 3, 4]
    assert await admitted(journal, other_index, 10) == 1
    await journal.close()
    journal = SigningJournal(path)
    assert [await admitted(journal, party, 10) for party in (PARTY, other_index)] == [4, 1]
    assert await admitted(journal, Party("hoodi", "another", 7), 10) == 5
    now += 86_400 - now % 86_400 - 1
    assert await admitted(journal, PARTY, 10) == 4
    now += 1
    assert await admitted(journal, PARTY, 10) == 9
    now -= 1  # a clock that is set back is the day before
    assert await admitted(journal, PARTY, 10) == 9
    await journal.close()


async def test_a_clock_that_was_ahead_and_goes_back_refills_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was signed on a day to come counts until that day is over, and so does what was before."""
    now = today = 1_800_000_000
    monkeypatch.setattr(journal_module.time, "time", lambda: now)
    journal, limits = SigningJournal(tmp_path / "journal.db"), Limits(10, 100)
    assert (await admit_exits(journal, PARTY, exits(4), limits)) == [""] * 4
    now = today + 2 * DAY
    assert (await admit_exits(journal, PARTY, exits(10)[4:], limits)) == [""] * 6
    now = today
    assert (await admit_exits(journal, PARTY, exits(10), limits)) == [""] * 10
    (reason,) = await admit_exits(journal, PARTY, exits(11)[10:], limits)
    assert "the limit is 10 exits a day" in reason
    assert "a clock that was ahead" in reason
    (reason,) = await admit_exits(journal, PARTY, exits(11)[10:], Limits(100, 10))
    assert "the limit is 10 exits of one validator a day" in reason
    (reason,) = await admit_exits(journal, Party("hoodi", "another", 7), exits(11)[10:], limits)
    assert reason == ""
    now = today + 3 * DAY
    assert (await admit_exits(journal, PARTY, exits(20)[10:], limits)) == [""] * 10
    (reason,) = await admit_exits(journal, PARTY, exits(21)[20:], limits)
    assert "ahead" not in reason
    await journal.close()


async def test_files_that_are_no_journals(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, but long enough to be read as one" * 40)
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE other (x)")
    for path in (tmp_path / "text", tmp_path / "other.db", tmp_path / "nowhere" / "journal.db", tmp_path):
        with pytest.raises(SigningJournalError, match=path.name):
            SigningJournal(path)


async def test_a_journal_that_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SigningJournal(path)
    await admit_exits(journal, PARTY, exits(1))
    path.unlink()
    with pytest.raises(UnavailableError, match=r"journal\.db"):
        await admit_exits(journal, PARTY, exits(2))
    path.touch()
    with pytest.raises(UnavailableError, match="replaced"):
        await admit_exits(journal, PARTY, exits(2))
    await journal.close()


def test_what_was_admitted_survives_a_kill(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, sys; from pathlib import Path;"
        "from tests.services.sidecar.test_journal import PARTY, admit_exits, exits, SigningJournal;"
        "journal = SigningJournal(Path(sys.argv[1]));"
        "asyncio.run(admit_exits(journal, PARTY, exits(100))); os.kill(os.getpid(), 9)"
    )
    path = tmp_path / "journal.db"
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=Path(__file__).parents[3])
    assert done.returncode == -9
    assert len(rows(path)) == 100
    assert os.access(path, os.R_OK)


@pytest.mark.parametrize("acknowledged", [1, 4, 9])
def test_a_kill_leaves_exits_and_deposits_that_belong_together(tmp_path: Path, acknowledged: int) -> None:
    """Whenever it comes: what was admitted is there, and nothing by half."""
    program = (
        "import asyncio, sys; from pathlib import Path;"
        "from tests.services.sidecar.test_journal import PARTY, admit_deposits, deposit, SigningJournal;"
        "journal = SigningJournal(Path(sys.argv[1]));"
        "entries = lambda i: [deposit(40 * i + j) for j in range(40)];"
        "admit = lambda i: asyncio.run(admit_deposits(journal, PARTY, entries(i)));"
        "[print(admit(i).count(''), flush=True) for i in range(100_000)]"
    )
    path = tmp_path / "journal.db"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], cwd=Path(__file__).parents[3], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(acknowledged)] == [b"40\n"] * acknowledged
    process.kill()
    process.communicate()
    found = rows(path, "kind, CAST(substr(signing_root, 2) AS BLOB)")
    exits_there, deposits_there = (
        {root for kind, root in found if kind == wanted} for wanted in ("exit", "deposit")
    )
    assert exits_there == deposits_there
    assert len(exits_there) >= 40 * acknowledged
    assert len(exits_there) % 40 == 0


def test_several_processes_share_a_journal(tmp_path: Path) -> None:
    """Three make it at once; one of them gets to deposit for a vault, the others for no other."""
    program = (
        "import asyncio, sys; from pathlib import Path;"
        "from tests.services.sidecar.test_journal import PARTY, admit_deposits, deposit, SigningJournal;"
        "journal = SigningJournal(Path(sys.argv[1])); vault = bytes([int(sys.argv[2])] * 20);"
        "entries = [deposit(i + 100 * vault[0], key=bytes([i] * 48), vault=vault) for i in range(50)];"
        "admitted = [asyncio.run(admit_deposits(journal, PARTY, [e])) for e in entries];"
        "print(admitted.count(['']))"
    )
    path = tmp_path / "journal.db"
    assert admitted_by_three(program, path) == len(deposits_in(path)) == 50


def test_several_processes_have_one_limit(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path;"
        "from tests.services.sidecar.test_journal import PARTY, admit_exits, exits, SigningJournal, Limits;"
        "journal = SigningJournal(Path(sys.argv[1])); key = bytes([int(sys.argv[2])] * 48);"
        "admitted = [asyncio.run(admit_exits(journal, PARTY, [e], Limits(70, 100)))"
        " for e in exits(50, key=key)];"
        "print(admitted.count(['']))"
    )
    path = tmp_path / "journal.db"
    assert admitted_by_three(program, path) == len(rows(path)) == 70


def admitted_by_three(program: str, journal: Path) -> int:
    """What processes at the same time admit together, as each prints; each is told its number."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(journal), str(number)],
            cwd=Path(__file__).parents[3],
            stdout=subprocess.PIPE,
        )
        for number in (1, 2, 3)
    ]
    admitted = [int(process.communicate()[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    return sum(admitted)


# As version 1 made it.
TABLES_OF_1 = (
    "CREATE TABLE signatures (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, network TEXT NOT NULL,"
    " relayer TEXT NOT NULL, share_index TEXT NOT NULL, kind TEXT NOT NULL, public_key BLOB NOT NULL,"
    " validator_index TEXT, vault BLOB, validator_type INTEGER, amount_gwei TEXT,"
    " signing_root BLOB NOT NULL)",
    "CREATE UNIQUE INDEX signatures_once ON signatures (signing_root, public_key, share_index, relayer)",
    "CREATE INDEX signatures_deposits ON signatures (public_key, vault) WHERE kind = 'deposit'",
    "CREATE INDEX signatures_deposited ON signatures (at, signing_root) WHERE kind = 'deposit'",
    "CREATE TRIGGER signatures_no_update BEFORE UPDATE ON signatures"
    " BEGIN SELECT RAISE(ABORT, 'signatures is append-only'); END",
    "CREATE TRIGGER signatures_no_delete BEFORE DELETE ON signatures"
    " BEGIN SELECT RAISE(ABORT, 'signatures is append-only'); END",
    "CREATE TRIGGER signatures_no_replace BEFORE INSERT ON signatures"
    " WHEN EXISTS (SELECT 1 FROM signatures WHERE id = NEW.id)"
    " BEGIN SELECT RAISE(ABORT, 'signatures is append-only'); END",
    "PRAGMA user_version = 1",
)


def make_journal_of_1(path: Path, at: int) -> list[tuple[object, ...]]:
    """Two exits, and deposits of one validator by two nodes."""
    with sqlite3.connect(path) as connection:
        for statement in TABLES_OF_1:
            connection.execute(statement)
        who = "hoodi", PARTY.relayer
        index = str(PARTY.share_index)
        values = [
            (at, *who, index, "exit", KEY, "5", None, None, None, bytes(32)),
            (at, *who, index, "exit", KEY, "6", None, None, None, (1).to_bytes(32, "big")),
            (at, *who, index, "deposit", KEY, None, VAULT, 1, "32000000000", bytes([2] * 32)),
            (at, *who, "7", "deposit", KEY, None, VAULT, 1, "32000000000", bytes([2] * 32)),
        ]
        marks = ", ".join("?" * 11)
        for value in values:
            connection.execute(f"INSERT INTO signatures SELECT NULL, {marks}", value)
    return rows(path)


async def test_a_journal_of_version_1_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, now = tmp_path / "journal.db", 1_800_000_000
    monkeypatch.setattr(journal_module.time, "time", lambda: now)
    before = make_journal_of_1(path, now)
    journal = SigningJournal(path)
    assert rows(path) == before
    # Its vault, and what was used up of today, are known; and an older program may go on with it.
    assert "another vault" in (await admit_deposits(journal, PARTY, [deposit(9, vault=OTHER_VAULT)]))[0]
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO signatures SELECT NULL, at, network, relayer, share_index, kind, public_key, '7',"
            " NULL, NULL, NULL, x'03' FROM signatures WHERE id = 1"
        )
    assert [not reason for reason in await admit_exits(journal, PARTY, exits(5), Limits(5, 9))] == [
        True,
        True,
        True,
        True,
        False,
    ]  # fmt: skip - the first two were on record
    deposits = [deposit(10), deposit(11)]
    assert [not reason for reason in await admit_deposits(journal, PARTY, deposits, Limits(2, 2))] == [
        True, False,
    ]  # fmt: skip
    await journal.close()


@pytest.mark.parametrize("is_of_1", [True, False])
async def test_a_look_changes_no_journal(tmp_path: Path, is_of_1: bool) -> None:
    """Whatever its version, it answers as the one that it would become."""
    path = tmp_path / "journal.db"
    make_journal_of_1(path, int(time.time()))
    if not is_of_1:
        await SigningJournal(path).close()
    before = path.read_bytes()
    look = SigningJournal(path, only_looks=True)
    entries = [deposit(9, vault=OTHER_VAULT), deposit(10)]
    refused, admitted = await admit_deposits(look, PARTY, entries, write=False)
    assert "another vault" in refused
    assert admitted == ""
    (bound,) = await look.bindings()
    assert (bound.public_key, bound.vault) == (KEY, VAULT)
    await look.close()
    assert path.read_bytes() == before


def test_a_kill_while_a_journal_is_brought_up_to_date_leaves_the_old_one(tmp_path: Path) -> None:
    """At each statement."""
    program = (
        "import dataclasses, os, sqlite3, sys; from pathlib import Path;"
        "from dvtfast.services.sidecar.journal import signing_journal as module;"
        "connect = sqlite3.connect; at = int(sys.argv[2]); before = module.KIND.upgrades[1];"
        "steps = (*before[:at], 'SELECT die()', *before[at:]);"
        "module.KIND = dataclasses.replace(module.KIND, upgrades={1: steps});\n"
        "def dying(*args, **named):\n"
        "    connection = connect(*args, **named)\n"
        "    connection.create_function('die', 0, lambda: os.kill(os.getpid(), 9))\n"
        "    return connection\n"
        "sqlite3.connect = dying\n"
        "module.SigningJournal(Path(sys.argv[1]))"
    )
    path = tmp_path / "journal.db"
    before = make_journal_of_1(path, 1_800_000_000)
    steps = len(journal_module.KIND.upgrades[1])
    for at in (0, 1, 5, steps - 1, steps):
        done = subprocess.run(
            [sys.executable, "-c", program, str(path), str(at)], cwd=Path(__file__).parents[3]
        )
        assert done.returncode == -9
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert rows(path) == before
    SigningJournal(path)
    assert rows(path) == before


def test_a_journal_of_a_newer_version_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE signatures (x)")
        connection.execute("PRAGMA user_version = 3")
    with pytest.raises(SigningJournalError, match="expected version 2, got 3, of a newer dvtfast"):
        SigningJournal(path)


async def test_old_exits_and_repeated_deposits_are_forgotten_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, path = 1_800_000_000, tmp_path / "journal.db"
    monkeypatch.setattr(journal_module.time, "time", lambda: now)
    journal = SigningJournal(path)
    await admit_deposits(journal, PARTY, [deposit(1), deposit(2), deposit(3, key=OTHER_KEY)])
    await journal.release([OTHER_KEY], from_vault=VAULT, to_vault=OTHER_VAULT)
    await admit_deposits(journal, PARTY, [deposit(i, key=OTHER_KEY, vault=OTHER_VAULT) for i in (4, 5)])
    now += 30 * DAY
    await admit_deposits(journal, PARTY, [deposit(6)])
    assert len(rows(path)) == 12
    now += DAY
    await admit_deposits(journal, PARTY, [deposit(7)])
    assert [(row[0], bytes(row[1])[-1]) for row in rows(path, "kind, signing_root")] == [  # type: ignore[call-overload]
        ("deposit", 1), ("deposit", 3), ("deposit", 4),
        ("exit", 6), ("deposit", 6), ("exit", 7), ("deposit", 7),
    ]  # fmt: skip
    now += 400 * DAY
    reasons = await admit_deposits(journal, PARTY, [deposit(8, vault=OTHER_VAULT), deposit(9, key=OTHER_KEY)])
    assert all("another vault" in reason for reason in reasons)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM counts").fetchone()[0] <= 6
        for row in (1, 3):  # the first of each validator and vault
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(
                    "DELETE FROM signatures WHERE kind = 'deposit' AND substr(hex(signing_root), -1) = ?",
                    (str(row),),
                )
    await journal.close()


async def test_exits_of_many_days_stay_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever relayers ask for, the file ends to grow; today's and yesterday's stay."""
    now, path = 1_800_000_000, tmp_path / "journal.db"
    monkeypatch.setattr(journal_module.time, "time", lambda: now)
    monkeypatch.setattr(retention, "KEPT_EXITS", 300)
    journal = SigningJournal(path)
    for day in range(20):
        await admit_exits(journal, PARTY, [ExitEntry(KEY, i, bytes([day, i] * 16)) for i in range(100)])
        now += DAY
    assert len(rows(path)) == 500
    now -= 40 * DAY  # a clock that is set back forgets nothing of its day, and is no error
    await admit_exits(journal, PARTY, exits(3))
    assert await admit_exits(journal, PARTY, exits(4), Limits(3, 3)) != [""] * 4
    await journal.close()


def test_which_days_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "KEPT_EXITS", 10)
    assert first_day_kept([], 100) == 99
    assert first_day_kept([(100, 50), (99, 50), (98, 10), (97, 1)], 100) == 98
    assert first_day_kept([(100, 50), (98, 11), (97, 1)], 100) == 99
    assert first_day_kept([(200, 50), (98, 1), (70, 1), (69, 1)], 100) == 70
