"""Whether the hashes of a cluster lock and the aggregate signature over it are right."""

from __future__ import annotations

import numpy as np

from dvtfast._files import to_hex
from dvtfast.errors import EncodingError, FileError, SignatureError
from dvtfast.keys import PublicKeys
from dvtfast.obol import hashing
from dvtfast.obol.lock import ClusterLock
from dvtfast.signatures import fast_aggregate_verify


def verify_cluster_lock(lock: ClusterLock, *, public_key_shares: PublicKeys | None = None) -> None:
    """Return when the three hashes are right and every key share has signed the lock hash.

    Args:
        lock: the lock.
        public_key_shares: its public key shares, by a caller who has decoded them already.

    Raises:
        FileError: a hash or the aggregate is wrong, or there is no aggregate.
    """
    definition = lock.definition
    _expect("cluster_definition.config_hash", definition.config_hash, hashing.config_hash(definition), lock)
    _expect(
        "cluster_definition.definition_hash",
        definition.definition_hash,
        hashing.definition_hash(definition),
        lock,
    )
    _expect("lock_hash", lock.lock_hash, hashing.lock_hash(lock), lock)
    if not lock.signature_aggregate:
        raise FileError("signature_aggregate: empty, nobody has signed this lock", lock.source)
    try:
        shares = PublicKeys(lock.public_key_shares) if public_key_shares is None else public_key_shares
        every = shares[np.ones(shares.shape, dtype=np.bool_)]
        fast_aggregate_verify(every, lock.lock_hash, lock.signature_aggregate)
    except (EncodingError, SignatureError):
        raise FileError("signature_aggregate: not the signature of all key shares", lock.source) from None


def _expect(name: str, stated: bytes, computed: bytes, lock: ClusterLock) -> None:
    if stated != computed:
        raise FileError(f"{name}: does not fit the content, expected {to_hex(computed)}", lock.source)
