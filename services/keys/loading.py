"""The keystores of a node, and its cluster: verified and decrypted once, then taken from the key cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from time import perf_counter

from dvtfast import FileError, Network
from dvtfast.clusters import ClusterShares, read_cluster_lock
from dvtfast.key_cache import CachedKeys, KeyCacheError, read_key_cache, write_key_cache
from dvtfast.keystores import (
    KeystoreFiles,
    LoadedKeystores,
    OutOfMemoryError,
    open_keystores,
    read_keystore_files,
)
from dvtfast.obol import read_lock_file

from .. import logs, paths

CACHE_NAME = ".dvtfast-key-cache"

log = logs.get("keys")

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class KeyShares:
    """What `load_key_shares` found.

    Attributes:
        cluster: of the lock, None without one.
        from_cache: whether nothing had to be decrypted.
    """

    keystores: LoadedKeystores = field(repr=False)
    cluster: ClusterShares | None
    from_cache: bool


class LockFile:
    """A cluster lock on disk, which is verified at most once.

    Args:
        path: the file.
        network: that it must be of.

    Raises:
        FileError: it cannot be read.
    """

    def __init__(self, path: Path, *, network: Network | None = None) -> None:
        self.path = path
        self._network = network
        self._content = read_lock_file(path)
        self._known: ClusterShares | None = None

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        return len(self._content)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the file."""
        return hashlib.sha256(self._content).digest()

    def cluster(self, known: CachedKeys | None = None, *, threads: int | None = None) -> ClusterShares:
        """The cluster: as a cache has it of this very file, or verified now.

        Raises:
            FileError: the lock is wrong, or of another network.
        """
        if self._known is None:
            begin = perf_counter()
            from_cache = known is not None and known.lock_digest == self.digest
            cluster = known.cluster if known is not None and from_cache else None
            if cluster is None:
                cluster = read_cluster_lock(self.path, content=self._content, threads=threads)
            if self._network not in (None, cluster.network):
                name = cluster.network.name if cluster.network else "unknown"
                raise FileError(f"its network is {name}, not {self._network.name}", self.path)
            self._known = cluster
            log.info(
                "cluster lock verified before" if from_cache else "cluster lock verified",
                cluster=cluster.name,
                validators=len(cluster.public_keys),
                nodes=len(cluster.share_indices),
                threshold=cluster.threshold,
                seconds=round(perf_counter() - begin, 3),
            )
        return self._known


def default_cache(directory: Path) -> Path:
    """Where the key cache of a directory of keystores is."""
    return directory / CACHE_NAME


def load_key_shares(
    directory: Path,
    *,
    lock: LockFile | None = None,
    cache: Path | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> KeyShares:
    """The keystores of a directory, and the cluster of a lock.

    Both come from the cache if it fits; otherwise the lock is verified, the keystores are decrypted, and the
    cache is written. Whatever is wrong with the cache is logged, and nothing else.

    Args:
        directory: such as charon's validator_keys.
        lock: of the node's cluster.
        cache: None for none; see `default_cache`.
        threads: for decryption and cryptography.
        progress: called with the number of keystores done and of all, from any thread; not with a cache.

    Raises:
        FileError: the lock is wrong.
        KeystoreError: there is no keystore.
    """
    log.info("loading keys", directory=str(directory))
    files = read_keystore_files(directory)
    cached = None if cache is None else _read_cache(cache, files, lock)
    try:
        cluster = None if lock is None else lock.cluster(cached, threads=threads)
    except FileError:
        if cached is not None:
            cached.keystores.wipe()
        raise
    if cached is None:
        keystores = open_keystores(files, threads=threads, progress=progress)
    else:
        keystores = cached.keystores
    is_news = cached is None or (lock is not None and cached.lock_digest != lock.digest)
    if cache is not None and is_news:
        _write_cache(cache, files, CachedKeys(keystores, cluster, lock.digest if lock else b""))
    return KeyShares(keystores, cluster, cached is not None)


def _read_cache(cache: Path, files: KeystoreFiles, lock: LockFile | None) -> CachedKeys | None:
    if not paths.is_there(cache):
        return None
    try:
        return read_key_cache(cache, files, lock_bytes=lock.size_bytes if lock else 0)
    except KeyCacheError as error:
        log.info("key cache is made anew", reason=str(error))
        return None


def _write_cache(cache: Path, files: KeystoreFiles, cached: CachedKeys) -> None:
    passing = [problem for problem in cached.keystores.problems if isinstance(problem, OutOfMemoryError)]
    if passing or not len(cached.keystores.secret_keys):
        return
    begin = perf_counter()
    try:
        write_key_cache(cache, files, cached)
    except (OSError, KeyCacheError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        log.warning("key cache not written", file=str(cache), error=why)
        return
    log.info("key cache written", file=str(cache), seconds=round(perf_counter() - begin, 3))
