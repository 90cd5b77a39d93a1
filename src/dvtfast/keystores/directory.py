"""All keystores of a node, named as charon names them."""

from __future__ import annotations

import itertools
import os
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dvtfast._arrays import Bytes, Rows, as_rows, same_length
from dvtfast._files import read_text, write_text
from dvtfast._parallel import for_slices
from dvtfast.constants import PUBLIC_KEY_BYTES, SECRET_KEY_BYTES
from dvtfast.errors import KeystoreError
from dvtfast.keys import check_secret_keys, derive_public_keys
from dvtfast.keystores.kdf import PBKDF2_DEFAULT, PBKDF2_INSECURE, Derivations, Kdf
from dvtfast.keystores.keystore import decrypt, encrypt, read_keystore, write_keystore

# charon's passwords are 32 hex digits.
PASSWORD_BYTES = 16
PASSWORD_FILE_MODE = 0o400
MAX_PASSWORD_FILE_BYTES = 4096
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
    """

    secret_keys: Bytes = field(repr=False)
    public_keys: Bytes = field(repr=False)
    sources: tuple[Path, ...]
    problems: tuple[KeystoreError, ...]


def load_keystores(
    directory: Path | str,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LoadedKeystores:
    """Decrypt every `keystore-*.json` with the password in the `.txt` next to it.

    A file that cannot be used does not stop the others: it is one of the `problems`.

    Args:
        directory: such as charon's validator_keys.
        threads: at most.
        progress: called with the number done and the number of files, from any thread.

    Raises:
        KeystoreError: there is no keystore.
        MissingExtraError: the extra `files` is not installed.

    Cost: one key derivation per different password, salt and cost.
    """
    paths = sorted(Path(directory).glob("keystore-*.json"), key=_natural_order)
    if not paths:
        raise KeystoreError("no keystore-*.json here", Path(directory))
    opened: list[_Opened | KeystoreError] = [KeystoreError("not read", path) for path in paths]
    derivations = Derivations()
    counter = itertools.count(1)

    def load(rows: slice) -> None:
        for i in range(rows.start, rows.stop):
            try:
                opened[i] = _open(paths[i], derivations)
            except KeystoreError as error:
                opened[i] = error
            done = next(counter)
            if progress:
                progress(done, len(paths))

    for_slices(len(paths), load, threads=threads, chunk_rows=1)
    return _collected(opened, threads)


def write_keystores(
    directory: Path | str,
    secret_keys: Rows,
    *,
    public_keys: Rows | None = None,
    kdf: Kdf = PBKDF2_DEFAULT,
    threads: int | None = None,
) -> None:
    """Write keys as charon does: keystore-0.json with its own random password in keystore-0.txt, and so on.

    With `PBKDF2_INSECURE` the names start with keystore-insecure-.

    Args:
        directory: is made if it is missing; files in it are replaced.
        secret_keys: uint8[n, 32].
        public_keys: uint8[n, 48], by a caller who has them already.

    Cost: one key derivation per key.
    """
    secret_rows, _ = as_rows("secret_keys", secret_keys, SECRET_KEY_BYTES)
    derived = derive_public_keys(secret_rows, threads=threads) if public_keys is None else public_keys
    public_rows, _ = as_rows("public_keys", derived, PUBLIC_KEY_BYTES)
    same_length(secret_keys=secret_rows, public_keys=public_rows)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    prefix = "keystore-insecure-" if kdf == PBKDF2_INSECURE else "keystore-"

    def write(rows: slice) -> None:
        for i in range(rows.start, rows.stop):
            password = secrets.token_hex(PASSWORD_BYTES)
            secret, public_key = secret_rows[i].tobytes(), public_rows[i].tobytes()
            keystore = encrypt(secret, password, kdf=kdf, public_key=public_key, path=CHARON_PATH)
            write_keystore(directory / f"{prefix}{i}.json", keystore, durable=False)
            write_text(directory / f"{prefix}{i}.txt", password, mode=PASSWORD_FILE_MODE, durable=False)

    for_slices(len(secret_rows), write, threads=threads)
    os.sync()


@dataclass(frozen=True)
class _Opened:
    source: Path
    secret_key: bytes = field(repr=False)
    stated_public_key: bytes | None


def _open(path: Path, derivations: Derivations) -> _Opened:
    keystore = read_keystore(path)
    password = read_text(path.with_suffix(".txt"), limit_bytes=MAX_PASSWORD_FILE_BYTES, error=KeystoreError)
    secret_key = decrypt(keystore, password, derivations=derivations)
    if len(secret_key) != SECRET_KEY_BYTES or not check_secret_keys(secret_key):
        raise KeystoreError("does not contain a BLS secret key", path)
    return _Opened(path, secret_key, keystore.public_key)


def _collected(opened: Sequence[_Opened | KeystoreError], threads: int | None) -> LoadedKeystores:
    """Good ones as columns, and the problems of the others."""
    problems = [item for item in opened if isinstance(item, KeystoreError)]
    candidates = [item for item in opened if isinstance(item, _Opened)]
    secret_keys = np.frombuffer(b"".join(item.secret_key for item in candidates), dtype=np.uint8)
    secret_keys = secret_keys.reshape(-1, SECRET_KEY_BYTES)
    public_keys = derive_public_keys(secret_keys, threads=threads)
    sources: dict[bytes, Path] = {}
    good = []
    for i, item in enumerate(candidates):
        public_key = public_keys[i].tobytes()
        if item.stated_public_key not in (None, public_key):
            problems.append(KeystoreError("pubkey: not the public key of the secret in it", item.source))
        elif public_key in sources:
            problems.append(KeystoreError(f"the same key as in {sources[public_key].name}", item.source))
        else:
            sources[public_key] = item.source
            good.append(i)
    return LoadedKeystores(secret_keys[good], public_keys[good], tuple(sources.values()), tuple(problems))


def _natural_order(path: Path) -> list[int | str]:
    """keystore-2 before keystore-10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", path.name)]
