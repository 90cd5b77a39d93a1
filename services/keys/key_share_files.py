"""The keystores of a node, and its cluster: verified and decrypted once, then taken from the key cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from time import perf_counter

from dvtfast import FileError, Network
from dvtfast.clusters import ClusterShares
from dvtfast.key_cache import CachedKeys, KeyCacheError, is_another_file, read_key_cache, write_key_cache
from dvtfast.keystores import (
    KeystoreFiles,
    LoadedKeystores,
    OutOfMemoryError,
    open_keystores,
    read_keystore_files,
)
from dvtfast.obol import read_lock_file

from ..files import paths
from ..process import logs
from .locks import read_lock

CACHE_NAME = ".dvtfast-key-cache"
READ = {True: "cluster lock verified", False: "cluster lock read"}

log = logs.get("keys")

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class LoadedKeyShares:
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
        any_network: it may be of one that is unknown here, such as one for tests.
        verify: whether its hashes and signatures must be right; see `locks`.

    Attributes:
        is_verified: whether they are, once `cluster` was called.

    Raises:
        FileError: it cannot be read.
    """

    def __init__(
        self, path: Path, *, network: Network | None = None, any_network: bool = False, verify: bool = True
    ) -> None:
        self.path = path
        self.is_verified = False
        self._network, self._any_network = network, any_network
        self._verify = verify
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
            self.is_verified = True
            if cluster is None:
                cluster, self.is_verified = read_lock(
                    self.path,
                    content=self._content,
                    verify=self._verify,
                    any_network=self._any_network,
                    threads=threads,
                )
            if self._network not in (None, cluster.network):
                name = cluster.network.name if cluster.network else "unknown"
                raise FileError(f"its network is {name}, not {self._network.name}", self.path)
            self._known = cluster
            log.info(
                "cluster lock verified before" if from_cache else READ[self.is_verified],
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
) -> LoadedKeyShares:
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
    # What nobody has verified is not kept, lest a later start took it for verified.
    proven = lock if lock is not None and lock.is_verified else None
    is_news = cached is None or (proven is not None and cached.lock_digest != proven.digest)
    if cache is not None and is_news:
        kept = CachedKeys(keystores, cluster, proven.digest) if proven else CachedKeys(keystores)
        _write_cache(cache, files, kept)
    return LoadedKeyShares(keystores, cluster, cached is not None)


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
    # Beside the keystores the name is ours; a name that was given can be of a lock, or of a keystore.
    if cache.name != CACHE_NAME and is_another_file(cache):
        log.warning("key cache not written", file=str(cache), error="another file is there; name a new one")
        return
    begin = perf_counter()
    try:
        write_key_cache(cache, files, cached)
    except (OSError, KeyCacheError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        log.warning("key cache not written", file=str(cache), error=why)
        return
    log.info("key cache written", file=str(cache), seconds=round(perf_counter() - begin, 3))
