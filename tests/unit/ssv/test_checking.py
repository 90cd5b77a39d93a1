"""What is public of SSV's validators: owners' signatures, points, polynomials."""

import json
from dataclasses import replace

import numpy as np
import pytest

from dvtfast import FileError, ssv
from dvtfast.clusters import read_ssv_keyshares, ssv_clusters
from tests.vector_files import VECTORS, load, unhex

EXPECTED = load("ssv/expected.json")
KEYSHARES = VECTORS / "ssv/keyshares.json"
OFF_CURVE = b"\xab" * 48
INFINITY = b"\xc0" + bytes(47)
# EIP-55.
ADDRESSES = ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"]


@pytest.fixture
def validators():
    return ssv.read_keyshares(KEYSHARES)


@pytest.mark.parametrize("address", [*ADDRESSES, EXPECTED["owner"]])
def test_addresses_have_their_checksum(address):
    assert ssv.checksum_address(unhex(address)) == address


def test_what_an_owner_has_signed():
    for expected in EXPECTED["validators"]:
        root = ssv.owner_signing_root(unhex(EXPECTED["owner"]), expected["owner_nonce"])
        assert root == unhex(expected["owner_nonce_hash"])


def test_right_ones(validators):
    assert ssv.check_key_shares(validators) == ["", "", ""]
    assert ssv.check_key_shares([]) == []
    (cluster,) = ssv_clusters(validators)
    (read,) = read_ssv_keyshares(KEYSHARES)
    assert cluster.public_keys.encoded.tolist() == read.public_keys.encoded.tolist()
    assert cluster.public_key_shares.encoded.tolist() == read.public_key_shares.encoded.tolist()
    assert (cluster.name, cluster.threshold) == ("ssv-5-17-242-1093", 3)


def with_share(validator, column, key):
    shares = validator.public_key_shares.copy()
    shares[column] = np.frombuffer(key, np.uint8)
    return replace(validator, public_key_shares=shares)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda v: replace(v, owner_nonce=v.owner_nonce + 1), "did not sign for its owner at nonce 9"),
        (lambda v: replace(v, owner_address=bytes(20)), "did not sign for its owner"),
        (lambda v: replace(v, owner_signature=bytes(96)), "did not sign for its owner"),
        (lambda v: replace(v, owner_signature=INFINITY * 2), "did not sign for its owner"),
        (lambda v: replace(v, public_key=OFF_CURVE), "its public key is no valid public key"),
        (lambda v: replace(v, public_key=INFINITY), "its public key is no valid public key"),
        (lambda v: with_share(v, 2, OFF_CURVE), "public key share of operator 242 is no valid"),
        (lambda v: with_share(v, 0, INFINITY), "public key share of operator 5 is no valid"),
        (lambda v: with_share(v, 3, v.public_key), "do not give its public key with threshold 3"),
        (lambda v: replace(v, operator_ids=(5, 17, 242, 1094)), "do not give its public key"),
        (lambda v: replace(v, public_key_shares=v.public_key_shares[::-1]), "do not give its public key"),
    ],
)
def test_one_wrong_among_right_ones(validators, change, problem):
    validators[1] = change(validators[1])
    first, second, third = ssv.check_key_shares(validators)
    assert (first, third) == ("", "")
    assert problem in second


def test_a_file_with_a_wrong_owner_signature(tmp_path):
    document = json.loads(KEYSHARES.read_text())
    document["shares"][2]["data"]["ownerNonce"] = 1
    path = tmp_path / "keyshares.json"
    path.write_text(json.dumps(document))
    with pytest.raises(FileError, match="did not sign for its owner at nonce 1") as caught:
        read_ssv_keyshares(path)
    assert caught.value.path == path
    assert len(read_ssv_keyshares(path, check=False)) == 1
