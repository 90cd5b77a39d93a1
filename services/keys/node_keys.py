"""The key shares of a node: its keystores read and decrypted, and matched to its cluster."""

from __future__ import annotations

import threading
from pathlib import Path
from time import perf_counter

from ..process import logs
from ..process.offload import UnavailableError
from ..process.progress import showing_progress
from .key_share_files import LockFile, load_key_shares
from .key_shares import NodeKeys, match_keys

log = logs.get("keys")


def read_node_keys(
    lock: LockFile,
    directory: Path,
    *,
    node_index: int | None = None,
    cache: Path | None = None,
    threads: int | None = None,
    stopped: threading.Event | None = None,
) -> NodeKeys:
    """The key shares of a directory; what is wrong with single keystores is logged. Slow.

    Args:
        directory: such as charon's validator_keys.
        node_index: whose they have to be; without it, of the node that most are of.
        cache: None for none; see `default_cache`.
        stopped: when it is set, nobody waits for the keys any more.

    Raises:
        NoKeysError, DvtfastError: there is none that can be used.
        UnavailableError: it was stopped.
    """
    begin = perf_counter()
    with showing_progress("decrypting keystores") as show:

        def progress(done: int, total: int) -> None:
            if stopped is not None and stopped.is_set():
                raise UnavailableError("stopped while the keys were decrypted")
            show(done, total)

        loaded = load_key_shares(directory, lock=lock, cache=cache, threads=threads, progress=progress)
    cluster = lock.cluster(threads=threads)
    keys, problems = match_keys(cluster, loaded.keystores, node_index=node_index)
    for problem in problems:
        log.warning("keystore problem", problem=problem)
    log.info(
        "keys loaded",
        cluster=cluster.name,
        share_index=keys.share_index,
        count=len(keys.public_keys),
        validators=len(cluster.public_keys),
        seconds=round(perf_counter() - begin, 3),
    )
    return keys
