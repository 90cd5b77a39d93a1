"""The operator's record: an action before it is signed, a transaction before it is sent, what came of it.

One SQLite file. Rows are added and never changed, so what is there says what happened in which order.
An action is open until it has a conclusion, and again when that is void as a reorganisation took its block
back. While an account has an open action, no other one begins.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, TypeVar

from ...files.append_only import append_only
from ...files.sqlite_files import FileKind, SQLiteFile
from ...process.offload import UnavailableError, Workers
from .action import Action, ActionKind, Conclusion, JournalEntry, Outcome, Reopening, SignedTransaction

WHAT_IS_DONE = ("actions", "action_keys", "transactions")
WHAT_CAME_OF_IT = ("conclusions", "reopenings", "finals", "shown")
TABLE_NAMES = WHAT_IS_DONE + WHAT_CAME_OF_IT

T = TypeVar("T")

CONCLUSIONS = (
    "CREATE TABLE conclusions (id INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
    " action INTEGER NOT NULL REFERENCES actions (id), outcome TEXT NOT NULL, transaction_hash BLOB,"
    " block_number TEXT, block_hash BLOB, gas_used TEXT NOT NULL, fee_wei TEXT NOT NULL)",
    "CREATE INDEX conclusions_by_action ON conclusions (action)",
    "CREATE TABLE reopenings (id INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
    " conclusion INTEGER NOT NULL UNIQUE REFERENCES conclusions (id), why TEXT NOT NULL)",
    "CREATE TABLE finals (id INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
    " conclusion INTEGER NOT NULL UNIQUE REFERENCES conclusions (id))",
    "CREATE TABLE shown (id INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
    " conclusion INTEGER NOT NULL UNIQUE REFERENCES conclusions (id))",
    *(statement for table in WHAT_CAME_OF_IT for statement in append_only(table)["sqlite"]),
    "CREATE VIEW standing AS SELECT c.*, f.id IS NOT NULL AS is_final, h.id IS NOT NULL AS is_shown"
    " FROM conclusions c LEFT JOIN finals f ON f.conclusion = c.id LEFT JOIN shown h ON h.conclusion = c.id"
    " WHERE NOT EXISTS (SELECT 1 FROM reopenings r WHERE r.conclusion = c.id)",
)
TABLES = (
    # Integers that may have more than 63 bits are decimal text.
    "CREATE TABLE actions (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, chain_id TEXT NOT NULL,"
    " account BLOB NOT NULL, nonce TEXT NOT NULL, kind TEXT NOT NULL, vault BLOB NOT NULL,"
    " target BLOB NOT NULL, data BLOB NOT NULL, value_wei TEXT NOT NULL, registry_root BLOB,"
    " deadline TEXT, details TEXT NOT NULL, block_number TEXT NOT NULL DEFAULT '0')",
    "CREATE TABLE action_keys (id INTEGER PRIMARY KEY, action INTEGER NOT NULL REFERENCES actions (id),"
    " public_key BLOB NOT NULL)",
    "CREATE INDEX action_keys_by_key ON action_keys (public_key)",
    "CREATE INDEX action_keys_by_action ON action_keys (action)",
    "CREATE TABLE transactions (id INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
    " action INTEGER NOT NULL REFERENCES actions (id), hash BLOB NOT NULL UNIQUE, raw BLOB NOT NULL,"
    " max_fee_wei TEXT NOT NULL, priority_fee_wei TEXT NOT NULL, is_cancel INTEGER NOT NULL,"
    " block_number TEXT NOT NULL DEFAULT '0')",
    *(statement for table in WHAT_IS_DONE for statement in append_only(table)["sqlite"]),
    *CONCLUSIONS,
)
# What makes a journal of an earlier version one of this version.
FROM_VERSION_1 = (
    "ALTER TABLE actions ADD COLUMN block_number TEXT NOT NULL DEFAULT '0'",
    "ALTER TABLE transactions ADD COLUMN block_number TEXT NOT NULL DEFAULT '0'",
    # An action had one conclusion for ever, which is said of the table, so there must be another table.
    "CREATE TEMPORARY TABLE before AS SELECT * FROM conclusions",
    "DROP TABLE conclusions",
    *CONCLUSIONS,
    "INSERT INTO conclusions SELECT * FROM before ORDER BY id",
    "DROP TABLE before",
)
KIND = FileKind(
    holds="journal",
    tables=["actions", "action_keys", "transactions", "conclusions"],
    version=2,
    create=TABLES,
    upgrades={1: FROM_VERSION_1},
)
MOST_ROWS = (1 << 63) - 1  # what SQLite can count to
OPEN = "NOT EXISTS (SELECT 1 FROM standing s WHERE s.action = a.id)"
SELECT_ENTRIES = (
    "SELECT a.id, a.at, a.chain_id, a.account, a.nonce, a.kind, a.vault, a.target, a.data,"
    " a.value_wei, a.registry_root, a.deadline, a.details, a.block_number, c.is_final, c.is_shown, c.outcome,"
    " c.transaction_hash, c.block_number, c.block_hash, c.gas_used, c.fee_wei, c.at FROM actions a"
    " LEFT JOIN standing c ON c.action = a.id"
)
SELECT_REOPENINGS = (
    "SELECT r.why, r.at, c.outcome, c.transaction_hash, c.block_number, c.block_hash, c.gas_used,"
    " c.fee_wei, c.at FROM reopenings r JOIN conclusions c ON c.id = r.conclusion"
    " WHERE c.action = ? ORDER BY r.id"
)


class JournalError(Exception):
    """A file that no journal can be kept in, or one that another process works with."""


class RefusedError(Exception):
    """An action that must not begin: another one is open, or has one of its validators."""


class Journal:
    """The record of all accounts; its calls return when what they wrote is on disk.

    Keys are not in it, but signed transactions are: whoever reads it can send those, which the operator
    does anyway.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file, or make it, which only its owner may read.

        Args:
            read_only: look at it as it is now, while another process works with it.

        Raises:
            JournalError: that is not possible.
        """
        self._file = SQLiteFile(
            path,
            KIND,
            refused=JournalError,
            failed=UnavailableError,
            only_looks=read_only,
            one_writer="" if read_only else "operator",
        )
        self._connection = self._file.connection
        self._workers = Workers("journal", threads=1, deadline_seconds=None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Finish what is under way."""
        await self._workers.close()
        self._file.close()

    async def begin(self, action: Action, *, chain_id: int, account: bytes, nonce: int) -> JournalEntry:
        """Put an action on record, before anything is signed for it.

        Raises:
            RefusedError: the account has an open action; or one of the validators to be registered is in an
                open action, or registered already.
            UnavailableError: the file cannot be written.
        """
        return await self._run(self._begin, action, chain_id, account, nonce)

    async def add(self, entry: JournalEntry, transaction: SignedTransaction) -> JournalEntry:
        """Put a transaction on record, before it is sent; the action as it is now."""
        return await self._run(self._add, entry, transaction)

    async def conclude(self, entry: JournalEntry, conclusion: Conclusion) -> JournalEntry:
        """Put on record what came of an action; the action as it is now.

        Raises:
            RefusedError: it has a conclusion, or nothing was sent for it as is claimed.
        """
        return await self._run(self._conclude, entry, conclusion)

    async def reopen(self, entry: JournalEntry, why: str) -> JournalEntry:
        """Put on record that what came of an action is void; it is open again.

        Raises:
            RefusedError: it is open, or what came of it is final.
        """
        return await self._run(self._reopen, entry, why)

    async def finalize(self, entry: JournalEntry) -> JournalEntry:
        """Put on record that nothing changes any more what came of an action."""
        return await self._run(self._finalize, entry)

    async def show(self, entry: JournalEntry) -> JournalEntry:
        """Put on record that the beacon chain shows what a vault asked it for; the action as it is now."""
        return await self._run(self._show, entry)

    async def open_entry(self, *, chain_id: int, account: bytes) -> JournalEntry | None:
        """The action of an account that has no conclusion; of several, which were reopened, the first."""
        where = f"a.chain_id = ? AND a.account = ? AND {OPEN}"
        entries = await self._run(self._entries, where, (str(chain_id), account))
        return min(entries, key=lambda entry: entry.nonce, default=None)

    async def not_final(self, *, chain_id: int, account: bytes) -> list[JournalEntry]:
        """The actions of an account with a conclusion that a reorganisation may take back, latest first."""
        where = "a.chain_id = ? AND a.account = ? AND NOT c.is_final AND c.outcome != ?"
        return await self._run(self._entries, where, (str(chain_id), account, Outcome.UNSENT.value))

    async def entries(self, *, most: int | None = None) -> list[JournalEntry]:
        """All actions, the latest first; where there are too many, the latest, and those that are open."""
        query = f"{OPEN} OR a.id IN (SELECT id FROM actions ORDER BY id DESC LIMIT ?)"  # noqa: S608 - OPEN is ours
        return await self._run(self._entries, query, (-1 if most is None else min(most, MOST_ROWS),))

    async def begun_since(
        self, at: int, *, chain_id: int, kind: ActionKind, vault: bytes
    ) -> list[JournalEntry]:
        """The actions of a kind and a vault that were begun since that Unix time, the latest first."""
        where = "a.at >= ? AND a.chain_id = ? AND a.kind = ? AND a.vault = ?"
        return await self._run(self._entries, where, (at, str(chain_id), kind.value, vault))

    async def next_nonce(self, *, chain_id: int, account: bytes) -> int:
        """The nonce after the last one that is known to be used up."""
        return await self._run(self._next_nonce, chain_id, account)

    async def taken(self, public_keys: Sequence[bytes]) -> set[bytes]:
        """Those of the validators that are registered already, or about to be."""
        return await self._run(self._taken, public_keys)

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        return await self._workers.run(self._guarded, work, *arguments)

    def _guarded(self, work: Callable[..., T], *arguments: object) -> T:
        with self._file.alone():
            return work(*arguments)

    def _begin(self, action: Action, chain_id: int, account: bytes, nonce: int) -> JournalEntry:
        at = int(time.time())
        with self._file.transaction():
            found = self._connection.execute(
                f"SELECT a.id FROM actions a WHERE a.chain_id = ? AND a.account = ? AND {OPEN}",  # noqa: S608 - OPEN is ours
                (str(chain_id), account),
            ).fetchone()
            if found:
                raise RefusedError(f"action {found[0]} of this account is not concluded yet")
            if action.kind is ActionKind.REGISTER and (taken := self._taken(action.public_keys)):
                raise RefusedError(f"{len(taken)} of the validators are registered already, or about to be")
            deadline = None if action.deadline is None else str(action.deadline)
            identity = self._connection.execute(
                "INSERT INTO actions (at, chain_id, account, nonce, kind, vault, target, data, value_wei,"
                " registry_root, deadline, details, block_number)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    at, str(chain_id), account, str(nonce), action.kind.value, action.vault, action.to,
                    action.data, str(action.value_wei), action.registry_root, deadline,
                    json.dumps(dict(action.details)), str(action.block_number),
                ),
            ).lastrowid  # fmt: skip
            self._connection.executemany(
                "INSERT INTO action_keys (action, public_key) VALUES (?, ?)",
                [(identity, bytes(key)) for key in action.public_keys],
            )
        return self._entry(identity or 0)

    def _add(self, entry: JournalEntry, transaction: SignedTransaction) -> JournalEntry:
        with self._file.transaction():
            self._connection.execute(
                "INSERT INTO transactions (at, action, hash, raw, max_fee_wei, priority_fee_wei, is_cancel,"
                " block_number) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    transaction.at, entry.id, transaction.hash, transaction.raw, str(transaction.max_fee_wei),
                    str(transaction.priority_fee_wei), transaction.is_cancel, str(transaction.block_number),
                ),
            )  # fmt: skip
        return self._entry(entry.id)

    def _conclude(self, entry: JournalEntry, conclusion: Conclusion) -> JournalEntry:
        number = None if conclusion.block_number is None else str(conclusion.block_number)
        with self._file.transaction():
            now = self._entry(entry.id)
            if now.conclusion is not None:
                raise RefusedError(f"action {entry.id} has a conclusion")
            if conclusion.outcome is Outcome.UNSENT and now.transactions:
                raise RefusedError(f"action {entry.id} has signed transactions, which may have been sent")
            self._connection.execute(
                "INSERT INTO conclusions (at, action, outcome, transaction_hash, block_number, block_hash,"
                " gas_used, fee_wei) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    int(time.time()), entry.id, conclusion.outcome.value, conclusion.transaction_hash, number,
                    conclusion.block_hash, str(conclusion.gas_used), str(conclusion.fee_wei),
                ),
            )  # fmt: skip
        return self._entry(entry.id)

    def _reopen(self, entry: JournalEntry, why: str) -> JournalEntry:
        with self._file.transaction():
            self._connection.execute(
                "INSERT INTO reopenings (at, conclusion, why) VALUES (?, ?, ?)",
                (int(time.time()), self._not_final_conclusion(entry), why),
            )
        return self._entry(entry.id)

    def _finalize(self, entry: JournalEntry) -> JournalEntry:
        with self._file.transaction():
            self._connection.execute(
                "INSERT INTO finals (at, conclusion) VALUES (?, ?)",
                (int(time.time()), self._not_final_conclusion(entry)),
            )
        return self._entry(entry.id)

    def _show(self, entry: JournalEntry) -> JournalEntry:
        with self._file.transaction():
            self._connection.execute(
                "INSERT INTO shown (at, conclusion) SELECT ?, id FROM standing"
                " WHERE action = ? AND NOT is_shown",
                (int(time.time()), entry.id),
            )
        return self._entry(entry.id)

    def _not_final_conclusion(self, entry: JournalEntry) -> int:
        query = "SELECT id FROM standing WHERE action = ? AND NOT is_final"
        found = self._connection.execute(query, (entry.id,)).fetchone()
        if found is None:
            raise RefusedError(f"action {entry.id} is open, or final")
        return int(found[0])

    def _next_nonce(self, chain_id: int, account: bytes) -> int:
        rows = self._connection.execute(
            "SELECT a.nonce FROM actions a JOIN standing c ON c.action = a.id"
            " WHERE a.chain_id = ? AND a.account = ? AND c.outcome != ?",
            (str(chain_id), account, Outcome.UNSENT.value),
        )
        return max((int(nonce) + 1 for (nonce,) in rows), default=0)

    def _taken(self, public_keys: Sequence[bytes]) -> set[bytes]:
        query = (
            "SELECT 1 FROM action_keys k JOIN actions a ON a.id = k.action"
            " LEFT JOIN standing c ON c.action = a.id"
            " WHERE k.public_key = ? AND a.kind = ? AND (c.outcome IS NULL OR c.outcome = ?)"
        )
        about = (ActionKind.REGISTER.value, Outcome.DONE.value)
        return {
            bytes(key)
            for key in public_keys
            if self._connection.execute(query, (bytes(key), *about)).fetchone()
        }

    def _entry(self, identity: int) -> JournalEntry:
        (entry,) = self._entries("a.id = ?", (identity,))
        return entry

    def _entries(self, where: str, values: Sequence[object]) -> list[JournalEntry]:
        query = f"{SELECT_ENTRIES} WHERE {where} ORDER BY a.id DESC"
        rows = self._connection.execute(query, values).fetchall()
        return [self._read(row) for row in rows]

    def _read(self, row: Sequence[object]) -> JournalEntry:
        (
            identity, at, chain_id, account, nonce, kind, vault, to, data, value, root, deadline, details,
            number, is_final, is_shown, *concluded,
        ) = row  # fmt: skip
        keys = self._connection.execute(
            "SELECT public_key FROM action_keys WHERE action = ? ORDER BY id", (identity,)
        )
        action = Action(
            ActionKind(str(kind)), _bytes(vault), _bytes(to), _bytes(data), int(str(value)),
            tuple(_bytes(key) for (key,) in keys), None if root is None else _bytes(root),
            None if deadline is None else int(str(deadline)), json.loads(str(details)), int(str(number)),
        )  # fmt: skip
        transactions = self._connection.execute(
            "SELECT hash, raw, max_fee_wei, priority_fee_wei, is_cancel, at, block_number FROM transactions"
            " WHERE action = ? ORDER BY id",
            (identity,),
        )
        return JournalEntry(
            id=int(str(identity)),
            at=int(str(at)),
            action=action,
            chain_id=int(str(chain_id)),
            account=_bytes(account),
            nonce=int(str(nonce)),
            transactions=tuple(
                SignedTransaction(hash_, raw, int(most), int(priority), bool(is_cancel), at, int(number))
                for hash_, raw, most, priority, is_cancel, at, number in transactions
            ),
            conclusion=_conclusion(concluded) if concluded[0] is not None else None,
            is_final=bool(is_final),
            is_shown=bool(is_shown),
            reopenings=tuple(
                Reopening(_conclusion(before), str(why), int(at))
                for why, at, *before in self._connection.execute(SELECT_REOPENINGS, (identity,))
            ),
        )


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value


def _conclusion(row: Sequence[object]) -> Conclusion:
    outcome, transaction_hash, number, block_hash, gas_used, fee, at = row
    return Conclusion(
        Outcome(str(outcome)),
        None if transaction_hash is None else _bytes(transaction_hash),
        None if number is None else int(str(number)),
        None if block_hash is None else _bytes(block_hash),
        int(str(gas_used)),
        int(str(fee)),
        int(str(at)),
    )
