"""The lock file of a node's key, as charon keeps it: one process at a time is this node.

While a process has the key, it writes the time to charon-enr-private-key.lock each second. Two processes that
are the same node would answer for each other, and two with shares of different clusters could sign what gets
validators slashed; so charon does not start for a while where a node of another cluster has just stopped.

Source: charon, private key lock.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from dvtfast import FileError
from dvtfast.files import NO_FILE, read_bytes

from . import logs

SUFFIX = ".lock"
NEW_SUFFIX = ".new"
EVERY_SECONDS = 1.0
FRESH_SECONDS = 5.0
OURS = "dvtfast "  # how our commands begin
OTHER_CLUSTER_SECONDS = 768.0  # two epochs of 32 slots of 12 seconds
MOST_BYTES = 4096
FILE_MODE = 0o644

log = logs.get("key")


class KeyTakenError(Exception):
    """Another process has the key, or had it a moment ago; the message says what to do."""


class KeyInUse(msgspec.Struct, omit_defaults=True):
    """The content of the file."""

    command: str
    timestamp: datetime
    cluster_lock_hash: str = ""


def is_used(key_file: Path, command: str) -> bool:
    """Whether a process with this command has the key now, as far as its lock file says."""
    try:
        path = key_file.with_name(key_file.name + SUFFIX)
        found = msgspec.json.decode(read_bytes(path, limit_bytes=MOST_BYTES), type=KeyInUse)
        return found.command == command and _age(found) <= FRESH_SECONDS
    except (FileError, msgspec.MsgspecError, ValueError):
        return False


def _age(found: KeyInUse) -> float:
    timestamp = found.timestamp if found.timestamp.tzinfo else found.timestamp.replace(tzinfo=UTC)
    return (datetime.now(UTC) - timestamp).total_seconds()


class KeyLock:
    """A node's key for this process alone, as a context manager.

    Args:
        key_file: charon-enr-private-key.
        command: what is said to others.
        cluster_lock_hash: of the cluster whose node this is; empty while it has none. With one the file
            stays, so that no node of another cluster begins too early, whichever program it is.
    """

    def __init__(self, key_file: Path, command: str, *, cluster_lock_hash: str = "") -> None:
        self._key_file = key_file
        self._path = key_file.with_name(key_file.name + SUFFIX)
        self._command = command
        self._cluster_lock_hash = cluster_lock_hash
        self._descriptor = -1
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="key-lock", daemon=True)

    def __enter__(self) -> Self:
        """Take the key.

        Raises:
            KeyTakenError: another process has it.
            OSError: the file cannot be written.
        """
        self._descriptor = os.open(self._key_file, os.O_RDONLY)
        try:
            try:  # among processes of ours this is not a matter of time
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise KeyTakenError(f"{self._key_file}: another dvtfast uses this key; stop it") from None
            self._require_free()
            self._write()
        except BaseException:
            os.close(self._descriptor)
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        self._thread.join()
        if not self._cluster_lock_hash:
            with suppress(OSError):
                self._path.unlink()
        os.close(self._descriptor)

    def _require_free(self) -> None:
        try:
            found = msgspec.json.decode(read_bytes(self._path, limit_bytes=MOST_BYTES), type=KeyInUse)
            age = _age(found)
        except FileError as error:
            if error.reason == NO_FILE:
                return
            raise KeyTakenError(str(error)) from None
        except (msgspec.MsgspecError, ValueError):
            # A power failure may leave an empty one, and a program that runs writes it again each second.
            if abs(time.time() - self._path.stat().st_mtime) <= FRESH_SECONDS:
                raise KeyTakenError(
                    f"{self._path}: not understood, and written just now; if no other program uses this key,"
                    f" wait for {FRESH_SECONDS:.0f} seconds"
                ) from None
            return
        # A program of ours that still ran would hold the file: it was killed, and may go on at once.
        if age <= FRESH_SECONDS and not found.command.startswith(OURS):
            raise KeyTakenError(
                f"{self._key_file}: `{logs.printable(found.command)}` uses this key; stop it, and wait for"
                f" {FRESH_SECONDS:.0f} seconds"
            )
        is_other = self._cluster_lock_hash and found.cluster_lock_hash not in ("", self._cluster_lock_hash)
        if is_other and age < OTHER_CLUSTER_SECONDS:
            raise KeyTakenError(
                f"{self._key_file}: a node of another cluster used this key {age:.0f} seconds ago; wait for"
                f" {OTHER_CLUSTER_SECONDS - age:.0f} more, lest validators sign twice"
            )

    def _keep(self) -> None:
        while not self._ends.wait(EVERY_SECONDS):
            try:
                self._write()
            except OSError as error:  # a full disk; the key is ours all the same
                log.warning("lock file not written", file=str(self._path), error=error.strerror)

    def _write(self) -> None:
        content = KeyInUse(self._command, datetime.now(UTC), self._cluster_lock_hash)
        # Whoever reads it sees a whole one.
        new = self._path.with_name(self._path.name + NEW_SUFFIX)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
        try:
            os.write(descriptor, msgspec.json.encode(content))
            os.fsync(descriptor)  # or the new name may be there after a power failure, and nothing in it
        finally:
            os.close(descriptor)
        new.replace(self._path)
