"""Exit and deposit roots, and the signatures over them, one test per vector."""

import numpy as np
import pytest

import dvtfast
from tests.vector_files import cases, load, unhex

EXITS = load("signing_roots_exit.json")
DEPOSITS = load("deposit.json")
FILE = load("v3_deposit_data.json")


@pytest.mark.parametrize(
    "case", cases(EXITS["cases"], lambda case: "{network}-{epoch}-{validator_index}".format(**case))
)
def test_exit(case):
    network = dvtfast.network_named(case["network"])
    index, epoch = int(case["validator_index"]), int(case["epoch"])
    [root] = dvtfast.exit_signing_roots([index], network, epoch=epoch)
    assert root.tobytes() == unhex(case["signing_root"])
    assert (epoch == network.capella_epoch) == case["stakewise"]
    if case["stakewise"]:
        [default] = dvtfast.exit_signing_roots(np.array([index], np.uint64), network)
        assert default.tobytes() == unhex(case["signing_root"])
    root_again = dvtfast.compute_signing_roots([unhex(case["object_root"])], unhex(case["domain"]))
    assert root_again.tobytes() == unhex(case["signing_root"])
    assert dvtfast.sign(unhex(EXITS["secret_key"]), root).tobytes() == unhex(case["signature"])
    assert dvtfast.check_signatures(unhex(EXITS["public_key"]), root, unhex(case["signature"]))


def test_all_exit_roots_of_a_network_in_one_batch():
    for name in dvtfast.NETWORKS:
        chosen = [case for case in EXITS["cases"] if case["network"] == name and case["stakewise"]]
        assert chosen
        indices = np.array([int(case["validator_index"]) for case in chosen], np.uint64)
        roots = dvtfast.exit_signing_roots(indices, dvtfast.network_named(name))
        assert [root.tobytes() for root in roots] == [unhex(case["signing_root"]) for case in chosen]


@pytest.mark.parametrize(
    "case", cases(DEPOSITS["cases"], lambda case: "{network}-{type}-{amount_gwei}".format(**case))
)
def test_deposit(case):
    network, public_key = dvtfast.network_named(case["network"]), unhex(DEPOSITS["public_key"])
    credentials, amount = unhex(case["withdrawal_credentials"]), int(case["amount_gwei"])
    signature = unhex(case["signature"])
    [message_root] = dvtfast.deposit_message_roots([public_key], [credentials], [amount])
    [root] = dvtfast.deposit_signing_roots([public_key], [credentials], [amount], network)
    [data_root] = dvtfast.deposit_data_roots([public_key], [credentials], [amount], [signature])
    assert message_root.tobytes() == unhex(case["deposit_message_root"])
    assert root.tobytes() == unhex(case["signing_root"])
    assert data_root.tobytes() == unhex(case["deposit_data_root"])
    assert dvtfast.sign(unhex(DEPOSITS["secret_key"]), root).tobytes() == signature
    assert dvtfast.check_signatures(public_key, root, signature)


def test_top_up_has_a_zero_signature():
    top_up, public_key = DEPOSITS["top_up"], unhex(DEPOSITS["public_key"])
    candidates = {unhex(case["withdrawal_credentials"]) for case in DEPOSITS["cases"]}
    n, amount = len(candidates), top_up["amount_gwei"]
    roots = dvtfast.deposit_data_roots([public_key] * n, [*candidates], [amount] * n, [bytes(96)] * n)
    assert unhex(top_up["deposit_data_root"]) in [root.tobytes() for root in roots]


def test_deposit_data_file():
    records = FILE["deposit_data"]
    public_keys = [unhex(record["pubkey"]) for record in records]
    credentials = [unhex(record["withdrawal_credentials"]) for record in records]
    amounts = [record["amount"] for record in records]
    signatures = [unhex(record["signature"]) for record in records]
    network = dvtfast.network_with_fork_version(unhex(records[0]["fork_version"]))
    message_roots = dvtfast.deposit_message_roots(public_keys, credentials, amounts)
    data_roots = dvtfast.deposit_data_roots(public_keys, credentials, amounts, signatures)
    signing_roots = dvtfast.deposit_signing_roots(public_keys, credentials, amounts, network)
    assert [r.tobytes().hex() for r in message_roots] == [r["deposit_message_root"] for r in records]
    assert [r.tobytes().hex() for r in data_roots] == [r["deposit_data_root"] for r in records]
    assert dvtfast.check_signatures(public_keys, signing_roots, signatures).all()
