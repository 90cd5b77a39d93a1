"""Whether a node's folder is fit for new keys, before any are made: afterwards it is too late for all."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from dvtfast import FileError
from dvtfast.files import reason
from dvtfast.obol import DEPOSIT_FILES, KEY_FILE, read_node_key

from ..files import paths
from .folder import KEYSHARES_FILE, KEYSTORES, LOCK_FILE

# A keystore and its password take a block each.
BYTES_PER_VALIDATOR = 2 * 4096 + 2048
BYTES_PER_SHARE = 128
BYTES_PER_DEPOSIT = 2048
MOVE_IT = "move it away, or name another --data-dir"


def problems_of(directory: Path, *, validators: int, nodes: int, amounts: int) -> list[str]:
    """Why no keys may be made for a folder; none when they may.

    Files that are complete and wait to be published are no problem here: whose they are storing.py knows.
    """
    if problem := paths.no_directory(directory):
        return [f"{problem}; make it and the node's key with `dvtfast create enr`"]
    try:
        read_node_key(directory / KEY_FILE)
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries)
    except FileError as error:
        is_key = error.path == directory / KEY_FILE
        return [f"{error}; make one with `dvtfast create enr`" if is_key else str(error)]
    except OSError as error:
        return [paths.told(error)]
    taken = [
        f"{directory / name}: is there already; {MOVE_IT}"
        for name in names
        if name in (KEYSTORES, LOCK_FILE, KEYSHARES_FILE) or name.startswith(DEPOSIT_FILES)
    ]
    per_validator = BYTES_PER_VALIDATOR + nodes * BYTES_PER_SHARE + amounts * BYTES_PER_DEPOSIT
    return taken or _no_room(directory, validators * per_validator)


def _no_room(directory: Path, wanted_bytes: int) -> list[str]:
    """A file is written, since a disk may say no to that only."""
    sample = directory / f".dvtfast-sample-{secrets.token_urlsafe(8)}"
    try:
        descriptor = os.open(sample, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, b"\0")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            sample.unlink()
        free = shutil.disk_usage(directory).free
    except OSError as error:
        return [f"{directory}: cannot be written to: {reason(error, directory)}"]
    if free < wanted_bytes:
        return [f"{directory}: its disk has {free >> 20} MiB left, and {wanted_bytes >> 20} MiB are needed"]
    return []
