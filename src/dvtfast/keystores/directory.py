"""All keystores of a node, named as charon names them."""

from __future__ import annotations

import dataclasses
import itertools
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dvtfast._arrays import Bools, Bytes, Rows, as_rows, same_length
from dvtfast._files import write_text
from dvtfast._parallel import for_slices
from dvtfast._secrets import wiped
from dvtfast.constants import PUBLIC_KEY_BYTES, SECRET_KEY_BYTES
from dvtfast.errors import KeystoreError
from dvtfast.keys import check_secret_keys, derive_public_keys
from dvtfast.keystores.files import KeystoreFile, KeystoreFiles, password_file, read_keystore_files
from dvtfast.keystores.kdf import PBKDF2_DEFAULT, PBKDF2_INSECURE, Derivations, Kdf
from dvtfast.keystores.keystore import (
    SALT_BYTES,
    Keystore,
    encrypt,
    parse_keystore_file,
    unlock,
    write_keystore,
)
from dvtfast.keystores.passwords import password_forms

# charon's passwords are 32 hex digits.
PASSWORD_BYTES = 16
PASSWORD_FILE_MODE = 0o400
# What all of charon's keystores state, whatever their share.
CHARON_PATH = "m/12381/3600/0/0/0"


@dataclass(frozen=True, eq=False)
class LoadedKeystores:
    """What a directory gave.

    Attributes:
        secret_keys: uint8[n, 32].
        public_keys: uint8[n, 48].
        sources: the n files.
        problems: one per file that gave nothing.
        kdfs: that these keystores have, each once.
    """

    secret_keys: Bytes = field(repr=False)
    public_keys: Bytes = field(repr=False)
    sources: tuple[Path, ...]
    problems: tuple[KeystoreError, ...]
    kdfs: frozenset[Kdf] = frozenset()

    def wipe(self) -> None:
        """Overwrite the secret keys."""
        self.secret_keys.fill(0)


def load_keystores(
    directory: Path | str,
    *,
    derivations: Derivations | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LoadedKeystores:
    """Decrypt every `keystore-*.json` with the password in the `.txt` next to it.

    A file that cannot be used does not stop the others: it is one of the `problems`.

    Args:
        directory: such as charon's validator_keys.
        derivations: keys already derived, as by who has just written these keystores.
        threads: at most.
        progress: called with the number done and the number of files, from any thread.

    Raises:
        KeystoreError: there is no keystore.
        MissingExtraError: the extra `files` is not installed.

    Cost: one key derivation per different password, salt and cost.
    """
    files = read_keystore_files(directory)
    return open_keystores(files, derivations=derivations, threads=threads, progress=progress)


def open_keystores(
    files: KeystoreFiles,
    *,
    derivations: Derivations | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LoadedKeystores:
    """Decrypt keystores that have been read; see `load_keystores`."""
    opening = _Opening(files.files, derivations or Derivations())
    counter = itertools.count(1)

    def load(rows: slice) -> None:
        for i in range(rows.start, rows.stop):
            opening.open(i)
            done = next(counter)
            if progress:
                progress(done, len(files.files))

    with wiped(opening.secret_keys):
        for_slices(len(files.files), load, threads=threads, chunk_rows=1, rows_per_thread=1)
        return opening.collected(threads)


def write_keystores(
    directory: Path | str,
    secret_keys: Rows,
    *,
    public_keys: Rows | None = None,
    paths: Sequence[str] | None = None,
    kdf: Kdf = PBKDF2_DEFAULT,
    password: str | None = None,
    one_derivation: bool = False,
    derivations: Derivations | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write keys as charon does: keystore-0.json with its own random password in keystore-0.txt, and so on.

    With `PBKDF2_INSECURE` the names start with keystore-insecure-.

    Args:
        directory: is made if it is missing; files in it are replaced.
        secret_keys: uint8[n, 32].
        public_keys: uint8[n, 48], by a caller who has them already.
        paths: where each key is in the tree of its seed, see `derivation`; else all state charon's path.
        password: one for all, which is not written to any file.
        one_derivation: all have one salt and one password, random unless given: who opens them all derives
            one key, and who gets the password of one opens all.
        derivations: gets the keys that are derived, so that to read the files again costs no derivation.
        threads: at most.
        progress: called with the number done and the number of keys, from any thread.

    Cost: one key derivation per key, or one.
    """
    secret_rows, _ = as_rows("secret_keys", secret_keys, SECRET_KEY_BYTES)
    derived = derive_public_keys(secret_rows, threads=threads) if public_keys is None else public_keys
    public_rows, _ = as_rows("public_keys", derived, PUBLIC_KEY_BYTES)
    paths = [CHARON_PATH] * len(secret_rows) if paths is None else paths
    same_length(secret_keys=secret_rows, public_keys=public_rows, paths=paths)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    prefix = "keystore-insecure-" if kdf == PBKDF2_INSECURE else "keystore-"

    counter = itertools.count(1)
    salt, shared = None, password
    derivations = derivations or (Derivations() if one_derivation else None)
    if one_derivation:
        salt = os.urandom(SALT_BYTES)
        shared = secrets.token_hex(PASSWORD_BYTES) if password is None else password

    def write(rows: slice) -> None:
        for i in range(rows.start, rows.stop):
            own = secrets.token_hex(PASSWORD_BYTES) if shared is None else shared
            secret, public_key = secret_rows[i].tobytes(), public_rows[i].tobytes()
            keystore = encrypt(
                secret,
                own,
                kdf=kdf,
                public_key=public_key,
                path=paths[i],
                salt=salt,
                derivations=derivations,
            )
            keystore = dataclasses.replace(keystore, uuid=keystore.uuid.upper())
            write_keystore(directory / f"{prefix}{i}.json", keystore, durable=False)
            if password is None:
                write_text(directory / f"{prefix}{i}.txt", own, mode=PASSWORD_FILE_MODE, durable=False)
            done = next(counter)
            if progress:
                progress(done, len(secret_rows))

    for_slices(len(secret_rows), write, threads=threads, chunk_rows=1, rows_per_thread=1)
    os.sync()


class _Opening:
    """Keystores on their way; file i is row i."""

    def __init__(self, files: Sequence[KeystoreFile], derivations: Derivations) -> None:
        self.secret_keys = np.zeros((len(files), SECRET_KEY_BYTES), dtype=np.uint8)
        self._files = files
        self._keystores: list[Keystore | None] = [None] * len(files)
        self._problems: list[KeystoreError | None] = [None] * len(files)
        self._derivations = derivations

    def open(self, i: int) -> None:
        """Decrypt one; different ones from any thread."""
        try:
            self._open(i)
        except KeystoreError as error:
            self._problems[i] = error

    def _open(self, i: int) -> None:
        file = self._files[i]
        for content in (file.content, file.password):
            if isinstance(content, KeystoreError):
                raise content
        assert isinstance(file.content, bytes)
        assert isinstance(file.password, bytes)
        keystore = self._keystores[i] = parse_keystore_file(file.content, file.path)
        if len(keystore.crypto.ciphertext) != SECRET_KEY_BYTES:
            raise KeystoreError("does not contain a BLS secret key", file.path)
        forms = password_forms(file.password, password_file(file.path))
        key = unlock(keystore, forms, self._derivations)
        keystore.crypto.decrypt_into(key, self.secret_keys[i])

    def collected(self, threads: int | None) -> LoadedKeystores:
        """The good ones as columns, and the problems of the others."""
        self._refuse(~check_secret_keys(self.secret_keys), "does not contain a BLS secret key")
        opened = np.flatnonzero([problem is None for problem in self._problems])
        public_keys = np.zeros((len(self._files), PUBLIC_KEY_BYTES), dtype=np.uint8)
        secret_keys = self.secret_keys[opened]
        with wiped(secret_keys):
            public_keys[opened] = derive_public_keys(secret_keys, threads=threads)
        first: dict[bytes, Path] = {}
        for i in opened.tolist():
            public_key, path, keystore = public_keys[i].tobytes(), self._files[i].path, self._keystores[i]
            if keystore and keystore.public_key not in (None, public_key):
                self._problems[i] = KeystoreError("pubkey: not the public key of the secret in it", path)
            elif public_key in first:
                self._problems[i] = KeystoreError(f"the same key as in {first[public_key].name}", path)
            else:
                first[public_key] = path
        good = np.flatnonzero([problem is None for problem in self._problems])
        return LoadedKeystores(
            self.secret_keys[good],
            public_keys[good],
            tuple(first.values()),
            tuple(problem for problem in self._problems if problem is not None),
            frozenset(keystore.crypto.kdf for keystore in self._keystores if keystore),
        )

    def _refuse(self, rows: Bools, message: str) -> None:
        for i in np.flatnonzero(rows).tolist():
            self._problems[i] = self._problems[i] or KeystoreError(message, self._files[i].path)
