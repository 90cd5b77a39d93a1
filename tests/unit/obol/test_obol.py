"""Obol cluster locks: charon's hashes and signatures, and locks of our own."""

import base64
import dataclasses
import hashlib
import json

import numpy as np
import pytest
from coincurve import PublicKey

from dvtfast import (
    HOODI,
    FileError,
    InputError,
    _ssz,
    check_signatures,
    compute_domain,
    compute_signing_roots,
    deposit_signing_roots,
    generate_secret_keys,
    obol,
    split_secret_keys,
)
from dvtfast.constants import DOMAIN_BUILDER
from dvtfast.obol import Version
from dvtfast.obol.hashing import registration_message_roots
from tests.samples import milagro
from tests.vector_files import VECTORS, cases, load, unhex

SYNTHETIC = VECTORS / "obol/synthetic"
LOCKS = cases(sorted(SYNTHETIC.glob("locks/*.json")), lambda path: path.stem)
LOCKS += cases(sorted(SYNTHETIC.glob("node*/cluster-lock.json")), lambda path: path.parent.name)
NODE_SECRETS = [unhex((SYNTHETIC / f"node{i}/charon-enr-private-key").read_text()) for i in range(4)]


@pytest.mark.parametrize("path", LOCKS)
def test_hashes(path):
    document, lock = json.loads(path.read_text()), obol.read_cluster_lock(path)
    definition = document["cluster_definition"]
    assert obol.config_hash(lock.definition) == unhex(definition["config_hash"])
    assert obol.definition_hash(lock.definition) == unhex(definition["definition_hash"])
    assert obol.lock_hash(lock) == unhex(document["lock_hash"])


@pytest.mark.parametrize("path", LOCKS)
def test_verifies(path):
    obol.verify_cluster_lock(obol.read_cluster_lock(path))


@pytest.mark.parametrize("path", LOCKS)
def test_written_is_what_was_read(path, tmp_path):
    lock = obol.read_cluster_lock(path)
    obol.write_cluster_lock(tmp_path / "lock.json", lock)
    assert json.loads((tmp_path / "lock.json").read_text()) == json.loads(path.read_text())


@pytest.mark.parametrize("path", LOCKS)
def test_deposits_and_registrations_are_signed(path):
    lock = obol.read_cluster_lock(path)
    assert deposits_verify(lock).all()
    assert registrations_verify(lock).all()


@pytest.mark.parametrize("node", range(4))
def test_enr_is_the_vector(node):
    document = load("obol/synthetic/node0/cluster-lock.json")
    assert obol.make_enr(NODE_SECRETS[node]) == document["cluster_definition"]["operators"][node]["enr"]


def test_enr_with_a_long_content():
    # A record above 55 bytes of content has a length of its own; a sequence above 127 has a prefix.
    record = decoded_enr(obol.make_enr(NODE_SECRETS[0], sequence=300))
    assert record[0] == 0xF8
    assert bytes([0x82]) + (300).to_bytes(2) in record


@pytest.fixture(scope="module")
def secrets():
    secret_keys = generate_secret_keys(5)
    return secret_keys, split_secret_keys(secret_keys, threshold=3, share_indices=[1, 2, 3, 4])


def build(secrets, **options):
    return obol.build_cluster_lock(
        *secrets,
        threshold=3,
        network=HOODI,
        node_secret_keys=NODE_SECRETS,
        withdrawal_address=b"\x11" * 20,
        fee_recipient=b"\x22" * 20,
        **options,
    )


@pytest.mark.parametrize("version", list(Version))
def test_built_lock_verifies_after_a_round_trip(secrets, version, tmp_path):
    obol.write_cluster_lock(tmp_path / "lock.json", build(secrets, version=version, name="näme"))
    lock = obol.read_cluster_lock(tmp_path / "lock.json")
    obol.verify_cluster_lock(lock)
    assert lock.definition.version is version
    assert lock.definition.name == "näme"
    assert deposits_verify(lock).all()
    if version >= Version.REGISTRATIONS:
        assert registrations_verify(lock).all()
    assert lock.deposits.counts.tolist() == [2 if version >= Version.PARTIAL_DEPOSITS else 1] * 5
    assert len(lock.node_signatures) == (4 if version >= Version.REGISTRATIONS else 0)
    assert lock.share_indices.tolist() == [1, 2, 3, 4]


def test_built_aggregate_is_the_sum_of_all_signatures(secrets):
    lock = build(secrets)
    key_shares = secrets[1].reshape(-1, 32)
    signatures = [milagro.Sign(share.tobytes(), lock.lock_hash) for share in key_shares]
    assert lock.signature_aggregate == bytes(milagro.Aggregate(signatures))
    keys = [share.tobytes() for share in lock.public_key_shares.reshape(-1, 48)]
    assert milagro.FastAggregateVerify(keys, lock.lock_hash, lock.signature_aggregate)


def test_nodes_of_a_built_lock_have_signed(secrets):
    lock = build(secrets)
    for operator, signature in zip(lock.definition.operators, lock.node_signatures, strict=True):
        signer = PublicKey.from_signature_and_message(signature, lock.lock_hash, hasher=None)
        assert decoded_enr(operator.enr).endswith(signer.format())


def test_nodes_of_the_vectors_have_signed():
    lock = obol.read_cluster_lock(SYNTHETIC / "node0/cluster-lock.json")
    for operator, signature in zip(lock.definition.operators, lock.node_signatures, strict=True):
        signer = PublicKey.from_signature_and_message(signature, lock.lock_hash, hasher=None)
        assert decoded_enr(operator.enr).endswith(signer.format())


def test_compounding_credentials(secrets):
    assert set(build(secrets, compounding=True).deposits.withdrawal_credentials[:, 0]) == {2}
    assert set(build(secrets).deposits.withdrawal_credentials[:, 0]) == {1}


def test_build_refuses_another_number_of_nodes(secrets):
    with pytest.raises(InputError, match="key_shares"):
        obol.build_cluster_lock(
            *secrets,
            threshold=3,
            network=HOODI,
            node_secret_keys=NODE_SECRETS[:3],
            withdrawal_address=bytes(20),
            fee_recipient=bytes(20),
        )


@pytest.mark.parametrize("version", [Version.V1_10, Version.V1_11])
def test_a_signed_definition(secrets, version, tmp_path):
    unsigned = build(secrets, version=version)
    count = 2 if version >= Version.SIGNATURE_LISTS else 1
    operators = tuple(
        dataclasses.replace(operator, address="0x" + "ab" * 20, config_signature=bytes([7]) * 65 * count)
        for operator in unsigned.definition.operators
    )
    definition = dataclasses.replace(unsigned.definition, operators=operators)
    assert obol.config_hash(definition) != obol.config_hash(unsigned.definition)  # the addresses
    only_signatures = tuple(dataclasses.replace(operator, address="") for operator in operators)
    definition = dataclasses.replace(unsigned.definition, operators=only_signatures)
    assert obol.config_hash(definition) == obol.config_hash(unsigned.definition)
    assert obol.definition_hash(definition) != obol.definition_hash(unsigned.definition)
    lock = dataclasses.replace(unsigned, definition=definition)
    obol.write_cluster_lock(tmp_path / "lock.json", lock)
    assert obol.read_cluster_lock(tmp_path / "lock.json").definition.operators == only_signatures


def test_empty_deposits_of_an_example_lock_count_as_zeros(tmp_path):
    document = load("obol/synthetic/locks/cluster-lock-v1.7.0.json")
    for validator in document["distributed_validators"]:
        validator["deposit_data"] = {
            "pubkey": "",
            "withdrawal_credentials": "",
            "amount": "0",
            "signature": "",
        }
    path = tmp_path / "lock.json"
    path.write_text(json.dumps(document))
    lock = obol.read_cluster_lock(path)
    assert not lock.deposits.signatures.any()
    assert len(obol.lock_hash(lock)) == 32
    assert obol.cluster_lock_to_json(lock) == document


def test_validators_may_have_different_numbers_of_deposits(tmp_path):
    document = load("obol/synthetic/locks/cluster-lock-v1.10.0.json")
    document["distributed_validators"][0]["partial_deposit_data"] = []
    document["distributed_validators"][2]["partial_deposit_data"].pop()
    path = tmp_path / "lock.json"
    path.write_text(json.dumps(document))
    lock = obol.read_cluster_lock(path)
    assert lock.deposits.counts.tolist() == [0, 2, 1]
    assert obol.cluster_lock_to_json(lock) == document
    items = np.arange(3 * 32, dtype=np.uint8).reshape(3, 32)
    ragged = _ssz.ragged_lists(items, lock.deposits.counts, 256)
    for row, own in zip(ragged, [items[:0], items[:2], items[2:]], strict=True):
        np.testing.assert_array_equal(row, _ssz.lists(own[np.newaxis], 256)[0])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "other"}, "config_hash"),
        ({"threshold": 2}, "config_hash"),
        ({"config_hash": bytes(32)}, "config_hash"),
        ({"definition_hash": bytes(32)}, "definition_hash"),
    ],
)
def test_changed_definition(change, complaint):
    lock = obol.read_cluster_lock(SYNTHETIC / "node0/cluster-lock.json")
    changed = dataclasses.replace(lock, definition=dataclasses.replace(lock.definition, **change))
    with pytest.raises(FileError, match=complaint):
        obol.verify_cluster_lock(changed)


def test_unsigned_or_wrongly_signed_lock():
    lock = obol.read_cluster_lock(SYNTHETIC / "node0/cluster-lock.json")
    other = obol.read_cluster_lock(SYNTHETIC / "locks/cluster-lock-v1.9.0.json")
    for aggregate, complaint in [
        (b"", "nobody has signed"),
        (other.signature_aggregate, "not the signature of all key shares"),
        (bytes(96), "not the signature of all key shares"),
        (b"\xc0" + bytes(95), "not the signature of all key shares"),
    ]:
        with pytest.raises(FileError, match=complaint):
            obol.verify_cluster_lock(dataclasses.replace(lock, signature_aggregate=aggregate))


def deposits_verify(lock):
    deposits = lock.deposits
    roots = deposit_signing_roots(
        deposits.public_keys, deposits.withdrawal_credentials, deposits.amounts_gwei, HOODI
    )
    np.testing.assert_array_equal(
        deposits.public_keys, lock.public_keys.repeat(deposits.counts.astype(int), axis=0)
    )
    return check_signatures(deposits.public_keys, roots, deposits.signatures)


def registrations_verify(lock):
    domain = compute_domain(DOMAIN_BUILDER, HOODI.genesis_fork_version, bytes(32))
    roots = compute_signing_roots(registration_message_roots(lock.registrations), domain)
    np.testing.assert_array_equal(lock.registrations.public_keys, lock.public_keys)
    return check_signatures(lock.public_keys, roots, lock.registrations.signatures)


def decoded_enr(enr):
    text = enr.removeprefix("enr:")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# --- the hash of v1.6, which no vector of our own has, as its container is written ---


def chunk(data):
    return data.ljust(-(-len(data) // 32) * 32 or 32, b"\0")


def root_of(chunks, limit):
    """SSZ merkleize, as slow as it is written."""
    size = 1
    while size < limit:
        size *= 2
    level = [*chunks, *[bytes(32)] * (size - len(chunks))]
    while len(level) > 1:
        level = [hashlib.sha256(a + b).digest() for a, b in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def container(*roots):
    return root_of(roots, len(roots))


def vector(data):
    padded = chunk(data)
    return root_of([padded[i : i + 32] for i in range(0, len(padded), 32)], len(padded) // 32)


def number(value):
    return chunk(value.to_bytes(8, "little"))


def with_length(root, length):
    return hashlib.sha256(root + chunk(length.to_bytes(8, "little"))).digest()


def text(value, limit):
    data = value.encode() if isinstance(value, str) else value
    padded = chunk(data) if data else b""
    chunks = [padded[i : i + 32] for i in range(0, len(padded), 32)]
    return with_length(root_of(chunks, -(-limit // 32)), len(data))


def some(roots, limit):
    return with_length(root_of(roots, limit), len(roots))


def test_hash_of_v1_6_by_hand(secrets):
    lock = build(secrets, version=Version.V1_6)
    d = lock.definition
    head = [
        text(d.uuid, 64), text(d.name, 256), text("v1.6.0", 16), text(d.timestamp, 32),
        number(5), number(3), text("default", 32), vector(d.fork_version),
    ]  # fmt: skip
    addresses = some([container(vector(b"\x22" * 20), vector(b"\x11" * 20))] * 5, 65536)
    nobody = vector(bytes(20))
    config = container(*head, some([container(nobody)] * 4, 256), container(nobody), addresses)
    unsigned = vector(bytes(65))
    operators = [container(nobody, text(each.enr, 1024), unsigned, unsigned) for each in d.operators]
    creator = container(nobody, unsigned)
    definition = container(*head, some(operators, 256), creator, addresses, config)
    assert obol.config_hash(d) == config
    assert obol.definition_hash(d) == definition
    validators = [
        container(
            vector(lock.public_keys[i].tobytes()),
            some([vector(share.tobytes()) for share in lock.public_key_shares[i]], 256),
            vector(lock.deposits.public_keys[i].tobytes()),
            vector(lock.deposits.withdrawal_credentials[i].tobytes()),
            number(32 * 10**9),
            vector(lock.deposits.signatures[i].tobytes()),
        )
        for i in range(5)
    ]
    assert lock.lock_hash == container(definition, some(validators, 65536))
