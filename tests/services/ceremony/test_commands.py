"""create enr, create dkg, create cluster, combine: as people and charon's scripts call them."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dvtfast import generate_secret_keys, recover_secret_keys, ssv
from dvtfast.clusters import read_cluster_lock
from dvtfast.deposits import check_deposit_data, read_deposit_data
from dvtfast.keystores import PBKDF2_INSECURE, load_keystores, write_keystores
from dvtfast.obol import (
    check_cluster_lock,
    make_enr,
    missing_proofs,
    read_cluster_definition,
    read_enr,
    read_node_key,
)
from dvtfast.obol import (
    read_cluster_lock as read_lock,
)
from dvtfast.services.ceremony import dealing
from dvtfast.services.ceremony.staging import MOVING, ORIGIN, WRITTEN
from dvtfast.services.cli import main

ADDRESS = "0x000000000000000000000000000000000000dEaD"
OTHERS = ["0x52908400098527886E0F7030069857D2E4169EE7", "0xde709f2102306220921060314715629080e2fb77"]
ENRS = [make_enr(bytes([i]) * 32) for i in range(1, 5)]
LEAST = ["--network", "hoodi", "--fee-recipient-addresses", ADDRESS, "--withdrawal-addresses", ADDRESS]


def call(*arguments: object, env: dict[str, str] | None = None, input: str = "") -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments], env=env, input=input)


# --- create enr ---


def test_a_nodes_key(tmp_path: Path) -> None:
    result = call("create", "enr", "--data-dir", tmp_path / "node")
    assert result.exit_code == 0
    path = tmp_path / "node/charon-enr-private-key"
    assert result.stdout.strip() == make_enr(read_node_key(path))
    assert read_enr(result.stdout.strip()).sequence == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_text()
    again = call("create", "enr", env={"CHARON_DATA_DIR": str(tmp_path / "node")})
    assert again.exit_code == 1
    assert "is there already, and is not made anew; its record is\nenr:" in again.stderr
    assert before not in again.output
    assert path.read_text() == before


# --- create dkg ---


def test_a_definition(tmp_path: Path) -> None:
    result = call(
        "create", "dkg", *LEAST, "--name", "mine", "--num-validators", 2, "--operator-enrs", ",".join(ENRS),
        "--deposit-amounts", "8,24", "--compounding", "--target-gas-limit", 45_000_000,
        "--output-dir", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "cluster-definition.json").read_text())
    assert document["version"] == "v1.10.0"
    assert document["threshold"] == 3
    assert document["deposit_amounts"] == ["8000000000", "24000000000"]
    assert (document["compounding"], document["target_gas_limit"]) == (True, 45_000_000)
    assert document["validators"] == [{"fee_recipient_address": ADDRESS, "withdrawal_address": ADDRESS}] * 2
    assert [each["enr"] for each in document["operators"]] == ENRS
    assert document["config_hash"] in result.output
    assert missing_proofs(read_cluster_definition(tmp_path / "cluster-definition.json")) == []


def test_as_charons_environment_says(tmp_path: Path) -> None:
    environment = {
        "CHARON_NETWORK": "hoodi",
        "CHARON_NAME": "theirs",
        "CHARON_NUM_VALIDATORS": "2",
        "CHARON_THRESHOLD": "4",
        "CHARON_FEE_RECIPIENT_ADDRESSES": ",".join([ADDRESS, OTHERS[0]]),
        "CHARON_WITHDRAWAL_ADDRESSES": OTHERS[1],
        "CHARON_OPERATOR_ENRS": ",".join(ENRS),
        "CHARON_OUTPUT_DIR": str(tmp_path),
    }
    result = call("create", "dkg", env=environment)
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "cluster-definition.json").read_text())
    assert (document["name"], document["threshold"]) == ("theirs", 4)
    assert [each["fee_recipient_address"] for each in document["validators"]] == [ADDRESS, OTHERS[0]]
    assert len({each["withdrawal_address"] for each in document["validators"]}) == 1
    assert "unusual threshold" in result.output
    again = call("create", "dkg", env=environment)
    assert again.exit_code == 1
    assert "cluster-definition.json: is there already" in again.output


def test_operators_by_their_accounts(tmp_path: Path) -> None:
    result = call(
        "create",
        "dkg",
        *LEAST,
        "--operator-addresses",
        ",".join([ADDRESS, *OTHERS]),
        "--output-dir",
        tmp_path,
    )
    assert result.exit_code == 0, result.output
    assert "each operator now joins" in result.output
    definition = read_cluster_definition(tmp_path / "cluster-definition.json")
    assert definition.operators[0].address == ADDRESS
    assert [each.partition(":")[0] for each in missing_proofs(definition)] == [
        "creator",
        *(f"operators[{i}].{what}_signature" for i in range(3) for what in ("config", "enr")),
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--operator-enrs", ",".join(ENRS[:2])], "--operator-enrs (DVTFAST_OPERATOR_ENRS or"),
        (["--operator-enrs", ",".join(ENRS[:2])], "expected 3 to 255 operators, got 2"),
        (["--operator-enrs", ",".join([*ENRS[:2], ENRS[0]])], "expected each operator once"),
        (["--operator-enrs", ",".join(ENRS), "--operator-addresses", ADDRESS], "expected one of them"),
        ([], "expected one of them"),
        (["--operator-enrs", f"{ENRS[0]},enr:x"], "not a node record: 'enr:x'"),
        (["--operator-enrs", ",".join(ENRS), "--threshold", "5"], "expected 2..4 for 4 nodes, got 5"),
        (["--operator-enrs", ",".join(ENRS), "--threshold", "1"], "expected 2..4 for 4 nodes, got 1"),
        (["--operator-enrs", ",".join(ENRS), "--num-validators", "3", "--withdrawal-addresses", OTHERS[0]],
         "expected 1 or 3 addresses, one a validator, got 2"),
        (["--operator-enrs", ",".join(ENRS), "--num-validators", "65537"], "expected at most 65536"),
        (["--operator-enrs", ",".join(ENRS), "--dkg-algorithm", "own"], "expected one of default, frost"),
        (["--operator-enrs", ",".join(ENRS), "--deposit-amounts", "1,x"], "expected an amount such as"),
    ],
)  # fmt: skip
def test_what_makes_no_definition(tmp_path: Path, options: list[str], says: str) -> None:
    result = call("create", "dkg", *LEAST, *options, "--output-dir", tmp_path)
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--deposit-amounts", "1,8"], "deposit_amounts: expected at least 32000000000 gwei in all"),
        (["--deposit-amounts", "64"], "deposit_amounts[0]: expected 1000000000..32000000000 gwei"),
        (["--deposit-amounts", "0.5,32"], "deposit_amounts[0]: expected 1000000000..32000000000 gwei"),
        (["--name", "x" * 257], "name: expected at most 256 bytes, got 257"),
        (["--operator-enrs", make_enr(bytes([1]) * 32, sequence=5)], "operators[4].enr: has the key"),
    ],
)  # fmt: skip
def test_rules_of_definitions(tmp_path: Path, options: list[str], says: str) -> None:
    result = call(
        "create", "dkg", *LEAST, "--operator-enrs", ",".join(ENRS), *options, "--output-dir", tmp_path
    )
    assert result.exit_code == 1, result.output
    assert says in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_zero_address_gives_nothing_back(tmp_path: Path) -> None:
    result = call(
        "create", "dkg", *LEAST[:4], "--withdrawal-addresses", "0x" + "00" * 20,
        "--operator-enrs", ",".join(ENRS), "--output-dir", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 2
    assert "the zero address gives nothing back" in result.output


# --- create cluster, combine ---


def cluster(directory: Path, *options: object) -> Result:
    return call(
        "create",
        "cluster",
        *LEAST,
        "--insecure-keys",
        "--name",
        "small",
        "--cluster-dir",
        directory,
        *options,
    )


def test_a_cluster_and_back(tmp_path: Path) -> None:
    result = cluster(tmp_path / "cluster", "--num-validators", 3, "--nodes", 4)
    assert result.exit_code == 0, result.output
    assert "ONE MACHINE KNEW ALL KEYS" in result.stderr
    lock = read_lock(tmp_path / "cluster/node2/cluster-lock.json")
    assert {check.name for check in check_cluster_lock(lock) if check.verdict != "ok"} == {
        "definition signatures"
    }
    verified = call("cluster", "verify", tmp_path / "cluster/node0/cluster-lock.json")
    assert verified.exit_code == 0, verified.output
    (tmp_path / "cluster/node1").rename(tmp_path / "elsewhere")  # three are enough
    combined = call(
        "combine", "--cluster-dir", tmp_path / "cluster", "--output-dir", tmp_path / "whole",
        input="y\nsmall\n",
    )  # fmt: skip
    assert combined.exit_code == 0, combined.output
    assert "this machine alone" in combined.output.replace("\n", " ").replace("  ", " ")
    loaded = load_keystores(tmp_path / "whole")
    assert loaded.problems == ()
    np.testing.assert_array_equal(loaded.public_keys, lock.public_keys)


def test_existing_keys_are_split(tmp_path: Path) -> None:
    keys = generate_secret_keys(3)
    write_keystores(tmp_path / "keys", keys, kdf=PBKDF2_INSECURE)
    options = ["--split-existing-keys", "--split-keys-dir", tmp_path / "keys"]
    result = cluster(tmp_path / "cluster", *options)
    assert result.exit_code == 0, result.output
    assert "stop what signs with them" in result.stderr
    loaded = load_keystores(tmp_path / "keys")
    shares = read_cluster_lock(tmp_path / "cluster/node0/cluster-lock.json")
    np.testing.assert_array_equal(shares.public_keys.encoded, loaded.public_keys)
    combined = call(
        "combine", "--cluster-dir", tmp_path / "cluster", "--output-dir", tmp_path / "whole", "--yes"
    )
    assert combined.exit_code == 0, combined.output
    np.testing.assert_array_equal(load_keystores(tmp_path / "whole").secret_keys, keys)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--split-existing-keys"], "CHARON_SPLIT_KEYS_DIR): expected both, or none"),
        (["--nodes", "2"], "expected 3 to 255, got 2"),
        (["--threshold", "1"], "expected 2..4 for 4 nodes, got 1"),
        (["--network", "mainnet"], "not on mainnet, where stake is worth something"),
        (["--num-validators", "0"], "expected at least 1, got 0"),
    ],
)  # fmt: skip
def test_what_makes_no_cluster(tmp_path: Path, options: list[str], says: str) -> None:
    result = cluster(tmp_path / "cluster", *options)
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["dkg", "recover"])
def test_keystores_that_protect_nothing_are_for_where_nothing_is_at_stake(
    tmp_path: Path, command: str
) -> None:
    wanted = ("--network", "mainnet", "--operator-enrs", ",".join(ENRS), "--output-dir", tmp_path)
    made = call("create", "dkg", *LEAST, *wanted)
    assert made.exit_code == 0, made.output
    definition = ("--definition-file", tmp_path / "cluster-definition.json", "--data-dir", tmp_path)
    arguments = ("dkg", *(("recover", tmp_path / "none.aside") if command == "recover" else ()))
    result = call(*arguments, *definition, "--insecure-keys")
    assert result.exit_code == 1
    assert "--insecure-keys: not on mainnet, where stake is worth something" in result.output


def test_a_keystore_that_cannot_be_opened_splits_nothing(tmp_path: Path) -> None:
    write_keystores(tmp_path / "keys", generate_secret_keys(2), kdf=PBKDF2_INSECURE)
    (tmp_path / "keys/keystore-insecure-1.txt").unlink()
    result = cluster(tmp_path / "cluster", "--split-existing-keys", "--split-keys-dir", tmp_path / "keys")
    assert result.exit_code == 1
    assert "keystore-insecure-1.txt: no such file" in result.output
    assert not (tmp_path / "cluster").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "node3").mkdir()
    result = cluster(tmp_path)
    assert result.exit_code == 1
    assert "node3: is there already" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["node3"]


def test_what_was_begun_is_ended(tmp_path: Path) -> None:
    assert cluster(tmp_path).exit_code == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    (tmp_path / MOVING).mkdir()
    (tmp_path / "node3").rename(tmp_path / MOVING / "node3")
    result = cluster(tmp_path)
    assert result.exit_code == 0
    assert "what was begun before is whole now" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    # What was complete, and nobody was told of, is made anew.
    (tmp_path / WRITTEN).mkdir()
    for name in names:
        (tmp_path / name).rename(tmp_path / WRITTEN / name)
    before = (tmp_path / WRITTEN / "node0/cluster-lock.json").read_bytes()
    result = cluster(tmp_path)  # it may be a ceremony's
    assert (result.exit_code, "has complete files of before" in result.output) == (1, True)
    (tmp_path / WRITTEN / ORIGIN).write_bytes(dealing.ORIGIN)
    assert cluster(tmp_path).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert (tmp_path / "node0/cluster-lock.json").read_bytes() != before


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made")
    assert cluster(directory, "--num-validators", 2).exit_code == 0
    return directory


def copied(made: Path, directory: Path, *nodes: int) -> Path:
    for node in nodes:
        shutil.copytree(made / f"node{node}", directory / f"node{node}")
    return directory


@pytest.mark.parametrize("input", ["", "n\n", "y\n", "y\nother\n", "yes\n\n"])
def test_combining_is_asked_for_twice(made: Path, tmp_path: Path, input: str) -> None:
    result = call("combine", "--cluster-dir", made, "--output-dir", tmp_path / "whole", input=input)
    assert result.exit_code == 130
    assert "nothing was combined" in result.output
    assert list(tmp_path.iterdir()) == []


def combine(directory: Path, output: Path) -> Result:
    return call("combine", "--cluster-dir", directory, "--output-dir", output, "--yes")


def test_what_cannot_be_combined(made: Path, tmp_path: Path) -> None:
    folders = copied(made, tmp_path / "few", 0, 3)
    assert "has folders of 2 nodes, and 3 are needed" in combine(folders, tmp_path / "whole").output
    copied(made, folders, 1)
    (folders / "node1").rename(folders / "node-b")
    (folders / "node-b/validator_keys/keystore-insecure-1.json").unlink()
    result = combine(folders, tmp_path / "whole")
    assert "1 validators have fewer than 3 key shares in these folders" in result.output
    assert result.exit_code == 1
    assert "no folder in it has a cluster-lock.json" in combine(tmp_path, tmp_path / "whole").output
    assert "No such file or directory" in combine(tmp_path / "none", tmp_path / "whole").output
    twice = copied(made, tmp_path / "twice", 0, 1)
    (twice / "node1").rename(twice / "node-b")
    copied(made, twice, 1)
    assert "two of the folders are of the same node" in combine(twice, tmp_path / "whole").output
    assert not (tmp_path / "whole").exists()


def test_folders_of_two_clusters(made: Path, tmp_path: Path) -> None:
    assert cluster(tmp_path / "other").exit_code == 0
    folders = copied(made, tmp_path / "mixed", 0, 1)
    (tmp_path / "other/node2").rename(folders / "node2")
    result = combine(folders, tmp_path / "whole")
    assert result.exit_code == 1
    assert "of another cluster than that of " in result.output


def test_keystores_of_another_cluster(made: Path, tmp_path: Path) -> None:
    assert cluster(tmp_path / "other", "--num-validators", 2).exit_code == 0
    folders = copied(made, tmp_path / "mixed", 0, 1, 2)
    (folders / "node2/validator_keys").rename(tmp_path / "away")
    (tmp_path / "other/node2/validator_keys").rename(folders / "node2/validator_keys")
    result = combine(folders, tmp_path / "whole")
    assert "has keystores that are no key shares of one node of this cluster" in result.output
    assert not (tmp_path / "whole").exists()


def test_the_output_is_a_new_directory(made: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    result = combine(made, tmp_path)
    assert result.exit_code == 1
    assert "is there already; name a new directory" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


# --- create keyshares ---

SSV_IDS = (4, 17, 242, 1093)
SSV_KEYS = {operator_id: ssv.generate_operator_key() for operator_id in SSV_IDS}
SSV_LEAST = ["--network", "hoodi", "--ssv-owner", OTHERS[0], "--withdrawal-addresses", ADDRESS]


@pytest.fixture
def operators(tmp_path: Path) -> Path:
    path = tmp_path / "operators.json"
    items = [
        {"id": operator_id, "public_key": key.public_key.text, "ip": "https://host:3030"}
        for operator_id, key in reversed(SSV_KEYS.items())
    ]
    path.write_text(json.dumps(items))
    return path


def keyshares(operators: Path, *options: object) -> Result:
    return call("create", "keyshares", *SSV_LEAST, "--ssv-operators", operators, *options)


def test_keyshares_of_new_validators(operators: Path, tmp_path: Path) -> None:
    output = tmp_path / "ssv"
    result = keyshares(
        operators, "--num-validators", 3, "--ssv-owner-nonce", 12, "--deposit-amounts", "1,32",
        "--output-dir", output,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "ONE MACHINE KNEW ALL KEYS" in result.stderr
    assert "from 12 to 14" in result.stderr
    assert sorted(path.name for path in output.iterdir()) == [
        "deposit-data-1eth.json", "deposit-data.json", "keyshares.json",
    ]  # fmt: skip
    validators = ssv.read_keyshares(output / "keyshares.json")
    assert [each.owner_nonce for each in validators] == [12, 13, 14]
    assert ssv.check_key_shares(validators) == [""] * 3
    assert {each.operator_ids for each in validators} == {SSV_IDS}
    for operator_id in SSV_IDS:
        opened = ssv.open_key_shares(validators, operator_id, SSV_KEYS[operator_id])
        assert (len(opened.key_shares), opened.problems) == (3, ())
    deposits = read_deposit_data(output / "deposit-data.json")
    assert check_deposit_data(deposits) == [[]] * 3
    assert {key.tobytes() for key in deposits.public_keys} == {each.public_key for each in validators}
    again = keyshares(operators, "--output-dir", output)
    assert again.exit_code == 1
    assert "is there already" in again.output


def test_keyshares_of_existing_keys(operators: Path, tmp_path: Path) -> None:
    keys = generate_secret_keys(2)
    write_keystores(tmp_path / "keys", keys, kdf=PBKDF2_INSECURE)
    result = keyshares(operators, "--split-keys-dir", tmp_path / "keys", "--output-dir", tmp_path / "ssv")
    assert result.exit_code == 0, result.output
    assert "stop what signs with them" in result.stderr
    validators = ssv.read_keyshares(tmp_path / "ssv/keyshares.json")
    opened = [ssv.open_key_shares(validators, i, SSV_KEYS[i]).key_shares for i in SSV_IDS[1:]]
    whole = recover_secret_keys(np.stack(opened, axis=1), SSV_IDS[1:], threshold=3)
    np.testing.assert_array_equal(whole, keys)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda items: items.pop(), "expected 4 to 13 items, got 3"),
        (lambda items: items.append({**items[0], "id": 5}), "expected 4, 7, 10, 13 operators, got 5"),
        (lambda items: items[1].update(id=items[0]["id"]), "[1].id: repeated"),
        (lambda items: items[1].update(id=0), "[1].id: expected an integer of 1.."),
        (lambda items: items[2].update(public_key="AAAA"), "[2].public_key: expected base64 of an RSA key"),
        (lambda items: items[3].pop("public_key"), "[3].public_key: missing"),
    ],
)
def test_operators_that_are_no_cluster(operators: Path, tmp_path: Path, change: object, says: str) -> None:
    items = json.loads(operators.read_text())
    assert callable(change)
    change(items)
    operators.write_text(json.dumps(items))
    result = keyshares(operators, "--output-dir", tmp_path / "ssv")
    assert result.exit_code == 1, result.output
    assert says in result.output
    assert not (tmp_path / "ssv").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--network", "gnosis"], "SSV is not on gnosis"),
        (["--deposit-amounts", "8"], "expected at least 32000000000 gwei in all"),
        (["--num-validators", "65537"], "expected at most 65536"),
    ],
)
def test_what_makes_no_keyshares(operators: Path, tmp_path: Path, options: list[str], says: str) -> None:
    result = keyshares(operators, *options, "--output-dir", tmp_path / "ssv")
    assert result.exit_code == 2, result.output
    assert says in result.output
