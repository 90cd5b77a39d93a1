"""A definition as the nodes of a charon ceremony read it, and the lock that they sign in the end."""

from __future__ import annotations

from collections.abc import Sequence

from dvtfast.dkg.frost.dialects import Dialect
from dvtfast.dkg.frost.outputs import LockWanted
from dvtfast.dkg.frost.terms import Terms
from dvtfast.networks import Network
from dvtfast.obol import ClusterDefinition, ClusterLock

from .plan import ClusterPlan


def terms_of(
    definition: ClusterDefinition,
    network: Network,
    *,
    nodes: Sequence[bytes],
    position: int,
    dialect: Dialect,
    nickname: str = "",
) -> Terms:
    """What a definition says of its ceremony.

    Args:
        nodes: the operators' compressed keys.
        position: of this node among them, from 0.

    Raises:
        InputError: there is no such ceremony; the definition asks for another key generation, for one.
    """
    return Terms(
        dialect=dialect,
        definition_hash=definition.definition_hash,
        nodes=tuple(nodes),
        position=position,
        validators=len(definition.withdrawal_addresses),
        threshold=definition.threshold,
        algorithm=definition.dkg_algorithm,
        exchanges=ClusterPlan(definition, network).exchanges,
        nickname=nickname,
    )


def unsigned_lock(definition: ClusterDefinition, network: Network, wanted: LockWanted) -> ClusterLock:
    """The lock that all are about to sign."""
    keys = wanted.keys
    return ClusterPlan(definition, network).unsigned_lock(
        keys.public_keys, keys.public_shares, wanted.signatures
    )
