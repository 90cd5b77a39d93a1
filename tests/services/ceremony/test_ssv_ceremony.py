"""`dvtfast dkg` of operators of SSV: real processes, whose keyshares.json the owner registers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dvtfast import HOODI, derive_public_keys, recover_secret_keys, ssv
from dvtfast.deposits import check_deposit_data, read_deposit_data
from dvtfast.obol import deposit_file_name
from dvtfast.services.ceremony.folder import KEYSTORES, LOCK_FILE

from .nodes import Cluster
from .test_commands import call

IDS = (5, 17, 242, 1093)
OWNER, NONCE = bytes(range(20)), 7
KEYS = {operator_id: ssv.generate_operator_key() for operator_id in IDS}


class SsvCluster(Cluster):
    """The same nodes as operators of SSV."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        file = directory / "operators.json"
        listed = [{"id": each, "public_key": key.public_key.text} for each, key in KEYS.items()]
        file.write_text(json.dumps(listed[::-1]))
        self.terms = ["--ssv-operators", str(file), "--ssv-owner", "0x" + OWNER.hex()]
        self.keys = [directory / f"key-{operator_id}" for operator_id in IDS]
        for path, key in zip(self.keys, KEYS.values(), strict=True):
            ssv.write_operator_key(path, key)

    def start(self, position: int, *, key: int | None = None, nonce: int = NONCE) -> None:
        path = self.keys[position if key is None else key]
        told = [*self.terms, "--ssv-operator-key", str(path), "--ssv-owner-nonce", str(nonce)]
        self.nodes[position].start(*told)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[SsvCluster]:
    made = SsvCluster(tmp_path)
    yield made
    made.close()


def test_a_ceremony_of_operators(cluster: SsvCluster) -> None:
    """One of them is killed when the others may have what it encrypted: it goes on with the same."""
    for position in range(4):
        cluster.start(position)
    cluster.nodes[2].kill_at("locksig")
    cluster.start(2)
    results = [node.result() for node in cluster.nodes]
    assert [code for code, _ in results] == [0] * 4, [node.said for node in cluster.nodes]
    files = [ssv.read_keyshares(node.folder / "keyshares.json") for node in cluster.nodes]
    for validators in files:
        assert [each.shares_data for each in validators] == [each.shares_data for each in files[0]]
        assert ssv.check_key_shares(validators) == [""] * 3
        assert [(each.owner_address, each.owner_nonce) for each in validators] == [
            (OWNER, NONCE + place) for place in range(3)
        ]
    opened = [ssv.open_key_shares(files[0], operator_id, key) for operator_id, key in KEYS.items()]
    assert [each.problems for each in opened] == [()] * 4
    shares = np.stack([each.key_shares for each in opened], axis=1)
    public_keys = [np.frombuffer(each.public_key, np.uint8) for each in files[0]]
    for some in ([0, 1, 2], [1, 2, 3]):
        secrets = recover_secret_keys(shares[:, some], [IDS[i] for i in some], threshold=3)
        np.testing.assert_array_equal(derive_public_keys(secrets), public_keys)
    for node in cluster.nodes:
        for ether in (1, 32):
            deposits = read_deposit_data(node.folder / deposit_file_name(ether * 10**9), network=HOODI)
            np.testing.assert_array_equal(deposits.public_keys, public_keys)
            assert not any(check_deposit_data(deposits))
        assert not (node.folder / KEYSTORES).exists()
        assert not (node.folder / LOCK_FILE).exists()


def test_the_key_of_another_operator(cluster: SsvCluster) -> None:
    """Who could have another key taken for an operator's would have its shares."""
    cluster.start(1, key=0)
    assert cluster.nodes[1].result()[0] == 1
    assert "--ssv-operator-key: not that of operator 17" in cluster.nodes[1].said


def test_operators_who_were_told_of_another_nonce(cluster: SsvCluster) -> None:
    for position in range(4):
        cluster.start(position, nonce=NONCE + (position == 3))
    results = [node.result() for node in cluster.nodes]
    assert [code for code, _ in results[:3]] == [4] * 3
    assert "has other options than this node" in cluster.nodes[0].said
    assert not any((node.folder / "keyshares.json").exists() for node in cluster.nodes)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (["--ssv-owner", "0x" + OWNER.hex()], "--ssv-operators (DVTFAST_SSV_OPERATORS)"),
        (["--protocol", "frost"], "charon makes no keys for SSV"),
    ],
)
def test_what_does_not_go_together(told: list[str], says: str, cluster: SsvCluster) -> None:
    all_of_it = [*cluster.terms, "--ssv-operator-key", cluster.keys[0]] if "frost" in told else []
    result = call("dkg", "--data-dir", cluster.nodes[0].folder, *all_of_it, *told)
    assert result.exit_code == 2
    assert says in result.output
