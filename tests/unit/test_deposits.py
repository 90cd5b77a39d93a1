"""Deposit data files: roots, signatures, duplicates, network."""

import dataclasses
import json

import numpy as np
import pytest

from dvtfast import (
    GNOSIS,
    HOODI,
    MAINNET,
    NETWORKS,
    FileError,
    InputError,
    deposit_signing_roots,
    generate_secret_keys,
)
from dvtfast.deposits import check_deposit_data, read_deposit_data, sign_deposits, write_deposit_data
from tests.samples import verifies
from tests.vector_files import VECTORS, cases, load, unhex

CHARON = cases(
    sorted(VECTORS.glob("obol/synthetic/node*/deposit-data*.json")),
    lambda path: f"{path.parent.name}-{path.stem}",
)
VECTOR_FILE = load("deposit.json")
VECTOR = cases(
    VECTOR_FILE["cases"], lambda case: f"{case['network']}-{case['type']}-{case['amount_gwei'] // 10**9}"
)


@pytest.mark.parametrize("case", VECTOR)
def test_signing_gives_the_vector(case):
    deposits = sign_deposits(
        unhex(VECTOR_FILE["secret_key"]),
        unhex(case["withdrawal_credentials"]),
        [case["amount_gwei"]],
        NETWORKS[case["network"]],
    )
    assert deposits.public_keys[0].tobytes() == unhex(VECTOR_FILE["public_key"])
    assert deposits.message_roots[0].tobytes() == unhex(case["deposit_message_root"])
    assert deposits.signatures[0].tobytes() == unhex(case["signature"])
    assert deposits.data_roots[0].tobytes() == unhex(case["deposit_data_root"])
    assert check_deposit_data(deposits) == [[]]


@pytest.mark.parametrize("path", CHARON)
def test_files_of_charon(path, tmp_path):
    deposits = read_deposit_data(path, network=HOODI)
    assert check_deposit_data(deposits) == [[], [], []]
    write_deposit_data(tmp_path / "written.json", deposits)
    assert json.loads((tmp_path / "written.json").read_text()) == json.loads(path.read_text())


def test_file_of_stakewise(tmp_path):
    document = load("v3_deposit_data.json")["deposit_data"]
    deposits = read_deposit_data(written(tmp_path, document))
    assert deposits.network is HOODI
    assert check_deposit_data(deposits) == [[]] * len(document)
    vault = unhex(load("v3_deposit_data.json")["vault"])
    assert check_deposit_data(deposits, vault=vault) == [[]] * len(document)


@pytest.fixture
def deposits():
    secret_keys = generate_secret_keys(6)
    credentials = np.tile(np.frombuffer(b"\x01" + bytes(31), np.uint8), (6, 1))
    return sign_deposits(secret_keys, credentials, np.full(6, 32 * 10**9, np.uint64), GNOSIS)


def test_written_file_is_read_again(deposits, tmp_path):
    path = tmp_path / "deposit_data.json"
    write_deposit_data(path, deposits)
    again = read_deposit_data(path, network=GNOSIS)
    for field in dataclasses.fields(deposits):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(deposits, field.name))
    with pytest.raises(FileError, match=r"\[0\]: expected a deposit for mainnet, got one for gnosis"):
        read_deposit_data(path, network=MAINNET)


def test_every_problem_is_named(deposits):
    def changed(name, row, value):
        array = getattr(deposits, name).copy()
        array[row] = value
        return {name: array}

    bad = dataclasses.replace(
        deposits,
        **changed("signatures", 1, deposits.signatures[2]),
        **changed("message_roots", 2, 0),
        **changed("amounts_gwei", 3, 10**9),
    )
    bad.public_keys[4] = 0xFF
    bad.public_keys[5] = bad.public_keys[0]
    assert check_deposit_data(bad) == [
        [],
        ["signature: does not verify", "deposit_data_root: does not fit"],
        ["deposit_message_root: does not fit"],
        [
            "signature: does not verify",
            "deposit_message_root: does not fit",
            "deposit_data_root: does not fit",
        ],
        [
            "pubkey: not a valid public key",
            "deposit_message_root: does not fit",
            "deposit_data_root: does not fit",
        ],
        [
            "pubkey: repeated",
            "signature: does not verify",
            "deposit_message_root: does not fit",
            "deposit_data_root: does not fit",
        ],
    ]


VAULT = bytes(range(20))


def for_vault(prefixes, amounts, vault=VAULT):
    credentials = [bytes([prefix]) + bytes(11) + vault for prefix in prefixes]
    return sign_deposits(generate_secret_keys(len(amounts)), credentials, amounts, HOODI)


def test_what_a_vault_deposits():
    eth = 10**9
    deposits = for_vault([1, 2, 2], [32 * eth, 32 * eth, 2048 * eth])
    assert check_deposit_data(deposits, vault=VAULT) == [[], [], []]
    amount = ["amount: a vault deposits 32 ETH for 0x01, 32 to 2048 ETH for 0x02"]
    deposits = for_vault([1, 1, 2, 2], [31 * eth, 33 * eth, 32 * eth - 1, 2048 * eth + 1])
    assert check_deposit_data(deposits, vault=VAULT) == [amount] * 4
    assert check_deposit_data(deposits) == [[]] * 4
    credentials = ["withdrawal_credentials: not those of the vault"]
    assert check_deposit_data(for_vault([0, 3], [32 * eth] * 2), vault=VAULT) == [credentials] * 2
    deposits = for_vault([1, 2], [32 * eth] * 2)
    assert check_deposit_data(deposits, vault=bytes(20)) == [credentials] * 2
    changed = deposits.withdrawal_credentials.copy()
    changed[0, 5] = 1
    changed = dataclasses.replace(deposits, withdrawal_credentials=changed)
    assert credentials[0] in check_deposit_data(changed, vault=VAULT)[0]
    with pytest.raises(InputError, match="vault: expected 20 bytes, got 19"):
        check_deposit_data(deposits, vault=VAULT[1:])


def test_amounts_are_in_what_the_network_stakes():
    """The deposit contract of Gnosis counts 32 for 1 GNO."""
    deposits = sign_deposits(
        generate_secret_keys(2), [b"\1" + bytes(11) + VAULT] * 2, [32 * 10**9, 10**9], GNOSIS
    )
    assert check_deposit_data(deposits, vault=VAULT) == [
        [],
        ["amount: a vault deposits 1 GNO for 0x01, 1 to 64 GNO for 0x02"],
    ]


def test_keys_that_are_deposited_already():
    deposits = for_vault([1] * 3, [32 * 10**9] * 3)
    deposited = {deposits.public_keys[1].tobytes(), bytes(48)}
    assert check_deposit_data(deposits, deposited=deposited) == [[], ["pubkey: deposited already"], []]


def test_agrees_with_milagro(deposits):
    roots = deposit_signing_roots(
        deposits.public_keys, deposits.withdrawal_credentials, deposits.amounts_gwei, GNOSIS
    )
    for public_key, root, signature in zip(deposits.public_keys, roots, deposits.signatures, strict=True):
        assert verifies(public_key, root, signature)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"pubkey": "zz"}, r"\[1\].pubkey: expected hex"),
        ({"pubkey": "ab" * 47}, r"\[1\].pubkey: expected 48 bytes of hex, got 47"),
        ({"pubkey": None}, r"\[1\].pubkey: missing"),
        ({"amount": -1}, r"\[1\].amount: expected an integer of 0"),
        ({"amount": 2**64}, r"\[1\].amount: expected an integer of 0"),
        ({"amount": 1.5}, r"\[1\].amount: expected an integer, got a fraction"),
        ({"amount": True}, r"\[1\].amount: expected an integer, got true or false"),
        ({"signature": " " * 192}, r"\[1\].signature: expected hex"),
        ({"fork_version": "01017000"}, r"\[1\]: fork_version: expected one of 00000000"),
        ({"fork_version": "00000000", "network_name": "mainnet"}, r"\[1\]: expected a deposit for hoodi"),
        ({"network_name": "mainnet"}, r"\[1\].network_name: expected hoodi"),
    ],
)
def test_wrong_field_is_named(tmp_path, change, complaint):
    document = load("v3_deposit_data.json")["deposit_data"]
    document[1].update(change)
    with pytest.raises(FileError, match=complaint):
        read_deposit_data(written(tmp_path, document))


def test_empty_list(tmp_path):
    with pytest.raises(FileError, match="expected 1 to 262144 items, got 0"):
        read_deposit_data(written(tmp_path, []))


def test_upper_case_and_prefix_are_understood(tmp_path):
    document = load("v3_deposit_data.json")["deposit_data"]
    plain = read_deposit_data(written(tmp_path, document))
    for record in document:
        record["pubkey"] = "0x" + record["pubkey"].upper()
    np.testing.assert_array_equal(
        read_deposit_data(written(tmp_path, document)).public_keys, plain.public_keys
    )


def written(tmp_path, document):
    path = tmp_path / "deposit_data.json"
    path.write_text(json.dumps(document))
    return path
