"""The keystores of a node, and its cluster, sealed in one file: what was decrypted and verified once is there
at the next start.

The file is one line of JSON, then AES-256-GCM over the rest. The key is derived from all password files
together, at no lower cost than any of the keystores asks for: it opens with exactly what the keystores
need, and who lacks one of the passwords does not get a single key out of it. The salt, hence the key, is
new for each file, so that no nonce is ever used twice. Bound to it is its first line, and with that a
digest of names and contents of the keystores: it opens for just these files. Who can write the file
without knowing the passwords can make a start derive one key in vain, at some seconds and 512 MiB at most.

What is in it is not checked again: only who has all passwords can have written it, and that is who could
write the keystores too.
"""

from __future__ import annotations

import json
import math
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dvtfast._arrays import Bytes, Uint64s
from dvtfast._extras import needs_files_extra
from dvtfast._files import Field, parse_json, remove_left, write_bytes
from dvtfast.clusters import ClusterShares
from dvtfast.constants import PUBLIC_KEY_BYTES, SECRET_KEY_BYTES
from dvtfast.errors import FileError, KeystoreError
from dvtfast.files import read_bytes, read_start
from dvtfast.keys import POINT_WORDS, PublicKeys, keys_of_points, points_of
from dvtfast.keystores import PBKDF2_DEFAULT, SCRYPT_DEFAULT, Kdf, KeystoreFiles, LoadedKeystores, Scrypt
from dvtfast.keystores.kdf import parse_kdf
from dvtfast.networks import network_named

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import Cipher

FORMAT: Final = "dvtfast key cache"
# Of the file, and of the decoded points in it, which are as blst keeps them on this kind of machine.
VERSION: Final = f"2 {sys.byteorder}"
BEGIN: Final = json.dumps({"format": FORMAT}).encode().removesuffix(b"}")  # of the first line
FILE_MODE = 0o600
MAX_HEADER_BYTES = 4096
MAX_VERSION_BYTES = 64
# A keystore has a name, maybe a problem, and a validator of up to 256 nodes.
KEYSTORE_MAX_BYTES = 48 * 1024
OVERHEAD_MAX_BYTES = 1024 * 1024
# A key of a lock has two digits a byte there; here its point is kept, too.
LOCK_FACTOR = 2
SALT_BYTES = 32
TAG_BYTES = 16
AES_BLOCK_BYTES = 16
NONCE = bytes(12)  # a key seals one file only
LENGTH_BYTES = 8
POINT_BYTES = 8 * POINT_WORDS


class KeyCacheError(FileError):
    """A key cache that does not open for these files; it is to be made anew."""


@dataclass(frozen=True, eq=False)
class CachedKeys:
    """What a cache holds.

    Attributes:
        keystores: as they were loaded.
        cluster: of the lock that was verified, None without one.
        lock_digest: SHA-256 of that lock file.
    """

    keystores: LoadedKeystores = field(repr=False)
    cluster: ClusterShares | None = None
    lock_digest: bytes = b""


def write_key_cache(path: Path | str, files: KeystoreFiles, cached: CachedKeys) -> None:
    """Seal what was loaded from these files, in a file that only its owner may read.

    Raises:
        OSError: it cannot be written there.
        KeyCacheError: there is no memory for its key derivation.
        MissingExtraError: the extra `files` is not installed.
    """
    path = Path(path)
    kdf, salt = _kdf_of(cached.keystores), os.urandom(SALT_BYTES)
    head = {
        "format": FORMAT,
        "version": VERSION,
        "kdf": {"function": kdf.function, "params": {**kdf.params(), "salt": salt.hex()}},
        "keystores": files.digest.hex(),
    }
    header = json.dumps(head).encode() + b"\n"
    plaintext = _packed(files, cached)
    try:
        encryptor = _cipher(_derived(path, kdf, salt, files)).encryptor()
        encryptor.authenticate_additional_data(header)
        sealed = bytearray(len(plaintext) + AES_BLOCK_BYTES)
        size = encryptor.update_into(plaintext, sealed)
        encryptor.finalize()
    finally:
        plaintext[:] = bytes(len(plaintext))
    remove_left(path)
    write_bytes(path, b"".join((header, encryptor.tag, memoryview(sealed)[:size])), mode=FILE_MODE)


def read_key_cache(path: Path | str, files: KeystoreFiles, *, lock_bytes: int = 0) -> CachedKeys:
    """What was loaded from just these files before.

    Args:
        lock_bytes: how long the lock is, since a cache with its cluster is in proportion to it.

    Raises:
        KeyCacheError: there is no such file, it is of other keystores, other passwords or another version,
            or it is damaged.
        MissingExtraError: the extra `files` is not installed.

    Cost: one key derivation.
    """
    path = Path(path)
    header, head = _read_header(path)
    if head["version"].text(longest=MAX_VERSION_BYTES) != VERSION:
        raise KeyCacheError(
            f"expected version {VERSION}, got {head['version'].value!r}: written by another version of"
            " dvtfast, or on another kind of machine",
            path,
        )
    if head["keystores"].data() != files.digest:
        raise KeyCacheError("made of other keystores", path)
    kdf, salt = parse_kdf(head["kdf"]), head["kdf"]["params"]["salt"].data(SALT_BYTES)
    limit = OVERHEAD_MAX_BYTES + len(files.files) * KEYSTORE_MAX_BYTES + LOCK_FACTOR * lock_bytes
    content = read_bytes(path, limit_bytes=limit, error=KeyCacheError)
    end = len(header)
    if content[:end] != header:
        raise KeyCacheError("replaced meanwhile", path)
    tag, sealed = content[end : end + TAG_BYTES], memoryview(content)[end + TAG_BYTES :]
    plaintext = _opened(path, kdf, salt, files, header, tag, sealed)
    try:
        return _unpacked(files, plaintext, kdf)
    finally:
        plaintext.fill(0)


def fits_key_cache(path: Path | str, files: KeystoreFiles) -> bool:
    """Whether a cache says that it was made of these keystores; without opening it, so without proof."""
    try:
        _, head = _read_header(Path(path))
        return head["keystores"].data() == files.digest and head["version"].text() == VERSION
    except FileError:
        return False


def is_another_file(path: Path | str) -> bool:
    """Whether something is at a place that no key cache, not even a damaged one, has left there."""
    try:
        start = read_start(Path(path), most_bytes=len(BEGIN), error=KeyCacheError)
    except FileError:
        return False  # nothing is there, or nothing that could be replaced unseen
    return not BEGIN.startswith(start)


def _read_header(path: Path) -> tuple[bytes, Field]:
    """The first line of a cache, and what it says."""
    start = read_start(path, most_bytes=MAX_HEADER_BYTES, error=KeyCacheError)
    header = start[: start.find(b"\n") + 1]
    if not header:
        raise KeyCacheError("no key cache: its first line is missing", path)
    head = parse_json(header, path, error=KeyCacheError)
    head["format"].expect(FORMAT)
    return header, head


def _kdf_of(keystores: LoadedKeystores) -> Kdf:
    """The costliest of the keystores' and of charon's PBKDF2; a scrypt is made one of full cost."""
    kdfs = {
        SCRYPT_DEFAULT if isinstance(kdf, Scrypt) and _work(kdf) < _work(SCRYPT_DEFAULT) else kdf
        for kdf in (*keystores.kdfs, PBKDF2_DEFAULT)
    }
    return max(kdfs, key=lambda kdf: (isinstance(kdf, Scrypt), _work(kdf)))


def _work(kdf: Kdf) -> int:
    return kdf.n * kdf.r * kdf.p if isinstance(kdf, Scrypt) else kdf.count


def _derived(path: Path, kdf: Kdf, salt: bytes, files: KeystoreFiles) -> bytes:
    try:
        return kdf.derive(files.passwords_digest(), salt)
    except (MemoryError, ValueError):  # scrypt, OpenSSL has limits of its own
        raise KeyCacheError(
            f"its {kdf.function} takes {kdf.memory_bytes >> 20} MiB, which are not there", path
        ) from None


def _cipher(key: bytes, tag: bytes | None = None) -> Cipher[Any]:
    with needs_files_extra():
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    return Cipher(algorithms.AES256(key), modes.GCM(NONCE, tag))


def _opened(
    path: Path, kdf: Kdf, salt: bytes, files: KeystoreFiles, header: bytes, tag: bytes, sealed: memoryview
) -> Bytes:
    """The plaintext, in memory that can be overwritten."""
    with needs_files_extra():
        from cryptography.exceptions import InvalidTag
    plaintext = np.zeros(len(sealed) + AES_BLOCK_BYTES, dtype=np.uint8)
    try:
        decryptor = _cipher(_derived(path, kdf, salt, files), tag).decryptor()
        decryptor.authenticate_additional_data(header)
        size = decryptor.update_into(sealed, plaintext.data)
        decryptor.finalize()
    except (InvalidTag, ValueError):
        plaintext.fill(0)
        raise KeyCacheError("made with other passwords, or damaged", path) from None
    return plaintext[:size]


def _packed(files: KeystoreFiles, cached: CachedKeys) -> bytearray:
    """A description in JSON behind its length, then arrays one after the other."""
    keystores, cluster = cached.keystores, cached.cluster
    arrays: list[Bytes | Uint64s] = [keystores.secret_keys, keystores.public_keys]
    description: dict[str, Any] = {
        "sources": [source.name for source in keystores.sources],
        "problems": [_problem_to_json(problem) for problem in keystores.problems],
        "lock": cached.lock_digest.hex(),
        "cluster": None,
    }
    if cluster is not None:
        description["cluster"] = {
            "name": cluster.name,
            "network": cluster.network.name if cluster.network else None,
            "threshold": cluster.threshold,
            "share_indices": cluster.share_indices.tolist(),
            "validators": len(cluster.public_keys),
            "lock_hash": cluster.lock_hash.hex() if cluster.lock_hash is not None else None,
        }
        for keys in (cluster.public_keys, cluster.public_key_shares):
            arrays += [keys.encoded, points_of(keys)]
    text = json.dumps(description).encode()
    parts = [len(text).to_bytes(LENGTH_BYTES), text, *map(_memory, arrays)]
    packed = bytearray(sum(map(len, parts)))  # one that grows would leave copies behind
    place = 0
    for part in parts:
        packed[place : place + len(part)] = part
        place += len(part)
    return packed


def _unpacked(files: KeystoreFiles, plaintext: Bytes, kdf: Kdf) -> CachedKeys:
    reader = _Reader(plaintext)
    description = json.loads(reader.take(int.from_bytes(reader.take(LENGTH_BYTES).tobytes())).tobytes())
    sources = tuple(files.directory / name for name in description["sources"])
    problems = tuple(
        KeystoreError(message, files.directory / name) for name, message in description["problems"]
    )
    keystores = LoadedKeystores(
        reader.rows(len(sources), width=SECRET_KEY_BYTES),
        reader.rows(len(sources), width=PUBLIC_KEY_BYTES),
        sources,
        problems,
        frozenset([kdf]),  # so that a cache made of this one costs no less
    )
    cluster = _cluster_of(description["cluster"], reader) if description["cluster"] else None
    return CachedKeys(keystores, cluster, bytes.fromhex(description["lock"]))


def _cluster_of(description: dict[str, Any], reader: _Reader) -> ClusterShares:
    share_indices = np.array(description["share_indices"], dtype=np.uint64)
    n, k, name = description["validators"], len(share_indices), description["network"]
    lock_hash = description["lock_hash"]
    return ClusterShares(
        name=description["name"],
        network=network_named(name) if name else None,
        threshold=description["threshold"],
        share_indices=share_indices,
        public_keys=reader.public_keys(n),
        public_key_shares=reader.public_keys(n, k),
        lock_hash=bytes.fromhex(lock_hash) if lock_hash is not None else None,
    )


class _Reader:
    """Takes arrays one after the other."""

    def __init__(self, data: Bytes) -> None:
        self._data, self._place = data, 0

    def take(self, size: int) -> Bytes:
        """The next bytes, not copied."""
        start, self._place = self._place, self._place + size
        return self._data[start : self._place]

    def rows(self, *shape: int, width: int) -> Bytes:
        """A copy of the next uint8[*shape, width]."""
        return self.take(math.prod(shape) * width).reshape(*shape, width).copy()

    def public_keys(self, *shape: int) -> PublicKeys:
        """The next keys, which were decoded and checked when they were written."""
        encoded = self.rows(*shape, width=PUBLIC_KEY_BYTES)
        points = self.rows(*shape, width=POINT_BYTES).view(np.uint64)
        return keys_of_points(encoded, points)


def _memory(array: Bytes | Uint64s) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _problem_to_json(problem: KeystoreError) -> list[str]:
    assert problem.path is not None
    return [problem.path.name, problem.reason]
