"""Domains: what a signature is for, and on which chain.

Source: consensus-specs, phase0/beacon-chain.md (compute_domain).
"""

from __future__ import annotations

from dvtfast.constants import ROOT_BYTES
from dvtfast.errors import InputError

DOMAIN_TYPE_BYTES = FORK_VERSION_BYTES = 4


def compute_domain(domain_type: bytes, fork_version: bytes, genesis_validators_root: bytes) -> bytes:
    """The 32-byte domain: type, then the first 28 bytes of the fork data root."""
    import hashlib  # not at the top: with OpenSSL, it is a tenth of importing dvtfast

    for name, value, width in (
        ("domain_type", domain_type, DOMAIN_TYPE_BYTES),
        ("fork_version", fork_version, FORK_VERSION_BYTES),
        ("genesis_validators_root", genesis_validators_root, ROOT_BYTES),
    ):
        if len(value) != width:
            raise InputError(f"{name}: expected {width} bytes, got {len(value)}")
    fork_data_root = hashlib.sha256(fork_version.ljust(ROOT_BYTES, b"\0") + genesis_validators_root).digest()
    return bytes(domain_type) + fork_data_root[:28]
