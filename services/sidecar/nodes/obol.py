"""Nodes of an Obol cluster: its lock, with keystores as charon writes them, or with a remote signer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable, Sequence
from functools import partial

import numpy as np

from dvtfast.clusters import ClusterShares

from ... import wire
from ...keys.key_share_files import LockFile, default_cache
from ...keys.key_shares import NodeKeys, match, public_key_shares_of, share_index_of
from ...keys.node_keys import read_node_keys
from ...keys.remote_signer import remote_keys
from ...process import logs
from ...process.background import until_cancelled
from ...process.offload import Workers
from ...settings import SidecarSettings
from .file_states import state_of
from .local import local_node
from .node import Node
from .remote import RemoteSigner

log = logs.get("sidecar")


class ObolFiles:
    """An Obol cluster lock, and the keystores of some of its nodes, as charon writes them."""

    def __init__(self, settings: SidecarSettings, workers: Workers) -> None:
        self._settings = settings
        self._workers = workers

    async def load(self) -> Sequence[Node]:
        """Read the lock and all keystores."""
        loaded = await until_cancelled(partial(read_obol, self._settings))
        return [local_node(keys, self._workers, threads=self._settings.threads) for keys in loaded]

    def fingerprint(self) -> Hashable:
        """Of the names and times of all files."""
        directories = [directory for _, directory in self._settings.keystores_directories]
        return state_of(self._settings.cluster_lock, *directories)


class RemoteKeys:
    """An Obol cluster lock, and a remote signer that has key shares of some of its nodes.

    Args:
        address: of the remote signer.
    """

    def __init__(self, settings: SidecarSettings, address: str, workers: Workers) -> None:
        self._settings = settings
        self._address = address
        self._workers = workers
        self._known: tuple[bytes, ClusterShares] | None = None  # a lock's digest, and its cluster

    async def load(self) -> Sequence[Node]:
        """Read the lock, which is verified once, and ask which keys there are."""
        settings = self._settings
        cluster = await asyncio.to_thread(self._cluster)
        offered = await remote_keys(self._address, timeout_seconds=settings.remote_signer_timeout)
        return [self._node(cluster, offered, index) for index in settings.node_indices or (None,)]

    def fingerprint(self) -> Hashable:
        """Of the lock; nothing tells when a remote signer has other keys."""
        return state_of(self._settings.cluster_lock)

    def _cluster(self) -> ClusterShares:
        lock = _lock_file(self._settings)
        if self._known is None or self._known[0] != lock.digest:
            self._known = lock.digest, lock.cluster(threads=self._settings.threads)
        return self._known[1]

    def _node(self, cluster: ClusterShares, offered: Sequence[wire.PublicKey], index: int | None) -> Node:
        shares = cluster.public_key_shares.encoded
        column = shares if index is None else shares[:, index : index + 1]
        known = {row.tobytes() for row in column.reshape(-1, shares.shape[2])}
        ours = [key for key in offered if key in known]  # it may serve others, too
        keys = np.frombuffer(b"".join(ours), np.uint8).reshape(-1, shares.shape[2])
        names = [key.to_wire() for key in ours]
        matched = match(cluster, keys, names, node_index=index, noun="remote key")
        for problem in matched.problems:
            log.warning("key problem", problem=problem)
        share_index = share_index_of(matched.node_index)
        signer = RemoteSigner(
            self._address,
            cluster.public_key_shares[matched.validators, matched.node_index],
            self._settings.network,
            self._workers,
            timeout_seconds=self._settings.remote_signer_timeout,
            threads=self._settings.threads,
        )
        count = len(matched.validators)
        log.info("keys found", cluster=cluster.name, share_index=share_index, count=count)
        public_keys = cluster.public_keys.encoded[matched.validators]
        public_key_shares = public_key_shares_of(cluster, matched.validators)
        return Node(cluster.name, share_index, public_keys, signer, public_key_shares)


def read_obol(settings: SidecarSettings, stopped: threading.Event | None = None) -> list[NodeKeys]:
    """The key shares of each node; what is wrong with single keystores is logged.

    Args:
        stopped: when it is set, nobody waits for the keys any more.

    Raises:
        NoKeysError, DvtfastError: no share can be signed with these files.
        UnavailableError: it was stopped.
    """
    lock = _lock_file(settings)
    return [
        read_node_keys(
            lock,
            directory,
            node_index=node_index,
            cache=None if settings.no_key_cache else settings.key_cache or default_cache(directory),
            threads=settings.threads,
            stopped=stopped,
        )
        for node_index, directory in settings.keystores_directories
    ]


def _lock_file(settings: SidecarSettings) -> LockFile:
    assert settings.cluster_lock is not None, "settings see to it"
    return LockFile(settings.cluster_lock, network=settings.network, verify=not settings.no_verify)
