"""Key shares, decrypted by their operators: all that are right, and one line for each that is not."""

from dataclasses import replace

import numpy as np
import pytest

from dvtfast import derive_public_keys, recover_secret_keys, split_secret_keys, ssv
from tests import samples
from tests.vector_files import VECTORS, load, unhex

EXPECTED = load("ssv/expected.json")
IDS = EXPECTED["operator_ids"]
OPERATOR = 17
OWNER = unhex(EXPECTED["owner"])


@pytest.fixture(scope="module")
def operators():
    return {i: ssv.read_operator_key(VECTORS / f"ssv/operator-{i}/private_key_base64.txt") for i in IDS}


@pytest.fixture
def validators():
    return ssv.read_keyshares(VECTORS / "ssv/keyshares.json")


@pytest.mark.parametrize("operator", IDS)
def test_vectors(operators, validators, operator):
    """Validator 1 has plaintexts without 0x."""
    opened = ssv.open_key_shares(validators, operator, operators[operator])
    assert opened.problems == ()
    for row, expected in enumerate(EXPECTED["validators"]):
        share = expected["shares"][str(operator)]
        assert opened.key_shares[row].tobytes() == unhex(share["secret"])
        assert opened.public_key_shares[row].tobytes() == unhex(share["public"])
        assert opened.public_keys[row].tobytes() == unhex(expected["public_key"])


def test_of_another_operator_there_is_nothing(operators, validators):
    opened = ssv.open_key_shares(validators, 6, operators[5])
    assert (len(opened.key_shares), opened.problems) == (0, ())
    opened = ssv.open_key_shares([], 5, operators[5])
    assert opened.key_shares.shape == (0, 32)
    assert opened.public_keys.shape == opened.public_key_shares.shape == (0, 48)


def encrypted(validator, plaintext, key):
    column = validator.operator_ids.index(OPERATOR)
    shares = validator.encrypted_shares.copy()
    shares[column] = np.frombuffer(key.encrypt(plaintext), np.uint8)
    return replace(validator, encrypted_shares=shares)


@pytest.mark.parametrize(
    "form",
    [
        lambda secret: f"0x{secret:064x}",
        lambda secret: f"{secret:064x}",
        lambda secret: f"{secret:064X}",
        lambda secret: f"0x{secret:x}",
        lambda secret: f"{secret:x}",
    ],
)
def test_forms_of_a_plaintext(operators, validators, form):
    secret = 0x1234567  # a share of few digits
    share = np.frombuffer(secret.to_bytes(32, "big"), np.uint8)
    keys = validators[0].public_key_shares.copy()
    keys[1] = derive_public_keys(share)
    validator = replace(validators[0], public_key_shares=keys)
    plaintext = form(secret).encode()
    opened = ssv.open_key_shares(
        [encrypted(validator, plaintext, operators[OPERATOR].public_key)], OPERATOR, operators[OPERATOR]
    )
    assert opened.key_shares.tolist() == [share.tolist()]


@pytest.mark.parametrize(
    "plaintext",
    [b"", b"0x", b"0x" + b"0" * 64, b"0" * 65, b"ff" * 32, b"0x12 34", b"\xff" * 32, b"0x" + b"1" * 64],
)
def test_a_wrong_plaintext_is_one_problem(operators, validators, plaintext):
    """No hex, not below r, zero, or another share: always the same line."""
    key = operators[OPERATOR]
    validators[1] = encrypted(validators[1], plaintext, key.public_key)
    check_that_only_the_second_is_wrong(validators, key)


@pytest.mark.parametrize("ciphertext", [bytes(256), b"\xff" * 256, bytes(255) + b"\x01"])
def test_a_ciphertext_without_padding(operators, validators, ciphertext):
    shares = validators[1].encrypted_shares.copy()
    shares[:] = np.frombuffer(ciphertext, np.uint8)
    validators[1] = replace(validators[1], encrypted_shares=shares)
    check_that_only_the_second_is_wrong(validators, operators[OPERATOR])


def test_a_share_for_another_operator(operators, validators):
    """Also where two operators' ciphertexts stand in each other's place."""
    shares = validators[1].encrypted_shares[[1, 0, 2, 3]]
    validators[1] = replace(validators[1], encrypted_shares=shares)
    check_that_only_the_second_is_wrong(validators, operators[OPERATOR])


def test_a_share_of_another_validator(operators, validators):
    validators[1] = replace(validators[1], encrypted_shares=validators[0].encrypted_shares)
    check_that_only_the_second_is_wrong(validators, operators[OPERATOR])


def check_that_only_the_second_is_wrong(validators, key):
    opened = ssv.open_key_shares(validators, OPERATOR, key)
    wanted = [EXPECTED["validators"][i]["shares"][str(OPERATOR)]["secret"] for i in (0, 2)]
    assert [row.tobytes() for row in opened.key_shares] == list(map(unhex, wanted))
    assert [row.tobytes() for row in opened.public_keys] == [validators[i].public_key for i in (0, 2)]
    assert opened.problems == (
        f"validator 0x{validators[1].public_key.hex()}: what is encrypted for operator 17 is not its key"
        " share, or is for another key",
    )
    assert not any(row.tobytes().hex() in repr(opened) for row in opened.key_shares)


def test_the_wrong_key_opens_nothing(operators, validators):
    opened = ssv.open_key_shares(validators, OPERATOR, operators[5])
    assert len(opened.problems) == 3
    assert opened.key_shares.shape == (0, 32)


@pytest.mark.parametrize("with_0x", [True, False])
@pytest.mark.parametrize("ids", [(5, 17, 242, 1093), (1, 2, 3, 4, 5, 6, 2**64 - 1)])
def test_built_shares(ids, with_0x):
    """Signed for their owner as milagro sees it; any threshold of operators recovers the keys."""
    threshold = ssv.threshold_of(len(ids))
    cluster = samples.make_cluster(20, threshold=threshold, share_indices=ids)
    operators = {i: ssv.generate_operator_key() for i in ids}
    validators = ssv.build_key_shares(
        cluster.secret_keys,
        cluster.key_shares,
        {i: key.public_key for i, key in operators.items()},
        owner_address=OWNER,
        first_nonce=3,
        with_0x=with_0x,
        threads=2,
    )
    assert ssv.check_key_shares(validators) == [""] * 20
    for row, validator in enumerate(validators):
        root = ssv.owner_signing_root(OWNER, 3 + row)
        assert validator.owner_nonce == 3 + row
        assert samples.verifies(validator.public_key, root, validator.owner_signature)
    done = []
    opened = [
        ssv.open_key_shares(validators, i, operators[i], threads=2, progress=lambda *of: done.append(of))
        for i in ids[-threshold:]
    ]
    shares = np.stack([each.key_shares for each in opened], axis=1)
    recovered = recover_secret_keys(shares, list(ids[-threshold:]), threshold=threshold)
    assert recovered.tolist() == cluster.secret_keys.tolist()
    assert sorted(done) == sorted((i, 20) for i in range(1, 21) for _ in range(threshold))


def test_building_refuses_what_is_no_cluster():
    cluster = samples.make_cluster(2)
    keys = {i: ssv.generate_operator_key().public_key for i in (1, 2, 3)}
    with pytest.raises(ValueError, match=r"key_shares: expected uint8\[2, 3, 32\]"):
        ssv.build_key_shares(cluster.secret_keys, cluster.key_shares, keys, owner_address=OWNER)
    shares = split_secret_keys(cluster.secret_keys, threshold=2, share_indices=[1, 2, 3])
    with pytest.raises(ValueError, match="operator_ids: expected 4, 7, 10, 13 operators, got 3"):
        ssv.build_key_shares(cluster.secret_keys, shares, keys, owner_address=OWNER)
