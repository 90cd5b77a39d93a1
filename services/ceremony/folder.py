"""A node's folder, as charon has it: key shares, lock, deposits; whole or not at all, and verified."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvtfast import FileError, Network
from dvtfast.deposits import check_deposit_data, read_deposit_data
from dvtfast.files import read_bytes
from dvtfast.keystores import PBKDF2_DEFAULT, Derivations, Kdf, load_keystores, write_keystores
from dvtfast.obol import (
    ClusterLock,
    Verdict,
    check_cluster_lock,
    deposit_data_of,
    deposit_file_name,
    read_cluster_lock,
    read_lock_file,
    write_cluster_lock,
    write_deposit_files,
)

from ..process.offload import StoppedError
from ..process.progress import Progress, showing_progress
from .staging import Staging

LOCK_FILE = "cluster-lock.json"
KEYSHARES_FILE = "keyshares.json"
KEYSTORES = "validator_keys"
FILE_MODE = 0o444  # nobody may change them, as charon does it
MOST_FILE_BYTES = 2 * 1024**3
LENGTH_BYTES = 8


@dataclass(frozen=True, eq=False)
class NodeResult:
    """What a node has when its cluster has keys.

    Attributes:
        key_shares: uint8[n, 32], of this node; None when a validator client has them.
    """

    lock: ClusterLock
    network: Network
    node_index: int
    key_shares: NDArray[np.uint8] | None = field(repr=False)


@dataclass(frozen=True)
class Cost:
    """What keystores cost who writes and opens them."""

    kdf: Kdf = PBKDF2_DEFAULT
    one_derivation: bool = False
    threads: int | None = None


def staging_of(directory: Path) -> Staging:
    """How files come to a node's folder: last the one without which no program starts on it."""
    return Staging(directory, last=(LOCK_FILE, KEYSHARES_FILE))


def write_node_files(
    directory: Path,
    result: NodeResult,
    cost: Cost,
    *,
    verified_lock: bytes | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Write all files to an empty directory, read them again, and verify what was read.

    Args:
        verified_lock: the lock file of another node, which was verified.
        stop: whether it is of no use any more; asked between keystores.

    Raises:
        FileError: what is on the disk is not what was to be written.
        OSError: it cannot be written.
        StoppedError: `stop()` was true.

    Cost: one key derivation per keystore, or one; reading costs none.
    """
    derivations = Derivations()
    if result.key_shares is not None:
        with showing_progress("encrypting keystores") as progress:
            write_keystores(
                directory / KEYSTORES,
                result.key_shares,
                public_keys=result.lock.public_key_shares[:, result.node_index],
                kdf=cost.kdf,
                one_derivation=cost.one_derivation,
                derivations=derivations,
                threads=cost.threads,
                progress=_stopping(progress, stop),
            )
    write_deposit_files(directory, result.lock, result.network, mode=FILE_MODE)
    write_cluster_lock(directory / LOCK_FILE, result.lock, mode=FILE_MODE)
    verify_node_files(
        directory, result, derivations=derivations, verified_lock=verified_lock, threads=cost.threads
    )


def _stopping(progress: Progress, stop: Callable[[], bool]) -> Progress:
    def count(done: int, total: int) -> None:
        if stop():
            raise StoppedError("stopping")
        progress(done, total)

    return count


def verify_node_files(
    directory: Path,
    result: NodeResult,
    *,
    derivations: Derivations | None = None,
    verified_lock: bytes | None = None,
    threads: int | None = None,
) -> None:
    """Whether a folder has what a node must have.

    Args:
        derivations: by who has just written the keystores; without them each is derived anew.
        verified_lock: the content of a lock file that was verified; the same is not verified again.

    Raises:
        FileError: naming the file, and what is wrong.
    """
    path = directory / LOCK_FILE
    content = read_lock_file(path)
    lock = read_cluster_lock(path, content=content)
    if content != verified_lock:
        verify_lock(lock, threads)
    if lock.lock_hash != result.lock.lock_hash:
        raise FileError("lock_hash: not that of this cluster", path)
    index = None if result.key_shares is None else result.node_index
    verify_files_of(
        directory, lock, result.network, node_index=index, derivations=derivations, threads=threads
    )


def verify_files_of(
    directory: Path,
    lock: ClusterLock,
    network: Network,
    *,
    node_index: int | None,
    derivations: Derivations | None = None,
    threads: int | None = None,
) -> None:
    """Whether a folder has what goes with a lock.

    Args:
        node_index: whose keystores are there; None when a validator client has them.
        derivations: as `verify_node_files` takes it.

    Raises:
        FileError: naming the file, and what is wrong.
    """
    _verify_deposits(directory, lock, network, threads)
    if node_index is not None:
        with showing_progress("decrypting keystores") as progress:
            _verify_keystores(directory / KEYSTORES, lock, node_index, derivations, threads, progress)


def digest_of(directory: Path) -> bytes:
    """SHA-256 over names and contents of all files below a directory: what a node says that it has."""
    digest = hashlib.sha256()
    for path in sorted(_files(directory)):
        name = os.fsencode(path.relative_to(directory))
        for part in (name, read_bytes(path, limit_bytes=MOST_FILE_BYTES)):
            digest.update(len(part).to_bytes(LENGTH_BYTES) + part)
    return digest.digest()


def verify_lock(lock: ClusterLock, threads: int | None) -> None:
    """Verify a lock that was read.

    Raises:
        FileError: all that is wrong.
    """
    if faults := [
        f"{check.name}: {check.detail}"
        for check in check_cluster_lock(lock, threads=threads)
        if check.verdict is Verdict.FAULT
    ]:
        raise FileError("; ".join(faults), lock.source)


def _verify_deposits(directory: Path, lock: ClusterLock, network: Network, threads: int | None) -> None:
    for amount, wanted in deposit_data_of(lock, network).items():
        path = directory / deposit_file_name(amount)
        deposits = read_deposit_data(path, network=network)
        same = len(deposits) == len(wanted) and all(
            np.array_equal(getattr(deposits, name), getattr(wanted, name))
            for name in ("public_keys", "withdrawal_credentials", "amounts_gwei", "signatures")
        )
        problems = [each for lines in check_deposit_data(deposits, threads=threads) for each in lines]
        if problems or not same:
            raise FileError(problems[0] if problems else "not the deposits of the lock", path)


def _verify_keystores(
    directory: Path,
    lock: ClusterLock,
    node_index: int,
    derivations: Derivations | None,
    threads: int | None,
    progress: Progress,
) -> None:
    loaded = load_keystores(directory, derivations=derivations, threads=threads, progress=progress)
    loaded.wipe()
    if loaded.problems:
        raise FileError(loaded.problems[0].reason, loaded.problems[0].path)
    if not np.array_equal(loaded.public_keys, lock.public_key_shares[:, node_index]):
        raise FileError(f"not the key shares of node {node_index}, in the lock's order", directory)


def _files(directory: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(directory):
        for name in names:
            yield Path(folder) / name
