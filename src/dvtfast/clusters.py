"""Obol lock files and SSV keyshares to one type: who holds which public key share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dvtfast import obol, ssv
from dvtfast._arrays import Uint64s
from dvtfast._cluster_keys import decode_cluster_keys
from dvtfast._files import to_hex
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
        lock_hash: of an Obol cluster's lock, 32 bytes; None where the file is no lock.
    """

    name: str
    network: Network | None
    threshold: int
    share_indices: Uint64s
    public_keys: PublicKeys
    public_key_shares: PublicKeys
    lock_hash: bytes | None = None


def read_cluster_lock(
    path: Path | str, *, content: bytes | None = None, check: bool = True, threads: int | None = None
) -> ClusterShares:
    """Read an Obol cluster lock.

    Counts, encodings, duplicates and the polynomials of the shares are always checked.

    Args:
        path: charon's cluster-lock.json, v1.7 to v1.11.
        content: of that file, by a caller who has read it.
        check: also the hashes, the signature of all key shares and those of the nodes. Without it the lock
            hash is that of the content, whatever the file states.

    Raises:
        obol.UnverifiedLockError: a hash or a signature is wrong or missing, nothing else.
        FileError: the lock is wrong, or of a network unknown here.
        MissingExtraError: the extra `files` is not installed, and `check` is wanted.
    """
    return shares_of_lock(obol.read_cluster_lock(path, content=content), check=check, threads=threads)


def shares_of_lock(
    lock: obol.ClusterLock, *, check: bool = True, any_network: bool = False, threads: int | None = None
) -> ClusterShares:
    """The same of a lock that is read already; see `read_cluster_lock`.

    Args:
        lock: as it was read.
        check: also hashes and signatures.
        any_network: also of a network that is unknown here, such as one for tests.
    """
    network = None
    try:
        network = network_with_fork_version(lock.definition.fork_version)
    except InputError as error:
        if not any_network:
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
    lock_hash = lock.lock_hash if check else obol.lock_hash(lock)
    return ClusterShares(
        lock.definition.name, network, threshold, lock.share_indices, keys, shares, lock_hash
    )


def read_ssv_keyshares(
    path: Path | str, *, check: bool = True, threads: int | None = None
) -> list[ClusterShares]:
    """Read SSV keyshares as one cluster per set of operators.

    Counts, encodings, duplicates and the polynomials of the shares are always checked.

    Args:
        path: ssv-keys' keyshares.json, up to v1.2.
        check: also each key's signature for its owner.

    Raises:
        FileError: the file is wrong.
        MissingExtraError: the extra `files` is not installed, and `check` is wanted.
    """
    validators = ssv.read_keyshares(path)
    clusters = _clusters_of(Path(path), validators, threads)
    if check:
        by_operators = _by_operators(validators)
        for items, cluster in zip(by_operators.values(), clusters, strict=True):
            _check_owners(Path(path), items, cluster, threads)
    return clusters


def ssv_clusters(validators: Sequence[ssv.KeyShares], *, threads: int | None = None) -> list[ClusterShares]:
    """The same of validators that `ssv.check_key_shares` found right, such as registered ones.

    Raises:
        FileError: one of them is not right, or has a key of another.
    """
    return _clusters_of(None, validators, threads)


def _clusters_of(
    path: Path | None, validators: Sequence[ssv.KeyShares], threads: int | None
) -> list[ClusterShares]:
    return [
        _cluster_of(path, operator_ids, items, threads)
        for operator_ids, items in _by_operators(validators).items()
    ]


def _by_operators(validators: Sequence[ssv.KeyShares]) -> dict[tuple[int, ...], list[ssv.KeyShares]]:
    by_operators: dict[tuple[int, ...], list[ssv.KeyShares]] = {}
    for shares in validators:
        by_operators.setdefault(shares.operator_ids, []).append(shares)
    return by_operators


def _check_owners(
    path: Path, items: Sequence[ssv.KeyShares], cluster: ClusterShares, threads: int | None
) -> None:
    signed = ssv.check_owner_signatures(items, cluster.public_keys, threads=threads)
    for row in np.flatnonzero(~signed).tolist():
        key, nonce = to_hex(items[row].public_key), items[row].owner_nonce
        raise FileError(f"validator {key}: its key did not sign for its owner at nonce {nonce}", path)


def _cluster_of(
    path: Path | None, operator_ids: tuple[int, ...], items: Sequence[ssv.KeyShares], threads: int | None
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
