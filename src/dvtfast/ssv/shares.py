"""One validator of an SSV cluster, and `sharesData`: all of it that the contract is given.

    owner's signature 96 | n public key shares of 48 | n RSA ciphertexts of 256

in the order of the n operator ids.

Source: ssv-keys 1.2, ssv-network ValidatorLib.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dvtfast._arrays import UINT64_MAX, Bytes, Uint64s
from dvtfast.constants import PUBLIC_KEY_BYTES, SIGNATURE_BYTES
from dvtfast.errors import InputError

# RSA-2048.
CIPHERTEXT_BYTES: Final = 256
ADDRESS_BYTES: Final = 20
# n = 3f + 1.
CLUSTER_SIZES: Final = (4, 7, 10, 13)


@dataclass(frozen=True, eq=False)
class KeyShares:
    """One validator of an SSV cluster.

    Attributes:
        public_key: 48 bytes.
        operator_ids: ascending; they are the share indices.
        owner_address: 20 bytes.
        owner_nonce: how many validators the owner had registered before.
        owner_signature: 96 bytes, by the validator's key.
        public_key_shares: uint8[k, 48].
        encrypted_shares: uint8[k, 256].
    """

    public_key: bytes
    operator_ids: tuple[int, ...]
    owner_address: bytes
    owner_nonce: int
    owner_signature: bytes
    public_key_shares: Bytes
    encrypted_shares: Bytes

    @property
    def threshold(self) -> int:
        """2f + 1 of 3f + 1 operators."""
        return threshold_of(len(self.operator_ids))

    @property
    def share_indices(self) -> Uint64s:
        """uint64[k]: the operator ids."""
        return np.array(self.operator_ids, dtype=np.uint64)

    @property
    def shares_data(self) -> bytes:
        """What `parse_key_shares` read."""
        return self.owner_signature + self.public_key_shares.tobytes() + self.encrypted_shares.tobytes()


def threshold_of(operators: int) -> int:
    """How many of an SSV cluster's operators must sign."""
    return 2 * ((operators - 1) // 3) + 1


def parse_key_shares(
    public_key: bytes,
    operator_ids: Sequence[int],
    shares_data: bytes,
    *,
    owner_address: bytes,
    owner_nonce: int,
) -> KeyShares:
    """One validator as it is registered; points and signature are not looked at yet.

    Raises:
        InputError: the widths, or the operators, are not those of a cluster.
    """
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise InputError(f"public_key: expected {PUBLIC_KEY_BYTES} bytes, got {len(public_key)}")
    if len(owner_address) != ADDRESS_BYTES:
        raise InputError(f"owner_address: expected {ADDRESS_BYTES} bytes, got {len(owner_address)}")
    check_operator_ids(operator_ids)
    k = len(operator_ids)
    width = shares_data_bytes(k)
    if len(shares_data) != width:
        raise InputError(f"shares_data: expected {width} bytes for {k} operators, got {len(shares_data)}")
    keys_end = SIGNATURE_BYTES + k * PUBLIC_KEY_BYTES
    return KeyShares(
        public_key=public_key,
        operator_ids=tuple(operator_ids),
        owner_address=owner_address,
        owner_nonce=owner_nonce,
        owner_signature=shares_data[:SIGNATURE_BYTES],
        public_key_shares=_matrix(shares_data[SIGNATURE_BYTES:keys_end], PUBLIC_KEY_BYTES),
        encrypted_shares=_matrix(shares_data[keys_end:], CIPHERTEXT_BYTES),
    )


def check_operator_ids(operator_ids: Sequence[int]) -> None:
    """Refuse what is no set of operators in its order.

    Raises:
        InputError: the reason.
    """
    if len(operator_ids) not in CLUSTER_SIZES:
        sizes = ", ".join(map(str, CLUSTER_SIZES))
        raise InputError(f"operator_ids: expected {sizes} operators, got {len(operator_ids)}")
    if any(not 1 <= operator_id <= UINT64_MAX for operator_id in operator_ids):
        raise InputError("operator_ids: expected integers of 1..2^64-1")
    if list(operator_ids) != sorted(set(operator_ids)):
        raise InputError("operator_ids: expected ascending operator ids, each once")


def shares_data_bytes(operators: int) -> int:
    """How long `sharesData` is."""
    return SIGNATURE_BYTES + operators * (PUBLIC_KEY_BYTES + CIPHERTEXT_BYTES)


def _matrix(data: bytes, width: int) -> Bytes:
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, width)
