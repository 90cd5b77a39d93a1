"""Which validators are registered with our operators, in SQLite: what the events so far come to.

Everything in it is public and comes from the chain: a file that is lost is read again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dvtfast.ssv import KeyShares, parse_key_shares

from ..chain.encoding import write_address
from ..chain.execution.node import Log
from ..chain.execution.scanner import Checkpoint, FinalLogs
from ..files.sqlite_files import FileKind, SQLiteFile
from ..process import logs
from ..wire import PublicKey
from .additions import judge
from .events import Event, EventError, ValidatorAdded, ValidatorRemoved, read_event

OPERATOR_ID_BYTES = 8
KEPT_CHECKPOINTS = 32  # the last ones, to return to after a reorganisation that was thought impossible
SHOWN_REFUSED = 10  # of one batch, in the log; all of them are in the table

SCHEMA = """
CREATE TABLE source (chain_id INTEGER, contract BLOB, first_block INTEGER, operator_ids BLOB);
CREATE TABLE checkpoints (number INTEGER PRIMARY KEY, hash BLOB NOT NULL);
-- How many ValidatorAdded there were, right or wrong. Their sum is the owner's nonce.
CREATE TABLE additions (
    owner BLOB NOT NULL, block_number INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (owner, block_number)
) WITHOUT ROWID;
CREATE TABLE validators (
    id INTEGER PRIMARY KEY,
    public_key BLOB NOT NULL, owner BLOB NOT NULL, nonce INTEGER NOT NULL,
    operator_ids BLOB NOT NULL, shares_data BLOB NOT NULL,
    added_block INTEGER NOT NULL, removed_block INTEGER
);
CREATE UNIQUE INDEX registered ON validators (public_key) WHERE removed_block IS NULL;
CREATE TABLE refused (
    block_number INTEGER NOT NULL, log_index INTEGER NOT NULL,
    owner BLOB, public_key BLOB, reason TEXT NOT NULL,
    PRIMARY KEY (block_number, log_index)
) WITHOUT ROWID;
"""
KIND = FileKind(
    holds="SSV events",
    tables=["source", "checkpoints", "additions", "validators", "refused"],
    application_id=0x53535645,  # "SSVE"
    version=1,
    create=SCHEMA.split(";"),
    is_private=False,
    can_be_read_again=True,
    busy_seconds=10.0,
)

log = logs.get("ssv")


class RegistryError(Exception):
    """A file that cannot be used, or not now; the message names it."""


@dataclass(frozen=True)
class ChainSource:
    """Which events are kept.

    Attributes:
        first_block: the first one with events.
        operator_ids: validators of these operators are ours.
    """

    chain_id: int
    contract: bytes
    first_block: int
    operator_ids: frozenset[int]


@dataclass(frozen=True)
class Learned:
    """What a batch of events brought."""

    added: int = 0
    removed: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Refused:
    """An event that is for one of our operators, and that no node takes; or one that cannot be read.

    Attributes:
        public_key: as it was given, of whatever length.
    """

    block_number: int
    owner: bytes
    public_key: bytes
    reason: str


class Registry:
    """The events of one contract that concern some operators, from any thread.

    A file that is about other operators, or another contract, is begun anew.

    Raises:
        RegistryError: the file is something else, or cannot be written.
    """

    def __init__(self, path: Path, source: ChainSource, *, threads: int | None = None) -> None:
        self._path = path
        self._source = source
        self._threads = threads
        self.changes = 0  # of the validators, since it was opened
        self._file = SQLiteFile(path, KIND, refused=RegistryError, failed=RegistryError)
        self._connection = self._file.connection
        with self._file.transaction():
            self._be_of_source()

    def close(self) -> None:
        """Close the file, once no other thread uses it."""
        self._file.close()

    def checkpoints(self) -> list[Checkpoint]:
        """The last final blocks up to which events are known; none before the first."""
        with self._file.alone():
            rows = self._connection.execute("SELECT number, hash FROM checkpoints ORDER BY number").fetchall()
        return [Checkpoint(number, hash_) for number, hash_ in rows]

    def validators(self) -> list[KeyShares]:
        """All that are registered, in the order of their registration."""
        with self._file.alone():
            rows = self._connection.execute(
                "SELECT public_key, operator_ids, shares_data, owner, nonce FROM validators"
                " WHERE removed_block IS NULL ORDER BY id"
            ).fetchall()
        return [
            parse_key_shares(key, _read_ids(ids), data, owner_address=owner, owner_nonce=nonce)
            for key, ids, data, owner, nonce in rows
        ]

    def refused(self) -> list[Refused]:
        """The events that were left out, in the order of the chain."""
        with self._file.alone():
            rows = self._connection.execute(
                "SELECT block_number, owner, public_key, reason FROM refused ORDER BY block_number, log_index"
            ).fetchall()
        return [Refused(*row) for row in rows]

    def learn(self, batch: FinalLogs) -> Learned:
        """Keep what the logs say, and how far they are known now; all of it or nothing.

        Raises:
            RegistryError: the batch does not follow what is known: another process reads into this file.
        """
        with self._file.transaction():
            (known,) = self._connection.execute("SELECT max(number) FROM checkpoints").fetchone()
            expected = self._source.first_block if known is None else known + 1
            if batch.first != expected:
                raise RegistryError(
                    f"{self._path}: expected events from block {expected}, got {batch.first};"
                    " is another process using this file?"
                )
            learned = self._learn(batch.logs)
            number, hash_ = batch.checkpoint.number, batch.checkpoint.hash
            self._connection.execute("INSERT INTO checkpoints VALUES (?, ?)", (number, hash_))
            self._connection.execute(
                "DELETE FROM checkpoints WHERE number <="
                " (SELECT number FROM checkpoints ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (KEPT_CHECKPOINTS,),
            )
        self.changes += learned.added + learned.removed
        return learned

    def rewind(self, back_to: int | None) -> None:
        """Forget what was learned of the blocks above one, or everything."""
        above = -1 if back_to is None else back_to
        with self._file.transaction():
            self._connection.execute("DELETE FROM checkpoints WHERE number > ?", (above,))
            self._connection.execute("DELETE FROM additions WHERE block_number > ?", (above,))
            self._connection.execute("DELETE FROM refused WHERE block_number > ?", (above,))
            self._connection.execute("DELETE FROM validators WHERE added_block > ?", (above,))
            self._connection.execute(
                "UPDATE validators SET removed_block = NULL WHERE removed_block > ?", (above,)
            )
        self.changes += 1

    def _learn(self, logs_: Sequence[Log]) -> Learned:
        outcome: Counter[str] = Counter()
        read = [(log_, self._read(log_, outcome)) for log_ in logs_]
        events = [(log_, event) for log_, event in read if event is not None]
        additions = [(log_, event) for log_, event in events if isinstance(event, ValidatorAdded)]
        nonces = self._count(additions)
        verdicts = iter(
            judge([event for _, event in additions], nonces, self._source.operator_ids, threads=self._threads)
        )
        for log_, event in events:
            if isinstance(event, ValidatorRemoved):
                outcome["removed"] += self._remove(log_, event)
            elif verdict := next(verdicts):
                problem = self._add(log_, verdict) if isinstance(verdict, KeyShares) else verdict
                if problem:
                    self._refuse(log_, event.owner, event.public_key, problem, outcome)
                else:
                    outcome["added"] += 1
        if outcome["refused"] > SHOWN_REFUSED:
            log.warning("more SSV events refused", count=outcome["refused"] - SHOWN_REFUSED)
        return Learned(outcome["added"], outcome["removed"], outcome["refused"])

    def _read(self, log_: Log, outcome: Counter[str]) -> Event | None:
        try:
            return read_event(log_, self._is_ours)
        except EventError as error:
            self._refuse(log_, b"", b"", str(error), outcome)
            return None

    def _is_ours(self, operator_ids: Collection[int]) -> bool:
        return not self._source.operator_ids.isdisjoint(operator_ids)

    def _count(self, additions: Sequence[tuple[Log, ValidatorAdded]]) -> list[int]:
        """The owner's nonce at each addition; they are counted."""
        following: dict[bytes, int] = {}
        counts: Counter[tuple[bytes, int]] = Counter()
        nonces = []
        for log_, event in additions:
            if event.owner not in following:
                (following[event.owner],) = self._connection.execute(
                    "SELECT coalesce(sum(count), 0) FROM additions WHERE owner = ?", (event.owner,)
                ).fetchone()
            nonces.append(following[event.owner])
            following[event.owner] += 1
            counts[event.owner, log_.block_number] += 1
        self._connection.executemany(
            "INSERT INTO additions VALUES (?, ?, ?)", [(*key, count) for key, count in counts.items()]
        )
        return nonces

    def _add(self, log_: Log, shares: KeyShares) -> str:
        """Register a validator that is right; the reason when that cannot be."""
        registered = self._connection.execute(
            "SELECT owner FROM validators WHERE public_key = ? AND removed_block IS NULL",
            (shares.public_key,),
        ).fetchone()
        if registered is not None:
            whose = "it" if registered[0] == shares.owner_address else write_address(registered[0])
            return f"registered already, by {whose}"
        row = shares.public_key, shares.owner_address, shares.owner_nonce, _write_ids(shares.operator_ids)
        self._connection.execute(
            "INSERT INTO validators (public_key, owner, nonce, operator_ids, shares_data, added_block)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (*row, shares.shares_data, log_.block_number),
        )
        return ""

    def _remove(self, log_: Log, event: ValidatorRemoved) -> int:
        """Take a validator out, if it is its owner who says so."""
        return self._connection.execute(
            "UPDATE validators SET removed_block = ?"
            " WHERE public_key = ? AND owner = ? AND removed_block IS NULL",
            (log_.block_number, event.public_key, event.owner),
        ).rowcount

    def _refuse(self, log_: Log, owner: bytes, public_key: bytes, reason: str, outcome: Counter[str]) -> None:
        outcome["refused"] += 1
        key = public_key[: PublicKey.width]
        self._connection.execute(
            "INSERT INTO refused VALUES (?, ?, ?, ?, ?)", (log_.block_number, log_.index, owner, key, reason)
        )
        if outcome["refused"] <= SHOWN_REFUSED:
            log.warning(
                "SSV event refused",
                block=log_.block_number,
                owner=write_address(owner) if owner else None,
                public_key=PublicKey(key).to_wire() if len(key) == PublicKey.width else None,
                reason=reason,
            )

    def _be_of_source(self) -> None:
        """What is in it of another source goes."""
        found = self._connection.execute("SELECT * FROM source").fetchone()
        if found == self._source_row:
            return
        if found is not None:
            log.warning("SSV events are read anew, for others than before", file=str(self._path))
            for table in KIND.tables:
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - ours
        self._connection.execute("INSERT INTO source VALUES (?, ?, ?, ?)", self._source_row)

    @property
    def _source_row(self) -> tuple[int, bytes, int, bytes]:
        source = self._source
        ids = _write_ids(sorted(source.operator_ids))
        return source.chain_id, source.contract, source.first_block, ids


def _write_ids(operator_ids: Iterable[int]) -> bytes:
    return b"".join(each.to_bytes(OPERATOR_ID_BYTES, "big") for each in operator_ids)


def _read_ids(data: bytes) -> tuple[int, ...]:
    width = OPERATOR_ID_BYTES
    return tuple(int.from_bytes(data[i : i + width], "big") for i in range(0, len(data), width))
