"""What validators have signed, on disk before a signature leaves, and so what they must not sign any more.

All votes of a slot are judged and written in one transaction. Old ones are forgotten: the highest numbers in
them stay as bounds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dvtfast.duties.slashing import (
    SAFE,
    Bounds,
    SignedAttestation,
    SignedBlock,
    combined,
    highest,
    lowest,
    why_not_attestation,
    why_not_block,
)

from ...files.paths import is_there
from ...files.sqlite_files import FileKind, SQLiteFile
from .interchange import (
    NUMBER_LIMIT,
    attestations_of,
    blocks_of,
    read_interchange,
    write_entry,
    write_interchange,
)

# Votes are kept so that what was signed can be signed again after a restart, and no longer: twenty thousand
# validators make a million of them in fifty epochs.
KEPT_EPOCHS: Final = 32
TOO_HIGH: Final = "its numbers are beyond all that can be kept"

KIND: Final = FileKind(
    holds="slashing protection",
    tables=["validators", "blocks", "attestations"],
    version=1,
    busy_seconds=2.0,  # most of the time that a duty has
    create=[
        # All duties before a slot are forgotten, and no more signed.
        "CREATE TABLE chain (genesis_validators_root BLOB NOT NULL,"
        " forgotten_slot INTEGER NOT NULL DEFAULT 0)",
        # Bounds: the lowest numbers of a validator's messages; when some are forgotten, the highest of these.
        "CREATE TABLE validators (id INTEGER PRIMARY KEY, public_key BLOB NOT NULL UNIQUE,"
        " least_slot INTEGER, least_source INTEGER, least_target INTEGER,"
        " has_forgotten INTEGER NOT NULL DEFAULT 0)",
        # A signing root that nobody knows is empty.
        "CREATE TABLE blocks (validator INTEGER, slot INTEGER, signing_root BLOB,"
        " PRIMARY KEY (validator, slot, signing_root)) WITHOUT ROWID",
        "CREATE TABLE attestations (validator INTEGER, target INTEGER, source INTEGER, signing_root BLOB,"
        " PRIMARY KEY (validator, target, source, signing_root)) WITHOUT ROWID",
        # Which validators signed a root for a duty: their ids as u32, little-endian.
        "CREATE TABLE duties (slot INTEGER, type INTEGER, subcommittee INTEGER, signing_root BLOB,"
        " validators BLOB NOT NULL, PRIMARY KEY (slot, type, subcommittee, signing_root)) WITHOUT ROWID",
    ],
)
ASKED: Final = "CREATE TEMP TABLE asked (n INTEGER PRIMARY KEY, public_key BLOB, lowest INTEGER)"
# In this order, which SQLite does not choose by itself: each that is asked for, its validator, what is near.
_OF_ASKED = "FROM asked a CROSS JOIN validators v USING (public_key)"
ASKED_VALIDATORS: Final = (
    f"SELECT v.id, v.has_forgotten, v.least_slot, v.least_source, v.least_target {_OF_ASKED} ORDER BY a.n"
)
SAME_BLOCKS: Final = (
    f"SELECT a.n, b.slot, b.signing_root {_OF_ASKED}"
    " CROSS JOIN blocks b ON b.validator = v.id AND b.slot = a.lowest"
)
NEAR_VOTES: Final = (
    f"SELECT a.n, b.source, b.target, b.signing_root {_OF_ASKED}"
    " CROSS JOIN attestations b ON b.validator = v.id AND b.target >= a.lowest"
)


class SlashingProtectionError(Exception):
    """A file that cannot be used, or not be written: nothing may be signed."""


def chain_of_file(path: Path) -> bytes | None:
    """The genesis validators root of a file that is there, for which chain it is; None when there is no file.

    Raises:
        SlashingProtectionError: it is another file, or cannot be read.
    """
    if not is_there(path):
        return None
    file = SQLiteFile(path, KIND, refused=SlashingProtectionError, failed=SlashingProtectionError)
    try:
        with file.transaction(keep=False):
            row = file.connection.execute("SELECT genesis_validators_root FROM chain").fetchone()
    finally:
        file.close()
    return None if row is None else bytes(row[0])


@dataclass(frozen=True)
class Imported:
    """What came of a file."""

    validators: int
    blocks: int
    attestations: int


@dataclass
class _Validator:
    """A validator in a transaction: its bounds, now and as they are written, and what is new of it."""

    id: int
    bounds: Bounds
    written: Bounds
    has_forgotten: bool
    blocks: list[SignedBlock] = field(default_factory=list)
    attestations: list[SignedAttestation] = field(default_factory=list)


class SlashingProtection:
    """A file for one chain, from any thread; several processes may share it.

    A message that may be signed is on disk when a call returns, and only then.

    Attributes:
        file: for what else has to be in the same transactions.
    """

    def __init__(
        self,
        path: Path | None,
        genesis_validators_root: bytes,
        *,
        kept_epochs: int = KEPT_EPOCHS,
        one_writer: str = "",
    ) -> None:
        """Open the file, or make it; without a path, forget all in the end.

        Args:
            one_writer: which program has the file for itself, if one has.

        Raises:
            SlashingProtectionError: neither is possible, or it is of another chain.
        """
        self._root = bytes(genesis_validators_root)
        self._kept_epochs = kept_epochs
        self.file = SQLiteFile(
            path,
            KIND,
            refused=SlashingProtectionError,
            failed=SlashingProtectionError,
            one_writer=one_writer,
        )
        self._connection = self.file.connection
        try:
            self._require_chain()
            with self.file.alone():
                self._connection.execute("PRAGMA temp_store = MEMORY")
                self._connection.execute(ASKED)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def ids_of(self, public_keys: Sequence[bytes]) -> list[int]:
        """The number that each validator has in this file.

        Raises:
            SlashingProtectionError: the file cannot be written.
        """
        with self.file.transaction():
            return [validator.id for validator in self._validators(public_keys, [0] * len(public_keys))]

    def record_blocks(self, public_keys: Sequence[bytes], blocks: Sequence[SignedBlock]) -> list[str]:
        """Put blocks that are to be signed on record, each by its validator; for each, why not, or "".

        Raises:
            SlashingProtectionError: the file cannot be written; none may be signed.
        """
        with self.file.transaction():
            validators = self._validators(public_keys, [block.slot for block in blocks])
            known: dict[int, list[SignedBlock]] = defaultdict(list)
            for n, slot, signing_root in self._connection.execute(SAME_BLOCKS):
                known[n].append(SignedBlock(slot, signing_root))
            problems, accepted = [], []
            for n, (validator, block) in enumerate(zip(validators, blocks, strict=True)):
                before = [*known[n], *(each for each in validator.blocks if each.slot == block.slot)]
                problems.append(
                    why_not_block(block, before, validator.bounds) if block.slot < NUMBER_LIMIT else TOO_HIGH
                )
                if problems[-1] == SAFE:
                    validator.blocks.append(block)
                    validator.bounds = combined(validator.bounds, lowest([block], []), _the_old)
                    accepted.append((validator, block))
            self._add_blocks(accepted)
            self._set_bounds(validator for validator, _ in accepted)
            return problems

    def record_attestations(
        self, public_keys: Sequence[bytes], attestations: Sequence[SignedAttestation]
    ) -> list[str]:
        """Put attestations that are to be signed on record, each by its validator; for each, why not, or "".

        Raises:
            SlashingProtectionError: the file cannot be written; none may be signed.
        """
        with self.file.transaction():
            lowest_targets = [min(vote.target_epoch, vote.source_epoch + 1) for vote in attestations]
            validators = self._validators(public_keys, lowest_targets)
            known: dict[int, list[SignedAttestation]] = defaultdict(list)
            for n, *vote in self._connection.execute(NEAR_VOTES):
                known[n].append(SignedAttestation(*vote))
            problems, accepted = [], []
            for n, (validator, vote) in enumerate(zip(validators, attestations, strict=True)):
                before = [*known[n], *validator.attestations]
                problems.append(
                    why_not_attestation(vote, before, validator.bounds)
                    if max(vote.source_epoch, vote.target_epoch) < NUMBER_LIMIT
                    else TOO_HIGH
                )
                if problems[-1] == SAFE:
                    validator.attestations.append(vote)
                    validator.bounds = combined(validator.bounds, lowest([], [vote]), _the_old)
                    accepted.append((validator, vote))
            self._add_attestations(accepted)
            self._set_bounds(validator for validator, _ in accepted)
            self._forget_old(accepted)
            return problems

    def import_interchange(self, body: bytes, *, keeps_gaps: bool = False) -> Imported:
        """Take over what other signers have signed; all of the file, or nothing.

        Args:
            keeps_gaps: what lies between the messages of the file may still be signed, which is right only
                where the file has them all. Off, a message has to be above the highest.

        Raises:
            InterchangeError: it is no interchange of this chain.
            SlashingProtectionError: the file cannot be written.
        """
        entries = read_interchange(body, self._root).data
        with self.file.transaction():
            validators = self._validators([entry.pubkey for entry in entries], [0] * len(entries))
            blocks = [(v, b) for v, entry in zip(validators, entries, strict=True) for b in blocks_of(entry)]
            votes = [
                (v, a) for v, entry in zip(validators, entries, strict=True) for a in attestations_of(entry)
            ]
            self._add_blocks(blocks)
            self._add_attestations(votes)
            for validator, block in blocks:
                validator.blocks.append(block)
            for validator, vote in votes:
                validator.attestations.append(vote)
            distinct = {validator.id: validator for validator in validators}.values()
            for validator in distinct:
                of_file = lowest(validator.blocks, validator.attestations)
                # Where some are forgotten, no bound goes down.
                validator.bounds = combined(
                    validator.bounds, of_file, _the_old if validator.has_forgotten else min
                )
            self._set_bounds(distinct)
            if not keeps_gaps:
                for validator in distinct:
                    self._forget(validator, highest(validator.blocks, validator.attestations))
        return Imported(len(distinct), len(blocks), len(votes))

    def export_interchange(self) -> bytes:
        """What is on record, in the form that other signers take over.

        Raises:
            SlashingProtectionError: the file cannot be read.
        """
        with self.file.transaction(keep=False):
            validators = self._connection.execute(
                "SELECT id, public_key, iif(has_forgotten, least_source, NULL), least_target FROM validators"
                " ORDER BY id"
            ).fetchall()
            blocks: dict[int, list[SignedBlock]] = defaultdict(list)
            for validator, *block in self._connection.execute(
                "SELECT validator, slot, signing_root FROM blocks"
            ):
                blocks[validator].append(SignedBlock(*block))
            votes: dict[int, list[SignedAttestation]] = defaultdict(list)
            for validator, *vote in self._connection.execute(
                "SELECT validator, source, target, signing_root FROM attestations"
            ):
                votes[validator].append(SignedAttestation(*vote))
        entries = []
        for n, key, source, target in validators:
            if source is not None and source > max((vote.source_epoch for vote in votes[n]), default=-1):
                votes[n].append(SignedAttestation(source, target))  # stands for what is forgotten
            if blocks[n] or votes[n]:
                entries.append(write_entry(key, blocks[n], votes[n]))
        return write_interchange(self._root, entries)

    def _validators(self, public_keys: Sequence[bytes], lowest_numbers: Sequence[int]) -> list[_Validator]:
        """Each one's, and with them what is asked for, in a table for what follows."""
        run = self._connection.execute
        keys = [bytes(key) for key in public_keys]
        self._connection.executemany(
            "INSERT OR IGNORE INTO validators (public_key) VALUES (?)",
            [(key,) for key in dict.fromkeys(keys)],
        )
        run("DELETE FROM asked")
        self._connection.executemany(
            "INSERT INTO asked VALUES (?, ?, ?)",
            [
                (n, key, min(number, NUMBER_LIMIT - 1))
                for n, (key, number) in enumerate(zip(keys, lowest_numbers, strict=True))
            ],
        )
        found: dict[int, _Validator] = {}
        validators = []
        for number, has_forgotten, *numbers in run(ASKED_VALIDATORS):
            bounds = Bounds(*numbers)
            validators.append(
                found.setdefault(number, _Validator(number, bounds, bounds, bool(has_forgotten)))
            )
        return validators

    def _add_blocks(self, blocks: Iterable[tuple[_Validator, SignedBlock]]) -> None:
        rows = [(validator.id, block.slot, block.signing_root) for validator, block in blocks]
        self._connection.executemany("INSERT OR IGNORE INTO blocks VALUES (?, ?, ?)", rows)

    def _add_attestations(self, votes: Iterable[tuple[_Validator, SignedAttestation]]) -> None:
        rows = [(v.id, vote.target_epoch, vote.source_epoch, vote.signing_root) for v, vote in votes]
        self._connection.executemany("INSERT OR IGNORE INTO attestations VALUES (?, ?, ?, ?)", rows)

    def _set_bounds(self, validators: Iterable[_Validator]) -> None:
        rows = []
        for validator in validators:
            new = validator.bounds
            if new != validator.written:
                rows.append((new.slot, new.source_epoch, new.target_epoch, validator.id))
                validator.written = new
        self._connection.executemany(
            "UPDATE validators SET least_slot = ?, least_source = ?, least_target = ? WHERE id = ?", rows
        )

    def _forget_old(self, votes: Iterable[tuple[_Validator, SignedAttestation]]) -> None:
        """Votes of long ago, of many epochs at once, so that it costs little."""
        for validator, vote in votes:
            oldest, least = vote.target_epoch - self._kept_epochs, validator.bounds.target_epoch
            if least is not None and oldest - least > self._kept_epochs:
                self._forget(validator, Bounds(target_epoch=oldest - 1))

    def _forget(self, validator: _Validator, up_to: Bounds) -> None:
        """What is below bounds; the highest numbers in it count from now on, and what has these is kept."""
        run, number = self._connection.execute, validator.id
        votes = run(
            "SELECT max(source), max(target) FROM attestations WHERE validator = ? AND target <= ?",
            (number, up_to.target_epoch),
        ).fetchone()
        forgotten = Bounds(up_to.slot, *votes)
        validator.bounds = combined(validator.bounds, forgotten, max)
        self._set_bounds([validator])
        run("UPDATE validators SET has_forgotten = 1 WHERE id = ?", (number,))
        run("DELETE FROM blocks WHERE validator = ? AND slot < ?", (number, forgotten.slot))
        run("DELETE FROM attestations WHERE validator = ? AND target < ?", (number, forgotten.target_epoch))

    def _require_chain(self) -> None:
        with self.file.transaction():
            row = self._connection.execute("SELECT genesis_validators_root FROM chain").fetchone()
            if row is None:
                self._connection.execute(
                    "INSERT INTO chain (genesis_validators_root) VALUES (?)", (self._root,)
                )
            elif row[0] != self._root:
                raise SlashingProtectionError("slashing protection: the file is of another chain")


def _the_old(one: int, other: int) -> int:
    return one
