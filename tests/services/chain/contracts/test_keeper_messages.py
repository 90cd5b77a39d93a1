"""What oracles sign for the Keeper, next to eth-account's own reading of EIP-712."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from dvtfast.services.chain.contracts.eip712 import TypedData, hash_struct
from dvtfast.services.chain.contracts.keeper_messages import approval_message, keeper_domain, rotation_message

DOMAIN = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
APPROVAL = {
    "validatorsRegistryRoot": "bytes32",
    "vault": "address",
    "validators": "bytes",
    "exitSignaturesIpfsHash": "string",
    "deadline": "uint256",
}
ROTATION = {
    "vault": "address",
    "exitSignaturesIpfsHash": "string",
    "nonce": "uint256",
    "deadline": "uint256",
}

addresses = st.binary(min_size=20, max_size=20)
roots = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, 2**256 - 1)
texts = st.text(max_size=100)


def assert_as_eth_account(
    message: TypedData, members: dict[str, str], values: dict[str, Any], chain_id: int, keeper: bytes
) -> None:
    expected = encode_typed_data(
        full_message={
            "types": {
                "EIP712Domain": DOMAIN,
                "KeeperValidators": [{"name": name, "type": kind} for name, kind in members.items()],
            },
            "primaryType": "KeeperValidators",
            "domain": {
                "name": "KeeperOracles",
                "version": "1",
                "chainId": chain_id,
                "verifyingContract": keeper,
            },
            "message": values,
        }
    )
    assert (message.domain_separator, message.struct_hash) == (expected.header, expected.body)


@given(
    chain_id=numbers,
    keeper=addresses,
    root=roots,
    vault=addresses,
    validators=st.binary(max_size=400),
    ipfs_hash=texts,
    deadline=numbers,
)
def test_approvals(
    chain_id: int, keeper: bytes, root: bytes, vault: bytes, validators: bytes, ipfs_hash: str, deadline: int
) -> None:
    values = dict(zip(APPROVAL, (root, vault, validators, ipfs_hash, deadline), strict=True))
    message = approval_message(keeper_domain(chain_id, keeper), root, vault, validators, ipfs_hash, deadline)
    assert_as_eth_account(message, APPROVAL, values, chain_id, keeper)


@given(chain_id=numbers, keeper=addresses, vault=addresses, ipfs_hash=texts, nonce=numbers, deadline=numbers)
def test_rotations(
    chain_id: int, keeper: bytes, vault: bytes, ipfs_hash: str, nonce: int, deadline: int
) -> None:
    values = dict(zip(ROTATION, (vault, ipfs_hash, nonce, deadline), strict=True))
    message = rotation_message(keeper_domain(chain_id, keeper), vault, ipfs_hash, nonce, deadline)
    assert_as_eth_account(message, ROTATION, values, chain_id, keeper)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ((bytes(31), bytes(20), 0), "root: expected 32 bytes, got 31"),
        ((bytes(32), bytes(21), 0), "vault: expected 20 bytes, got 21"),
        ((bytes(32), bytes(20), 2**256), "deadline: expected an integer"),
        ((bytes(32), bytes(20), -1), "deadline: expected an integer"),
        ((bytes(32), bytes(20)), "shorter"),
    ],
)
def test_what_does_not_fit(values: tuple[Any, ...], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        hash_struct("Some(bytes32 root,address vault,uint256 deadline)", *values)
