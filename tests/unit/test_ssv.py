"""SSV keyshares: the public parts."""

import copy
import json

import pytest

from dvtfast import FileError, ssv
from tests.vector_files import VECTORS, load, unhex

EXPECTED = load("ssv/expected.json")


@pytest.mark.parametrize(
    ("name", "count"), [("keyshares.json", 3), ("keyshares-v1.1-single.json", 1)], ids=["v1.2", "v1.1"]
)
def test_vector(name, count):
    validators = ssv.read_keyshares(VECTORS / "ssv" / name)
    assert len(validators) == count
    for validator, expected in zip(validators, EXPECTED["validators"], strict=False):
        assert validator.public_key == unhex(expected["public_key"])
        assert list(validator.operator_ids) == EXPECTED["operator_ids"]
        assert validator.owner_address == EXPECTED["owner"]
        assert validator.owner_nonce == expected["owner_nonce"]
        assert validator.owner_signature == unhex(expected["signature"])
        assert validator.threshold == EXPECTED["threshold"]
        shares = [unhex(expected["shares"][str(i)]["public"]) for i in validator.operator_ids]
        assert [row.tobytes() for row in validator.public_key_shares] == shares
        assert validator.encrypted_shares.shape == (4, 256)


@pytest.mark.parametrize(("operators", "threshold"), [(4, 3), (7, 5), (10, 7), (13, 9)])
def test_threshold(operators, threshold):
    assert ssv.threshold_of(operators) == threshold


def data(item):
    return item["data"]


def payload(item):
    return item["payload"]


@pytest.mark.parametrize(
    ("part", "name", "value", "complaint"),
    [
        (payload, "operatorIds", [5, 17, 242], "operatorIds: expected 4, 7, 10, 13 operators, got 3"),
        (payload, "operatorIds", [17, 5, 242, 1093], "operatorIds: expected ascending"),
        (payload, "operatorIds", [5, 5, 242, 1093], "operatorIds: expected ascending"),
        (payload, "operatorIds", [0, 5, 242, 1093], r"operatorIds\[0\]: expected an integer of 1"),
        (payload, "operatorIds", [5, 17, 242, 2**64], r"operatorIds\[3\]: expected an integer of 1"),
        (payload, "operatorIds", [5, 17, 242, 1094], "data.operators: differ"),
        (payload, "sharesData", "0x00", "sharesData: expected 1312 bytes of hex, got 1"),
        (payload, "sharesData", 7, "sharesData: expected a text, got an integer"),
        (payload, "publicKey", "0x" + "ab" * 48, "differs from payload.publicKey"),
        (data, "ownerNonce", -1, "ownerNonce: expected an integer of 0"),
        (data, "ownerAddress", "0x12", "ownerAddress: expected 20 bytes"),
    ],
)
def test_wrong_field_is_named(tmp_path, part, name, value, complaint):
    document = load("ssv/keyshares.json")
    part(document["shares"][1])[name] = value
    with pytest.raises(FileError, match=complaint) as caught:
        ssv.read_keyshares(written(tmp_path, document))
    assert "shares[1]." in str(caught.value)
    assert caught.value.path == tmp_path / "keyshares.json"


def test_repeated_validator(tmp_path):
    document = load("ssv/keyshares.json")
    document["shares"].append(copy.deepcopy(document["shares"][0]))
    with pytest.raises(FileError, match=r"shares\[3\].payload.publicKey: repeated"):
        ssv.read_keyshares(written(tmp_path, document))


def test_no_validator(tmp_path):
    with pytest.raises(FileError, match="shares: expected 1 to 65536 items, got 0"):
        ssv.read_keyshares(written(tmp_path, {"version": "v1.2.0", "shares": []}))


def written(tmp_path, document):
    path = tmp_path / "keyshares.json"
    path.write_text(json.dumps(document))
    return path
