"""What a validators manager signs, next to the vectors and to the standard written out by hand."""

from __future__ import annotations

from typing import Any

import eth_abi
import numpy as np
import pytest
from eth_account import Account
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from dvtfast import InputError
from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.services.chain.contracts.manager_messages import (
    COMPOUNDING,
    DEPOSIT_BYTES,
    ETH1_ADDRESS,
    ManagerMessage,
    consolidate_bytes,
    fund_bytes,
    is_ambiguous,
    items_to_leave_off,
    nonce_bytes,
    register_bytes,
    withdraw_bytes,
    withdrawal_credentials,
)
from dvtfast.services.relayer.manager.key import ManagerKey
from tests.vector_files import cases, load, unhex

VECTORS = load("manager_eip712.json")
CASES = cases(VECTORS["cases"], lambda case: f"{case['network']}-{case['kind']}")
TOP_UP = load("deposit.json")["top_up"]
VAULT = bytes(range(20))
KEYS = [bytes([i]) * 48 for i in range(1, 4)]


def message_of(case: Any) -> ManagerMessage:
    return ManagerMessage(
        case["chain_id"], unhex(case["vault"]), unhex(case["root_or_nonce32"]), unhex(case["validators"])
    )


def rows(validators: bytes, *widths: int) -> list[list[bytes]]:
    """The columns of concatenated items."""
    size = sum(widths)
    assert len(validators) % size == 0
    table = np.frombuffer(validators, np.uint8).reshape(-1, size)
    parts = np.split(table, np.cumsum(widths)[:-1], axis=1)
    return [[row.tobytes() for row in part] for part in parts]


def amounts_of(column: list[bytes]) -> list[int]:
    return [int.from_bytes(cell, "big") for cell in column]


@pytest.mark.parametrize("case", CASES)
def test_digest(case: Any) -> None:
    message = message_of(case)
    assert message.typed.domain_separator == unhex(case["domain_separator"])
    assert message.typed.struct_hash == unhex(case["struct_hash"])
    assert message.digest == unhex(case["digest"])


@pytest.mark.parametrize("case", CASES)
def test_signature(case: Any) -> None:
    key = ManagerKey(Account.from_key(unhex(VECTORS["private_key"])))
    assert key.address.to_wire() == VECTORS["address"]
    message = message_of(case)
    signature = key.sign(message)
    assert signature == unhex(case["signature"])
    assert signature[64] in (27, 28)
    assert Account._recover_hash(message.digest, signature=signature) == VECTORS["address"]


@pytest.mark.parametrize("case", CASES)
def test_validators_are_built_from_their_parts(case: Any) -> None:
    validators, vault = unhex(case["validators"]), unhex(case["vault"])
    match case["kind"]:
        case "register-0x01":
            keys, signatures, _ = rows(validators, 48, 96, 32)
            amounts = [GWEI_PER_VALIDATOR] * len(keys)
            built = register_bytes(vault, ETH1_ADDRESS, keys, signatures, amounts)
        case "register-0x02":
            keys, signatures, _, cells = rows(validators, 48, 96, 32, 8)
            built = register_bytes(vault, COMPOUNDING, keys, signatures, amounts_of(cells))
        case "fund":
            keys, signatures, roots, cells = rows(validators, 48, 96, 32, 8)
            assert (set(signatures), roots) == ({bytes(96)}, [unhex(TOP_UP["deposit_data_root"])])
            built = fund_bytes(vault, keys, amounts_of(cells))
        case "withdraw":
            keys, cells = rows(validators, 48, 8)
            built = withdraw_bytes(keys, amounts_of(cells))
        case _:
            sources, targets = rows(validators, 48, 48)
            built = consolidate_bytes(sources, targets)
    assert built == validators


@given(
    chain_id=st.integers(0, 2**64),
    vault=st.binary(min_size=20, max_size=20),
    root=st.binary(min_size=32, max_size=32),
    validators=st.binary(max_size=400),
)
def test_the_standard_written_out(chain_id: int, vault: bytes, root: bytes, validators: bytes) -> None:
    """EIP-712: keccak(0x1901, domain separator, hash of the struct)."""
    domain_type = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    struct_type = b"VaultValidators(bytes32 validatorsRegistryRoot,bytes validators)"
    domain = eth_abi.encode(
        ["bytes32", "bytes32", "bytes32", "uint256", "address"],
        [keccak(domain_type), keccak(b"VaultValidators"), keccak(b"1"), chain_id, vault],
    )
    struct = eth_abi.encode(["bytes32"] * 3, [keccak(struct_type), root, keccak(validators)])
    message = ManagerMessage(chain_id, vault, root, validators)
    assert message.digest == keccak(b"\x19\x01" + keccak(domain) + keccak(struct))


def test_arrays_are_rows_too() -> None:
    keys = np.frombuffer(b"".join(KEYS), np.uint8).reshape(-1, 48)
    amounts = [0, 1, 2**64 - 1]
    assert withdraw_bytes(keys, amounts) == withdraw_bytes(KEYS, amounts)
    assert consolidate_bytes(keys, keys[::-1]) == consolidate_bytes(KEYS, KEYS[::-1])
    assert fund_bytes(VAULT, keys, amounts) == fund_bytes(VAULT, KEYS, amounts)


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: withdraw_bytes([KEYS[0][:-1]], [1]), "public_keys: expected 48 bytes"),
        (lambda: withdraw_bytes(KEYS, [1]), "one length"),
        (lambda: withdraw_bytes(KEYS[:1], [-1]), "amounts_gwei"),
        (lambda: withdraw_bytes(KEYS[:1], [2**64]), "amounts_gwei"),
        (lambda: consolidate_bytes(KEYS, KEYS[1:]), "one length"),
        (lambda: consolidate_bytes(KEYS[:1], [b""]), "target_public_keys"),
        (lambda: fund_bytes(VAULT, KEYS, [1, 2]), "amounts_gwei"),
        (lambda: fund_bytes(VAULT[1:], KEYS[:1], [1]), "vault: expected 20 bytes, got 19"),
        (lambda: register_bytes(VAULT, 0, KEYS[:1], [bytes(96)], [1]), "validator_type"),
        (lambda: register_bytes(VAULT, 1, KEYS[:1], [bytes(95)], [1]), "signatures"),
        (lambda: register_bytes(VAULT, 1, [bytes(47)], [bytes(96)], [1]), "public_keys"),
    ],
)
def test_what_does_not_fit(build: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        build()


def test_credentials_and_nonces() -> None:
    assert withdrawal_credentials(VAULT, COMPOUNDING) == b"\x02" + bytes(11) + VAULT
    assert nonce_bytes(5) == bytes(31) + b"\x05"


def test_lengths_that_a_vault_cannot_read() -> None:
    """23 * 176 = 22 * 184 = 4048."""
    assert DEPOSIT_BYTES == {ETH1_ADDRESS: 176, COMPOUNDING: 184}
    for validator_type, period in ((ETH1_ADDRESS, 23), (COMPOUNDING, 22)):
        ambiguous = [count for count in range(1, 500) if is_ambiguous(count, validator_type)]
        assert ambiguous == list(range(period, 500, period))
        for count in range(500):
            left = count - items_to_leave_off(count, validator_type)
            assert left == count - (count in ambiguous)
            assert left == 0 or not is_ambiguous(left, validator_type)
    assert is_ambiguous(0, COMPOUNDING)
