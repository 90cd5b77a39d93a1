"""A new cluster lock from its secrets, as charon's `create cluster` makes one: for tests and demonstrations.

A real cluster has no place where all these secrets meet; its nodes sign for themselves.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from dvtfast._arrays import Bytes, Rows, as_rows
from dvtfast._extras import needs_files_extra
from dvtfast.constants import (
    CURVE_ORDER,
    DOMAIN_BUILDER,
    GWEI_PER_VALIDATOR,
    ROOT_BYTES,
    SECRET_KEY_BYTES,
    WITHDRAWAL_CREDENTIALS_BYTES,
)
from dvtfast.domains import compute_domain
from dvtfast.errors import InputError
from dvtfast.keys import derive_public_keys
from dvtfast.networks import Network, as_network
from dvtfast.obol import hashing
from dvtfast.obol.enr import make_enr
from dvtfast.obol.lock import (
    ADDRESS_BYTES,
    ClusterDefinition,
    ClusterLock,
    Creator,
    Deposits,
    Operator,
    Registrations,
    Version,
)
from dvtfast.signatures import sign
from dvtfast.signing_roots import compute_signing_roots, deposit_signing_roots

GWEI_PER_ETH = 10**9
GAS_LIMIT = 36_000_000
# First byte of withdrawal credentials: to an address; to an address, and compounding.
EXECUTION_CREDENTIALS = 1
COMPOUNDING_CREDENTIALS = 2


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
    deposit_amounts_gwei: Sequence[int] = (GWEI_PER_ETH, GWEI_PER_VALIDATOR),
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
        deposit_amounts_gwei: each validator's deposits; v1.7 has no list of them, so it takes the last.

    Cost: one signature per deposit and registration, and one for the aggregate.
    """
    secrets, _ = as_rows("secret_keys", secret_keys, SECRET_KEY_BYTES)
    shares, _ = as_rows("key_shares", key_shares, SECRET_KEY_BYTES, leading=2)
    n, k, _ = shares.shape
    network = as_network(network)
    if len(secrets) != n or len(node_secret_keys) != k:
        raise InputError(
            f"key_shares: expected uint8[{len(secrets)}, {len(node_secret_keys)}, 32] "
            f"for these secret_keys and node_secret_keys, got uint8[{n}, {k}, 32]"
        )
    recipients = _repeated("fee_recipient", fee_recipient, n)
    addresses = _repeated("withdrawal_address", withdrawal_address, n)
    amounts = tuple(deposit_amounts_gwei)
    if version < Version.PARTIAL_DEPOSITS:
        amounts = amounts[-1:]
    public_keys = derive_public_keys(secrets, threads=threads)
    public_key_shares = derive_public_keys(shares.reshape(n * k, -1), threads=threads).reshape(n, k, -1)
    definition = ClusterDefinition(
        name=name,
        uuid=str(uuid.uuid4()).upper(),
        version=version,
        timestamp=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        threshold=threshold,
        dkg_algorithm="default",
        fork_version=network.genesis_fork_version,
        operators=tuple(Operator(enr=make_enr(secret)) for secret in node_secret_keys),
        creator=Creator(),
        fee_recipients=recipients,
        withdrawal_addresses=addresses,
        deposit_amounts_gwei=amounts,
        consensus_protocol="qbft",
        target_gas_limit=GAS_LIMIT,
        compounding=compounding,
    )
    definition = dataclasses.replace(definition, config_hash=hashing.config_hash(definition))
    definition = dataclasses.replace(definition, definition_hash=hashing.definition_hash(definition))
    lock = ClusterLock(
        definition=definition,
        public_keys=public_keys,
        public_key_shares=public_key_shares,
        deposits=_sign_deposits(secrets, public_keys, addresses, amounts, network, compounding, threads),
        registrations=_sign_registrations(secrets, public_keys, recipients, network, threads),
    )
    lock_hash = hashing.lock_hash(lock)
    return dataclasses.replace(
        lock,
        lock_hash=lock_hash,
        signature_aggregate=_sign_by_all(shares, lock_hash),
        node_signatures=tuple(_sign_by_node(secret, lock_hash) for secret in node_secret_keys),
    )


def _sign_deposits(
    secrets: Bytes,
    public_keys: Bytes,
    addresses: Bytes,
    amounts: tuple[int, ...],
    network: Network,
    compounding: bool,
    threads: int | None,
) -> Deposits:
    n, per_validator = len(secrets), len(amounts)
    credentials = np.zeros((n, WITHDRAWAL_CREDENTIALS_BYTES), dtype=np.uint8)
    credentials[:, 0] = COMPOUNDING_CREDENTIALS if compounding else EXECUTION_CREDENTIALS
    credentials[:, -ADDRESS_BYTES:] = addresses
    keys, credentials = public_keys.repeat(per_validator, axis=0), credentials.repeat(per_validator, axis=0)
    all_amounts = np.tile(np.array(amounts, dtype=np.uint64), n)
    signing_roots = deposit_signing_roots(keys, credentials, all_amounts, network)
    return Deposits(
        counts=np.full(n, per_validator, dtype=np.uint64),
        public_keys=keys,
        withdrawal_credentials=credentials,
        amounts_gwei=all_amounts,
        signatures=sign(secrets.repeat(per_validator, axis=0), signing_roots, threads=threads),
    )


def _sign_registrations(
    secrets: Bytes, public_keys: Bytes, fee_recipients: Bytes, network: Network, threads: int | None
) -> Registrations:
    n = len(secrets)
    unsigned = Registrations(
        fee_recipients=fee_recipients,
        gas_limits=np.full(n, GAS_LIMIT, dtype=np.uint64),
        timestamps=np.full(n, network.genesis_time, dtype=np.uint64),
        public_keys=public_keys,
        signatures=np.zeros((n, 0), dtype=np.uint8),
    )
    domain = compute_domain(DOMAIN_BUILDER, network.genesis_fork_version, bytes(ROOT_BYTES))
    signing_roots = compute_signing_roots(hashing.registration_message_roots(unsigned), domain)
    return dataclasses.replace(unsigned, signatures=sign(secrets, signing_roots, threads=threads))


def _sign_by_all(shares: Bytes, lock_hash: bytes) -> bytes:
    """The sum of all shares' signatures over one hash: the signature by the sum of all shares."""
    flat = shares.tobytes()
    scalars = (flat[i : i + SECRET_KEY_BYTES] for i in range(0, len(flat), SECRET_KEY_BYTES))
    total = sum(int.from_bytes(scalar) for scalar in scalars) % CURVE_ORDER
    return sign(total.to_bytes(SECRET_KEY_BYTES), lock_hash).tobytes()


def _sign_by_node(secret_key: bytes, lock_hash: bytes) -> bytes:
    with needs_files_extra():
        from coincurve import PrivateKey
    return PrivateKey(secret_key).sign_recoverable(lock_hash, hasher=None)


def _repeated(name: str, value: bytes, n: int) -> Bytes:
    row, _ = as_rows(name, value, ADDRESS_BYTES)
    return row.repeat(n, axis=0)
