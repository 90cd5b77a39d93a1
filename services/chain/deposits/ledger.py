"""The validators that final deposits have made, in SQLite, and up to which block.

Everything in it is public and comes from the chain: a file that is lost is read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dvtfast import Network

from ...files.sqlite_files import FileKind, SQLiteFile
from ...process.offload import UnavailableError
from ..encoding import read_address
from ..execution.scanner import Checkpoint
from .contract_tree import DepositsSoFar
from .dump import Dump

KEPT_CHECKPOINTS = 32  # the last ones, to return to after a reorganisation that was thought impossible
KEYS_AT_ONCE = 1000  # in one statement
FROM_VERSION_1 = (
    "ALTER TABLE seed ADD COLUMN next_deposit INTEGER",
    "ALTER TABLE checkpoints ADD COLUMN tree BLOB",
    # That version kept what a node without logs did not tell: blocks that brought nothing are read again.
    "DELETE FROM checkpoints WHERE deposits = 0 OR EXISTS (SELECT 1 FROM checkpoints AS before"
    " WHERE before.deposits = checkpoints.deposits AND before.number < checkpoints.number)",
)
ROWS_AT_ONCE = 10_000  # of a dump, as Python objects

SCHEMA = """
CREATE TABLE source (chain_id INTEGER, contract BLOB, first_block INTEGER);
-- `next_deposit` is the contract's number for the first one after the dump, NULL until that is proven.
CREATE TABLE seed (validators INTEGER, last_block INTEGER, next_deposit INTEGER);
-- With the totals up to there, so that a rewind has nothing to count.
CREATE TABLE checkpoints (
    number INTEGER PRIMARY KEY, hash BLOB NOT NULL,
    validators INTEGER NOT NULL, deposits INTEGER NOT NULL, bad_signatures INTEGER NOT NULL,
    next_deposit INTEGER, tree BLOB
);
CREATE TABLE validators (
    public_key BLOB PRIMARY KEY, validator_index INTEGER NOT NULL, block_number INTEGER NOT NULL
) WITHOUT ROWID;
"""

KIND = FileKind(
    holds="deposits",
    tables=["source", "seed", "checkpoints", "validators"],
    application_id=0x44564450,  # "DVDP"
    version=2,
    create=SCHEMA.split(";"),
    upgrades={1: FROM_VERSION_1},
    is_private=False,
    is_durable=False,  # the last batches may be read again
    can_be_read_again=True,
    busy_seconds=30.0,  # more than another process takes to write a batch, or a dump
)


class LedgerError(UnavailableError):
    """A file that cannot be used, or not now; the message names it."""


class LedgerMovedError(LedgerError):
    """Another process has read on into the same file; a new look goes on from there."""


@dataclass(frozen=True)
class LedgerSource:
    """Whose deposits are kept; `first_block` is the first one that can have any."""

    chain_id: int
    contract: bytes
    first_block: int

    @classmethod
    def of(cls, network: Network) -> Self:
        """Those of a network."""
        contract = read_address(network.deposit_contract)
        return cls(network.chain_id, contract, network.deposit_contract_block)


@dataclass(frozen=True)
class Totals:
    """What all deposits up to a block come to.

    Attributes:
        validators: those of a dump among them; the index of the next one.
        deposits: how many were read, without those of a dump.
        bad_signatures: how many of these prove nothing, for keys that had no validator.
        so_far: all of the contract, with those before a dump's end; None after a dump until its end is
            proven.
    """

    validators: int
    deposits: int = 0
    bad_signatures: int = 0
    so_far: DepositsSoFar | None = None


@dataclass(frozen=True)
class Known:
    """A validator, and the block of the deposit that made it."""

    validator_index: int
    block_number: int


@dataclass(frozen=True)
class Seed:
    """The dump that a ledger began with.

    Attributes:
        validators: how many are in it.
        last_block: up to which it has all.
        next_deposit: the contract's number for the first deposit after that block; None until a node says it,
            proven with the first blocks that are read.
    """

    validators: int
    last_block: int
    next_deposit: int | None


class Ledger:
    """What is final of one deposit contract, from any thread.

    Raises:
        LedgerError: the file is about another contract, something else, or cannot be written.
    """

    def __init__(self, path: Path, source: LedgerSource) -> None:
        self._path = path
        self._source = source
        self._file = SQLiteFile(path, KIND, refused=LedgerError, failed=LedgerError)
        self._connection = self._file.connection
        with self._file.transaction():
            self._be_of_source()

    def close(self) -> None:
        """Close the file, once no other thread uses it."""
        self._file.close()

    @property
    def first_block(self) -> int:
        """The first one that events are read from: after the dump, if there was one."""
        seed = self.seed
        return self._source.first_block if seed is None else seed.last_block + 1

    @property
    def seed(self) -> Seed | None:
        """The dump that it began with; None without one."""
        with self._file.alone():
            row = self._connection.execute("SELECT * FROM seed").fetchone()
        return None if row is None else Seed(*row)

    def is_empty(self) -> bool:
        """Whether nothing was read yet, neither a dump nor events."""
        return self.seed is None and not self.checkpoints()

    def begin_with(self, dump: Dump, last_block: int) -> None:
        """Begin with a dump of all validators up to a block.

        Raises:
            LedgerError: there is something already.
        """
        with self._file.transaction():
            if not self.is_empty():
                raise LedgerError(f"{self._path}: expected an empty file for a dump")
            for begin in range(0, len(dump), ROWS_AT_ONCE):
                rows = slice(begin, begin + ROWS_AT_ONCE)
                self._connection.executemany(
                    "INSERT INTO validators VALUES (?, ?, ?)",
                    zip(
                        (row.tobytes() for row in dump.public_keys[rows]),
                        dump.indices[rows].tolist(),
                        dump.blocks[rows].tolist(),
                        strict=True,
                    ),
                )
            self._connection.execute("INSERT INTO seed VALUES (?, ?, NULL)", (len(dump), last_block))

    def go_on_from(self, next_deposit: int) -> None:
        """Note the number of the first deposit after the dump, anew as long as nothing was read after it.

        Raises:
            LedgerError: what was read before that was noted begins with another one.
        """
        with self._file.transaction():
            totals = self.totals()
            read_to = totals.so_far if self.checkpoints() else None
            if read_to is not None and read_to.count != next_deposit + totals.deposits:
                raise LedgerError(
                    f"{self._path}: deposits right after the dump are missing in it: their first one is"
                    f" {next_deposit}; remove the file, and begin again with the dump"
                )
            self._connection.execute("UPDATE seed SET next_deposit = ?", (next_deposit,))

    def checkpoints(self) -> list[Checkpoint]:
        """The last final blocks up to which deposits are known; none before the first."""
        with self._file.alone():
            rows = self._connection.execute("SELECT number, hash FROM checkpoints ORDER BY number").fetchall()
        return [Checkpoint(number, hash_) for number, hash_ in rows]

    def totals(self, *, before: int | None = None) -> Totals:
        """Up to the last checkpoint.

        Raises:
            LedgerMovedError: the checkpoint is not that of the block right before `before`.
        """
        with self._file.alone():
            row = self._connection.execute(
                "SELECT number, validators, deposits, bad_signatures, next_deposit, tree FROM checkpoints"
                " ORDER BY number DESC LIMIT 1"
            ).fetchone()
        last = self.first_block - 1 if row is None else row[0]
        if before not in (None, last + 1):
            raise LedgerMovedError(
                f"{self._path}: expected deposits from block {last + 1}, got {before};"
                " is another process reading into this file?"
            )
        seed = self.seed
        so_far: DepositsSoFar | None = DepositsSoFar.none()
        if seed is not None:
            so_far = None if seed.next_deposit is None else DepositsSoFar(seed.next_deposit)
        if row is None:
            return Totals(0 if seed is None else seed.validators, so_far=so_far)
        _, validators, deposits, bad_signatures, next_deposit, tree = row
        if next_deposit is not None:  # else there was none since the dump
            so_far = DepositsSoFar.read(next_deposit, tree)
        return Totals(validators, deposits, bad_signatures, so_far)

    def known(self, public_keys: Sequence[bytes]) -> dict[bytes, Known]:
        """Those of these keys that are validators'."""
        found: dict[bytes, Known] = {}
        with self._file.alone():
            for begin in range(0, len(public_keys), KEYS_AT_ONCE):
                some = public_keys[begin : begin + KEYS_AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = self._connection.execute(
                    f"SELECT * FROM validators WHERE public_key IN ({marks})",  # noqa: S608 - marks only
                    some,
                )
                found |= {key: Known(index, number) for key, index, number in rows}
        return found

    def keys_at(self, indices: Sequence[int]) -> dict[int, bytes]:
        """The keys of those of these validators that are known, by index.

        Cost: a look at all validators, a second for two million.
        """
        found: dict[int, bytes] = {}
        with self._file.alone():
            for begin in range(0, len(indices), KEYS_AT_ONCE):
                some = indices[begin : begin + KEYS_AT_ONCE]
                marks = ",".join("?" * len(some))
                query = "SELECT validator_index, public_key FROM validators WHERE validator_index IN"
                found |= dict(self._connection.execute(f"{query} ({marks})", some))
        return found

    def learn(
        self, first: int, checkpoint: Checkpoint, made: Sequence[tuple[bytes, int]], totals: Totals
    ) -> None:
        """Keep what the final blocks from `first` to a checkpoint brought; all of it or nothing.

        Args:
            made: public key and block of the deposit of each new validator, in their order.
            totals: up to the checkpoint.

        Raises:
            LedgerMovedError: the blocks do not follow what is known.
        """
        with self._file.transaction():
            self.totals(before=first)
            begin = totals.validators - len(made)
            rows = [(key, index, number) for index, (key, number) in enumerate(made, begin)]
            rows.sort()  # beside each other in the file, too
            self._connection.executemany("INSERT INTO validators VALUES (?, ?, ?)", rows)
            self._connection.execute(
                "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    checkpoint.number,
                    checkpoint.hash,
                    totals.validators,
                    totals.deposits,
                    totals.bad_signatures,
                    None if totals.so_far is None else totals.so_far.count,
                    None if totals.so_far is None else totals.so_far.written,
                ),
            )
            self._connection.execute(
                "DELETE FROM checkpoints WHERE number <="
                " (SELECT number FROM checkpoints ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (KEPT_CHECKPOINTS,),
            )

    def rewind(self, back_to: int | None) -> None:
        """Forget what events said of the blocks above one, or all that they said."""
        above = self.first_block - 1 if back_to is None else back_to
        with self._file.transaction():
            self._connection.execute("DELETE FROM checkpoints WHERE number > ?", (above,))
            self._connection.execute("DELETE FROM validators WHERE block_number > ?", (above,))

    def _be_of_source(self) -> None:
        source = self._source.chain_id, self._source.contract, self._source.first_block
        found = self._connection.execute("SELECT * FROM source").fetchone()
        if found is None:
            self._connection.execute("INSERT INTO source VALUES (?, ?, ?)", source)
        elif found != source:
            raise LedgerError(f"{self._path}: has the deposits of another contract; name another file")
