"""Obol lock files and SSV keyshares to one type: who holds which public key share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dvtfast import obol, ssv
from dvtfast._arrays import Uint64s
from dvtfast._cluster_keys import decode_cluster_keys
from dvtfast.errors import FileError, InputError
from dvtfast.keys import PublicKeys
from dvtfast.networks import Network, network_with_fork_version


@dataclass(frozen=True, eq=False)
class ClusterShares:
    """The validators of one cluster and the public key shares of its nodes.

    Attributes:
        name: for people; of an SSV cluster, its operator ids.
        network: None where the file does not say.
        threshold: shares that recover a key.
        share_indices: uint64[k], one per node.
        public_keys: n keys.
        public_key_shares: [n, k], on one polynomial with the public key, validator by validator.
    """

    name: str
    network: Network | None
    threshold: int
    share_indices: Uint64s
    public_keys: PublicKeys
    public_key_shares: PublicKeys


def read_cluster_lock(
    path: Path | str, *, content: bytes | None = None, check: bool = True, threads: int | None = None
) -> ClusterShares:
    """Read an Obol cluster lock.

    Counts, encodings, duplicates and the polynomials of the shares are always checked.

    Args:
        path: charon's cluster-lock.json, v1.7 to v1.11.
        content: of that file, by a caller who has read it.
        check: also the hashes, the signature of all key shares and those of the nodes.

    Raises:
        FileError: the lock is wrong, or of a network unknown here.
        MissingExtraError: the extra `files` is not installed, and `check` is wanted.
    """
    lock = obol.read_cluster_lock(path, content=content)
    try:
        network = network_with_fork_version(lock.definition.fork_version)
    except InputError as error:
        raise FileError(f"cluster_definition.{error}", lock.source) from None
    threshold = lock.definition.threshold
    keys, shares = decode_cluster_keys(
        lock.source,
        lock.public_keys,
        lock.public_key_shares,
        lock.share_indices,
        threshold=threshold,
        threads=threads,
    )
    if check:
        obol.verify_cluster_lock(lock, public_key_shares=shares)
    return ClusterShares(lock.definition.name, network, threshold, lock.share_indices, keys, shares)


def read_ssv_keyshares(path: Path | str, *, threads: int | None = None) -> list[ClusterShares]:
    """Read SSV keyshares as one cluster per set of operators.

    Raises:
        FileError: the file is wrong.
    """
    by_operators: dict[tuple[int, ...], list[ssv.KeyShares]] = {}
    for shares in ssv.read_keyshares(path):
        by_operators.setdefault(shares.operator_ids, []).append(shares)
    return [
        _cluster_of(Path(path), operator_ids, items, threads) for operator_ids, items in by_operators.items()
    ]


def _cluster_of(
    path: Path, operator_ids: tuple[int, ...], items: Sequence[ssv.KeyShares], threads: int | None
) -> ClusterShares:
    share_indices = np.array(operator_ids, dtype=np.uint64)
    threshold = ssv.threshold_of(len(operator_ids))
    keys, shares = decode_cluster_keys(
        path,
        np.stack([np.frombuffer(item.public_key, dtype=np.uint8) for item in items]),
        np.stack([item.public_key_shares for item in items]),
        share_indices,
        threshold=threshold,
        threads=threads,
    )
    return ClusterShares(
        "ssv-" + "-".join(map(str, operator_ids)), None, threshold, share_indices, keys, shares
    )
