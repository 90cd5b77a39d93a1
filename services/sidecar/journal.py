"""What the sidecar signs, and for whom: on record, durably, before it is signed.

One SQLite file, plain `sqlite3`: ten thousand rows are one statement, which costs a few microseconds each.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..append_only import append_only
from ..offload import UnavailableError, Workers

DAY_SECONDS = 86_400
BUSY_SECONDS = 5.0  # how long another process may hold the file
FILE_MODE = 0o600
VERSION = 1

EXIT, DEPOSIT = "exit", "deposit"

TABLES = (
    # Integers of 64 bits are decimal text: SQLite's end at 2^63 - 1.
    "CREATE TABLE signatures (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, network TEXT NOT NULL,"
    " relayer TEXT NOT NULL, share_index TEXT NOT NULL, kind TEXT NOT NULL, public_key BLOB NOT NULL,"
    " validator_index TEXT, vault BLOB, validator_type INTEGER, amount_gwei TEXT,"
    " signing_root BLOB NOT NULL)",
    "CREATE UNIQUE INDEX signatures_once ON signatures (signing_root, public_key, share_index, relayer)",
    "CREATE INDEX signatures_deposits ON signatures (public_key, vault) WHERE kind = 'deposit'",
    "CREATE INDEX signatures_deposited ON signatures (at, signing_root) WHERE kind = 'deposit'",
    *append_only("signatures")["sqlite"],
    f"PRAGMA user_version = {VERSION}",
)
INSERT = (
    "INSERT INTO signatures (at, network, relayer, share_index, kind, public_key, validator_index, vault,"
    " validator_type, amount_gwei, signing_root) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)


class JournalError(Exception):
    """A file that no journal can be kept in."""


@dataclass(frozen=True)
class Party:
    """For whom something is signed, and by which share index."""

    network: str
    relayer: str
    share_index: int


@dataclass(frozen=True)
class ExitEntry:
    """An exit to be signed."""

    public_key: bytes
    validator_index: int
    signing_root: bytes


@dataclass(frozen=True)
class DepositEntry:
    """A deposit to be signed."""

    public_key: bytes
    vault: bytes
    validator_type: int
    amount_gwei: int
    signing_root: bytes


class Journal:
    """An append-only file of signatures; its calls return when what they wrote is on disk.

    Signatures are not in it: whoever reads it cannot exit a validator.
    """

    def __init__(self, path: Path | None) -> None:
        """Open the file, or make it, which only its owner may read; without a path, forget all in the end.

        Raises:
            JournalError: neither is possible.
        """
        self._path = path
        self._exits: dict[str, tuple[int, int]] = {}  # of a relayer, since when, and how many
        self._workers = Workers("journal", threads=1, deadline_seconds=None)
        try:
            if path:
                os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE_MODE))
            self._connection = sqlite3.connect(
                path or ":memory:", timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._set_up()
            self._file = self._identity()
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"{path}: no journal can be kept in it: {error}") from None

    async def close(self) -> None:
        """Finish what is under way."""
        await self._workers.close()
        self._connection.close()

    async def admit_exits(self, party: Party, entries: Sequence[ExitEntry], *, most_a_day: int) -> list[str]:
        """Put exits on record; for each, why not, or "".

        The limit is of different exits for one relayer in one day (UTC), by all share indices together; one
        that is on record already stays the only one, and is always admitted again.

        Raises:
            UnavailableError: the file cannot be written.
        """
        return await self._workers.run(self._admit_exits, party, entries, most_a_day)

    async def admit_deposits(
        self, party: Party, entries: Sequence[DepositEntry], *, most_a_day: int
    ) -> list[str]:
        """Put deposits on record, unless they contradict what is; for each, why not, or "".

        A validator is deposited to for one vault only, ever. The limit is of different deposits in one day
        (UTC), whoever they were signed for; one that is on record already is always admitted again.

        Raises:
            UnavailableError: the file cannot be written.
        """
        return await self._workers.run(self._admit_deposits, party, entries, most_a_day, True)

    async def refusals_of_deposits(
        self, party: Party, entries: Sequence[DepositEntry], *, most_a_day: int
    ) -> list[str]:
        """What `admit_deposits` would answer; nothing is written."""
        return await self._workers.run(self._admit_deposits, party, entries, most_a_day, False)

    def _admit_exits(self, party: Party, entries: Sequence[ExitEntry], most_a_day: int) -> list[str]:
        at, who = int(time.time()), (party.network, party.relayer, str(party.share_index), EXIT)
        reasons = []
        with self._transaction():
            today = at - at % DAY_SECONDS
            count = self._exits_since(today, party.relayer)
            for entry in entries:
                row = entry.public_key, str(entry.validator_index), None, None, None, entry.signing_root
                if count < most_a_day:
                    count += self._connection.execute(INSERT, (at, *who, *row)).rowcount
                is_on_record = count < most_a_day or self._has_exit(party, entry)
                reasons.append("" if is_on_record else f"the limit is {most_a_day} exits a day (UTC)")
        self._exits[party.relayer] = today, count
        return reasons

    def _admit_deposits(
        self, party: Party, entries: Sequence[DepositEntry], most_a_day: int, write: bool
    ) -> list[str]:
        at, who = int(time.time()), (party.network, party.relayer, str(party.share_index), DEPOSIT)
        with self._transaction():
            today = self._deposits_since(at - at % DAY_SECONDS)
            vaults: dict[bytes, bytes] = {}
            fresh: set[bytes] = set()  # signing roots
            reasons, rows = [], []
            for entry in entries:
                vault = vaults.get(entry.public_key) or self._vault_of(entry.public_key) or entry.vault
                is_new = entry.signing_root not in fresh and not self._has_deposit(entry)
                if vault != entry.vault:
                    reasons.append("a deposit of this validator was signed for another vault")
                elif is_new and today + len(fresh) >= most_a_day:
                    reasons.append(f"the limit is {most_a_day} deposits a day (UTC)")
                else:
                    reasons.append("")
                    vaults[entry.public_key] = entry.vault
                    fresh |= {entry.signing_root} if is_new else set()
                    subject = (entry.vault, entry.validator_type, str(entry.amount_gwei))
                    rows.append((at, *who, entry.public_key, None, *subject, entry.signing_root))
            if write:
                self._connection.executemany(INSERT, rows)
        return reasons

    def _vault_of(self, public_key: bytes) -> bytes | None:
        query = "SELECT vault FROM signatures WHERE kind = 'deposit' AND public_key = ? LIMIT 1"
        row = self._connection.execute(query, (public_key,)).fetchone()
        return None if row is None else bytes(row[0])

    def _has_deposit(self, entry: DepositEntry) -> bool:
        query = "SELECT 1 FROM signatures WHERE signing_root = ? AND public_key = ? LIMIT 1"
        return self._connection.execute(query, (entry.signing_root, entry.public_key)).fetchone() is not None

    def _has_exit(self, party: Party, entry: ExitEntry) -> bool:
        query = (
            "SELECT 1 FROM signatures WHERE signing_root = ? AND public_key = ? AND share_index = ?"
            " AND relayer = ?"
        )
        key = entry.signing_root, entry.public_key, str(party.share_index), party.relayer
        return self._connection.execute(query, key).fetchone() is not None

    def _exits_since(self, at: int, relayer: str) -> int:
        """Counted in the file once a day, which takes a second where there are millions of rows."""
        day, count = self._exits.get(relayer, (None, 0))
        if day == at:
            return count
        query = "SELECT count(*) FROM signatures WHERE kind = 'exit' AND relayer = ? AND at >= ?"
        return int(self._connection.execute(query, (relayer, at)).fetchone()[0])

    def _deposits_since(self, at: int) -> int:
        query = "SELECT count(DISTINCT signing_root) FROM signatures WHERE kind = 'deposit' AND at >= ?"
        return int(self._connection.execute(query, (at,)).fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._require_file()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._require_file()
        except (OSError, sqlite3.Error) as error:
            raise UnavailableError(f"journal: {self._path}: {error}") from error

    def _require_file(self) -> None:
        """What is written to a file that was removed, or replaced, is on no record."""
        if self._identity() != self._file:
            raise UnavailableError(f"journal: {self._path} was replaced; start the sidecar again")

    def _identity(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        status = self._path.stat()
        return status.st_dev, status.st_ino

    def _set_up(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("BEGIN IMMEDIATE")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version == 0 and tables == 0:
            for statement in TABLES:
                self._connection.execute(statement)
        elif version != VERSION:
            raise sqlite3.DatabaseError(f"expected a journal of version {VERSION}, got version {version}")
        self._connection.execute("COMMIT")
