"""A new cluster lock from its secrets, as charon's `create cluster` makes one: a dealer, who knows them all.

The nodes of a cluster that makes its own keys sign for themselves; see signing.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dvtfast._arrays import Bytes, Rows, as_rows
from dvtfast.constants import CURVE_ORDER, GWEI_PER_VALIDATOR, SECRET_KEY_BYTES
from dvtfast.errors import InputError
from dvtfast.keys import derive_public_keys
from dvtfast.networks import Network, as_network
from dvtfast.obol.enr import make_enr
from dvtfast.obol.lock import ADDRESS_BYTES, ClusterDefinition, ClusterLock, Operator, Version
from dvtfast.obol.proposing import make_cluster_definition
from dvtfast.obol.signing import (
    GWEI_PER_ETHER,
    deposit_amounts_of,
    deposit_roots,
    make_cluster_lock,
    registration_roots,
    signed_cluster_lock,
)
from dvtfast.secp256k1 import IdentityKey
from dvtfast.signatures import sign

GAS_LIMIT = 36_000_000


def build_cluster_lock(
    secret_keys: Rows,
    key_shares: Rows,
    *,
    threshold: int,
    network: Network,
    node_secret_keys: Sequence[bytes],
    withdrawal_address: bytes,
    fee_recipient: bytes,
    name: str = "dvtfast",
    version: Version = Version.V1_10,
    deposit_amounts_gwei: Sequence[int] = (GWEI_PER_ETHER, GWEI_PER_VALIDATOR),
    compounding: bool = False,
    threads: int | None = None,
) -> ClusterLock:
    """A lock with all hashes, deposits, registrations and signatures in place.

    Args:
        secret_keys: uint8[n, 32], the validators'.
        key_shares: uint8[n, k, 32], at share indices 1..k.
        node_secret_keys: k secp256k1 secrets, of the nodes' ENRs.
        withdrawal_address: 20 bytes.
        fee_recipient: 20 bytes.
        deposit_amounts_gwei: each validator's deposits; before v1.8 there is one, of 32 ETH.

    Cost: one signature per deposit and registration, and one for the aggregate.
    """
    n = len(as_rows("secret_keys", secret_keys, SECRET_KEY_BYTES)[0])
    definition = make_cluster_definition(
        network=network,
        operators=[Operator(enr=make_enr(secret)) for secret in node_secret_keys],
        threshold=threshold,
        fee_recipients=_repeated("fee_recipient", fee_recipient, n),
        withdrawal_addresses=_repeated("withdrawal_address", withdrawal_address, n),
        name=name,
        version=version,
        deposit_amounts_gwei=deposit_amounts_gwei,
        consensus_protocol="qbft",
        target_gas_limit=GAS_LIMIT,
        compounding=compounding,
    )
    return deal_cluster_lock(
        definition,
        secret_keys,
        key_shares,
        node_secret_keys=node_secret_keys,
        network=network,
        threads=threads,
    )


def deal_cluster_lock(
    definition: ClusterDefinition,
    secret_keys: Rows,
    key_shares: Rows,
    *,
    node_secret_keys: Sequence[bytes],
    network: Network,
    threads: int | None = None,
) -> ClusterLock:
    """The lock of a definition, signed with all secrets; arguments as of `build_cluster_lock`."""
    secrets, _ = as_rows("secret_keys", secret_keys, SECRET_KEY_BYTES)
    shares, _ = as_rows("key_shares", key_shares, SECRET_KEY_BYTES, leading=2)
    n, k, _ = shares.shape
    network = as_network(network)
    if len(secrets) != n or len(node_secret_keys) != k:
        raise InputError(
            f"key_shares: expected uint8[{len(secrets)}, {len(node_secret_keys)}, 32] "
            f"for these secret_keys and node_secret_keys, got uint8[{n}, {k}, 32]"
        )
    public_keys = derive_public_keys(secrets, threads=threads)
    public_key_shares = derive_public_keys(shares.reshape(n * k, -1), threads=threads).reshape(n, k, -1)
    deposits = [
        sign(secrets, deposit_roots(definition, public_keys, amount, network), threads=threads)
        for amount in deposit_amounts_of(definition)
    ]
    lock = make_cluster_lock(
        definition,
        public_keys,
        public_key_shares,
        deposit_signatures=np.stack(deposits),
        registration_signatures=sign(
            secrets, registration_roots(definition, public_keys, network), threads=threads
        ),
        network=network,
    )
    return signed_cluster_lock(
        lock,
        signature_aggregate=_sign_by_all(shares, lock.lock_hash),
        node_signatures=[IdentityKey(secret).sign(lock.lock_hash) for secret in node_secret_keys],
    )


def _sign_by_all(shares: Bytes, lock_hash: bytes) -> bytes:
    """The sum of all shares' signatures over one hash: the signature by the sum of all shares."""
    flat = shares.tobytes()
    scalars = (flat[i : i + SECRET_KEY_BYTES] for i in range(0, len(flat), SECRET_KEY_BYTES))
    total = sum(int.from_bytes(scalar) for scalar in scalars) % CURVE_ORDER
    return sign(total.to_bytes(SECRET_KEY_BYTES), lock_hash).tobytes()


def _repeated(name: str, value: bytes, n: int) -> Bytes:
    row, _ = as_rows(name, value, ADDRESS_BYTES)
    return row.repeat(n, axis=0)
