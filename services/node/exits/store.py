"""What is known of a cluster's exits, on disk: what this node's operator ordered, what came of it.

A file in the node's folder, between the commands and the node that runs: an order is a row, and so it
outlasts both. Partial exits in it have been verified.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from ...files.paths import is_there
from ...files.sqlite_files import FileKind, SQLiteFile
from .messages import ExitMessage, Order, PartialExit, WholeExit

FILE: Final = "exits.db"
NUMBER_LIMIT: Final = 1 << 63  # what SQLite keeps
NONE_KNOWN: Final[Mapping[bytes, int]] = MappingProxyType({})
MOST_MESSAGES: Final = 4  # that are kept of a node for a validator; older ones give way

KIND: Final = FileKind(
    holds="exits",
    tables=["orders", "partial_exits", "exits"],
    version=1,
    create=[
        "CREATE TABLE cluster (lock_hash BLOB NOT NULL)",
        # What this node is to sign. A problem is why it did not, when it was tried last.
        "CREATE TABLE orders (validator BLOB PRIMARY KEY, epoch INTEGER NOT NULL,"
        " problem TEXT NOT NULL DEFAULT '')",
        "CREATE TABLE partial_exits (id INTEGER PRIMARY KEY, validator BLOB NOT NULL, epoch INTEGER NOT NULL,"
        " validator_index INTEGER NOT NULL, node INTEGER NOT NULL, signature BLOB NOT NULL,"
        " UNIQUE (validator, epoch, validator_index, node))",
        # Signed by the cluster. One that is wanted is sent until the chain shows the validator leaving.
        "CREATE TABLE exits (validator BLOB NOT NULL, epoch INTEGER NOT NULL,"
        " validator_index INTEGER NOT NULL, signature BLOB NOT NULL, sent_at REAL,"
        " problem TEXT NOT NULL DEFAULT '', PRIMARY KEY (validator, epoch, validator_index)) WITHOUT ROWID",
        "CREATE TABLE wanted (validator BLOB NOT NULL, epoch INTEGER NOT NULL,"
        " PRIMARY KEY (validator, epoch)) WITHOUT ROWID",
    ],
)


class ExitStoreError(Exception):
    """A file that cannot be used, or not be written."""


class ExitStore:
    """The file of one node, from any thread; several processes may share it."""

    def __init__(self, path: Path | None, lock_hash: bytes, *, only_looks: bool = False) -> None:
        """Open the file, or make it; without a path, forget all in the end.

        Args:
            path: of the file.
            lock_hash: of the cluster, 32 bytes.
            only_looks: what is there is read into memory, and nothing is made or changed.

        Raises:
            ExitStoreError: neither is possible, or it is of another cluster.
        """
        if only_looks and path is not None and not is_there(path):
            path = None
        self._path, self._lock_hash, self._only_looks = path, lock_hash, only_looks
        self._open()

    def _open(self) -> None:
        path, lock_hash = self._path, self._lock_hash
        file = SQLiteFile(
            path, KIND, refused=ExitStoreError, failed=ExitStoreError, only_looks=self._only_looks
        )
        try:
            with file.transaction():
                row = file.connection.execute("SELECT lock_hash FROM cluster").fetchone()
                if row is None:
                    file.connection.execute("INSERT INTO cluster VALUES (?)", (lock_hash,))
                elif bytes(row[0]) != lock_hash:
                    raise ExitStoreError(f"{path}: its exits are of another cluster; move it away")
        except BaseException:
            file.close()
            raise
        self._file = file
        self._run, self._many = file.connection.execute, file.connection.executemany

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def renew(self) -> bool:
        """Open the file anew, or make it, if it was removed or replaced; whether it was.

        Raises:
            ExitStoreError: what is there now cannot be used.
        """
        if self._file.is_in_place():
            return False
        self._file.close()
        self._open()
        return True

    def changes(self) -> int:
        """Another number when another process has written since."""
        with self._file.alone():
            [number] = self._run("PRAGMA data_version").fetchone()
        return int(number)

    def is_empty(self) -> bool:
        """Whether nothing was ordered, and no node signed anything."""
        with self._file.alone():
            return not self._run(
                "SELECT 1 WHERE EXISTS (SELECT 1 FROM orders) OR EXISTS (SELECT 1 FROM partial_exits)"
            ).fetchone()

    # What is ordered.

    def order(
        self, validators: Sequence[bytes], epoch: int, *, is_wanted: bool = False, replace: bool = False
    ) -> list[Order]:
        """This node is to sign exits.

        Args:
            is_wanted: they are to be sent as soon as the cluster has signed them.
            replace: also where another epoch was ordered before; exits of others are no more wanted then.

        Returns:
            Earlier orders that are of another epoch, which were not to be replaced: then nothing was ordered.
        """
        keys = set(validators)
        with self._file.transaction():
            others = [each for each in self.orders() if each.validator in keys and each.epoch != epoch]
            if others and not replace:
                return others
            self._many(
                "INSERT OR REPLACE INTO orders (validator, epoch) VALUES (?, ?)",
                [(each, epoch) for each in validators],
            )
            self._many(
                "DELETE FROM wanted WHERE validator = ? AND epoch != ?",
                [(each.validator, epoch) for each in others],
            )
            if is_wanted:
                self.want((each, epoch) for each in validators)
        return []

    def cancel(self, validators: Iterable[bytes]) -> None:
        """Take orders back: nothing of these is signed, given to other nodes or sent any more."""
        keys = [(each,) for each in validators]
        with self._file.transaction():
            self._many("DELETE FROM orders WHERE validator = ?", keys)
            self._many("DELETE FROM wanted WHERE validator = ?", keys)

    def orders(self) -> list[Order]:
        """All of them."""
        return [Order(*row) for row in self._rows("SELECT validator, epoch, problem FROM orders")]

    def unsigned(self, node: int, indices: Mapping[bytes, int] = NONE_KNOWN) -> list[Order]:
        """Those that this node has not signed yet.

        Args:
            indices: of validators on the chain, where they are known: what is signed of another is of no use.
        """
        signed = {
            (validator, epoch)
            for validator, epoch, index in self._rows(
                "SELECT validator, epoch, validator_index FROM partial_exits WHERE node = ?", node
            )
            if indices.get(validator, index) == index
        }
        return [each for each in self.orders() if (each.validator, each.epoch) not in signed]

    def tell(self, problem: str, validators: Iterable[bytes]) -> None:
        """Why these are not signed."""
        with self._file.transaction():
            self._many(
                "UPDATE orders SET problem = ? WHERE validator = ?", [(problem, v) for v in validators]
            )

    # What nodes signed.

    def known(self, node: int, messages: Iterable[ExitMessage]) -> set[ExitMessage]:
        """Which of these a node is known to have signed."""
        with self._file.alone():
            return {
                each
                for each in messages
                if self._run(
                    "SELECT 1 FROM partial_exits WHERE validator = ? AND epoch = ? AND validator_index = ?"
                    " AND node = ?",
                    (*_columns(each), node),
                ).fetchone()
            }

    def add(self, partials: Sequence[PartialExit]) -> None:
        """Keep verified ones."""
        with self._file.transaction():
            self._many(
                "INSERT OR IGNORE INTO partial_exits (validator, epoch, validator_index, node, signature)"
                " VALUES (?, ?, ?, ?, ?)",
                [(*_columns(each.message), each.node, each.signature) for each in partials],
            )
            self._many(
                "DELETE FROM partial_exits WHERE id IN (SELECT id FROM partial_exits WHERE validator = ?"
                " AND node = ? ORDER BY id DESC LIMIT -1 OFFSET ?)",
                {(each.message.validator, each.node, MOST_MESSAGES) for each in partials},
            )

    def drop(self, partials: Iterable[PartialExit]) -> None:
        """Keep these no more: somebody has changed them in the file."""
        with self._file.transaction():
            self._many(
                "DELETE FROM partial_exits WHERE validator = ? AND epoch = ? AND validator_index = ?"
                " AND node = ?",
                [(*_columns(each.message), each.node) for each in partials],
            )

    def partials(self, node: int | None = None) -> list[PartialExit]:
        """All that is kept, or what one node signed."""
        rows = self._rows(
            "SELECT validator, epoch, validator_index, node, signature FROM partial_exits"
            " WHERE ?1 IS NULL OR node = ?1 ORDER BY validator, epoch, validator_index, node",
            node,
        )
        return [PartialExit(ExitMessage(*message), by, signature) for *message, by, signature in rows]

    def due(self, threshold: int) -> list[list[PartialExit]]:
        """Of each exit that is not whole what nodes signed, where enough of them did."""
        rows = self._rows(
            "SELECT validator, epoch, validator_index, node, signature FROM partial_exits p WHERE"
            " (SELECT count(*) FROM partial_exits q WHERE q.validator = p.validator AND q.epoch = p.epoch"
            " AND q.validator_index = p.validator_index) >= ?"
            " AND NOT EXISTS (SELECT 1 FROM exits e WHERE e.validator = p.validator AND e.epoch = p.epoch"
            " AND e.validator_index = p.validator_index) ORDER BY validator, epoch, validator_index, node",
            threshold,
        )
        found = [PartialExit(ExitMessage(*message), by, signature) for *message, by, signature in rows]
        return [list(some) for _, some in groupby(found, key=lambda each: each.message)]

    # What the cluster signed.

    def complete(self, exits: Sequence[WholeExit]) -> None:
        """Keep exits that the cluster has signed."""
        with self._file.transaction():
            self._many(
                "INSERT OR IGNORE INTO exits (validator, epoch, validator_index, signature)"
                " VALUES (?, ?, ?, ?)",
                [(*_columns(each.message), each.signature) for each in exits],
            )

    def whole(self) -> list[WholeExit]:
        """All exits that the cluster has signed, of each validator that of the first epoch first."""
        rows = self._rows(
            "SELECT validator, epoch, validator_index, signature, sent_at, problem FROM exits"
            " ORDER BY validator, epoch, validator_index"
        )
        return [WholeExit(ExitMessage(*row[:3]), *row[3:]) for row in rows]

    def want(self, exits: Iterable[tuple[bytes, int]]) -> None:
        """These are to be sent, by validator and epoch."""
        with self._file.transaction():
            self._many("INSERT OR IGNORE INTO wanted VALUES (?, ?)", list(exits))

    def wanted(self) -> set[tuple[bytes, int]]:
        """Which are to be sent, by validator and epoch."""
        return set(self._rows("SELECT validator, epoch FROM wanted"))

    def sent(self, message: ExitMessage, now: float) -> None:
        """A beacon node has taken an exit."""
        self._mark(message, "sent_at = coalesce(sent_at, ?), problem = ''", now)

    def not_sent(self, message: ExitMessage, problem: str) -> None:
        """Beacon nodes did not take an exit."""
        self._mark(message, "problem = ?", problem)

    def _mark(self, message: ExitMessage, change: str, value: float | str) -> None:
        with self._file.transaction():
            self._run(
                f"UPDATE exits SET {change} WHERE validator = ? AND epoch = ? AND validator_index = ?",  # noqa: S608
                (value, *_columns(message)),
            )

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._file.alone():
            return self._run(statement, values).fetchall()


def _columns(message: ExitMessage) -> tuple[bytes, int, int]:
    return message.validator, message.epoch, message.index
