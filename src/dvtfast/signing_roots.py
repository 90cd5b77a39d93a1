"""What is signed: domains and signing roots of voluntary exits and deposits, in batch.

Source: consensus-specs, phase0/beacon-chain.md (compute_domain, compute_signing_root) and
deneb/beacon-chain.md (EIP-7044).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from dvtfast._arrays import Bytes, Rows, as_row, as_rows, as_uint64s, same_length
from dvtfast._native import roots as _kernel
from dvtfast.constants import (
    PUBLIC_KEY_BYTES,
    ROOT_BYTES,
    SIGNATURE_BYTES,
    WITHDRAWAL_CREDENTIALS_BYTES,
)
from dvtfast.errors import InputError

if TYPE_CHECKING:
    from dvtfast.networks import Network

DOMAIN_TYPE_BYTES = FORK_VERSION_BYTES = 4


def compute_domain(domain_type: bytes, fork_version: bytes, genesis_validators_root: bytes) -> bytes:
    """The 32-byte domain: type, then the first 28 bytes of the fork data root."""
    for name, value, width in (
        ("domain_type", domain_type, DOMAIN_TYPE_BYTES),
        ("fork_version", fork_version, FORK_VERSION_BYTES),
        ("genesis_validators_root", genesis_validators_root, ROOT_BYTES),
    ):
        if len(value) != width:
            raise InputError(f"{name}: expected {width} bytes, got {len(value)}")
    fork_data_root = hashlib.sha256(fork_version.ljust(ROOT_BYTES, b"\0") + genesis_validators_root).digest()
    return bytes(domain_type) + fork_data_root[:28]


def compute_signing_roots(object_roots: Rows, domain: Rows) -> Bytes:
    """Signing roots of objects uint8[n, 32] under one domain."""
    objects, lone = as_rows("object_roots", object_roots, ROOT_BYTES)
    roots = np.zeros_like(objects)
    _kernel.signing_roots(objects, as_row("domain", domain, ROOT_BYTES), roots)
    return roots[0] if lone else roots


def exit_signing_roots(validator_indices: Any, network: Network, *, epoch: int | None = None) -> Bytes:
    """Signing roots uint8[n, 32] of voluntary exits.

    Args:
        validator_indices: uint64[n], or one integer.
        network: gives the domain, and the epoch that StakeWise signs.
        epoch: another epoch than the network's `capella_epoch`.
    """
    indices = as_uint64s("validator_indices", validator_indices)
    lone = indices.ndim == 0
    if indices.ndim > 1:
        raise InputError(f"validator_indices: expected uint64[n], got uint64{list(indices.shape)}")
    signed_epoch = as_uint64s("epoch", network.capella_epoch if epoch is None else epoch)
    objects = np.zeros((indices.size, ROOT_BYTES), dtype=np.uint8)
    _kernel.exit_roots(int(signed_epoch), indices.reshape(-1), objects)
    roots = compute_signing_roots(objects, network.exit_domain)
    return roots[0] if lone else roots


def deposit_message_roots(public_keys: Rows, withdrawal_credentials: Rows, amounts_gwei: Any) -> Bytes:
    """Object roots uint8[n, 32] of deposit messages: what a deposit signs, before its domain."""
    return _deposit_roots(public_keys, withdrawal_credentials, amounts_gwei, None)


def deposit_data_roots(
    public_keys: Rows, withdrawal_credentials: Rows, amounts_gwei: Any, signatures: Rows
) -> Bytes:
    """Object roots uint8[n, 32] of deposit data: what the deposit contract checks."""
    rows, _ = as_rows("signatures", signatures, SIGNATURE_BYTES)
    return _deposit_roots(public_keys, withdrawal_credentials, amounts_gwei, rows)


def deposit_signing_roots(
    public_keys: Rows, withdrawal_credentials: Rows, amounts_gwei: Any, network: Network
) -> Bytes:
    """Signing roots uint8[n, 32] of deposit messages on a network."""
    objects = deposit_message_roots(public_keys, withdrawal_credentials, amounts_gwei)
    return compute_signing_roots(objects, network.deposit_domain)


def _deposit_roots(
    public_keys: Rows, withdrawal_credentials: Rows, amounts_gwei: Any, signatures: Bytes | None
) -> Bytes:
    keys, lone = as_rows("public_keys", public_keys, PUBLIC_KEY_BYTES)
    credentials, _ = as_rows("withdrawal_credentials", withdrawal_credentials, WITHDRAWAL_CREDENTIALS_BYTES)
    amounts = as_uint64s("amounts_gwei", amounts_gwei).reshape(-1)
    same_length(public_keys=keys, withdrawal_credentials=credentials, amounts_gwei=amounts)
    if signatures is not None:
        same_length(public_keys=keys, signatures=signatures)
    roots = np.zeros((len(keys), ROOT_BYTES), dtype=np.uint8)
    _kernel.deposit_roots(keys, credentials, amounts, signatures, roots)
    return roots[0] if lone else roots
