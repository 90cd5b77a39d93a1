"""SSV keyshares files, read and written."""

import copy
import json
import os

import pytest

from dvtfast import FileError, InputError, ssv
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
        assert ssv.checksum_address(validator.owner_address) == EXPECTED["owner"]
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


@pytest.mark.parametrize("name", ["keyshares.json", "keyshares-v1.1-single.json"])
def test_what_is_written_is_read(tmp_path, name):
    path = VECTORS / "ssv" / name
    validators = ssv.read_keyshares(path)
    document = json.loads(path.read_text())
    items = document.get("shares") or [{"data": document["data"], "payload": document["payload"]}]
    keys = {
        operator["id"]: ssv.OperatorPublicKey.from_text(operator["operatorKey"])
        for operator in items[0]["data"]["operators"]
    }
    ssv.write_keyshares(tmp_path / "keyshares.json", validators, keys)
    written_document = json.loads((tmp_path / "keyshares.json").read_text())
    assert written_document["version"] == "v1.2.0"
    assert written_document["shares"] == items


@pytest.mark.parametrize("operators", [4, 7, 10, 13])
def test_every_size_of_cluster(operators):
    ids = tuple(range(2**64 - operators, 2**64))
    blob = os.urandom(96 + 304 * operators)
    shares = parsed(ids, blob)
    assert shares.shares_data == blob
    assert shares.public_key_shares.shape == (operators, 48)
    assert shares.encrypted_shares[-1].tobytes() == blob[-256:]
    assert shares.share_indices.tolist() == list(ids)
    for wrong in (blob[:-1], blob + b"\0", blob[:-304], b""):
        with pytest.raises(InputError, match=f"shares_data: expected {len(blob)} bytes for {operators}"):
            parsed(ids, wrong)
    for wrong in (
        ids[:-1],
        ids[::-1],
        (ids[0], *ids[:-1]),
        (0, *ids[1:]),
        (-1, *ids[1:]),
        (*ids[:-1], 2**64),
    ):
        with pytest.raises(InputError, match="operator_ids: expected"):
            parsed(wrong, blob)


@pytest.mark.parametrize("wrong", [{"public_key": bytes(47)}, {"owner_address": bytes(32)}])
def test_widths(wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))}: expected"):
        parsed((1, 2, 3, 4), bytes(96 + 304 * 4), **wrong)


def parsed(ids, blob, public_key=bytes(48), owner_address=bytes(20)):
    return ssv.parse_key_shares(public_key, ids, blob, owner_address=owner_address, owner_nonce=0)


def written(tmp_path, document):
    path = tmp_path / "keyshares.json"
    path.write_text(json.dumps(document))
    return path
