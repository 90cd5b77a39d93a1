"""The cluster that a node is of, as its lock says: members, validators, and where their fees go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dvtfast import FileError
from dvtfast.duties.validator_messages import SignedValidatorRegistration, ValidatorRegistration
from dvtfast.errors import InputError
from dvtfast.obol import ClusterLock, Registrations, Version, node_keys_of, read_cluster_lock

from ..chain.encoding import write_data
from ..keys.locks import shares_of
from .exchange import ClusterMembers
from .partial_signatures import ClusterKeys


@dataclass(frozen=True, eq=False)
class NodeCluster:
    """One node's view of its cluster.

    Attributes:
        name: for people.
        lock_hash: 32 bytes.
        fork_version: of the network's genesis, 4 bytes.
        members: nodes and validators.
        fee_recipients: addresses, by the validator's position.
        registrations: with builders, signed by the whole cluster, by position; none before v1.7.
        is_verified: whether hashes and signatures of the lock are right.
    """

    name: str
    lock_hash: bytes
    fork_version: bytes
    members: ClusterMembers
    fee_recipients: Sequence[str]
    registrations: Sequence[SignedValidatorRegistration] = ()
    is_verified: bool = True


def read_cluster(
    path: Path, public_key: bytes, *, verify: bool = True, threads: int | None = None
) -> NodeCluster:
    """The cluster of a lock, for the node with this key of 33 bytes.

    Args:
        verify: refuse hashes and signatures that are wrong or missing; otherwise they are warned of.

    Raises:
        FileError: the lock is wrong, cannot be verified, or is of other nodes.
    """
    return cluster_of(read_cluster_lock(path), public_key, verify=verify, threads=threads)


def cluster_of(
    lock: ClusterLock, public_key: bytes, *, verify: bool = True, threads: int | None = None
) -> NodeCluster:
    """The same of a lock that is read already."""
    definition = lock.definition
    try:
        operators = node_keys_of(definition)
    except InputError as error:
        raise FileError(f"cluster_definition.{error}", lock.source) from None
    if public_key not in operators:
        raise FileError(
            "the key is of no node of this cluster: take that node's charon-enr-private-key", lock.source
        )
    shares, is_verified = shares_of(lock, verify=verify, any_network=True, threads=threads)
    assert shares.lock_hash is not None  # of a lock it is there
    keys = ClusterKeys(shares.threshold, shares.public_keys, shares.public_key_shares)
    return NodeCluster(
        name=shares.name,
        lock_hash=shares.lock_hash,
        fork_version=definition.fork_version,
        members=ClusterMembers.of(keys, operators.index(public_key), operators),
        fee_recipients=[write_data(address.tobytes()) for address in definition.fee_recipients],
        registrations=_registrations(lock.registrations)
        if definition.version >= Version.REGISTRATIONS
        else (),
        is_verified=is_verified,
    )


def _registrations(columns: Registrations) -> list[SignedValidatorRegistration]:
    rows = zip(
        columns.fee_recipients,
        columns.gas_limits.tolist(),
        columns.timestamps.tolist(),
        columns.public_keys,
        columns.signatures,
        strict=True,
    )
    return [
        SignedValidatorRegistration(
            ValidatorRegistration(recipient.tobytes(), gas_limit, timestamp, key.tobytes()),
            signature.tobytes(),
        )
        for recipient, gas_limit, timestamp, key, signature in rows
    ]
