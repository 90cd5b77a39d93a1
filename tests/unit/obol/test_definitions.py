"""Cluster definitions: charon's hashes, its rules, and what accounts sign."""

import copy
import dataclasses
import json
import re

import numpy as np
import pytest
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data

from dvtfast import GNOSIS, HOODI, MAINNET, FileError, InputError, obol
from dvtfast.obol import Operator, Version
from dvtfast.obol.rules import MOST_COMPOUNDING_GWEI
from tests.json_fields import OTHER_KIND, changed, fields, written
from tests.vector_files import given, load, unhex

ETHER = 10**9
NODES = [bytes([i]) * 32 for i in range(1, 5)]
ACCOUNTS = [bytes([0x40 + i]) * 32 for i in range(5)]
RECIPIENTS = np.full((3, 20), 0x22, dtype=np.uint8)
ADDRESSES = np.arange(1, 61, dtype=np.uint8).reshape(3, 20)
VERSIONS = [f"v1_{minor}_0" for minor in range(6, 12)]


def definition(**options):
    given_options = {
        "network": HOODI,
        "operators": [Operator(enr=obol.make_enr(node)) for node in NODES],
        "threshold": 3,
        "fee_recipients": RECIPIENTS,
        "withdrawal_addresses": ADDRESSES,
        "name": "näme",
    }
    return obol.make_cluster_definition(**given_options | options)


def read(document, tmp_path):
    path = tmp_path / "cluster-definition.json"
    path.write_text(json.dumps(document))
    return obol.read_cluster_definition(path)


# --- charon's own ---


@pytest.mark.parametrize("version", VERSIONS)
def test_hashes_of_charons_examples(version, tmp_path):
    """Their threshold is above the number of their operators, which no file may say but these."""
    document = json.loads(given(f"dkg/charon/testdata/cluster_definition_{version}.json").read_text())
    assert document["threshold"] == 3
    with pytest.raises(FileError, match=r"json: threshold: expected an integer of 1\.\.2$"):
        read(document, tmp_path)
    found = read({**document, "threshold": 2}, tmp_path)
    found = dataclasses.replace(found, threshold=3)
    assert obol.config_hash(found) == unhex(document["config_hash"])
    assert obol.definition_hash(found) == unhex(document["definition_hash"])
    assert obol.cluster_definition_to_json(found) == document


@pytest.mark.parametrize("version", VERSIONS)
def test_lock_hashes_of_charons_examples(version, tmp_path):
    """Signatures in them are noise of any length."""
    document = json.loads(given(f"dkg/charon/testdata/cluster_lock_{version}.json").read_text())
    stated = unhex(document["lock_hash"])
    readable = {**document, "signature_aggregate": "", "node_signatures": None}
    readable["cluster_definition"]["threshold"] = 2
    path = tmp_path / "lock.json"
    path.write_text(json.dumps(readable))
    lock = obol.read_cluster_lock(path)
    lock = dataclasses.replace(lock, definition=dataclasses.replace(lock.definition, threshold=3))
    assert obol.lock_hash(lock) == stated
    written = obol.cluster_lock_to_json(lock)
    assert written["distributed_validators"] == document["distributed_validators"]


@pytest.mark.parametrize("name", ["create_dkg_main-e628470", "create_dkg_v1.10.3"])
def test_what_charon_makes_unsigned_is_agreed_on(name, tmp_path):
    document = json.loads(given(f"dkg/charon/definitions_unsigned/{name}.json").read_text())
    found = read(document, tmp_path)
    assert obol.broken_rules(found) == []
    assert obol.missing_proofs(found) == []
    assert obol.cluster_definition_to_json(found) == document
    assert obol.deposit_amounts_of(found) == (ETHER, 32 * ETHER)
    assert len(set(obol.node_keys_of(found))) == 4


CEREMONIES = ["frost_v1.10.3", "frost_main-e628470", "pedersen_v1.10.3", "pedersen_main-e628470"]
# A network that is no more, as charon's own tests still have it.
GOERLI = dataclasses.replace(
    HOODI,
    name="goerli",
    chain_id=5,
    genesis_fork_version=bytes.fromhex("00001020"),
    genesis_time=1616508000,
)


@pytest.mark.parametrize("name", CEREMONIES)
def test_a_signed_definition_of_charons(name, tmp_path):
    document = json.loads(given(f"dkg/charon/ceremony_{name}.json").read_text())["definition"]
    found = read(document, tmp_path)
    assert obol.unproven_signatures(found, GOERLI) == []
    assert [each.name for each in obol.unproven_signatures(found, HOODI)][:2] == [
        "creator",
        "operators[0].config_signature",
    ]
    network, *others = obol.broken_rules(found)
    assert network.startswith("fork_version: expected one of")
    assert others == []
    keys = [PrivateKey(bytes([0x4E + i]) * 32).public_key.format() for i in range(4)]
    assert list(obol.node_keys_of(found)) == keys


@pytest.mark.parametrize("name", CEREMONIES)
def test_the_lock_of_charons_ceremony_made_again(name, tmp_path):
    """From the definition, keys and signatures alone: to the letter what charon wrote."""
    document = json.loads(given(f"dkg/charon/ceremony_{name}.json").read_text())
    path = tmp_path / "lock.json"
    path.write_text(json.dumps(document["lock"]))
    theirs = obol.read_cluster_lock(path)
    obol.verify_cluster_lock(theirs)
    n, a = len(theirs.public_keys), int(theirs.deposits.counts[0])
    unsigned = obol.make_cluster_lock(
        read(document["definition"], tmp_path),
        theirs.public_keys,
        theirs.public_key_shares,
        deposit_signatures=theirs.deposits.signatures.reshape(n, a, 96).swapaxes(0, 1),
        registration_signatures=theirs.registrations.signatures,
        network=GOERLI,
    )
    ours = obol.signed_cluster_lock(
        unsigned,
        signature_aggregate=theirs.signature_aggregate,
        node_signatures=theirs.node_signatures,
    )
    assert obol.cluster_lock_to_json(ours) == document["lock"]


@pytest.mark.parametrize("name", CEREMONIES)
def test_deposit_files_of_charons_ceremony_made_again(name, tmp_path):
    document = json.loads(given(f"dkg/charon/ceremony_{name}.json").read_text())
    path = tmp_path / "lock.json"
    path.write_text(json.dumps(document["lock"]))
    obol.write_deposit_files(tmp_path, obol.read_cluster_lock(path), GOERLI)
    written = {each.name: json.loads(each.read_text()) for each in tmp_path.glob("deposit-data*.json")}
    assert written == document["deposit_data"]


@pytest.mark.parametrize("name", ["add", "recreate", "remove", "replace"])
@pytest.mark.parametrize("which", ["old_lock", "new_lock"])
def test_locks_of_edited_clusters(name, which, tmp_path):
    """They have no name, and fees go to the zero address, which is one."""
    document = json.loads(given(f"dkg/charon/edit_{name}.json").read_text())[which]
    path = tmp_path / "lock.json"
    path.write_text(json.dumps(document))
    lock = obol.read_cluster_lock(path)
    obol.verify_cluster_lock(lock)
    assert obol.cluster_lock_to_json(lock) == document


# --- our own ---


def test_an_empty_name_is_left_out(tmp_path):
    document = obol.cluster_definition_to_json(definition(name=""))
    assert "name" not in document
    found = read(document, tmp_path)
    assert obol.missing_proofs(found) == []
    assert obol.missing_proofs(read({**document, "name": ""}, tmp_path)) == []
    assert found.name == ""


def test_made_written_and_read(tmp_path):
    made = definition(deposit_amounts_gwei=(8 * ETHER, 24 * ETHER), compounding=True)
    path = tmp_path / "cluster-definition.json"
    obol.write_cluster_definition(path, made)
    found = obol.read_cluster_definition(path)
    assert obol.cluster_definition_to_json(found) == obol.cluster_definition_to_json(made)
    assert obol.broken_rules(found) == obol.missing_proofs(found) == []
    assert found.version is Version.V1_10
    assert found.uuid == found.uuid.upper()
    text = json.loads(path.read_text())["validators"][0]["fee_recipient_address"]
    assert text == "0x2222222222222222222222222222222222222222"
    assert (found.fee_recipients == RECIPIENTS).all()
    assert (found.withdrawal_addresses == ADDRESSES).all()


def test_addresses_are_written_as_they_were(tmp_path):
    document = obol.cluster_definition_to_json(definition())
    assert document["validators"][0]["withdrawal_address"] != ADDRESSES[0].tobytes().hex()
    lower = copy.deepcopy(document)
    for each in lower["validators"]:
        each["withdrawal_address"] = each["withdrawal_address"].lower()
    assert obol.cluster_definition_to_json(read(lower, tmp_path)) == lower
    assert obol.cluster_definition_to_json(read(document, tmp_path)) == document


@pytest.mark.parametrize(
    ("options", "amounts"),
    [
        ({}, [1, 32]),
        ({"compounding": True}, [1, 8, 32, 256]),
        ({"deposit_amounts_gwei": (16 * ETHER, 16 * ETHER)}, [16]),
        ({"deposit_amounts_gwei": (32 * ETHER, ETHER, 2 * ETHER)}, [1, 2, 32]),
        ({"version": Version.V1_7, "deposit_amounts_gwei": (ETHER, 31 * ETHER)}, [32]),
    ],
)
def test_amounts(options, amounts):
    made = definition(**options)
    assert [each / ETHER for each in obol.deposit_amounts_of(made)] == amounts


@pytest.mark.parametrize("network", [HOODI, MAINNET, GNOSIS])
def test_signed_by_accounts(network):
    """As eth_account signs and recovers the same typed data."""
    made = definition(network=network)
    signed = obol.sign_definition(made, network, creator=ACCOUNTS[4], operators=ACCOUNTS[:4])
    assert obol.broken_rules(signed) == obol.missing_proofs(signed) == []
    addresses = [Account.from_key(key).address for key in ACCOUNTS]
    assert [each.address for each in (*signed.operators, signed.creator)] == addresses
    text = "0x" + signed.config_hash.hex()
    for type_, name, value, signature, who in [
        ("CreatorConfigHash", "creator_config_hash", text, signed.creator.config_signature, 4),
        ("OperatorConfigHash", "operator_config_hash", text, signed.operators[2].config_signature, 2),
        ("ENR", "enr", signed.operators[1].enr, signed.operators[1].enr_signature, 1),
    ]:
        message = encode_typed_data(
            {"name": "Obol", "version": "1", "chainId": network.chain_id},
            {type_: [{"name": name, "type": "string"}]},
            {name: value},
        )
        assert Account.recover_message(message, signature=signature) == addresses[who]


def test_a_signature_of_another_network_is_of_nobody():
    signed = obol.sign_definition(definition(), MAINNET, creator=ACCOUNTS[4], operators=ACCOUNTS[:4])
    faults = obol.missing_proofs(signed)
    assert len(faults) == 9
    assert faults[0] == f"creator: not by the key of {signed.creator.address}"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda d: d["operators"][1].update(config_signature=""), "operators[1].config_signature: missing"),
        (lambda d: d["operators"][1].update(enr_signature=""), "operators[1].enr_signature: missing"),
        (lambda d: d["operators"][2].update(address=""), "operators[2].config_signature: missing"),
        (lambda d: d["creator"].update(config_signature=""), "creator: missing"),
        (lambda d: d["creator"].update(address="", config_signature=""), "creator: missing"),
        (
            lambda d: d["operators"][3].update(config_signature=d["operators"][2]["config_signature"]),
            "operators[3].config_signature: not by the key",
        ),
        (
            lambda d: d["operators"][0].update(enr_signature="0x" + "00" * 65),
            "operators[0].enr_signature: not by the key",
        ),
        (
            lambda d: d["operators"][0].update(enr_signature="0x" + "17" * 65),
            "operators[0].enr_signature: not by the key",
        ),
        (lambda d: d.update(name="other"), "config_hash: does not fit the content"),
        (lambda d: d.update(config_hash=""), "config_hash: missing"),
        (lambda d: d.update(definition_hash="0x" + "11" * 32), "definition_hash: does not fit the content"),
    ],
)
def test_proofs_that_are_missing(change, fault, tmp_path):
    signed = obol.sign_definition(definition(), HOODI, creator=ACCOUNTS[4], operators=ACCOUNTS[:4])
    document = obol.cluster_definition_to_json(signed)
    change(document)
    found = read(document, tmp_path)
    assert any(each.startswith(fault) for each in obol.missing_proofs(found))


def test_an_address_without_signatures_has_not_agreed(tmp_path):
    document = obol.cluster_definition_to_json(definition())
    document["operators"][1]["address"] = "0x" + "11" * 20
    faults = obol.missing_proofs(read(document, tmp_path))
    assert any(each.startswith("operators[1].config_signature: missing") for each in faults)
    assert any(each.startswith("creator: missing") for each in faults)


def test_a_definition_hash_may_be_left_out(tmp_path):
    document = obol.cluster_definition_to_json(definition())
    document["definition_hash"] = ""
    found = read(document, tmp_path)
    assert obol.missing_proofs(found) == []
    assert obol.with_hashes(found).definition_hash == definition_hash_of(document)


def definition_hash_of(document):
    return obol.definition_hash(
        dataclasses.replace(definition(), uuid=document["uuid"], timestamp=document["timestamp"])
    )


# --- hostile ---

NULL_IS_NOTHING = ("name", "deposit_amounts", "config_hash", "definition_hash")


def test_every_field_of_another_kind_is_named(tmp_path):
    document = obol.cluster_definition_to_json(definition(deposit_amounts_gwei=(32 * ETHER,)))
    count = 0
    for places, value in fields(document):
        for wrong in (OTHER_KIND[type(value)], None):
            if wrong is None and places[-1] in NULL_IS_NOTHING:
                continue
            with pytest.raises(FileError, match=re.escape(f"json: {written(places)}: ")):
                read(changed(document, places, wrong), tmp_path)
            count += 1
    assert count > 80


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(name="é" * 129), "name: expected at most 256 bytes, got 258"),
        (lambda d: d.update(uuid="u" * 65), "uuid: expected at most 64 bytes, got 65"),
        (lambda d: d.update(version="v1.5.0"), "version: expected one of v1.6.0, v1.7.0"),
        (lambda d: d.update(version="v1.12.0"), "version: expected one of v1.6.0, v1.7.0"),
        (lambda d: d.update(timestamp="t" * 33), "timestamp: expected at most 32 bytes, got 33"),
        (lambda d: d.update(num_validators=0), "num_validators: expected an integer of 1..65536"),
        (lambda d: d.update(num_validators=65537), "num_validators: expected an integer of 1..65536"),
        (lambda d: d.update(num_validators=4), "validators: expected 4 items, got 3"),
        (lambda d: d.update(threshold=0), "threshold: expected an integer of 1..4"),
        (lambda d: d.update(threshold=5), "threshold: expected an integer of 1..4"),
        (lambda d: d.update(threshold=2**64), "threshold: expected an integer of 1..4"),
        (lambda d: d.update(dkg_algorithm="d" * 33), "dkg_algorithm: expected at most 32 bytes, got 33"),
        (lambda d: d.update(fork_version="0x100009"), "fork_version: expected 4 bytes of hex, got 3"),
        (
            lambda d: d.update(deposit_amounts=["1"] * 257),
            "deposit_amounts: expected 0 to 256 items, got 257",
        ),
        (lambda d: d.update(deposit_amounts=["-1"]), "deposit_amounts[0]: expected an integer"),
        (lambda d: d.update(deposit_amounts=[str(2**64)]), "deposit_amounts[0]: expected an integer of 0.."),
        (lambda d: d.update(consensus_protocol="q" * 257), "consensus_protocol: expected at most 256 bytes"),
        (lambda d: d.update(target_gas_limit=2**64), "target_gas_limit: expected an integer of 0.."),
        (lambda d: d.update(config_hash="0x11"), "config_hash: expected 32 bytes of hex, got 1"),
        (lambda d: d.update(operators=[]), "operators: expected 1 to 256 items, got 0"),
        (lambda d: d.update(operators=d["operators"] * 65), "operators: expected 1 to 256 items, got 260"),
        (
            lambda d: d["operators"][3].update(enr=d["operators"][1]["enr"]),
            "operators[3].enr: the same as of operators[1]; each node has its own",
        ),
        (lambda d: d["operators"][0].update(enr="e" * 1025), "operators[0].enr: expected at most 1024 bytes"),
        (
            lambda d: d["operators"][0].update(address="0x11"),
            "operators[0].address: expected 20 bytes",
        ),
        (
            lambda d: d["operators"][0].update(config_signature="0x" + "11" * 130),
            "operators[0].config_signature: expected 65 bytes of hex, got 130",
        ),
        (
            lambda d: d["validators"][2].update(withdrawal_address="0x" + "1" * 39),
            "validators[2].withdrawal_address: expected hex",
        ),
        (
            lambda d: d["validators"][1].pop("fee_recipient_address"),
            "validators[1].fee_recipient_address: ",
        ),
    ],
)
def test_bounds(change, says, tmp_path):
    document = obol.cluster_definition_to_json(definition())
    change(document)
    with pytest.raises(FileError, match=re.escape(f"cluster-definition.json: {says}")):
        read(document, tmp_path)


def test_signatures_of_a_safe_are_bounded(tmp_path):
    document = obol.cluster_definition_to_json(definition(version=Version.V1_11))
    document["operators"][0]["config_signature"] = "0x" + "11" * 65 * 33
    with pytest.raises(FileError, match=r"operators\[0\]\.config_signature: expected at most 32 signatures"):
        read(document, tmp_path)
    document["operators"][0]["config_signature"] = "0x" + "11" * 65 * 32
    assert len(read(document, tmp_path).operators[0].config_signature) == 65 * 32


def test_a_file_of_more_than_16_mib_is_not_read(tmp_path):
    path = tmp_path / "cluster-definition.json"
    path.write_bytes(b" " * (16 * 1024**2 + 1))
    with pytest.raises(FileError, match="expected at most 16777216 bytes"):
        obol.read_cluster_definition(path)


# With a letter of its signature changed.
STRANGER = "".join(
    ("A" if letter != "A" else "B") if place == 20 else letter
    for place, letter in enumerate(obol.make_enr(b"\x09" * 32))
)
FOUR = [Operator(enr=obol.make_enr(node)) for node in NODES]
MANY = [Operator(enr=obol.make_enr(i.to_bytes(32))) for i in range(1, 257)]


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"threshold": 1}, "threshold: expected 2..4 for 4 operators, got 1"),
        ({"threshold": 5}, "threshold: expected 2..4 for 4 operators, got 5"),
        ({"dkg_algorithm": "shamir"}, "dkg_algorithm: expected one of default, frost, pedersen"),
        (
            {"deposit_amounts_gwei": (31 * ETHER,)},
            "deposit_amounts: expected at least 32000000000 gwei",
        ),
        (
            {"deposit_amounts_gwei": (33 * ETHER,)},
            "deposit_amounts[0]: expected 1000000000..32000000000 gwei, got 33000000000",
        ),
        (
            {"deposit_amounts_gwei": (32 * ETHER, ETHER - 1)},
            "deposit_amounts[1]: expected 1000000000..32000000000 gwei, got 999999999",
        ),
        (
            {"deposit_amounts_gwei": (MOST_COMPOUNDING_GWEI + 1,), "compounding": True},
            "deposit_amounts[0]: expected 1000000000..2048000000000 gwei, got 2048000000001",
        ),
        (
            {"withdrawal_addresses": np.concatenate([ADDRESSES[:2], np.zeros((1, 20), np.uint8)])},
            "validators[2].withdrawal_address: zero",
        ),
        (
            {"operators": [Operator(enr=obol.make_enr(n, sequence=i)) for i, n in enumerate(NODES[:1] * 4)]},
            "operators[1].enr: has the key of operators[0]; each node has its own",
        ),
        (
            {"operators": [*FOUR[:3], Operator(enr="")]},
            "operators[3].enr: missing; the operator has not joined yet",
        ),
        (
            {"operators": [Operator(enr=STRANGER), *FOUR]},
            "operators[0].enr: the node record is not signed by its key",
        ),
        (
            {"operators": MANY, "threshold": 2},
            "operators: expected at most 255, got 256",
        ),
    ],
)
def test_rules(options, rule):
    rules = obol.broken_rules(definition(**options))
    assert len(rules) == 1
    assert rules[0].startswith(rule)


def test_the_most_that_compounds():
    assert (
        obol.broken_rules(definition(deposit_amounts_gwei=(MOST_COMPOUNDING_GWEI,), compounding=True)) == []
    )


def test_all_broken_rules_are_told():
    made = definition(threshold=9, deposit_amounts_gwei=(1,), dkg_algorithm="none")
    other = dataclasses.replace(made, fork_version=b"\x09" * 4)
    assert [each.partition(":")[0] for each in obol.broken_rules(other)] == [
        "fork_version", "threshold", "dkg_algorithm", "deposit_amounts[0]", "deposit_amounts",
    ]  # fmt: skip


def test_texts_that_are_too_long_are_not_written():
    with pytest.raises(InputError, match="name: expected at most 256 bytes, got 257"):
        definition(name="x" * 257)
    with pytest.raises(InputError, match="fee_recipients: expected 3, one a validator, got 2"):
        definition(fee_recipients=RECIPIENTS[:2])


def test_a_definition_of_a_lock_is_one(tmp_path):
    document = load("obol/synthetic/node0/cluster-lock.json")["cluster_definition"]
    found = read(document, tmp_path)
    assert obol.broken_rules(found) == obol.missing_proofs(found) == []
