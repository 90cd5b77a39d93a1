"""Lock files and keyshares as clusters: what is always checked."""

import copy
import json

import pytest

from dvtfast import HOODI, FileError, recover_public_keys
from dvtfast.clusters import read_cluster_lock, read_ssv_keyshares
from tests.vector_files import VECTORS, cases, load, unhex

LOCK = "obol/synthetic/node0/cluster-lock.json"
LOCKS = cases(sorted(VECTORS.glob("obol/synthetic/locks/*.json")), lambda path: path.stem)


@pytest.mark.parametrize("path", LOCKS)
def test_cluster_of_a_lock(path):
    cluster = read_cluster_lock(path)
    expected = load("obol/synthetic/expected.json")["validators"]
    assert cluster.name == "dvtfast synthetic"
    assert cluster.network is HOODI
    assert cluster.threshold == 3
    assert cluster.share_indices.tolist() == [1, 2, 3, 4]
    assert [key.tobytes() for key in cluster.public_keys.encoded] == [
        unhex(validator["public_key"]) for validator in expected
    ]
    for shares, validator in zip(cluster.public_key_shares.encoded, expected, strict=True):
        for index, share in zip(cluster.share_indices, shares, strict=True):
            assert share.tobytes() == unhex(validator["partials"][str(index)]["public_key_share"])


def test_clusters_of_keyshares():
    (cluster,) = read_ssv_keyshares(VECTORS / "ssv/keyshares.json")
    assert cluster.name == "ssv-5-17-242-1093"
    assert cluster.network is None
    assert cluster.threshold == 3
    assert cluster.share_indices.tolist() == [5, 17, 242, 1093]
    recovered = recover_public_keys(cluster.public_key_shares, cluster.share_indices, threshold=3)
    assert recovered.tolist() == cluster.public_keys.encoded.tolist()


def test_one_cluster_per_set_of_operators(tmp_path):
    document = load("ssv/keyshares.json")
    for place, operator in ((document["shares"][1], 1), (document["shares"][2], 1)):
        place["payload"]["operatorIds"][0] = operator
        place["data"]["operators"][0]["id"] = operator
    path = written(tmp_path, document)
    with pytest.raises(FileError, match="do not give its public key with threshold 3"):
        read_ssv_keyshares(path)  # the shares belong to id 5


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param(
            lambda lock: lock["distributed_validators"][1]["public_shares"].reverse(),
            "validator 0x8cb21f0e.*do not give its public key with threshold 3",
            id="shares-in-another-order",
        ),
        pytest.param(
            lambda lock: swap_shares(lock["distributed_validators"], 0, 1),
            "validator 0xa3927ffa.*do not give its public key",
            id="shares-of-another-validator",
        ),
        pytest.param(
            lambda lock: copy_share(lock, (0, 0), (0, 1)),
            "public key 0xaa0c4c09.* is repeated",
            id="share-twice",
        ),
        pytest.param(
            lambda lock: copy_share(lock, (0, 0), (2, 1)),
            "public key 0xaa0c4c09.* is repeated",
            id="share-of-two-validators",
        ),
        pytest.param(
            lambda lock: lock["distributed_validators"].__setitem__(2, lock["distributed_validators"][0]),
            "is repeated",
            id="validator-twice",
        ),
        pytest.param(
            lambda lock: lock["distributed_validators"][0].update(distributed_public_key="0x" + "00" * 48),
            "0x0{96} is no valid public key",
            id="no-point",
        ),
        pytest.param(
            lambda lock: lock["distributed_validators"][2]["public_shares"].__setitem__(
                3, "0xc0" + "00" * 47
            ),
            "the public key share with index 4 is no valid public key",
            id="infinity",
        ),
        pytest.param(
            lambda lock: lock["cluster_definition"].update(threshold=2),
            "do not give its public key with threshold 2",
            id="lower-threshold",
        ),
        pytest.param(
            lambda lock: lock["cluster_definition"].update(threshold=5),
            "cluster_definition.threshold: expected an integer of 1..4",
            id="threshold-above-operators",
        ),
        pytest.param(
            lambda lock: lock["cluster_definition"].update(version="v1.5.0"),
            "cluster_definition.version: expected one of v1.6.0, v1.7.0",
            id="old-version",
        ),
        pytest.param(
            lambda lock: lock["cluster_definition"].update(fork_version="0x01017000"),
            "cluster_definition.fork_version: expected one of 00000000",
            id="unknown-network",
        ),
        pytest.param(
            lambda lock: lock["cluster_definition"].update(num_validators=4),
            "cluster_definition.validators: expected 4 items, got 3",
            id="validator-count",
        ),
        pytest.param(
            lambda lock: lock["distributed_validators"].pop(),
            "distributed_validators: expected 3 items, got 2",
            id="validator-missing",
        ),
        pytest.param(
            lambda lock: lock["distributed_validators"][1]["public_shares"].pop(),
            r"distributed_validators\[1\].public_shares: expected 4 items, got 3",
            id="share-missing",
        ),
        pytest.param(
            lambda lock: lock["cluster_definition"]["operators"].pop(),
            r"distributed_validators\[0\].public_shares: expected 3 items, got 4",
            id="operator-missing",
        ),
        pytest.param(
            lambda lock: lock["cluster_definition"]["operators"][2].update(
                enr=lock["cluster_definition"]["operators"][0]["enr"]
            ),
            r"cluster_definition.operators\[2\].enr: the same as of operators\[0\]; each node has its own",
            id="enr-twice",
        ),
        pytest.param(
            lambda lock: lock["node_signatures"].pop(),
            "node_signatures: expected one for each of 4 operators, got 3",
            id="node-signature-missing",
        ),
        pytest.param(
            lambda lock: lock["cluster_definition"].update(num_validators=65_537),
            "num_validators: expected an integer of 1..65536",
            id="too-many-validators",
        ),
        pytest.param(
            lambda lock: lock["cluster_definition"].update(operators=[{}] * 257),
            "operators: expected 1 to 256 items, got 257",
            id="too-many-operators",
        ),
        pytest.param(
            lambda lock: lock["cluster_definition"].update(operators=[]),
            "operators: expected 1 to 256 items, got 0",
            id="no-operators",
        ),
    ],
)
def test_wrong_lock_is_refused(tmp_path, change, complaint, check):
    document = copy.deepcopy(load(LOCK))
    change(document)
    with pytest.raises(FileError, match=complaint) as caught:
        read_cluster_lock(written(tmp_path, document), check=check)
    assert caught.value.path == tmp_path / "file.json"


def test_check_false_leaves_out_hashes_and_aggregate(tmp_path):
    document = load(LOCK)
    document["cluster_definition"]["name"] = "renamed"
    document["signature_aggregate"] = ""
    path = written(tmp_path, document)
    assert read_cluster_lock(path, check=False).name == "renamed"
    with pytest.raises(FileError, match="config_hash: does not fit the content"):
        read_cluster_lock(path)


def swap_shares(validators, first, second):
    shares = validators[first]["public_shares"], validators[second]["public_shares"]
    validators[second]["public_shares"], validators[first]["public_shares"] = shares


def copy_share(lock, source, target):
    validators = lock["distributed_validators"]
    share = validators[source[0]]["public_shares"][source[1]]
    validators[target[0]]["public_shares"][target[1]] = share


def written(tmp_path, document):
    path = tmp_path / "file.json"
    path.write_text(json.dumps(document))
    return path
