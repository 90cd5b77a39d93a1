"""Who may register a validator: the owner for whom its key signed, at the nonce for which it did.

Source: ssv-keys KeySharesPayload, ssv eth/eventhandler; EIP-55 for the address.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dvtfast._addresses import checksum_address
from dvtfast._arrays import Bools, Bytes
from dvtfast._keccak import keccak256
from dvtfast.constants import ROOT_BYTES, SIGNATURE_BYTES
from dvtfast.keys import KeysLike, as_public_keys
from dvtfast.signatures import check_signatures
from dvtfast.ssv.shares import KeyShares


def owner_signing_root(owner_address: bytes, owner_nonce: int) -> bytes:
    """The 32 bytes that a validator's key signs for its owner: keccak256 of "ADDRESS:NONCE"."""
    return keccak256(f"{checksum_address(owner_address)}:{owner_nonce}".encode())


def owner_signing_roots(owner_address: bytes, owner_nonces: Iterable[int]) -> Bytes:
    """The same of validators at several nonces, uint8[n, 32]."""
    roots = b"".join(owner_signing_root(owner_address, nonce) for nonce in owner_nonces)
    return np.frombuffer(roots, np.uint8).reshape(-1, ROOT_BYTES)


def check_owner_signatures(
    validators: Sequence[KeyShares], public_keys: KeysLike, *, threads: int | None = None
) -> Bools:
    """Which of n validators are signed for their owner at its nonce, by uint8[n, 48] or decoded keys.

    Raises:
        EncodingError: a public key is invalid.
    """
    roots = b"".join(owner_signing_root(item.owner_address, item.owner_nonce) for item in validators)
    signatures = b"".join(item.owner_signature for item in validators)
    return check_signatures(
        as_public_keys(public_keys, threads=threads)[0],
        np.frombuffer(roots, np.uint8).reshape(-1, ROOT_BYTES),
        np.frombuffer(signatures, np.uint8).reshape(-1, SIGNATURE_BYTES),
        threads=threads,
    )
