"""Cluster locks: verified, or used all the same when the user says so, loudly and at each start."""

from __future__ import annotations

from pathlib import Path

from dvtfast import FileError, obol
from dvtfast.clusters import ClusterShares, shares_of_lock

from ..process import logs

ADVICE = (
    "take the lock as the key generation wrote it; if there is none that is signed, and its keys are your"
    " cluster's for sure, --no-verify (DVTFAST_NO_VERIFY) goes on without"
)

log = logs.get("locks")


def read_lock(
    path: Path,
    *,
    verify: bool,
    content: bytes | None = None,
    any_network: bool = False,
    threads: int | None = None,
) -> tuple[ClusterShares, bool]:
    """The cluster of a lock, and whether it was verified.

    Args:
        any_network: also of a network that is unknown here, such as one for tests.
        verify: refuse hashes and signatures that are wrong or missing; otherwise they are warned of. Counts,
            encodings, duplicates and the polynomials of the shares must be right in any case.

    Raises:
        FileError: the lock is wrong, or cannot be verified.
    """
    lock = obol.read_cluster_lock(path, content=content)
    return shares_of(lock, verify=verify, any_network=any_network, threads=threads)


def shares_of(
    lock: obol.ClusterLock, *, verify: bool, any_network: bool = False, threads: int | None = None
) -> tuple[ClusterShares, bool]:
    """The same of a lock that is read already.

    Args:
        any_network: also of a network that is unknown here, such as one for tests.

    Raises:
        FileError: the lock is wrong, or cannot be verified.
    """
    try:
        return shares_of_lock(lock, any_network=any_network, threads=threads), True
    except obol.UnverifiedLockError as error:
        if verify:
            raise FileError(f"{error.reason}: {ADVICE}", lock.source) from None
        for fault in error.faults:
            log.warning(
                "cluster lock is not verified, and used all the same", file=str(lock.source), fault=fault
            )
    return shares_of_lock(lock, check=False, any_network=any_network, threads=threads), False
