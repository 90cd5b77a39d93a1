"""What a node takes from its cluster's lock, and which locks it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dvtfast import FileError, check_signatures, generate_secret_keys, split_secret_keys
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.signed_sets import signed_set
from dvtfast.networks import HOODI
from dvtfast.obol import ClusterLock, build_cluster_lock, signed_cluster_lock, write_cluster_lock
from dvtfast.secp256k1 import IdentityKey, new_secret_key
from dvtfast.services.node.cluster import cluster_of, read_cluster
from tests.services.node.test_exchange import SCHEDULE

VALIDATORS, NODES, THRESHOLD = 3, 4, 3
SECRETS = generate_secret_keys(VALIDATORS)
SHARES = split_secret_keys(SECRETS, threshold=THRESHOLD, share_indices=range(1, NODES + 1))
NODE_SECRETS = [new_secret_key() for _ in range(NODES)]
OPERATORS = [IdentityKey(secret).public_key for secret in NODE_SECRETS]
FEES = bytes(range(20))
LOCK = build_cluster_lock(
    SECRETS,
    SHARES,
    threshold=THRESHOLD,
    network=HOODI,
    node_secret_keys=NODE_SECRETS,
    withdrawal_address=bytes(20),
    fee_recipient=FEES,
    name="four",
)


def of_other_network(lock: ClusterLock) -> ClusterLock:
    """The same of a network that nobody knows; its hashes are wrong then."""
    return replace(lock, definition=replace(lock.definition, fork_version=bytes.fromhex("10000999")))


@pytest.mark.parametrize("position", range(NODES))
def test_a_lock_says_who_is_who(tmp_path: Path, position: int) -> None:
    path = tmp_path / "cluster-lock.json"
    write_cluster_lock(path, LOCK)
    cluster = read_cluster(path, OPERATORS[position])
    assert (cluster.name, cluster.lock_hash, cluster.is_verified) == ("four", LOCK.lock_hash, True)
    assert cluster.fork_version == HOODI.genesis_fork_version
    members = cluster.members
    assert (members.position, list(members.operators)) == (position, OPERATORS)
    assert (members.keys.threshold, members.keys.nodes) == (THRESHOLD, NODES)
    assert [members.validators[key.tobytes()] for key in LOCK.public_keys] == [0, 1, 2]
    assert list(cluster.fee_recipients) == ["0x" + FEES.hex()] * VALIDATORS


def test_registrations_are_signed_by_their_validators() -> None:
    cluster = cluster_of(LOCK, OPERATORS[0])
    assert [each.message.pubkey for each in cluster.registrations] == [
        key.tobytes() for key in LOCK.public_keys
    ]
    assert {each.message.fee_recipient for each in cluster.registrations} == {FEES}
    signed = signed_set(DutyType.BUILDER_REGISTRATION, cluster.registrations, SCHEDULE)
    assert check_signatures(LOCK.public_keys, signed.signing_roots, signed.signatures).all()
    kind = codec(type(cluster.registrations[0]))
    assert kind.from_json(kind.to_json(cluster.registrations[0])) == cluster.registrations[0]


def test_another_nodes_key_is_refused() -> None:
    with pytest.raises(FileError, match="the key is of no node of this cluster"):
        cluster_of(LOCK, IdentityKey.generate().public_key)


def test_a_lock_that_is_not_signed_is_used_only_when_the_user_says_so() -> None:
    unsigned = signed_cluster_lock(LOCK, signature_aggregate=b"", node_signatures=LOCK.node_signatures)
    with pytest.raises(FileError, match="--no-verify"):
        cluster_of(unsigned, OPERATORS[0])
    cluster = cluster_of(unsigned, OPERATORS[0], verify=False)
    assert not cluster.is_verified
    assert cluster.lock_hash == LOCK.lock_hash


def test_a_network_for_tests_is_a_network() -> None:
    lock = of_other_network(LOCK)
    with pytest.raises(FileError, match="config_hash"):
        cluster_of(lock, OPERATORS[0])
    assert cluster_of(lock, OPERATORS[0], verify=False).fork_version == bytes.fromhex("10000999")


def test_shares_off_their_polynomial_are_refused_in_any_case() -> None:
    shares = LOCK.public_key_shares.copy()
    shares[1, [0, 1]] = shares[1, [1, 0]]
    with pytest.raises(FileError, match="do not give its public key"):
        cluster_of(replace(LOCK, public_key_shares=shares), OPERATORS[0], verify=False)
    assert np.array_equal(LOCK.public_key_shares[1, 0], shares[1, 1])
