"""Cluster locks: verified, or used all the same when the user says so, loudly and at each start."""

from __future__ import annotations

from pathlib import Path

from dvtfast import FileError
from dvtfast.clusters import ClusterShares, read_cluster_lock
from dvtfast.obol import UnverifiedLockError

from ..process import logs

ADVICE = (
    "take the lock as the key generation wrote it; if there is none that is signed, and its keys are your"
    " cluster's for sure, --no-verify (DVTFAST_NO_VERIFY) goes on without"
)

log = logs.get("locks")


def read_lock(
    path: Path, *, verify: bool, content: bytes | None = None, threads: int | None = None
) -> tuple[ClusterShares, bool]:
    """The cluster of a lock, and whether it was verified.

    Args:
        verify: refuse hashes and signatures that are wrong or missing; otherwise they are warned of. Counts,
            encodings, duplicates and the polynomials of the shares must be right in any case.

    Raises:
        FileError: the lock is wrong, or cannot be verified.
    """
    try:
        return read_cluster_lock(path, content=content, threads=threads), True
    except UnverifiedLockError as error:
        if verify:
            raise FileError(f"{error.reason}: {ADVICE}", path) from None
        for fault in error.faults:
            log.warning("cluster lock is not verified, and used all the same", file=str(path), fault=fault)
    return read_cluster_lock(path, content=content, check=False, threads=threads), False
