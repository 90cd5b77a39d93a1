"""The demo as people run it, and its proof, which must be able to fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dvtfast import HOODI, encrypt_to_oracles, exit_signing_roots, sign, split_exit_signatures
from dvtfast.deposits import read_deposit_data, write_deposit_data
from dvtfast.protocol_config import read_oracle_config
from dvtfast.services import wire
from dvtfast.services.demo.cluster import DemoCluster
from dvtfast.services.demo.proof import ProofError, prove
from dvtfast.services.operator.registration.bundle import make_bundle
from tests.vector_files import load

from .. import rounds
from ..patience import PATIENCE_SECONDS

DEMO = [sys.executable, "-m", "dvtfast.services", "demo"]
START_INDEX = 7
VALIDATORS = 6
CEREMONY_STEPS = {"hello", "commit", "deal", "echo", "sigs", "locksig", "store", "done", "close"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    # A proxy for what is elsewhere, and nobody there: all of a demo is on this machine.
    environment = {**os.environ, "HTTP_PROXY": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}
    command = [*DEMO, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=400, check=False, env=environment)


def test_a_round_of_an_odd_cluster(tmp_path: Path) -> None:
    work = tmp_path / "with spaces"
    result = run(
        "--validators", "12", "--nodes", "5", "--threshold", "4", "--oracles", "3", "--oracle-threshold", "2",
        "--network", "gnosis", "--json", "--workdir", str(work),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["ready"] == summary["validators"] == 12
    assert summary["shares_proven"] == 36
    assert summary["relayer_seconds"].keys() == {"recover", "split", "encrypt", "database"}
    assert "never deposit for these keys" in result.stderr
    nodes = sorted(path.name for path in work.glob("node*"))
    assert nodes == [f"node{i}" for i in range(5)]
    assert (work / "node4/validator_keys/keystore-11.txt").is_file()
    assert_other_programs_read_the_files(work)


def test_a_cluster_that_makes_its_own_keys(tmp_path: Path) -> None:
    work = tmp_path / "work"
    result = run(
        "--dkg", "--validators", "3", "--nodes", "3", "--threshold", "2", "--json", "--workdir", str(work),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert (summary["ready"], summary["shares_proven"]) == (3, 33)
    nodes = [work / f"node{i}" for i in range(3)]
    for name in ("cluster-lock.json", "deposit-data.json"):
        assert len({(node / name).read_bytes() for node in nodes}) == 1
    registered = json.loads((work / "registration.json").read_text())["validators"]
    made = json.loads((nodes[0] / "cluster-lock.json").read_text())["distributed_validators"]
    assert {each["public_key"] for each in registered} == {each["distributed_public_key"] for each in made}
    for node in nodes:
        log = (work / f"{node.name}-dkg.log").read_text()
        assert "relay reserved" in log
        # A step that waits for nobody is no step.
        steps = json.loads(log.splitlines()[-1])["seconds_by_step"].keys()
        assert {"hello", "store"} <= steps <= CEREMONY_STEPS


def test_operators_of_ssv_that_make_their_own_keys(tmp_path: Path) -> None:
    work = tmp_path / "work"
    result = run("--dkg", "--ssv", "--validators", "2", "--json", "--workdir", str(work))
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert (summary["ready"], summary["shares_proven"]) == (2, 22)
    files = [json.loads(path.read_text()) for path in sorted(work.glob("operator-*/keyshares.json"))]
    assert len(files) == 4
    assert [each["shares"] for each in files] == [files[0]["shares"]] * 4


def test_a_ceremony_that_cannot_be(tmp_path: Path) -> None:
    result = run("--dkg", "--validators", "1", "--nodes", "2", "--threshold", "2")
    assert result.returncode == 1
    assert "definition ended with 2" in result.stdout
    assert "expected 3 to 255 operators, got 2" in result.stdout


def assert_other_programs_read_the_files(work: Path) -> None:
    """Source: what staking-deposit-cli's loader and v3-operator's sorting want; sw-utils' protocol config."""
    passwords = set()
    for path in (work / "node4/validator_keys").glob("keystore-*.json"):
        keystore = json.loads(path.read_text())
        kdf = keystore["crypto"]["kdf"]
        assert kdf["function"] == "pbkdf2"
        assert kdf["params"]["c"] >= 2**18
        assert kdf["params"]["dklen"] == 32
        assert int(keystore["path"].split("/")[3]) == 0
        assert keystore["version"] == 4
        passwords.add(path.with_suffix(".txt").read_text())
    assert len(passwords) == 1
    config = json.loads((work / "protocol-config.json").read_text())
    sample = load("protocol_config_sample.json")
    assert config.keys() == sample.keys()
    assert {name: type(value) for name, value in config.items()} == {
        name: type(value) for name, value in sample.items()
    }
    for oracle in config["oracles"]:
        assert oracle.keys() == {"public_key", "endpoints"}
        assert (oracle["public_key"][:2], len(oracle["public_key"])) == ("0x", 130)


def test_bad_arguments_are_all_named() -> None:
    result = run("--validators", "0", "--threshold", "5", "--network", "goerli")
    assert result.returncode == 2
    for text in ("--validators", "at least 1", "--network", "hoodi"):
        assert text in result.stderr
    result = run("--nodes", "3", "--threshold", "5", "--oracles", "2")
    assert result.returncode == 2
    for text in ("--threshold", "--oracle-threshold"):
        assert text in result.stderr
    assert "Traceback" not in result.stderr
    result = run("--ssv", "--nodes", "5", "--threshold", "4")
    assert "--nodes: expected 4, 7, 10, 13 with --ssv, got 5" in result.stderr
    result = run("--ssv", "--nodes", "7")
    assert "--threshold: expected 5 with --ssv, got 3" in result.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--nodes 1 --threshold 1", "--threshold: expected at least 2, got 1"),
        ("--nodes 4 --threshold 1", "--threshold: expected at least 2, got 1"),
        ("--nodes 257", "--nodes: expected at most 256, got 257"),
        ("--validators 65537", "--validators: expected at most 65536, got 65537"),
        ("--oracles 256", "--oracles: expected at most 255, got 256"),
    ],
)
def test_what_no_cluster_can_be_is_refused_at_once(options: str, says: str) -> None:
    result = run(*options.split())
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"error: {says}\n")


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("/proc/none", "/proc/none: No such file or directory"),
        ("{}/file", "no such directory: {}/file, which is something else"),
        ("{}/file/below", "{}/file/below: Not a directory"),
        ("{}/loop/below", "{}/loop"),
    ],
)
def test_a_directory_that_cannot_be(place: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    result = run("--validators", "1", "--workdir", place.format(tmp_path))
    assert result.returncode == 1
    assert result.stdout.startswith(f"the demo failed: --workdir: {says.format(tmp_path)}")
    assert "Errno" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_a_used_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    result = run("--validators", "1", "--workdir", str(tmp_path))
    assert result.returncode == 1
    assert "not empty" in result.stdout
    assert list(tmp_path.iterdir()) == [tmp_path / "something"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_it_stops_every_service(number: signal.Signals, tmp_path: Path) -> None:
    work = tmp_path / "work"
    command = [*DEMO, "--validators", "400", "--workdir", str(work)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (work / "sidecar3.log").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        demo.send_signal(number)
        assert demo.communicate(timeout=400)[0].endswith("stopped\n")
    assert demo.returncode == 130
    assert not _processes_in(work)


def _processes_in(directory: Path) -> list[str]:
    commands = [path.joinpath("cmdline") for path in Path("/proc").glob("[0-9]*")]
    return [text for path in commands if str(directory) in (text := _read(path))]


def _read(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> DemoCluster:
    return rounds.cluster_of(VALIDATORS, tmp_path_factory.mktemp("cluster"))


def bundle_of(
    cluster: DemoCluster, *, threshold: int = 8, index: int = START_INDEX
) -> wire.RegistrationBundle:
    """What a relayer and an operator would make of it."""
    oracles = read_oracle_config(cluster.oracle_config)
    roots = exit_signing_roots(np.arange(index, index + VALIDATORS), HOODI)
    split = split_exit_signatures(
        sign(cluster.secret_keys, roots), cluster.public_keys, roots, total=11, threshold=threshold
    )
    encrypted = encrypt_to_oracles(split.signature_shares, oracles.public_keys)
    shares = {
        key.tobytes(): wire.OraclesExitSignatureShares(
            wire.PublicKey.rows(keys.tobytes()), wire.EncryptedSignature.rows(blobs.tobytes())
        )
        for key, keys, blobs in zip(
            cluster.public_keys.encoded, split.public_key_shares, encrypted, strict=True
        )
    }
    deposits = read_deposit_data(cluster.deposit_data)
    return make_bundle(deposits, shares, start_index=START_INDEX, oracles=oracles, vault=bytes(20))


def check(bundle: wire.RegistrationBundle, cluster: DemoCluster) -> None:
    prove(bundle, cluster, network=HOODI, start_index=START_INDEX, threshold=8)


def test_the_proof_of_a_right_bundle(cluster: DemoCluster) -> None:
    check(bundle_of(cluster), cluster)


def test_a_missing_validator(cluster: DemoCluster) -> None:
    bundle = bundle_of(cluster)
    bundle.validators.pop()
    with pytest.raises(ProofError, match="validators of the deposit data"):
        check(bundle, cluster)


def test_a_deposit_that_its_key_did_not_sign(tmp_path: Path) -> None:
    cluster = rounds.cluster_of(VALIDATORS, tmp_path)
    bundle, deposits = bundle_of(cluster), read_deposit_data(cluster.deposit_data)
    cluster.deposit_data.unlink()
    write_deposit_data(cluster.deposit_data, replace(deposits, signatures=deposits.signatures[::-1]))
    with pytest.raises(ProofError, match="deposit data: "):
        check(bundle, cluster)


def test_a_missing_share(cluster: DemoCluster) -> None:
    bundle = bundle_of(cluster)
    bundle.validators[2].oracles_exit_signature_shares.encrypted_exit_signatures.pop()
    with pytest.raises(ProofError, match="one share for each"):
        check(bundle, cluster)


def test_shares_of_another_validator_index(cluster: DemoCluster) -> None:
    with pytest.raises(ProofError, match="do not verify"):
        check(bundle_of(cluster, index=START_INDEX + 1), cluster)


@pytest.mark.parametrize("threshold", [7, 9])
def test_another_oracle_threshold(threshold: int, cluster: DemoCluster) -> None:
    with pytest.raises(ProofError, match=r"interpolate|too few"):
        check(bundle_of(cluster, threshold=threshold), cluster)


def test_swapped_public_key_shares(cluster: DemoCluster) -> None:
    bundle = bundle_of(cluster)
    keys = bundle.validators[1].oracles_exit_signature_shares.public_keys
    keys[0], keys[1] = keys[1], keys[0]
    with pytest.raises(ProofError, match="interpolate"):
        check(bundle, cluster)


def test_swapped_signature_shares(cluster: DemoCluster) -> None:
    bundle = bundle_of(cluster)
    first, second = (v.oracles_exit_signature_shares.encrypted_exit_signatures for v in bundle.validators[:2])
    first[0], second[0] = second[0], first[0]
    with pytest.raises(ProofError, match="do not verify"):
        check(bundle, cluster)
