"""What the nodes of a new cluster sign for its validators, and the lock that comes of it.

Source: charon, dkg; builder-specs for registrations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from dvtfast._arrays import Bytes, Rows, as_rows
from dvtfast.constants import (
    DOMAIN_BUILDER,
    GWEI_PER_VALIDATOR,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    WITHDRAWAL_CREDENTIALS_BYTES,
)
from dvtfast.domains import compute_domain
from dvtfast.errors import InputError
from dvtfast.networks import ZERO_ROOT, Network
from dvtfast.obol import hashing
from dvtfast.obol.lock import (
    ADDRESS_BYTES,
    ClusterDefinition,
    ClusterLock,
    Deposits,
    Registrations,
    Version,
    no_registrations,
)
from dvtfast.signing_roots import compute_signing_roots, deposit_signing_roots

GWEI_PER_ETHER = 10**9
USUAL_AMOUNTS_GWEI = (GWEI_PER_ETHER, GWEI_PER_VALIDATOR)
COMPOUNDING_AMOUNTS_GWEI = (GWEI_PER_ETHER, 8 * GWEI_PER_ETHER, GWEI_PER_VALIDATOR, 8 * GWEI_PER_VALIDATOR)
USUAL_GAS_LIMIT = 30_000_000  # where the definition does not say
# First byte of withdrawal credentials: to an address; to an address, and compounding.
EXECUTION_CREDENTIALS = 1
COMPOUNDING_CREDENTIALS = 2


Places: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]


def deposit_amounts_of(definition: ClusterDefinition) -> tuple[int, ...]:
    """The amounts in gwei for each of which every validator has a signed deposit, ascending."""
    if definition.version < Version.PARTIAL_DEPOSITS:
        return (GWEI_PER_VALIDATOR,)
    usual = COMPOUNDING_AMOUNTS_GWEI if definition.compounding else USUAL_AMOUNTS_GWEI
    return tuple(sorted(set(definition.deposit_amounts_gwei))) or usual


def withdrawal_credentials_of(definition: ClusterDefinition) -> Bytes:
    """Those of n validators, uint8[n, 32]."""
    addresses = definition.withdrawal_addresses
    credentials = np.zeros((len(addresses), WITHDRAWAL_CREDENTIALS_BYTES), dtype=np.uint8)
    credentials[:, 0] = COMPOUNDING_CREDENTIALS if definition.compounding else EXECUTION_CREDENTIALS
    credentials[:, -ADDRESS_BYTES:] = addresses
    return credentials


def deposit_roots(
    definition: ClusterDefinition,
    public_keys: Rows,
    amount_gwei: int,
    network: Network,
    *,
    validators: Sequence[int] | None = None,
) -> Bytes:
    """Signing roots uint8[n, 32] of deposits of one amount.

    Args:
        public_keys: uint8[n, 48], of the validators in their order.
        validators: places of n of them, all when not given.
    """
    places = _places(definition, validators)
    keys = _keys_of(places, public_keys)
    amounts = np.full(len(keys), amount_gwei, dtype=np.uint64)
    return deposit_signing_roots(keys, withdrawal_credentials_of(definition)[places], amounts, network)


def registration_roots(
    definition: ClusterDefinition,
    public_keys: Rows,
    network: Network,
    *,
    validators: Sequence[int] | None = None,
) -> Bytes:
    """Signing roots uint8[n, 32] of builder registrations as of genesis; see `deposit_roots`."""
    places = _places(definition, validators)
    unsigned = _unsigned_registrations(definition, _keys_of(places, public_keys), network, places)
    domain = compute_domain(DOMAIN_BUILDER, network.genesis_fork_version, ZERO_ROOT)
    return compute_signing_roots(hashing.registration_message_roots(unsigned), domain)


def make_cluster_lock(
    definition: ClusterDefinition,
    public_keys: Rows,
    public_key_shares: Rows,
    *,
    deposit_signatures: Rows,
    registration_signatures: Rows,
    network: Network,
) -> ClusterLock:
    """The lock before anybody signed it, with its hash: what key shares and nodes sign.

    Args:
        public_keys: uint8[n, 48].
        public_key_shares: uint8[n, k, 48]; column i belongs to operator i.
        deposit_signatures: uint8[a, n, 96], by the validators' keys, for the a amounts of
            `deposit_amounts_of` in their order.
        registration_signatures: uint8[n, 96]; before v1.7 there are none, and they are left out.

    Raises:
        InputError: there are others than of n validators, k operators and a amounts.
    """
    keys = _keys_of(_places(definition, None), public_keys)
    shares, _ = as_rows("public_key_shares", public_key_shares, PUBLIC_KEY_BYTES, leading=2)
    n, k = len(keys), len(definition.operators)
    if shares.shape[:2] != (n, k):
        raise InputError(f"public_key_shares: expected uint8[{n}, {k}, 48], got uint8{list(shares.shape)}")
    definition = hashing.with_hashes(definition)
    lock = ClusterLock(
        definition=definition,
        public_keys=keys,
        public_key_shares=shares,
        deposits=_deposits(definition, keys, deposit_signatures),
        registrations=_registrations(definition, keys, registration_signatures, network),
    )
    return dataclasses.replace(lock, lock_hash=hashing.lock_hash(lock))


def signed_cluster_lock(
    lock: ClusterLock, *, signature_aggregate: bytes, node_signatures: Sequence[bytes]
) -> ClusterLock:
    """The lock as key shares and nodes have signed it; before v1.7 nodes do not.

    Args:
        signature_aggregate: the sum of the signatures of all key shares of all validators, 96 bytes.
        node_signatures: R | S | V of each node, 65 bytes.
    """
    has_nodes = lock.definition.version >= Version.REGISTRATIONS
    return dataclasses.replace(
        lock,
        signature_aggregate=signature_aggregate,
        node_signatures=tuple(node_signatures) if has_nodes else (),
    )


def _places(definition: ClusterDefinition, validators: Sequence[int] | None) -> Places:
    count = len(definition.fee_recipients)
    return np.arange(count) if validators is None else np.array(validators, dtype=np.int64)


def _keys_of(places: Places, public_keys: Rows) -> Bytes:
    keys, _ = as_rows("public_keys", public_keys, PUBLIC_KEY_BYTES)
    if len(keys) != len(places):
        raise InputError(f"public_keys: expected {len(places)}, got {len(keys)}")
    return keys


def _deposits(definition: ClusterDefinition, public_keys: Bytes, signatures: Rows) -> Deposits:
    amounts = np.array(deposit_amounts_of(definition), dtype=np.uint64)
    a, n = len(amounts), len(public_keys)
    rows, _ = as_rows("deposit_signatures", signatures, SIGNATURE_BYTES, leading=2)
    if rows.shape[:2] != (a, n):
        raise InputError(f"deposit_signatures: expected uint8[{a}, {n}, 96], got uint8{list(rows.shape)}")
    return Deposits(
        counts=np.full(n, a, dtype=np.uint64),
        public_keys=public_keys.repeat(a, axis=0),
        withdrawal_credentials=withdrawal_credentials_of(definition).repeat(a, axis=0),
        amounts_gwei=np.tile(amounts, n),
        signatures=np.ascontiguousarray(rows.swapaxes(0, 1)).reshape(n * a, SIGNATURE_BYTES),
    )


def _registrations(
    definition: ClusterDefinition, public_keys: Bytes, signatures: Rows, network: Network
) -> Registrations:
    if definition.version < Version.REGISTRATIONS:
        return no_registrations(len(public_keys))
    rows, _ = as_rows("registration_signatures", signatures, SIGNATURE_BYTES)
    if len(rows) != len(public_keys):
        raise InputError(f"registration_signatures: expected {len(public_keys)}, got {len(rows)}")
    unsigned = _unsigned_registrations(definition, public_keys, network, _places(definition, None))
    return dataclasses.replace(unsigned, signatures=rows)


def _unsigned_registrations(
    definition: ClusterDefinition, public_keys: Bytes, network: Network, places: Places
) -> Registrations:
    n = len(public_keys)
    return Registrations(
        fee_recipients=definition.fee_recipients[places],
        gas_limits=np.full(n, definition.target_gas_limit or USUAL_GAS_LIMIT, dtype=np.uint64),
        timestamps=np.full(n, network.genesis_time, dtype=np.uint64),
        public_keys=public_keys,
        signatures=np.zeros((n, SIGNATURE_BYTES), dtype=np.uint8),
    )
