"""Encryption to oracles: byte for byte what eciespy makes, and what eciespy opens."""

import os

import coincurve
import ecies as eciespy
import numpy as np
import pytest

from dvtfast import ecies
from dvtfast.constants import ECIES_OVERHEAD_BYTES
from dvtfast.errors import EncodingError, InputError, MissingExtraError
from tests.vector_files import cases, load, unhex

CASES = cases(load("ecies.json")["cases"], lambda case: f"{len(unhex(case['plaintext']))}-bytes")


@pytest.mark.parametrize("case", CASES)
def test_fixed_ephemeral_key_gives_the_vector(case):
    blobs = ecies._seal(
        as_rows(unhex(case["plaintext"])),
        unhex(case["receiver_public_64"]),
        coincurve.PrivateKey(unhex(case["ephemeral_secret"])),
        unhex(case["nonce"]),
    )
    assert blobs[0].tobytes() == unhex(case["blob"])


@pytest.mark.parametrize("blob", ["blob", "library_blob"])
@pytest.mark.parametrize("case", CASES)
def test_decrypts_vector(case, blob):
    plain = ecies.decrypt_batch(unhex(case[blob]), unhex(case["receiver_secret"]))
    assert plain.tobytes() == unhex(case["plaintext"])


@pytest.mark.parametrize("case", CASES)
def test_eciespy_opens_our_blobs(case):
    message = unhex(case["plaintext"])
    blobs = ecies.encrypt_batch(as_rows(message).repeat(3, axis=0), unhex(case["receiver_public_64"]))
    assert blobs.shape == (3, len(message) + ECIES_OVERHEAD_BYTES)
    for blob in blobs:
        assert eciespy.decrypt(case["receiver_secret"], blob.tobytes()) == message


@pytest.fixture
def receiver():
    case = load("ecies.json")["cases"][0]
    return unhex(case["receiver_secret"]), unhex(case["receiver_public_64"])


def test_every_form_of_the_receiver_key(receiver):
    secret, public = receiver
    parity = bytes([2 + public[-1] % 2])
    for key in (public, b"\x04" + public, parity + public[:32]):
        assert ecies.decrypt_batch(ecies.encrypt_batch(b"share", key), secret).tobytes() == b"share"


def test_nonces_and_ephemeral_keys_are_fresh(receiver):
    _, public = receiver
    message = np.zeros((50, 96), np.uint8)
    first, second = ecies.encrypt_batch(message, public), ecies.encrypt_batch(message, public)
    assert len({row[ecies.NONCE].tobytes() for row in np.concatenate([first, second])}) == 100
    assert first[0, : ecies.POINT_BYTES].tobytes() != second[0, : ecies.POINT_BYTES].tobytes()


def test_a_key_for_each_message(receiver):
    secret, public = receiver
    messages = np.arange(5 * 96, dtype=np.uint8).reshape(5, 96)
    blobs = ecies.encrypt_batch(messages, public, key_per_message=True)
    assert len({row[: ecies.POINT_BYTES].tobytes() for row in blobs}) == 5
    assert np.array_equal(ecies.decrypt_batch(blobs, secret), messages)
    assert eciespy.decrypt(secret, blobs[3].tobytes()) == messages[3].tobytes()


@pytest.mark.parametrize("key_per_message", [False, True])
def test_empty_batch(receiver, key_per_message):
    secret, public = receiver
    blobs = ecies.encrypt_batch(np.zeros((0, 96), np.uint8), public, key_per_message=key_per_message)
    assert blobs.shape == (0, 96 + ECIES_OVERHEAD_BYTES)
    assert ecies.decrypt_batch(blobs, secret).shape == (0, 96)


@pytest.mark.parametrize("place", [1, 40, 64, 70, 90, 97, 150])
def test_one_changed_byte_is_named(receiver, place):
    secret, public = receiver
    blobs = ecies.encrypt_batch(np.zeros((5, 96), np.uint8), public)
    blobs[3, place] ^= 1
    with pytest.raises(EncodingError) as caught:
        ecies.decrypt_batch(blobs, secret)
    assert caught.value.indices == (3,)


def test_another_secret_opens_nothing(receiver):
    _, public = receiver
    with pytest.raises(EncodingError) as caught:
        ecies.decrypt_batch(ecies.encrypt_batch([b"a", b"b"], public), os.urandom(32))
    assert caught.value.indices == (0, 1)


@pytest.mark.parametrize("key", [b"", bytes(64), bytes(65), b"\xff" * 64, b"\x02" + b"\xff" * 32, bytes(48)])
def test_receiver_off_the_curve(key):
    with pytest.raises(EncodingError, match="receiver"):
        ecies.encrypt_batch(b"share", key)


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32])
def test_secret_out_of_range(receiver, secret):
    with pytest.raises(EncodingError, match="secret_key: not a secp256k1 secret"):
        ecies.decrypt_batch(bytes(120), secret)


def test_short_blob_and_wrong_types(receiver):
    secret, public = receiver
    with pytest.raises(InputError, match="at least 97"):
        ecies.decrypt_batch(bytes(96), secret)
    with pytest.raises(InputError, match="messages"):
        ecies.encrypt_batch([b"one", b"three"], public)
    with pytest.raises(InputError, match="secret_key"):
        ecies.decrypt_batch(bytes(120), b"short")


def test_check_receivers():
    good = unhex(load("ecies.json")["cases"][0]["receiver_public_64"])
    assert ecies.check_receivers([good, bytes(64), good]).tolist() == [True, False, True]
    assert ecies.check_receivers(good)


@pytest.mark.parametrize("module", ["coincurve", "cryptography"])
def test_missing_extra_says_what_to_install(receiver, monkeypatch, module):
    for name in (module, "cryptography.hazmat.primitives.ciphers.aead"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'dvtfast\[files\]'"):
        ecies.encrypt_batch(b"share", receiver[1])


def as_rows(message):
    return np.frombuffer(message, np.uint8)[np.newaxis]
