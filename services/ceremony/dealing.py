"""A dealer makes a cluster: it knows every key whole, and gives each node its shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvtfast import Network, split_secret_keys
from dvtfast.obol import (
    KEY_FILE,
    ClusterDefinition,
    ClusterLock,
    Operator,
    deal_cluster_lock,
    make_enr,
    read_lock_file,
    write_node_key,
)
from dvtfast.secp256k1 import new_secret_key

from .folder import LOCK_FILE, Cost, NodeResult, write_node_files
from .staging import Staging

NODE_MODE = 0o700
ORIGIN = b"dvtfast create cluster"


@dataclass(frozen=True, eq=False)
class DealtCluster:
    """A cluster as its dealer has it.

    Attributes:
        key_shares: uint8[n, k, 32].
        node_keys: k secp256k1 secrets.
    """

    lock: ClusterLock
    network: Network
    key_shares: NDArray[np.uint8] = field(repr=False)
    node_keys: tuple[bytes, ...] = field(repr=False)

    def wipe(self) -> None:
        """Overwrite the key shares."""
        self.key_shares.fill(0)


def new_node_keys(count: int) -> tuple[bytes, ...]:
    """Secrets of nodes, from the operating system."""
    return tuple(new_secret_key() for _ in range(count))


def operators_of(node_keys: Sequence[bytes]) -> tuple[Operator, ...]:
    """The nodes as a definition names them."""
    return tuple(Operator(enr=make_enr(key)) for key in node_keys)


def deal(
    definition: ClusterDefinition,
    secret_keys: NDArray[np.uint8],
    node_keys: Sequence[bytes],
    network: Network,
    *,
    threads: int | None = None,
) -> DealtCluster:
    """Split the keys of validators, and sign for all.

    Args:
        secret_keys: uint8[n, 32]; the caller wipes them.
        node_keys: of the definition's operators, in their order.
    """
    indices = range(1, len(node_keys) + 1)
    shares = split_secret_keys(secret_keys, threshold=definition.threshold, share_indices=indices)
    lock = deal_cluster_lock(
        definition, secret_keys, shares, node_secret_keys=node_keys, network=network, threads=threads
    )
    return DealtCluster(lock, network, shares, tuple(node_keys))


def write_folders(directory: Path, dealt: DealtCluster, cost: Cost) -> tuple[Path, ...]:
    """A folder for each node below a directory, `node0` and so on: all or none, verified from the disk.

    Raises:
        FileError: one of them is there, or what is on the disk is not what was to be written.
        OSError: they cannot be written.
    """
    staging = Staging(directory)
    staging.discard(ORIGIN)
    writing = staging.begin(ORIGIN)
    names = [f"node{i}" for i in range(len(dealt.node_keys))]
    lock: bytes | None = None  # of the first, which is verified for all
    try:
        for i, name in enumerate(names):
            folder = writing / name
            folder.mkdir(mode=NODE_MODE)
            write_node_key(folder / KEY_FILE, dealt.node_keys[i])
            result = NodeResult(dealt.lock, dealt.network, i, dealt.key_shares[:, i])
            write_node_files(folder, result, cost, verified_lock=lock)
            lock = read_lock_file(folder / LOCK_FILE)
        staging.complete()
        staging.publish()
    except BaseException:
        staging.discard(ORIGIN)
        raise
    return tuple(directory / name for name in names)
