"""The public BLS test suite (ethereum/bls12-381-tests), one test per case."""

from functools import partial

import numpy as np
import pytest

import dvtfast
from dvtfast import EncodingError, InputError, SignatureError
from tests import reference
from tests.backends import ON_EACH_BACKEND
from tests.vector_files import suite, unhex

pytestmark = ON_EACH_BACKEND


def holds(verify, *widths):
    """Whether `verify` raises nothing; the suite's false must be one of the named refusals.

    InputError may only answer a wrong length, which the suite has too.
    """
    try:
        verify()
    except (SignatureError, EncodingError):
        return False
    except InputError:
        assert any(len(item) != width for item, width in widths)
        return False
    return True


def decodes(check, encoded, width):
    if len(encoded) != width:
        with pytest.raises(InputError, match=str(width)):
            check(encoded, infinity=True)
        return False
    return check(encoded, infinity=True)


def test_the_suite_is_complete():
    folders = [
        "aggregate",
        "aggregate_verify",
        "batch_verify",
        "deserialization_G1",
        "deserialization_G2",
        "fast_aggregate_verify",
        "hash_to_G2",
        "sign",
        "verify",
    ]
    assert sum(len(suite(folder)) for folder in folders) == 104


@pytest.mark.parametrize(("given", "expected"), suite("sign"))
def test_sign(given, expected):
    secret_key, root = unhex(given["privkey"]), unhex(given["message"])
    if expected is None:
        with pytest.raises(EncodingError) as caught:
            dvtfast.sign(secret_key, root)
        assert caught.value.indices == (0,)
    else:
        assert dvtfast.sign(secret_key, root).tobytes() == unhex(expected)


@pytest.mark.parametrize(("given", "expected"), suite("verify"))
def test_verify(given, expected):
    public_key, root = unhex(given["pubkey"]), unhex(given["message"])
    signature = unhex(given["signature"])
    verify = partial(dvtfast.verify_signatures, public_key, root, signature)
    assert holds(verify, (public_key, 48), (signature, 96)) is expected


@pytest.mark.parametrize(("given", "expected"), suite("aggregate"))
def test_aggregate(given, expected):
    signatures = [unhex(signature) for signature in given]
    if expected is None:
        with pytest.raises(InputError):
            dvtfast.aggregate(signatures)
    else:
        assert dvtfast.aggregate(signatures).tobytes() == unhex(expected)


@pytest.mark.parametrize(("given", "expected"), suite("fast_aggregate_verify"))
def test_fast_aggregate_verify(given, expected):
    public_keys = [unhex(key) for key in given["pubkeys"]]
    root, signature = unhex(given["message"]), unhex(given["signature"])
    verify = partial(dvtfast.fast_aggregate_verify, public_keys, root, signature)
    assert holds(verify, (signature, 96)) is expected


@pytest.mark.parametrize(("given", "expected"), suite("aggregate_verify"))
def test_aggregate_verify(given, expected):
    public_keys = [unhex(key) for key in given["pubkeys"]]
    roots = [unhex(root) for root in given["messages"]]
    signature = unhex(given["signature"])
    verify = partial(dvtfast.aggregate_verify, public_keys, roots, signature)
    assert holds(verify, (signature, 96)) is expected


@pytest.mark.parametrize(("given", "expected"), suite("batch_verify"))
def test_batch_verify(given, expected):
    public_keys = [unhex(key) for key in given["pubkeys"]]
    roots = [unhex(root) for root in given["messages"]]
    signatures = [unhex(signature) for signature in given["signatures"]]
    verify = partial(dvtfast.verify_signatures, public_keys, roots, signatures)
    assert holds(verify) is expected


@pytest.mark.parametrize(("given", "expected"), suite("deserialization_G1"))
def test_deserialization_g1(given, expected):
    assert decodes(dvtfast.check_public_key_encodings, unhex(given["pubkey"]), 48) == expected


@pytest.mark.parametrize(("given", "expected"), suite("deserialization_G2"))
def test_deserialization_g2(given, expected):
    assert decodes(dvtfast.check_signature_encodings, unhex(given["signature"]), 96) == expected


@pytest.mark.parametrize(("given", "expected"), suite("hash_to_G2"))
def test_hash_to_g2(given, expected):
    dst = b"QUUX-V01-CS02-with-BLS12381G2_XMD:SHA-256_SSWU_RO_"
    [encoded] = dvtfast.hash_to_g2([given["msg"].encode()], dst=dst)
    assert encoded.dtype == np.uint8
    x, y, _ = reference.g2(encoded.tobytes())
    assert [f"0x{c:096x}" for c in x.coeffs] == expected["x"].split(",")
    assert [f"0x{c:096x}" for c in y.coeffs] == expected["y"].split(",")
