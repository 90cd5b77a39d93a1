"""Files of which several must be in place together: all of them or none, whenever this process ends.

They are written to a directory within the one that they are for. When that is complete it gets another
name, a third one when it is decided that it is to be published, and a fourth one for that: then everything is
moved to its place, the files that others look for last. What a process that was killed has left is thrown
away, kept or moved on by `settle`.

This must hold, since key shares may be among them that nobody else has, of a lock that somebody has:

* What was complete is never thrown away. It waits, is moved on, or is set aside, whatever comes next: another
  start, another ceremony, a disk that refuses. Only two may remove something of it: a command that tells
  nobody of its files before they are in place, with `discard`; and a node whose validator client has said
  that it has each key share.
* The first file in a directory says where the others come from, and is not moved to their place. Who comes
  upon what is not its own leaves it as it is: people decide.
* Nobody is told of anything before `complete` and `confirm` have returned: then it is on the disk.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from enum import Enum, auto
from itertools import count
from pathlib import Path

from dvtfast import FileError
from dvtfast.files import read_bytes

from ..files import paths

WRITING = ".dvtfast-writing"
WRITTEN = ".dvtfast-written"
CONFIRMED = ".dvtfast-confirmed"
MOVING = ".dvtfast-moving"
ASIDE = ".dvtfast-aside-"
ORIGIN = ".origin"
MOST_ORIGIN_BYTES = 4096
DIRECTORY_MODE = 0o700


class Left(Enum):
    """What was left in a directory."""

    NOTHING = auto()
    WRITTEN = auto()
    """All files are there and complete, and nobody has said yet that they are to be published."""
    CONFIRMED = auto()
    """The same, and somebody has: `publish` is to be called."""
    PUBLISHED = auto()
    """They were being moved, and are in their places now."""


class Staging:
    """Files on their way to a directory.

    Args:
        directory: is made when the first file is.
        last: the names without which the others mean nothing to anybody.
    """

    def __init__(self, directory: Path, *, last: Collection[str] = ()) -> None:
        self.directory = directory
        self._last = last

    @property
    def written(self) -> Path:
        """Where complete files are."""
        return self.directory / WRITTEN

    @property
    def confirmed(self) -> Path:
        """Where they are once it is decided that they are published."""
        return self.directory / CONFIRMED

    @property
    def origin(self) -> bytes:
        """Where complete files come from, as `begin` was told; empty when nobody knows, or there are none."""
        places = (self.directory / MOVING, self.confirmed, self.written)
        return next((_origin_of(each) for each in places if paths.is_there(each)), b"")

    def begin(self, origin: bytes) -> Path:
        """A new directory to write to; what was begun before is thrown away.

        Raises:
            FileError: complete files are waiting, see `settle`.
            OSError: it cannot be made.
        """
        if self.settle() is not Left.NOTHING:
            raise FileError("has complete files of before; see what became of them first", self.directory)
        self.directory.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
        writing = self.directory / WRITING
        writing.mkdir(mode=DIRECTORY_MODE)
        (writing / ORIGIN).write_bytes(origin)
        return writing

    def complete(self) -> None:
        """All is written: on the disk, before anybody is told. A second call makes sure of that.

        Raises:
            OSError: the disk does not take it.
        """
        writing = self.directory / WRITING
        is_new = paths.is_there(writing)
        os.sync()
        _require_synced(writing if is_new else self.written)
        if is_new:
            writing.rename(self.written)
        sync_directory(self.directory)

    def discard(self, origin: bytes) -> None:
        """Throw away what is not complete; and what is, if it is of this origin: nobody was told of it."""
        writing = self.directory / WRITING
        if paths.is_there(writing):
            _remove(writing)
        if paths.is_there(self.written) and _origin_of(self.written) == origin:
            _remove(self.written)

    def set_aside(self) -> Path:
        """Keep complete files where nobody looks for any, and say where.

        Raises:
            OSError: they cannot be moved.
        """
        names = (f"{ASIDE}{number}" for number in count(1))
        aside = next(path for name in names if not paths.is_there(path := self.directory / name))
        self.written.rename(aside)
        sync_directory(self.directory)
        return aside

    def confirm(self) -> None:
        """Decide that what is complete is to be published; on the disk when this returns.

        Raises:
            OSError: the disk does not take it.
        """
        self.written.rename(self.confirmed)
        sync_directory(self.directory)

    def publish(self) -> None:
        """Move everything to its place; once begun, this is gone on with by whoever comes after.

        Raises:
            FileError: something else is there.
            OSError: it cannot be moved.
        """
        source = self.confirmed if paths.is_there(self.confirmed) else self.written
        self._require_free(source)
        source.rename(self.directory / MOVING)
        sync_directory(self.directory)
        self._move()

    def settle(self) -> Left:
        """Go on with what a process before left, as far as it was decided.

        Raises:
            FileError: something else is in the place of what is to be moved.
            OSError: it cannot be moved.
        """
        writing = self.directory / WRITING
        if paths.is_there(writing):
            _remove(writing)
        if paths.is_there(self.directory / MOVING):
            self._move()
            return Left.PUBLISHED
        if paths.is_there(self.confirmed):
            return Left.CONFIRMED
        return Left.WRITTEN if paths.is_there(self.written) else Left.NOTHING

    def _move(self) -> None:
        moving = self.directory / MOVING
        self._require_free(moving)
        names = sorted(_names(moving), key=lambda name: (name in self._last, name))
        for name in names:
            if name in self._last:  # the others are on the disk before it can be
                sync_directory(self.directory)
            (moving / name).rename(self.directory / name)
        sync_directory(self.directory)
        _remove(moving)

    def _require_free(self, source: Path) -> None:
        for name in _names(source):
            if paths.is_there(self.directory / name):
                raise FileError(f"is there already, and new files wait in {source}", self.directory / name)


def _require_synced(directory: Path) -> None:
    """Ask of each file: the call that syncs all does not say what the disk refused.

    Raises:
        OSError: it refused one.
    """
    for folder, _, names in os.walk(directory):
        for name in (".", *names):
            descriptor = os.open(Path(folder) / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _origin_of(directory: Path) -> bytes:
    try:
        return read_bytes(directory / ORIGIN, limit_bytes=MOST_ORIGIN_BYTES)
    except FileError:
        return b""


def _names(directory: Path) -> list[str]:
    """What is to be moved to its place."""
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries if entry.name != ORIGIN]


def _remove(directory: Path) -> None:
    """Under a name of what is not complete, lest half of it be taken for all."""
    writing = directory.with_name(WRITING)
    if directory != writing:
        directory.rename(writing)
        sync_directory(writing.parent)
    shutil.rmtree(writing)
