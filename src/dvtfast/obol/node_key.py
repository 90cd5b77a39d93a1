"""The secp256k1 key of a node, as charon keeps it in charon-enr-private-key: 64 hex digits."""

from __future__ import annotations

import os
from pathlib import Path

from dvtfast._extras import needs_files_extra
from dvtfast.errors import FileError
from dvtfast.files import read_text, reason

KEY_FILE = "charon-enr-private-key"
KEY_BYTES = 32
FILE_MODE = 0o600
MAX_FILE_BYTES = 1024


def read_node_key(path: Path | str) -> bytes:
    """The secret in a file, 32 bytes; white space around it does not matter.

    Raises:
        FileError: the file has no such key.
        MissingExtraError: the extra `files` is not installed.
    """
    with needs_files_extra():
        from coincurve import PrivateKey
    path = Path(path)
    text = read_text(path, limit_bytes=MAX_FILE_BYTES).strip().removeprefix("0x")
    try:
        secret = bytes.fromhex(text)
        if len(secret) != KEY_BYTES or len(text) != 2 * KEY_BYTES:
            raise ValueError
        PrivateKey(secret)
    except ValueError:
        raise FileError("expected a secp256k1 key, 64 hex digits", path) from None
    return secret


def write_node_key(path: Path | str, secret: bytes) -> None:
    """Write a key to a new file that only its owner may read.

    Raises:
        FileError: a file is there, or none can be made.
    """
    path = Path(path)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    except FileExistsError:
        raise FileError("is there already; a node keeps its key", path) from None
    except OSError as error:
        raise FileError(f"cannot be made: {reason(error, path)}", path) from None
    with os.fdopen(descriptor, "w") as file:
        file.write(secret.hex())
        file.flush()
        os.fsync(file.fileno())
