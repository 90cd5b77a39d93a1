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

from ...files.sqlite_files import SQLiteFile
from ...process.offload import UnavailableError, Workers
from .action import Action, ActionKind, Conclusion, JournalEntry, Outcome, SignedTransaction
from .journal_rows import SELECT_ENTRIES, read_entry
from .journal_tables import KIND

T = TypeVar("T")

MOST_ROWS = (1 << 63) - 1  # what SQLite can count to
OPEN = "NOT EXISTS (SELECT 1 FROM standing s WHERE s.action = a.id)"


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
        return [read_entry(self._connection, row) for row in rows]
