"""A definition as the nodes of a charon ceremony read it, and the lock that they sign in the end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dvtfast.dkg.frost.dialects import Dialect
from dvtfast.dkg.frost.outputs import LockWanted
from dvtfast.dkg.frost.partials import DEPOSIT, REGISTRATION
from dvtfast.dkg.frost.signing import Exchange
from dvtfast.dkg.frost.terms import DEPOSITS_STEP, REGISTRATIONS_STEP, Terms
from dvtfast.networks import Network
from dvtfast.obol import (
    ClusterDefinition,
    ClusterLock,
    deposit_amounts_of,
    deposit_roots,
    make_cluster_lock,
    registration_roots,
)

GWEI_PER_ETHER = 10**9
Rows = NDArray[np.uint8]


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
    exchanges = [
        Exchange(
            f"deposit of {amount / GWEI_PER_ETHER:g} {network.stake_symbol}",
            DEPOSITS_STEP,
            DEPOSIT + place,
            partial(_deposit_roots, definition, network, amount),
        )
        for place, amount in enumerate(deposit_amounts_of(definition))
    ]
    registrations = partial(_registration_roots, definition, network)
    return Terms(
        dialect=dialect,
        definition_hash=definition.definition_hash,
        nodes=tuple(nodes),
        position=position,
        validators=len(definition.withdrawal_addresses),
        threshold=definition.threshold,
        algorithm=definition.dkg_algorithm,
        exchanges=(*exchanges, Exchange("registration", REGISTRATIONS_STEP, REGISTRATION, registrations)),
        nickname=nickname,
    )


def unsigned_lock(definition: ClusterDefinition, network: Network, wanted: LockWanted) -> ClusterLock:
    """The lock that all are about to sign."""
    *deposits, registrations = wanted.signatures.values()
    return make_cluster_lock(
        definition,
        wanted.keys.public_keys,
        np.ascontiguousarray(wanted.keys.public_shares.transpose(1, 0, 2)),
        deposit_signatures=np.stack(deposits),
        registration_signatures=registrations,
        network=network,
    )


def _deposit_roots(definition: ClusterDefinition, network: Network, amount: int, keys: Rows) -> Rows:
    return deposit_roots(definition, keys, amount, network)


def _registration_roots(definition: ClusterDefinition, network: Network, keys: Rows) -> Rows:
    return registration_roots(definition, keys, network)
