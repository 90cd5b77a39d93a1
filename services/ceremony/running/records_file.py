"""The records of a machine on disk: what it must know again after a restart, until its ceremony has ended.

Each attempt at a ceremony has a file of its own below `.dvtfast-dkg` in the node's folder. The machine seals
what is in it. When the attempt has ended the file is emptied, but stays: its number is never used again. If
somebody may have signatures by its keys it is set aside instead, under another name, and never erased. Of one
that ended well receipts are kept, for who has not heard of it. That of a charon ceremony is aside from the
beginning, and has its keys alone.

    format 8 | how many bytes of the file count, 8 | their check 8
    records, each: length 4 | check 8 | record

A check is the first 8 bytes of a SHA-256. That a record counts is written when it is on the disk, and nothing
comes of it before. So what follows those that count was not acted on, and is dropped; and where one of them
is not as it was written, or missing, the disk has lost what this node has said, and it says no more.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Self

from dvtfast.files import read_bytes

from ...chain.encoding import write_data
from ...files import paths
from ..errors import CeremonyError
from ..staging import sync_directory

FOLDER = ".dvtfast-dkg"
FOLDER_MODE, FILE_MODE = 0o700, 0o600
NAME_DIGITS = 16  # of the definition hash, in hex
RECEIPTS, ASIDE = ".done", ".aside"
CHARONS = ".frost-{}" + ASIDE  # of a charon ceremony
# Who moves it away uses its number twice, and is convicted of saying two things.
GIVE_UP = f"if all agree that this attempt is over, add {ASIDE} to its name: docs/dkg.md"
FORMAT = b"dvtfast\2"
SIZE_BYTES, LENGTH_BYTES, CHECK_BYTES = 8, 4, 8
HEAD_BYTES = len(FORMAT) + SIZE_BYTES + CHECK_BYTES
MOST_FILE_BYTES = 2**31


class RecordsFile:
    """The records of one attempt.

    Attributes:
        attempt: its number.
        path: of the file.
        written: what was recorded before; empty for a new attempt.
    """

    def __init__(self, path: Path, attempt: int) -> None:
        self.attempt = attempt
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        sync_directory(path.parent)
        try:
            self.written, self._size = _records_of(read_bytes(path, limit_bytes=MOST_FILE_BYTES))
        except ValueError as error:
            self.close()
            raise CeremonyError(
                f"{path}: {error}; it has what this node has said, and cannot be gone on without: {GIVE_UP}"
            ) from None

    @classmethod
    def open(cls, directory: Path, definition_hash: bytes, *, least_attempt: int = 0) -> Self:
        """Those of the attempt that has not ended, or of the next one.

        Args:
            least_attempt: what others have begun; an own attempt below it is over.

        Raises:
            OSError: the files cannot be read or made.
            CeremonyError: a file's name is none.
        """
        folder = _made_folder(directory)
        attempts = _attempts_in(folder, _prefix(definition_hash))
        for attempt, path in attempts.items():
            if path.suffix == ASIDE or not path.stat().st_size:
                continue
            records = cls(path, attempt)
            if attempt >= least_attempt and records.written:
                return records
            if records.written:
                records.set_aside()
            else:
                records.erase()  # it was being made, or erased
        attempt = max([least_attempt, *(attempt + 1 for attempt in attempts)])
        return cls(folder / f"{_prefix(definition_hash)}{attempt}", attempt)

    def append(self, record: bytes) -> None:
        """Write a record; it is on the disk when this returns.

        Raises:
            OSError: the disk does not take it.
        """
        if not self._size:
            self._write_head(HEAD_BYTES)
        length = len(record).to_bytes(LENGTH_BYTES)
        self._write(self._size, length + _check(length + record) + record)
        self._write_head(self._size + LENGTH_BYTES + CHECK_BYTES + len(record))

    def _write_head(self, size: int) -> None:
        """So many bytes count, and are on the disk."""
        head = FORMAT + size.to_bytes(SIZE_BYTES)
        self._write(0, head + _check(head))
        self._size = size

    def _write(self, place: int, content: bytes) -> None:
        while content:
            written = os.pwrite(self._descriptor, content, place)
            place, content = place + written, content[written:]
        os.fsync(self._descriptor)

    def erase(self) -> None:
        """The attempt has ended: nothing of it is needed, and its number is used up."""
        self._write_head(0)  # first of all: half of it is nothing
        self._write(HEAD_BYTES, bytes(max(0, os.fstat(self._descriptor).st_size - HEAD_BYTES)))
        os.ftruncate(self._descriptor, 0)
        os.fsync(self._descriptor)
        self.close()

    def set_aside(self) -> Path:
        """The attempt has ended, and its keys may be wanted: all is kept at this path, its number used up."""
        self.close()
        aside = self.path.with_name(self.path.name + ASIDE)
        self.path.rename(aside)
        sync_directory(aside.parent)
        return aside

    def remove(self) -> None:
        """Nothing of it is needed, nor that it was there."""
        self.erase()
        self.path.unlink()
        sync_directory(self.path.parent)

    def close(self) -> None:
        """Go on with it another time; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def read_records(path: Path) -> tuple[bytes, ...]:
    """What is in a file that was set aside; it is not changed.

    Raises:
        FileError: it cannot be read.
        CeremonyError: it is damaged, or of another version.
    """
    try:
        return _records_of(read_bytes(path, limit_bytes=MOST_FILE_BYTES))[0]
    except ValueError as error:
        raise CeremonyError(f"{path}: {error}") from None


def keep_keys(directory: Path, definition_hash: bytes, record: bytes) -> RecordsFile:
    """A new file for the keys of a charon ceremony; they are on the disk when this returns.

    Raises:
        OSError: the disk does not take them.
    """
    folder = _made_folder(directory)
    names = (_name(definition_hash) + CHARONS.format(number) for number in count())
    file = RecordsFile(next(path for name in names if not paths.is_there(path := folder / name)), 0)
    try:
        file.append(record)
    except BaseException:
        file.close()
        raise
    return file


def has_begun(directory: Path, definition_hash: bytes) -> bool:
    """Whether there is an attempt that has not ended.

    Raises:
        OSError: the files cannot be read.
        CeremonyError: one is damaged, or its name is none.
    """
    if not paths.is_there(directory / FOLDER):
        return False
    attempts = _attempts_in(directory / FOLDER, _prefix(definition_hash))
    return any(path.suffix != ASIDE and read_records(path) for path in attempts.values())


def charons_files(directory: Path, definition_hash: bytes) -> list[Path]:
    """Those with keys of charon ceremonies.

    Raises:
        OSError: the folder cannot be read.
    """
    return sorted((directory / FOLDER).glob(_name(definition_hash) + CHARONS.format("*")))


def use_up(directory: Path, definition_hash: bytes) -> None:
    """Another protocol is spoken for a definition: the attempt that has begun, if one has, is over.

    Raises:
        OSError: the disk does not take it.
        CeremonyError: this node has said more in it than who it is, so that others may go on with it.
    """
    if not paths.is_there(directory / FOLDER):
        return
    records = RecordsFile.open(directory, definition_hash)
    if len(records.written) > 1:
        records.close()
        raise CeremonyError(
            f"{records.path}: this node has begun to make keys for this definition by the native protocol,"
            " and others may go on with it: start without --protocol frost first, which goes on, or ends it"
        )
    records.erase()


def keep_receipts(directory: Path, definition_hash: bytes, receipts: Sequence[bytes]) -> None:
    """All nodes have said that their keys are stored; nothing secret is in it.

    Raises:
        OSError: the disk does not take them.
    """
    path = _receipts_path(directory, definition_hash)
    if not receipts:
        return
    file = RecordsFile(path, 0)
    for receipt in receipts:
        if receipt not in file.written:  # which has those of other attempts, too
            file.append(receipt)
    file.close()


def kept_receipts(directory: Path, definition_hash: bytes) -> tuple[bytes, ...]:
    """What was kept; nothing when no ceremony for this definition has ended well here.

    Raises:
        OSError: it cannot be read.
        CeremonyError: it is damaged.
    """
    path = _receipts_path(directory, definition_hash)
    if not paths.is_there(path):
        return ()
    file = RecordsFile(path, 0)
    file.close()
    return file.written


def _made_folder(directory: Path) -> Path:
    folder = directory / FOLDER
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    sync_directory(directory)
    return folder


def _receipts_path(directory: Path, definition_hash: bytes) -> Path:
    return directory / FOLDER / (_name(definition_hash) + RECEIPTS)


def _name(definition_hash: bytes) -> str:
    return write_data(definition_hash).removeprefix("0x")[:NAME_DIGITS]


def _prefix(definition_hash: bytes) -> str:
    return _name(definition_hash) + "-"


def _attempts_in(folder: Path, prefix: str) -> dict[int, Path]:
    """The files of a definition by attempt, the newest first."""
    found = {}
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(prefix)]
    for name in names:
        number = name.removeprefix(prefix).removesuffix(ASIDE)
        if not (number.isascii() and number.isdigit()):
            raise CeremonyError(f"{folder / name}: no file of dvtfast's; move it away")
        found[int(number)] = folder / name
    return dict(sorted(found.items(), reverse=True))


def _records_of(content: bytes) -> tuple[tuple[bytes, ...], int]:
    """The records that count, and how many bytes they take, with the head.

    Raises:
        ValueError: they are not as they were written.
    """
    if len(content) < HEAD_BYTES or not any(content):  # no record was ever in it, or none is any more
        return (), 0
    head, check = content[: HEAD_BYTES - CHECK_BYTES], content[HEAD_BYTES - CHECK_BYTES : HEAD_BYTES]
    if not head.startswith(FORMAT):
        raise ValueError("damaged, or of another version of dvtfast")
    size = int.from_bytes(head[len(FORMAT) :])
    if check != _check(head) or size > len(content):
        raise ValueError("damaged")
    records: list[bytes] = []
    at = HEAD_BYTES
    while at < size:
        begin = at + LENGTH_BYTES + CHECK_BYTES
        length, check = content[at : at + LENGTH_BYTES], content[at + LENGTH_BYTES : begin]
        at = begin + int.from_bytes(length)
        record = content[begin:at]
        if at > size or check != _check(length + record):
            raise ValueError("damaged")
        records.append(record)
    return tuple(records), size


def _check(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:CHECK_BYTES]
