"""The operator's journal: one action at a time, no validator twice, nothing changed afterwards."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from dvtfast.services.operator.sending.action import Action, Conclusion, Kind, Outcome, SignedTransaction
from dvtfast.services.operator.sending.journal import TABLE_NAMES, Journal, JournalError, RefusedError

ACCOUNT, OTHER = b"a" * 20, b"b" * 20
KEYS = (b"k" * 48, b"l" * 48)
ACTION = Action(
    Kind.REGISTER, b"v" * 20, b"t" * 20, b"data", 2**200, KEYS, b"r" * 32, 2**63, {"amount_gwei": 64}
)
TRANSACTION = SignedTransaction(b"h" * 32, b"raw", 2**65, 7, False, 1_700_000_000)
DONE = Conclusion(Outcome.DONE, b"h" * 32, 2**63, b"b" * 32, 21_000, 2**70)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "operator.db"


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
        fund = replace(ACTION, kind=Kind.FUND)
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
            fund = replace(ACTION, kind=Kind.FUND)
            last = await journal.begin(fund, chain_id=1, account=ACCOUNT, nonce=nonce)
            last = await journal.conclude(last, replace(DONE, transaction_hash=None))
        assert await journal.entries(most=1) == [last, first]
        assert len(await journal.entries()) == 4


async def test_nothing_is_changed_afterwards(path: Path) -> None:
    async with Journal(path) as journal:
        entry = await journal.begin(ACTION, chain_id=1, account=ACCOUNT, nonce=0)
        entry = await journal.add(entry, TRANSACTION)
        await journal.conclude(entry, DONE)
    with sqlite3.connect(path) as connection:
        for table in TABLE_NAMES:
            for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET id = id + 1"):
                with pytest.raises(sqlite3.DatabaseError, match="append-only"):
                    connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("content", [b"not a database", b"SQLite format 3\x00" + bytes(84)])
def test_a_file_that_is_no_journal(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"operator\.db"):
        Journal(path)
    path.unlink()
    Journal(path)._drop_lock()  # who could not open it holds nothing
