"""What the public suite lacks: points outside the subgroup, secret keys at the edges, the Ethereum DST."""

import pytest

import dvtfast
from dvtfast import EncodingError
from tests.backends import ON_EACH_BACKEND
from tests.vector_files import cases, load, unhex

pytestmark = ON_EACH_BACKEND

EXTRA = load("bls_extra.json")


def encoded_name(encoded):
    return f"{encoded[:4]}..{encoded[-2:]}"


@pytest.mark.parametrize("encoded", cases(EXTRA["off_subgroup_g1"], encoded_name))
def test_off_subgroup_public_key(encoded):
    public_key = unhex(encoded)
    assert dvtfast.check_public_key_encodings(public_key, subgroup=False)
    assert not dvtfast.check_public_key_encodings(public_key)
    assert not dvtfast.check_public_keys(public_key)
    with pytest.raises(EncodingError) as caught:
        dvtfast.PublicKeys(public_key)
    assert caught.value.indices == (0,)


@pytest.mark.parametrize("encoded", cases(EXTRA["off_subgroup_g2"], encoded_name))
def test_off_subgroup_signature(encoded):
    signature = unhex(encoded)
    assert dvtfast.check_signature_encodings(signature, subgroup=False)
    assert not dvtfast.check_signature_encodings(signature)
    assert not dvtfast.check_signatures(dvtfast.derive_public_keys(bytes(31) + b"\1"), bytes(32), signature)


@pytest.mark.parametrize("case", cases(EXTRA["secret_keys"], lambda case: case["sk"][-4:]))
def test_secret_key(case):
    secret_key = unhex(case["sk"])
    assert dvtfast.check_secret_keys(secret_key) == case["valid"]
    if case["valid"]:
        assert dvtfast.derive_public_keys(secret_key).tobytes() == unhex(case["public_key"])
    else:
        with pytest.raises(EncodingError) as derived:
            dvtfast.derive_public_keys(secret_key)
        with pytest.raises(EncodingError) as signed:
            dvtfast.sign(secret_key, bytes(32))
        assert derived.value.indices == signed.value.indices == (0,)


@pytest.mark.parametrize(
    "case", cases(EXTRA["hash_to_G2_POP"], lambda case: f"{len(case['msg']) // 2 - 1} bytes")
)
def test_hash_to_g2_under_the_ethereum_dst(case):
    [encoded] = dvtfast.hash_to_g2([unhex(case["msg"])])
    assert encoded.tobytes() == unhex(case["compressed"])
