"""What SSV's own key generation has made: reader, checks and assembly of ours come to the same bytes.

Source: ssv-dkg, its test data, and a recorded ceremony of operators with published test keys.
"""

import base64
import json

import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

from dvtfast import HOODI, FileError, derive_public_keys, recover_secret_keys, sign, ssv
from dvtfast.deposits import check_deposit_data, read_deposit_data
from tests.vector_files import given

RECORDED = "dkg/ssv/http_transcript.json"
FILES = "dkg/ssv/testdata"


def recorded(name):
    """A result of the recorded ceremony, and the operators' keys by id."""
    transcript = json.loads(given(RECORDED).read_text())
    keys = {
        int(operator_id): ssv.OperatorKey(load_der_private_key(base64.b64decode(der), None))
        for operator_id, der in transcript["operator_rsa_keys_der_base64"].items()
    }
    result = transcript["results"][name]
    return (result[0] if isinstance(result, list) else result), keys


@pytest.mark.parametrize(
    ("name", "nonce", "ids"),
    [
        ("keyshares", 7, (11, 22, 33, 44)),
        ("resign_keyshares", 8, (11, 22, 33, 44)),
        ("reshare_keyshares", 9, (11, 22, 33, 55)),
    ],
)
def test_recorded_keyshares(name, nonce, ids, tmp_path):
    document, keys = recorded(name)
    path = tmp_path / "keyshares.json"
    path.write_text(json.dumps(document))
    validators = ssv.read_keyshares(path)
    assert ssv.check_key_shares(validators) == [""]
    (validator,) = validators
    assert (validator.operator_ids, validator.owner_nonce) == (ids, nonce)
    listed = document["shares"][0]["data"]["operators"]
    assert [(each["id"], each["operatorKey"]) for each in listed] == [
        (operator_id, keys[operator_id].public_key.text) for operator_id in ids
    ]
    opened = [ssv.open_key_shares(validators, operator_id, keys[operator_id]) for operator_id in ids]
    assert [each.problems for each in opened] == [()] * 4
    shares = np.stack([each.key_shares for each in opened], axis=1)
    secret = recover_secret_keys(shares[:, 1:], ids[1:], threshold=3)
    assert derive_public_keys(secret).tobytes() == validator.public_key
    owner = validator.owner_address
    (again,) = ssv.assemble_key_shares(
        derive_public_keys(secret),
        derive_public_keys(shares[0])[np.newaxis],
        ids,
        owner_signatures=sign(secret, ssv.owner_signing_roots(owner, [nonce])),
        encrypted_shares=validator.encrypted_shares[np.newaxis],
        owner_address=owner,
        first_nonce=nonce,
    )
    assert again.shares_data == validator.shares_data


def test_recorded_deposit(tmp_path):
    deposit, _ = recorded("deposit_data")
    path = tmp_path / "deposit-data.json"
    path.write_text(json.dumps([deposit]))
    deposits = read_deposit_data(path, network=HOODI)
    assert not any(check_deposit_data(deposits))
    assert deposits.data_roots[0].tobytes().hex() == deposit["deposit_data_root"]


def test_their_files():
    for path in (
        given(f"{FILES}/keyshares--valid.json"),
        *given(FILES).glob("results--valid*/*/keyshares.json"),
    ):
        validators = ssv.read_keyshares(path)
        assert ssv.check_key_shares(validators) == [""] * len(validators)


@pytest.mark.parametrize(
    "name", ["keyshares--duplicate-data-operator", "keyshares--duplicate-payload-operator"]
)
def test_their_files_that_are_wrong(name):
    with pytest.raises(FileError, match="operator"):
        ssv.read_keyshares(given(f"{FILES}/{name}.json"))
