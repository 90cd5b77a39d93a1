"""Whole rounds with SSV operators: all services as processes, and the proof of the result."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dvtfast import HOODI
from dvtfast.services import wire
from dvtfast.services.demo.app import START_INDEX, start_operator, start_relayer, start_sidecar
from dvtfast.services.demo.cluster import DemoCluster, files_of_operator
from dvtfast.services.demo.processes import Service, Services
from dvtfast.services.demo.proof import prove
from dvtfast.services.demo.ssv_cluster import make_ssv_cluster
from tests.vector_files import VECTORS, load, unhex

from .. import rounds

# The round of 1,000 of the issue: DVTFAST_SSV_VALIDATORS=1000 pytest tests/services/demo/test_ssv_rounds.py
VALIDATORS = int(os.environ.get("DVTFAST_SSV_VALIDATORS", "30"))
IDS = load("ssv/expected.json")["operator_ids"]
SSV = VECTORS / "ssv"
OBOL = VECTORS / "obol/synthetic"
SSV_RELAYER = ("--ssv-keyshares", str(SSV / "keyshares.json"))
OBOL_RELAYER = ("--cluster-lock", str(OBOL / "node0/cluster-lock.json"))
ALL_OPERATORS = (
    *("--ssv-operator-id", ",".join(map(str, IDS)), *SSV_RELAYER),
    *("--ssv-operator-key", str(SSV / "operator-{operator_id}/encrypted_private_key.json")),
    *("--ssv-operator-password-file", str(SSV / "operator-{operator_id}/password")),
)
ALL_NODES = (*OBOL_RELAYER, "--node-index", "0,1,2,3", "--keystores-template")


def operator_options(operator_id: int) -> tuple[str, ...]:
    """Every second key as the node writes it now, the others as it did once."""
    folder = SSV / f"operator-{operator_id}"
    options = (*SSV_RELAYER, "--ssv-operator-id", str(operator_id), "--ssv-operator-key")
    if operator_id in IDS[::2]:
        key, password = str(folder / "encrypted_private_key.json"), str(folder / "password")
        return (*options, key, "--ssv-operator-password-file", password)
    return (*options, str(folder / "private_key_base64.txt"))


def cluster_of(
    secrets: Sequence[str], directory: Path, relayer: tuple[str, ...], sidecars: Sequence[tuple[str, ...]]
) -> DemoCluster:
    """Validators whose cluster is there already, with deposit data and oracles of their own."""
    directories = tuple(directory / str(place) for place in range(len(sidecars)))
    for each in directories:
        each.mkdir()
    secret_keys = np.frombuffer(b"".join(map(unhex, secrets)), np.uint8).reshape(-1, 32)
    settings = rounds.settings_of(len(secrets))
    return DemoCluster(
        directories=directories,
        relayer_options=relayer,
        sidecar_options=tuple(sidecars),
        secret_keys=secret_keys,
        **files_of_operator(settings, directory, secret_keys, bytes(20)),
    )


def ssv_secrets() -> list[str]:
    return [validator["secret"] for validator in load("ssv/expected.json")["validators"]]


def obol_secrets() -> list[str]:
    return [validator["secret_key"] for validator in load("obol/synthetic/expected.json")["validators"]]


def run_round(cluster: DemoCluster, directory: Path, sidecars: int) -> list[Service]:
    """Register everything, and prove what comes of it; the sidecars, which have ended."""
    output = directory / "registration.json"
    with Services(directory, timeout_seconds=rounds.ROUND_SECONDS) as services:
        relayer = start_relayer(services, cluster, HOODI.name, port=0)
        url = f"http://127.0.0.1:{services.wait_for(relayer, 'listening')['port']}"
        started = [start_sidecar(services, cluster, HOODI.name, node, url) for node in range(sidecars)]
        operator = start_operator(services, cluster, HOODI.name, url, output)
        while operator.exit_code() is None:
            services.pause(may_end=[operator])
        assert operator.exit_code() == 0, operator.last_lines()
        batches = relayer.events("batch")
    bundle = wire.decode(output.read_bytes(), wire.RegistrationBundle)
    proof = prove(bundle, cluster, network=HOODI, start_index=START_INDEX, threshold=8)
    assert proof.shares == len(cluster.secret_keys) * 11
    assert sum(batch["ready"] for batch in batches) == len(cluster.secret_keys)
    return started


def test_the_vectors_cluster(tmp_path: Path) -> None:
    cluster = cluster_of(ssv_secrets(), tmp_path, SSV_RELAYER, [operator_options(i) for i in IDS])
    sidecars = run_round(cluster, tmp_path, sidecars=4)
    loaded = [sidecar.events("keys loaded")[0] for sidecar in sidecars]
    assert [line["share_index"] for line in loaded] == IDS
    assert {(line["count"], line["cluster"]) for line in loaded} == {(3, "ssv-5-17-242-1093")}


@pytest.mark.parametrize("operators", [4, pytest.param(7, marks=pytest.mark.thorough)])
def test_a_new_cluster_with_a_threshold_of_its_operators(operators: int, tmp_path: Path) -> None:
    threshold = 2 * (operators // 3) + 1
    many = {"nodes": str(operators), "threshold": str(threshold), "ssv": "true"}
    settings = rounds.settings_of(VALIDATORS, **many)
    cluster = make_ssv_cluster(settings, tmp_path)
    sidecars = run_round(cluster, tmp_path, sidecars=threshold)
    assert {sidecar.events("keys loaded")[0]["count"] for sidecar in sidecars} == {VALIDATORS}
    for sidecar in sidecars:
        assert not any(row.tobytes().hex() in sidecar.log.read_text() for row in cluster.secret_keys)


def test_the_synthetic_obol_cluster(tmp_path: Path) -> None:
    keystores = (str(OBOL / f"node{node}/validator_keys") for node in range(4))
    nodes = [(*OBOL_RELAYER, "--no-key-cache", "--keystores", directory) for directory in keystores]
    run_round(cluster_of(obol_secrets(), tmp_path, OBOL_RELAYER, nodes), tmp_path, sidecars=4)


def test_both_on_one_relayer_and_in_one_sidecar(tmp_path: Path) -> None:
    keystores = str(OBOL / "node{node_index}/validator_keys")
    cluster = cluster_of(
        [*ssv_secrets(), *obol_secrets()],
        tmp_path,
        (*SSV_RELAYER, *OBOL_RELAYER),
        [(*ALL_OPERATORS, "--no-key-cache", *ALL_NODES, keystores)],
    )
    (sidecar,) = run_round(cluster, tmp_path, sidecars=1)
    loaded = sidecar.events("keys loaded")
    assert [line["share_index"] for line in loaded] == [1, 2, 3, 4, *IDS]
