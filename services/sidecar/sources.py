"""Where the nodes of a sidecar come from: what the settings name, read anew when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from pathlib import Path
from time import perf_counter

from dvtfast.clusters import ClusterShares, read_cluster_lock
from dvtfast.keystores import load_keystores

from .. import logs
from ..offload import Workers
from ..settings import SidecarSettings
from .keys import NodeKeys, match_keys
from .nodes import Node, NoKeysError, Source

log = logs.get("sidecar")


def sources_of(settings: SidecarSettings, workers: Workers) -> list[Source]:
    """What the settings name.

    Args:
        workers: one thread, on which key shares are used and wiped.
    """
    return [ObolFiles(settings, workers)]


class ObolFiles:
    """An Obol cluster lock, and the keystores of some of its nodes, as charon writes them."""

    def __init__(self, settings: SidecarSettings, workers: Workers) -> None:
        self._settings = settings
        self._workers = workers

    async def load(self) -> Sequence[Node]:
        """Read the lock and all keystores."""
        loaded = await asyncio.to_thread(read_obol, self._settings)
        return [keys.node(self._workers, threads=self._settings.threads) for keys in loaded]

    def fingerprint(self) -> Hashable:
        """Of the names and times of all files."""
        directories = [directory for _, directory in self._settings.keystores_directories]
        return state_of(self._settings.cluster_lock, *directories)


def read_obol(settings: SidecarSettings) -> list[NodeKeys]:
    """The key shares of each node; what is wrong with single keystores is logged.

    Raises:
        NoKeysError, DvtfastError: no share can be signed with these files.
    """
    cluster = read_lock(settings)
    return [
        _read_node(settings, cluster, node_index, directory)
        for node_index, directory in settings.keystores_directories
    ]


def read_lock(settings: SidecarSettings) -> ClusterShares:
    """The cluster, verified, of the network of the settings."""
    begin = perf_counter()
    cluster = read_cluster_lock(settings.cluster_lock, threads=settings.threads)
    if cluster.network != settings.network:
        name = cluster.network.name if cluster.network else "unknown"
        raise NoKeysError(f"{settings.cluster_lock}: its network is {name}, not {settings.network.name}")
    log.info(
        "cluster lock verified",
        cluster=cluster.name,
        validators=len(cluster.public_keys),
        nodes=len(cluster.share_indices),
        threshold=cluster.threshold,
        seconds=round(perf_counter() - begin, 3),
    )
    return cluster


def state_of(*paths: Path) -> Hashable:
    """Differs when one of these files, or a file in one of these directories, is another or was written."""
    state: list[tuple[str, int, int]] = []
    for path in paths:
        for file in (path, *(sorted(path.iterdir()) if path.is_dir() else ())):
            try:
                status = file.stat()
            except OSError:  # it is being replaced
                continue
            state.append((str(file), status.st_mtime_ns, status.st_size))
    return tuple(state)


def _read_node(
    settings: SidecarSettings, cluster: ClusterShares, node_index: int | None, directory: Path
) -> NodeKeys:
    begin = perf_counter()
    loaded = load_keystores(directory, threads=settings.threads)
    keys, problems = match_keys(cluster, loaded, node_index=node_index)
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
