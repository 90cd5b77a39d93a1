"""What a validators manager signs: the `validators` bytes of each action, and the message around them.

Sources: stakewise/v3-core `748bb38`, VaultValidators.sol and ValidatorUtils.sol; EIP-712.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dvtfast import InputError, deposit_data_roots
from dvtfast.constants import PUBLIC_KEY_BYTES, ROOT_BYTES, SIGNATURE_BYTES

from ..encoding import ADDRESS_BYTES
from .eip712 import TypedData, domain_separator, hash_struct

AMOUNT_BYTES: Final = 8  # gwei, big-endian
NONCE_BYTES: Final = 32

# Validator types: the first byte of withdrawal credentials; consensus-specs, *_WITHDRAWAL_PREFIX.
ETH1_ADDRESS: Final = 1
COMPOUNDING: Final = 2

DEPOSIT_BYTES: Final = {
    ETH1_ADDRESS: PUBLIC_KEY_BYTES + SIGNATURE_BYTES + ROOT_BYTES,
    COMPOUNDING: PUBLIC_KEY_BYTES + SIGNATURE_BYTES + ROOT_BYTES + AMOUNT_BYTES,
}
"""How long one item of a registration is, by validator type; a top-up is as long as a compounding one."""

DOMAIN_NAME: Final = "VaultValidators"
DOMAIN_VERSION: Final = "1"
TYPE: Final = "VaultValidators(bytes32 validatorsRegistryRoot,bytes validators)"

Rows: TypeAlias = Sequence[bytes] | NDArray[np.uint8]


@dataclass(frozen=True)
class ManagerMessage:
    """What is signed for one action of a vault.

    Attributes:
        root_or_nonce: the deposit contract's root for a registration, else `nonce_bytes`.
        validators: one of the encodings below.
    """

    chain_id: int
    vault: bytes
    root_or_nonce: bytes
    validators: bytes

    @cached_property
    def typed(self) -> TypedData:
        """As it is signed."""
        domain = domain_separator(DOMAIN_NAME, DOMAIN_VERSION, self.chain_id, self.vault)
        return TypedData(domain, hash_struct(TYPE, self.root_or_nonce, self.validators))

    @property
    def digest(self) -> bytes:
        """The 32 bytes that the signature is over."""
        return self.typed.digest


def register_bytes(
    vault: bytes, validator_type: int, public_keys: Rows, signatures: Rows, amounts_gwei: Sequence[int]
) -> bytes:
    """The validators of a registration: key, deposit signature, deposit data root, and the amount if
    they compound; the vault takes the amount of the others for granted.

    Args:
        validator_type: `ETH1_ADDRESS` or `COMPOUNDING`.
        public_keys: uint8[n, 48].
        signatures: of the deposits, uint8[n, 96].
    """
    if validator_type not in DEPOSIT_BYTES:
        raise InputError(f"validator_type: expected one of {sorted(DEPOSIT_BYTES)}, got {validator_type}")
    amounts = _amounts(amounts_gwei)
    credentials = [withdrawal_credentials(vault, validator_type)] * len(amounts)
    roots = deposit_data_roots(public_keys, credentials, list(amounts_gwei), signatures)
    columns = [public_keys, signatures, roots]
    return _interleaved(*columns, amounts) if validator_type == COMPOUNDING else _interleaved(*columns)


def fund_bytes(vault: bytes, public_keys: Rows, amounts_gwei: Sequence[int]) -> bytes:
    """The validators of a top-up: as in a registration of compounding ones, without a signature."""
    unsigned = [bytes(SIGNATURE_BYTES)] * len(public_keys)
    return register_bytes(vault, COMPOUNDING, public_keys, unsigned, amounts_gwei)


def withdraw_bytes(public_keys: Rows, amounts_gwei: Sequence[int]) -> bytes:
    """The validators of a withdrawal: key and amount; an amount of 0 is a full exit."""
    return _interleaved(_rows("public_keys", public_keys), _amounts(amounts_gwei))


def consolidate_bytes(source_public_keys: Rows, target_public_keys: Rows) -> bytes:
    """The validators of a consolidation: source and target."""
    return _interleaved(
        _rows("source_public_keys", source_public_keys), _rows("target_public_keys", target_public_keys)
    )


def withdrawal_credentials(vault: bytes, validator_type: int) -> bytes:
    """Those of a vault's validators of one type.

    Source: consensus-specs, electra/validator.md.
    """
    if len(vault) != ADDRESS_BYTES:
        raise InputError(f"vault: expected {ADDRESS_BYTES} bytes, got {len(vault)}")
    return bytes([validator_type]) + bytes(11) + vault


def is_ambiguous(count: int, validator_type: int) -> bool:
    """Whether a vault refuses this many items, as it tells the validator type from the length alone.

    So it is with 23 of 176 bytes, which may be 22 of 184, with their multiples, and with none at all.
    A top-up is read in the same way, as `COMPOUNDING`.
    """
    length = count * DEPOSIT_BYTES[validator_type]
    return all(length % width == 0 for width in DEPOSIT_BYTES.values())


def items_to_leave_off(count: int, validator_type: int) -> int:
    """How many of these items must wait so that the others are not ambiguous: 1 or 0."""
    return int(count > 0 and is_ambiguous(count, validator_type))


def nonce_bytes(nonce: int) -> bytes:
    """A vault's `validatorsManagerNonce`, in the place of the root."""
    return nonce.to_bytes(NONCE_BYTES, "big")


def _rows(name: str, keys: Rows) -> Rows:
    if wrong := [position for position, key in enumerate(keys) if len(key) != PUBLIC_KEY_BYTES]:
        raise InputError(f"{name}: expected {PUBLIC_KEY_BYTES} bytes a row (at {wrong[0]})")
    return keys


def _amounts(amounts_gwei: Iterable[int]) -> list[bytes]:
    try:
        return [int(amount).to_bytes(AMOUNT_BYTES, "big") for amount in amounts_gwei]
    except OverflowError:
        raise InputError("amounts_gwei: expected integers in 0..2^64-1") from None


def _interleaved(*columns: Rows) -> bytes:
    """Row after row, of columns of one length."""
    if len({len(column) for column in columns}) > 1:
        raise InputError(f"expected columns of one length, got {[len(column) for column in columns]}")
    return b"".join(bytes(cell) for row in zip(*columns, strict=True) for cell in row)
