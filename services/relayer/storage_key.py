"""The file with the storage key: 32 bytes, as they are or as one line of 64 hex digits."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from dvtfast import FileError
from dvtfast.files import decode_text, read_bytes, reason

from ..process import logs
from .store.seals import KEY_BYTES, StorageKey

OTHERS_MAY = stat.S_IRWXG | stat.S_IRWXO
OWNER_MAY_READ_AND_WRITE = 0o600
FILE_LIMIT_BYTES = 4096  # hex digits in any encoding, and white space
WANTED = (
    f"expected a storage key: {KEY_BYTES} bytes, or {2 * KEY_BYTES} hex digits on one line;"
    " make one with: dvtfast relayer storage-key FILE"
)

log = logs.get("storage")


class StorageKeyError(Exception):
    """A key that cannot be loaded or made.

    Attributes:
        path: the file to mend.
    """

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


def read_storage_key(path: Path) -> StorageKey:
    """Read a key; who else may read the file is warned of.

    Raises:
        StorageKeyError: naming the file, what was wanted, and what to do.
    """
    try:
        content = read_bytes(path, limit_bytes=FILE_LIMIT_BYTES)
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileError as error:
        raise StorageKeyError(path, f"cannot read the storage key: {error.reason}") from None
    secret = content if len(content) == KEY_BYTES else _from_hex(path, content)
    if len(set(secret)) == 1:
        raise StorageKeyError(path, f"all its bytes are the same: {WANTED}")
    if mode & OTHERS_MAY:
        log.warning("file is open to others", file=str(path), mode=f"{mode:03o}", do=f"chmod 600 {path}")
    return StorageKey(secret)


def make_storage_key(path: Path) -> StorageKey:
    """Make a new key and keep it in a new file that only its owner may read.

    Raises:
        StorageKeyError: there is such a file, or it cannot be written.
    """
    secret = secrets.token_bytes(KEY_BYTES)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_MAY_READ_AND_WRITE)
        with os.fdopen(file, "w") as opened:
            opened.write(secret.hex() + "\n")
            opened.flush()
            os.fsync(opened.fileno())
    except FileExistsError:
        raise StorageKeyError(path, "there is a file already, which is not overwritten") from None
    except OSError as error:
        raise StorageKeyError(path, f"cannot write the storage key: {reason(error, path)}") from None
    return StorageKey(secret)


def _from_hex(path: Path, content: bytes) -> bytes:
    try:
        digits = decode_text(content).strip().removeprefix("0x")
        secret = bytes.fromhex(digits) if len(digits) == 2 * KEY_BYTES else b""
    except (FileError, ValueError):  # what it says may quote the content
        secret = b""
    if len(secret) != KEY_BYTES:
        raise StorageKeyError(path, f"{len(content)} bytes that are no key: {WANTED}")
    return secret
