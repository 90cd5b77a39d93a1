"""Signatures by the keys of nodes: both forms, and what is none."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py_ecc.secp256k1 import ecdsa_raw_recover, privtopub

from dvtfast.errors import InputError
from dvtfast.secp256k1 import (
    IdentityKey,
    is_message_signed_by,
    is_signed_by,
    recovered_signer,
)

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SECRETS = st.integers(1, ORDER - 1).map(lambda k: k.to_bytes(32, "big"))


def compressed(point):
    x, y = point
    return bytes([2 + y % 2]) + x.to_bytes(32, "big")


@given(SECRETS, st.binary(min_size=32, max_size=32))
def test_a_signature_is_by_its_key_in_the_eyes_of_py_ecc_too(secret, digest):
    key = IdentityKey(secret)
    signature = key.sign(digest)
    r, s, v = signature[:32], signature[32:64], signature[64]
    numbers = (27 + v, int.from_bytes(r), int.from_bytes(s))
    assert compressed(ecdsa_raw_recover(digest, numbers)) == key.public_key == compressed(privtopub(secret))
    assert recovered_signer(digest, signature) == key.public_key
    assert recovered_signer(digest, signature[:64] + bytes([27 + v])) == key.public_key
    assert is_signed_by(key.public_key, digest, signature[:64])


@given(SECRETS, st.binary(max_size=100))
def test_a_message_of_libp2p_is_signed_over_its_sha256(secret, message):
    key = IdentityKey(secret)
    signature = key.sign_message(message)
    assert signature[0] == 0x30  # DER
    assert is_message_signed_by(key.public_key, message, signature)
    assert not is_message_signed_by(key.public_key, message + b"!", signature)
    size = signature[3]
    r, s = int.from_bytes(signature[4 : 4 + size]), int.from_bytes(signature[6 + size :])
    compact = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert is_signed_by(key.public_key, hashlib.sha256(message).digest(), compact)


@pytest.mark.parametrize(
    "secret", [b"", bytes(32), bytes(31) + b"\1" * 2, ORDER.to_bytes(32, "big")], ids=len
)
def test_what_is_no_secret_key(secret):
    with pytest.raises(InputError, match="identity key"):
        IdentityKey(secret)


@pytest.mark.parametrize("size", [0, 64, 66])
def test_a_signature_of_another_size_is_by_nobody(size):
    assert recovered_signer(bytes(32), bytes(size)) is None


def test_a_signature_of_nobody():
    assert recovered_signer(b"\1" * 32, bytes(65)) is None
    assert recovered_signer(b"\1" * 32, b"\1" * 64 + b"\4") is None
    key = IdentityKey.generate()
    for signature in (b"", b"\x30", b"\x30" + bytes(71), bytes(1000)):
        assert not is_message_signed_by(key.public_key, b"", signature)
    assert not is_message_signed_by(b"\2" * 5, b"", key.sign_message(b""))


def test_keys_are_new_each_time_and_show_nothing():
    key, other = IdentityKey.generate(), IdentityKey.generate()
    assert key.public_key != other.public_key
    secret = b"\x5a" * 32
    assert "5a5a" not in repr(IdentityKey(secret))
