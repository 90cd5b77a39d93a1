"""The operator's journal: one action at a time, no validator twice, nothing changed afterwards."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from dvtfast.services.files.append_only import append_only
from dvtfast.services.operator.sending.action import (
    Action,
    ActionKind,
    Conclusion,
    Outcome,
    SignedTransaction,
)
from dvtfast.services.operator.sending.journal import Journal, JournalError, RefusedError
from dvtfast.services.operator.sending.journal_tables import TABLE_NAMES

ACCOUNT, OTHER = b"a" * 20, b"b" * 20
KEYS = (b"k" * 48, b"l" * 48)
ACTION = Action(
    ActionKind.REGISTER, b"v" * 20, b"t" * 20, b"data", 2**200, KEYS, b"r" * 32, 2**63, {"amount_gwei": 64}
)
TRANSACTION = SignedTransaction(b"h" * 32, b"raw", 2**65, 7, False, 1_700_000_000)
DONE = Conclusion(Outcome.DONE, b"h" * 32, 2**63, b"b" * 32, 21_000, 2**70)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "operator.db"


# As a journal of version 1 is made.
VERSION_1 = (
    "CREATE TABLE actions (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, chain_id TEXT NOT NULL,"
    " account BLOB NOT NULL, nonce TEXT NOT NULL, kind TEXT NOT NULL, vault BLOB NOT NULL,"
    " target BLOB NOT NULL, data BLOB NOT NULL, value_wei TEXT NOT NULL, registry_root BLOB,"
    " deadline TEXT, details TEXT NOT NULL)",
    "CREATE TABLE action_keys (id INTEGER PRIMARY KEY, action INTEGER NOT NULL REFERENCES actions (id),"
    " public_key BLOB NOT NULL)",
    "CREATE INDEX action_keys_by_key ON action_keys (public_key)",
    "CREATE INDEX action_keys_by_action ON action_keys (action)",
    "CREATE TABLE transactions (id INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
    " action INTEGER NOT NULL REFERENCES actions (id), hash BLOB NOT NULL UNIQUE, raw BLOB NOT NULL,"
    " max_fee_wei TEXT NOT NULL, priority_fee_wei TEXT NOT NULL, is_cancel INTEGER NOT NULL)",
    "CREATE TABLE conclusions (id INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
    " action INTEGER NOT NULL UNIQUE REFERENCES actions (id), outcome TEXT NOT NULL, transaction_hash BLOB,"
    " block_number TEXT, block_hash BLOB, gas_used TEXT NOT NULL, fee_wei TEXT NOT NULL)",
    *(
        statement
        for table in ("actions", "action_keys", "transactions", "conclusions")
        for statement in append_only(table)["sqlite"]
    ),
    "PRAGMA user_version = 1",
)


def make_version_1(path: Path) -> None:
    """One action that is done, one that is superseded as version 1 says it, one that is open."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in VERSION_1:
        connection.execute(statement)
    for identity in (1, 2, 3):
        key = bytes([identity]) * 48
        connection.execute(
            "INSERT INTO actions VALUES (?, 7, '1', ?, ?, 'register', ?, ?, ?, '0', NULL, NULL, '{}')",
            (identity, ACCOUNT, str(identity), b"v" * 20, b"t" * 20, b"data"),
        )
        connection.execute("INSERT INTO action_keys (action, public_key) VALUES (?, ?)", (identity, key))
        connection.execute(
            "INSERT INTO transactions VALUES (?, 8, ?, ?, ?, '5', '3', 0)",
            (identity, identity, bytes([identity]) * 32, b"raw"),
        )
    connection.execute(
        "INSERT INTO conclusions VALUES (1, 9, 1, 'done', ?, '12', ?, '21000', '77')", (b"h" * 32, b"b" * 32)
    )
    connection.execute("INSERT INTO conclusions VALUES (2, 9, 2, 'superseded', NULL, NULL, NULL, '0', '0')")
    connection.close()


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_all_of_it_is_there_after_a_restart(path: Path) -> None:
    async with Journal(path) as journal:
        entry = await journal.begin(ACTION, chain_id=2**63, account=ACCOUNT, nonce=2**63 + 1)
        entry = await journal.add(entry, TRANSACTION)
        assert mode_of(path) == 0o600
    async with Journal(path) as journal:
        assert await journal.open_entry(chain_id=2**63, account=ACCOUNT) == entry
        assert (entry.action, entry.transactions) == (ACTION, (TRANSACTION,))
        concluded = await journal.conclude(entry, DONE)
        assert concluded.conclusion is not None
        assert replace(concluded.conclusion, at=0) == DONE
        assert await journal.open_entry(chain_id=2**63, account=ACCOUNT) is None
        assert await journal.next_nonce(chain_id=2**63, account=ACCOUNT) == 2**63 + 2
        assert await journal.entries() == [concluded]


async def test_one_open_action_of_an_account(path: Path) -> None:
    async with Journal(path) as journal:
        entry = await journal.begin(ACTION, chain_id=1, account=ACCOUNT, nonce=0)
        fund = replace(ACTION, kind=ActionKind.FUND)
        with pytest.raises(RefusedError, match="not concluded"):
            await journal.begin(fund, chain_id=1, account=ACCOUNT, nonce=1)
        assert (await journal.begin(fund, chain_id=1, account=OTHER, nonce=0)).id != entry.id


@pytest.mark.parametrize("outcome", [None, *Outcome])
async def test_a_validator_is_registered_once(path: Path, outcome: Outcome | None) -> None:
    """Open or done, it stays out of every other registration; when nothing came of it, it does not."""
    async with Journal(path) as journal:
        entry = await journal.begin(ACTION, chain_id=1, account=ACCOUNT, nonce=0)
        if outcome is not None:
            await journal.conclude(entry, Conclusion(outcome))
        again = replace(ACTION, public_keys=(b"m" * 48, KEYS[1]))
        if outcome in (None, Outcome.DONE):
            assert await journal.taken([*KEYS, b"m" * 48]) == set(KEYS)
            with pytest.raises(RefusedError, match="1 of the validators"):
                await journal.begin(again, chain_id=1, account=OTHER, nonce=0)
        else:
            assert await journal.taken(KEYS) == set()
            await journal.begin(again, chain_id=1, account=OTHER, nonce=0)


async def test_what_may_have_been_sent_is_not_unsent(path: Path) -> None:
    async with Journal(path) as journal:
        entry = await journal.begin(ACTION, chain_id=1, account=ACCOUNT, nonce=0)
        await journal.add(entry, TRANSACTION)
        with pytest.raises(RefusedError, match="may have been sent"):
            await journal.conclude(entry, Conclusion(Outcome.UNSENT))


async def test_one_process_at_a_time_and_readers_beside_it(path: Path) -> None:
    async with Journal(path) as journal:
        await journal.begin(ACTION, chain_id=1, account=ACCOUNT, nonce=0)
        with pytest.raises(JournalError, match="another operator works with this journal"):
            Journal(path)
        async with Journal(path, read_only=True) as reader:
            assert len(await reader.entries()) == 1
    async with Journal(path) as journal:
        assert len(await journal.entries()) == 1


async def test_another_name_of_the_same_journal(path: Path, tmp_path: Path) -> None:
    async with Journal(path):
        (tmp_path / "link.db").symlink_to(path)
        with pytest.raises(JournalError, match="another operator works with this journal"):
            Journal(tmp_path / "link.db")


async def test_what_is_open_is_never_left_out(path: Path) -> None:
    """As of an account that is not used any more."""
    async with Journal(path) as journal:
        first = await journal.begin(ACTION, chain_id=1, account=OTHER, nonce=0)
        for nonce in range(3):
            fund = replace(ACTION, kind=ActionKind.FUND)
            last = await journal.begin(fund, chain_id=1, account=ACCOUNT, nonce=nonce)
            last = await journal.conclude(last, replace(DONE, transaction_hash=None))
        assert await journal.entries(most=1) == [last, first]
        assert len(await journal.entries()) == 4
        assert len(await journal.entries(most=(1 << 64) - 1)) == 4


async def test_nothing_is_changed_afterwards(path: Path) -> None:
    async with Journal(path) as journal:
        entry = await journal.begin(ACTION, chain_id=1, account=ACCOUNT, nonce=0)
        entry = await journal.add(entry, TRANSACTION)
        entry = await journal.reopen(await journal.conclude(entry, DONE), "another block")
        await journal.show(await journal.finalize(await journal.conclude(entry, DONE)))
    with sqlite3.connect(path) as connection:
        for table in TABLE_NAMES:
            for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET id = id + 1"):
                with pytest.raises(sqlite3.DatabaseError, match="append-only"):
                    connection.execute(statement)
    connection.close()


async def test_what_a_vault_asked_for_is_submitted_until_it_shows(path: Path) -> None:
    """What is taken back is no longer shown, either."""
    async with Journal(path) as journal:
        entry = await journal.begin(
            replace(ACTION, kind=ActionKind.WITHDRAW), chain_id=1, account=ACCOUNT, nonce=0
        )
        entry = await journal.add(entry, TRANSACTION)
        assert entry.outcome is None
        entry = await journal.conclude(entry, DONE)
        assert entry.outcome is Outcome.SUBMITTED
        for _ in range(2):
            entry = await journal.show(entry)
            assert (entry.outcome, entry.is_shown) == (Outcome.DONE, True)
        entry = await journal.conclude(await journal.reopen(entry, "another block"), DONE)
        assert entry.outcome is Outcome.SUBMITTED
        other = await journal.begin(ACTION, chain_id=1, account=ACCOUNT, nonce=1)
        other = await journal.conclude(await journal.add(other, replace(TRANSACTION, hash=b"i" * 32)), DONE)
        assert other.outcome is Outcome.DONE


@pytest.mark.parametrize("content", [b"not a database", b"SQLite format 3\x00" + bytes(84)])
def test_a_file_that_is_no_journal(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"operator\.db"):
        Journal(path)
    path.unlink()
    Journal(path)._file.close()  # who could not open it holds nothing


async def test_what_was_taken_back_is_open_again(path: Path) -> None:
    """With all that is on record of it, and as often as that happens; but not when it is final."""
    async with Journal(path) as journal:
        entry = await journal.begin(ACTION, chain_id=1, account=ACCOUNT, nonce=0)
        entry = await journal.add(entry, TRANSACTION)
        with pytest.raises(RefusedError, match="is open"):
            await journal.reopen(entry, "never")
        for times in (1, 2):
            entry = await journal.conclude(entry, DONE)
            with pytest.raises(RefusedError, match="has a conclusion"):
                await journal.conclude(entry, DONE)
            assert await journal.next_nonce(chain_id=1, account=ACCOUNT) == 1
            assert await journal.not_final(chain_id=1, account=ACCOUNT) == [entry]
            entry = await journal.reopen(entry, f"reorganisation {times}")
            assert (entry.conclusion, len(entry.reopenings)) == (None, times)
            assert await journal.open_entry(chain_id=1, account=ACCOUNT) == entry
            assert await journal.next_nonce(chain_id=1, account=ACCOUNT) == 0
            assert await journal.not_final(chain_id=1, account=ACCOUNT) == []
            assert await journal.taken(KEYS) == set(KEYS)
            with pytest.raises(RefusedError, match="not concluded"):
                await journal.begin(
                    replace(ACTION, kind=ActionKind.FUND), chain_id=1, account=ACCOUNT, nonce=1
                )
        entry = await journal.conclude(entry, replace(DONE, outcome=Outcome.REVERTED))
        assert await journal.taken(KEYS) == set()
        entry = await journal.finalize(entry)
        assert entry.is_final
        for change in (journal.finalize(entry), journal.reopen(entry, "never")):
            with pytest.raises(RefusedError, match="final"):
                await change
    async with Journal(path, read_only=True) as journal:
        assert await journal.entries() == [entry]
    assert [each.why for each in entry.reopenings] == ["reorganisation 1", "reorganisation 2"]


async def test_of_several_that_are_open_again_the_first_is_first(path: Path) -> None:
    async with Journal(path) as journal:
        for nonce in (0, 1):
            fund = replace(ACTION, kind=ActionKind.FUND)
            entry = await journal.begin(fund, chain_id=1, account=ACCOUNT, nonce=nonce)
            await journal.conclude(entry, replace(DONE, transaction_hash=None))
        for entry in await journal.not_final(chain_id=1, account=ACCOUNT):
            await journal.reopen(entry, "reorganisation")
        for nonce in (0, 1):
            open_ = await journal.open_entry(chain_id=1, account=ACCOUNT)
            assert open_ is not None
            assert open_.nonce == nonce
            await journal.conclude(open_, DONE)


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_journal_of_version_1_is_kept(path: Path, read_only: bool) -> None:
    make_version_1(path)
    before = content_of(path)
    async with Journal(path, read_only=read_only) as journal:
        open_, superseded, done = await journal.entries()
        assert open_.conclusion is None
        assert superseded.conclusion == Conclusion(Outcome.SUPERSEDED, at=9)
        assert done.conclusion == Conclusion(Outcome.DONE, b"h" * 32, 12, b"b" * 32, 21_000, 77, 9)
        assert [each.is_final for each in (open_, superseded, done)] == [False] * 3
        assert [len(each.transactions) for each in (open_, superseded, done)] == [1] * 3
        assert await journal.taken([bytes([n]) * 48 for n in (1, 2, 3)]) == {b"\x01" * 48, b"\x03" * 48}
        assert await journal.not_final(chain_id=1, account=ACCOUNT) == [superseded, done]
    if read_only:
        assert content_of(path) == before
        return
    async with Journal(path) as journal:
        again = await journal.reopen(done, "reorganisation")
        await journal.conclude(again, DONE)
        await journal.conclude(open_, DONE)
    with sqlite3.connect(path) as connection:
        for table in TABLE_NAMES[:5]:
            with pytest.raises(sqlite3.DatabaseError, match="append-only"):
                connection.execute(f"DELETE FROM {table}")
    connection.close()


async def test_a_journal_of_a_newer_version(path: Path) -> None:
    async with Journal(path):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 3")
    connection.close()
    with pytest.raises(JournalError, match="expected version 2, got 3, of a newer dvtfast"):
        Journal(path)
