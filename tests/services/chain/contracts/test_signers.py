"""Who has signed: the same account as eth-account says, and nobody where a contract would refuse."""

from __future__ import annotations

import pytest
from coincurve import PrivateKey
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from dvtfast.services.chain.contracts.signers import CURVE_ORDER, address_of, recover_signer
from dvtfast.services.chain.encoding import read_address
from tests.vector_files import cases, load, unhex

VECTORS = load("manager_eip712.json")
CASES = cases(VECTORS["cases"], lambda case: f"{case['network']}-{case['kind']}")
DIGEST = bytes(range(32))
SIGNED = bytes(Account.unsafe_sign_hash(DIGEST, unhex(VECTORS["private_key"])).signature)
SIGNER = read_address(VECTORS["address"])
R, S, V = SIGNED[:32], SIGNED[32:64], SIGNED[64:]
HIGH_S = (CURVE_ORDER - int.from_bytes(S)).to_bytes(32)
OTHER_V = bytes([27 + 28 - V[0]])


@pytest.mark.parametrize("case", CASES)
def test_vectors(case: dict[str, str]) -> None:
    assert recover_signer(unhex(case["digest"]), unhex(case["signature"])) == SIGNER


@given(secret=st.integers(1, CURVE_ORDER - 1), digest=st.binary(min_size=32, max_size=32))
def test_as_eth_account(secret: int, digest: bytes) -> None:
    account = Account.from_key(secret.to_bytes(32))
    signature = bytes(account.unsafe_sign_hash(digest).signature)
    assert recover_signer(digest, signature) == read_address(account.address)
    public_key = PrivateKey(secret.to_bytes(32)).public_key.format(compressed=False)[1:]
    assert address_of(public_key) == read_address(account.address)


def test_another_digest_or_another_v_is_another_signer() -> None:
    assert recover_signer(bytes(32), SIGNED) != SIGNER
    assert recover_signer(DIGEST, R + S + OTHER_V) != SIGNER


def test_the_same_key_signs_with_a_high_s_too() -> None:
    """Which is why contracts refuse it: a stranger can make it from the other."""
    twin = R + HIGH_S + OTHER_V
    assert read_address(Account._recover_hash(DIGEST, signature=twin)) == SIGNER
    with pytest.raises(ValueError, match="lower of two"):
        recover_signer(DIGEST, twin)


@pytest.mark.parametrize(
    ("signature", "match"),
    [
        (b"", "expected 65 bytes, got 0"),
        (SIGNED[:64], "expected 65 bytes, got 64"),
        (SIGNED + b"\x00", "expected 65 bytes, got 66"),
        (R + S + bytes([V[0] - 27]), "v of 27 or 28"),
        (R + S + bytes([29]), "v of 27 or 28, got 29"),
        (bytes(32) + S + V, "r and s"),
        (R + bytes(32) + V, "r and s"),
        (CURVE_ORDER.to_bytes(32) + S + V, "r and s"),
        (R + CURVE_ORDER.to_bytes(32) + V, "r and s"),
        (b"\xff" * 64 + V, "r and s"),
        ((5).to_bytes(32) + S + V, "no key"),  # no point has this x
    ],
)
def test_what_is_no_signature(signature: bytes, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        recover_signer(DIGEST, signature)


def test_what_is_no_digest_and_no_key() -> None:
    with pytest.raises(ValueError, match="digest: expected 32 bytes, got 31"):
        recover_signer(DIGEST[1:], SIGNED)
    for public_key in (b"", bytes(64), bytes(63)):
        with pytest.raises(ValueError, match="public key"):
            address_of(public_key)
