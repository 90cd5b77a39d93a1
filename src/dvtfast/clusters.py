"""Obol lock files and SSV keyshares to one type: who holds which public key share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dvtfast import obol, ssv
from dvtfast._arrays import Bytes, Uint64s
from dvtfast.errors import EncodingError, FileError, InputError
from dvtfast.keys import PublicKeys
from dvtfast.networks import Network, network_with_fork_version
from dvtfast.threshold import check_public_key_shares


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


def read_cluster_lock(path: Path | str, *, check: bool = True) -> ClusterShares:
    """Read an Obol cluster lock.

    Counts, encodings, duplicates and the polynomials of the shares are always checked.

    Args:
        path: charon's cluster-lock.json, v1.7 to v1.11.
        check: also the hashes and the signature of all key shares.

    Raises:
        FileError: the lock is wrong, or of a network unknown here.
    """
    lock = obol.read_cluster_lock(path)
    try:
        network = network_with_fork_version(lock.definition.fork_version)
    except InputError as error:
        raise FileError(f"cluster_definition.{error}", lock.source) from None
    cluster = _checked_cluster(
        Path(path),
        lock.definition.name,
        network,
        lock.definition.threshold,
        lock.share_indices,
        lock.public_keys,
        lock.public_key_shares,
    )
    if check:
        obol.verify_cluster_lock(lock, public_key_shares=cluster.public_key_shares)
    return cluster


def read_ssv_keyshares(path: Path | str) -> list[ClusterShares]:
    """Read SSV keyshares as one cluster per set of operators.

    Raises:
        FileError: the file is wrong.
    """
    by_operators: dict[tuple[int, ...], list[ssv.KeyShares]] = {}
    for shares in ssv.read_keyshares(path):
        by_operators.setdefault(shares.operator_ids, []).append(shares)
    return [
        _checked_cluster(
            Path(path),
            "ssv-" + "-".join(map(str, operator_ids)),
            None,
            ssv.threshold_of(len(operator_ids)),
            np.array(operator_ids, dtype=np.uint64),
            np.frombuffer(b"".join(item.public_key for item in items), dtype=np.uint8).reshape(
                len(items), -1
            ),
            np.stack([item.public_key_shares for item in items]),
        )
        for operator_ids, items in by_operators.items()
    ]


def _checked_cluster(
    path: Path,
    name: str,
    network: Network | None,
    threshold: int,
    share_indices: Uint64s,
    public_keys: Bytes,
    public_key_shares: Bytes,
) -> ClusterShares:
    """Decode all keys; refuse repeated ones, and shares off their validator's polynomial."""
    n, k, width = public_key_shares.shape
    _refuse_repeated(path, np.concatenate([public_keys, public_key_shares.reshape(n * k, width)]))
    try:
        keys = PublicKeys(public_keys)
    except EncodingError as error:
        key = public_keys[error.indices[0]].tobytes().hex()
        raise FileError(f"0x{key} is no valid public key", path) from None
    try:
        shares = PublicKeys(public_key_shares)
    except EncodingError as error:
        row, column = divmod(error.indices[0], k)
        raise FileError(
            f"validator {_hex(public_keys[row])}: the public key share with index {share_indices[column]} "
            "is no valid public key",
            path,
        ) from None
    for row in np.flatnonzero(~check_public_key_shares(keys, shares, share_indices, threshold=threshold)):
        raise FileError(
            f"validator {_hex(public_keys[row])}: the public key shares do not give its public key "
            f"with threshold {threshold}",
            path,
        )
    return ClusterShares(name, network, threshold, share_indices, keys, shares)


def _refuse_repeated(path: Path, keys: Bytes) -> None:
    values, counts = np.unique(keys, axis=0, return_counts=True)
    for key in values[counts > 1]:
        raise FileError(f"public key {_hex(key)} is repeated", path)


def _hex(key: Bytes) -> str:
    return "0x" + key.tobytes().hex()
