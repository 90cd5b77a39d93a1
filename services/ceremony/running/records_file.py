"""The records of a machine on disk: what it must know again after a restart, until its ceremony has ended.

Each attempt at a ceremony has a file of its own below `.dvtfast-dkg` in the node's folder. The machine seals
what is in it. When the attempt has ended the file is emptied, but stays: its number is never used again. Of
one that ended well receipts are kept, for who has not heard of it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
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
RECEIPTS = ".done"
LENGTH_BYTES, CHECK_BYTES = 4, 8
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
        content = read_bytes(path, limit_bytes=MOST_FILE_BYTES)
        self.written, size = _records_of(content)
        if _is_damaged(content[size:]):
            raise CeremonyError(
                f"{path}: damaged; it has what this node has said, and cannot be gone on without"
            )
        # What was being written when the process ended was not acted on.
        os.ftruncate(self._descriptor, size)
        os.fsync(self._descriptor)
        os.lseek(self._descriptor, size, os.SEEK_SET)

    @classmethod
    def open(cls, directory: Path, definition_hash: bytes, *, least_attempt: int = 0) -> Self:
        """Those of the attempt that has not ended, or of the next one.

        Args:
            least_attempt: what others have begun; an own attempt below it is over.

        Raises:
            OSError: the files cannot be read or made.
            CeremonyError: a file's name is none.
        """
        folder = directory / FOLDER
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        sync_directory(directory)
        attempts = _attempts_in(folder, _prefix(definition_hash))
        for attempt, path in attempts.items():
            if not path.stat().st_size:
                continue
            records = cls(path, attempt)
            if attempt >= least_attempt and records.written:
                return records
            records.erase()  # others are beyond it, or it was being erased
        attempt = max([least_attempt, *(attempt + 1 for attempt in attempts)])
        return cls(folder / f"{_prefix(definition_hash)}{attempt}", attempt)

    def append(self, record: bytes) -> None:
        """Write a record; it is on the disk when this returns.

        Raises:
            OSError: the disk does not take it.
        """
        check = hashlib.sha256(record).digest()[:CHECK_BYTES]
        content = len(record).to_bytes(LENGTH_BYTES) + check + record
        while content:
            content = content[os.write(self._descriptor, content) :]
        os.fsync(self._descriptor)

    def erase(self) -> None:
        """The attempt has ended: nothing of it is needed, and its number is used up."""
        size = os.lseek(self._descriptor, 0, os.SEEK_END)
        os.pwrite(self._descriptor, bytes(size), 0)
        os.fsync(self._descriptor)
        os.ftruncate(self._descriptor, 0)
        os.fsync(self._descriptor)
        self.close()

    def close(self) -> None:
        """Go on with it another time; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def keep_receipts(directory: Path, definition_hash: bytes, receipts: Sequence[bytes]) -> None:
    """All nodes have said that their keys are stored; nothing secret is in it.

    Raises:
        OSError: the disk does not take them.
    """
    path = _receipts_path(directory, definition_hash)
    if not receipts:
        return
    file = RecordsFile(path, 0)
    for receipt in receipts[len(file.written) :]:
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
        number = name.removeprefix(prefix)
        if not (number.isascii() and number.isdigit()):
            raise CeremonyError(f"{folder / name}: no file of dvtfast's; move it away")
        found[int(number)] = folder / name
    return dict(sorted(found.items(), reverse=True))


def _is_damaged(rest: bytes) -> bool:
    """Whether a whole record is wrong, and not one that was being written; zeros are of one being erased."""
    size = LENGTH_BYTES + CHECK_BYTES + int.from_bytes(rest[:LENGTH_BYTES])
    return any(rest) and len(rest) > size


def _records_of(content: bytes) -> tuple[tuple[bytes, ...], int]:
    """The whole records at the beginning, and how many bytes they take."""
    records: list[bytes] = []
    at = 0
    while True:
        begin = at + LENGTH_BYTES + CHECK_BYTES
        end = begin + int.from_bytes(content[at : at + LENGTH_BYTES])
        record, check = content[begin:end], content[at + LENGTH_BYTES : begin]
        if end > len(content) or hashlib.sha256(record).digest()[:CHECK_BYTES] != check:
            return tuple(records), at
        records.append(record)
        at = end
