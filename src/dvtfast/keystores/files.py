"""The files of a directory of keystores: read once, so that all that is made of them is of the same bytes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from dvtfast.errors import KeystoreError
from dvtfast.files import NO_FILE, read_bytes, reason
from dvtfast.keystores.keystore import MAX_FILE_BYTES
from dvtfast.keystores.looking import IS_KEYSTORE, names_of, what_is_there

MAX_PASSWORD_FILE_BYTES = 4096
IS_PASSWORD: Final = re.compile(r"keystore-.*\.txt", re.DOTALL)
PASSWORD_SUFFIX: Final = ".txt"  # noqa: S105 - of a file name
LENGTH_BYTES = 8


@dataclass(frozen=True)
class KeystoreFile:
    """One keystore and the password file next to it; an error in place of what cannot be read."""

    path: Path
    content: bytes | KeystoreError = field(repr=False)
    password: bytes | KeystoreError = field(repr=False)


@dataclass(frozen=True)
class KeystoreFiles:
    """All `keystore-*.json` of a directory with their `.txt`, in natural order."""

    directory: Path
    files: tuple[KeystoreFile, ...]

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over names and contents of the keystores; it does not tell the passwords."""
        return _sha256((os.fsencode(file.path.name), file.content) for file in self.files)

    def passwords_digest(self) -> bytes:
        """SHA-256 over names and contents of the password files: as secret as these."""
        return _sha256((os.fsencode(file.path.name), file.password) for file in self.files)


def read_keystore_files(directory: Path | str) -> KeystoreFiles:
    """Read a directory such as charon's validator_keys; nothing is parsed or decrypted yet.

    Raises:
        KeystoreError: there is no such directory, it cannot be read, or no keystore is in it.
    """
    directory = Path(directory)
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        raise KeystoreError("no such directory", directory) from None
    except OSError as error:
        raise KeystoreError(f"cannot be read: {reason(error, directory)}", directory) from None
    try:
        with os.scandir(descriptor) as entries:
            there = [entry.name for entry in entries]
        names = [name for name in there if IS_KEYSTORE.fullmatch(name)]
        if not names:
            raise KeystoreError(f"no keystore-*.json here; {what_is_there(directory)}", directory)
        paths = [directory / name for name in sorted(names, key=_natural_order)]
        lone = sorted(
            name for name in there if name.endswith(PASSWORD_SUFFIX) and not IS_PASSWORD.fullmatch(name)
        )
        return KeystoreFiles(directory, tuple(_read(path, descriptor, lone) for path in paths))
    except OSError as error:
        raise KeystoreError(f"cannot be read: {reason(error, directory)}", directory) from None
    finally:
        os.close(descriptor)


def password_file(keystore: Path) -> Path:
    """The password file next to a keystore."""
    return keystore.with_suffix(PASSWORD_SUFFIX)


def _read(path: Path, directory: int, lone: Sequence[str]) -> KeystoreFile:
    keystore = _content(path, MAX_FILE_BYTES, directory)
    password = _content(password_file(path), MAX_PASSWORD_FILE_BYTES, directory)
    if isinstance(password, KeystoreError) and password.reason == NO_FILE:
        aside = f"; {names_of(lone)} is none of a keystore: copy it for each" if lone else ""
        password = KeystoreError(
            f"{NO_FILE}; the keystore's password is expected in it{aside}", password.path
        )
    return KeystoreFile(path, keystore, password)


def _content(path: Path, limit_bytes: int, directory: int) -> bytes | KeystoreError:
    try:
        return read_bytes(path, limit_bytes=limit_bytes, error=KeystoreError, directory=directory)
    except KeystoreError as error:
        return error


def _sha256(items: Iterable[tuple[bytes, bytes | KeystoreError]]) -> bytes:
    """Of each name and content in turn, with their lengths before them; errors differ from contents."""
    digest = hashlib.sha256()
    for name, content in items:
        is_readable = isinstance(content, bytes)
        data = content if isinstance(content, bytes) else str(content).encode(errors="surrogateescape")
        for part in (name, bytes([is_readable]), data):
            digest.update(len(part).to_bytes(LENGTH_BYTES))
            digest.update(part)
    return digest.digest()


def _natural_order(name: str) -> list[int | str]:
    """keystore-2 before keystore-10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)]
