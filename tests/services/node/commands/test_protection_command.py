"""What was signed is taken over from another signer, and handed to one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dvtfast.obol import KEY_FILE, read_node_key
from dvtfast.secp256k1 import IdentityKey
from dvtfast.services.chain.encoding import write_data
from dvtfast.services.cli import main
from dvtfast.services.node.cluster import read_cluster
from dvtfast.services.node.signing.record import SigningRecord
from dvtfast.services.settings import EXIT_CODE

from ...ceremony.dealt import a_cluster
from .processes import Nodes

ROOT, OTHER_ROOT = "0x" + "11" * 32, "0x" + "22" * 32
STRANGERS = ["0x" + "aa" * 48, "0x" + "bb" * 48]


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a node of a cluster with two validators."""
    return Nodes(tmp_path_factory.mktemp("cluster"), a_cluster(2)).folders[0]


@pytest.fixture(scope="module")
def keys(node_folder: Path) -> list[str]:
    """The public key shares of that node."""
    identity = IdentityKey(read_node_key(node_folder / KEY_FILE))
    members = read_cluster(node_folder / "cluster-lock.json", identity.public_key).members
    return [write_data(key.tobytes()) for key in members.keys.key_shares.encoded[:, members.position]]


def interchange(keys: list[str], root: str = ROOT) -> dict[str, Any]:
    return {
        "metadata": {"interchange_format_version": "5", "genesis_validators_root": root},
        "data": [
            {
                "pubkey": key,
                "signed_blocks": [{"slot": "81952"}],
                "signed_attestations": [{"source_epoch": "2290", "target_epoch": "3007"}],
            }
            for key in keys
        ],
    }


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["slashing-protection", *map(str, arguments)])


@pytest.fixture
def folder(node_folder: Path, keys: list[str], tmp_path: Path) -> Path:
    for name in ("cluster-lock.json", KEY_FILE):
        shutil.copy(node_folder / name, tmp_path)
    (tmp_path / "in.json").write_text(json.dumps(interchange(keys)))
    return tmp_path


def refused(result: Result) -> str:
    assert result.exit_code == EXIT_CODE, result.output
    (line,) = result.stderr.splitlines()
    return line.removeprefix("error: ")


def test_there_and_back(folder: Path, keys: list[str]) -> None:
    result = run("import", folder / "in.json", "--data-dir", folder)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == (
        f"2 blocks and 2 votes of 2 validators are in {folder}/slashing-protection.db, of the chain with"
        f" genesis validators root {ROOT}\n"
    )
    assert run("import", folder / "in.json", "--data-dir", folder).exit_code == 0  # once more
    result = run("export", folder / "out.json", "--data-dir", folder)
    assert result.exit_code == 0, result.stderr
    assert json.loads((folder / "out.json").read_text()) == interchange(keys)


def test_whose_chain_it_is(folder: Path, keys: list[str]) -> None:
    assert run("import", folder / "in.json", "--data-dir", folder).exit_code == 0
    (folder / "other.json").write_text(json.dumps(interchange(keys, OTHER_ROOT)))
    assert refused(run("import", folder / "other.json", "--data-dir", folder)) == (
        f"{folder}/other.json: genesis_validators_root: it is of another chain"
    )


def test_not_beside_a_node(folder: Path, keys: list[str]) -> None:
    """Which has the file for itself: what it signs next would be missing."""
    assert run("import", folder / "in.json", "--data-dir", folder).exit_code == 0
    key = np.frombuffer(bytes.fromhex(keys[0][2:]), np.uint8).reshape(1, 48)
    record = SigningRecord(folder / "slashing-protection.db", bytes.fromhex(ROOT[2:]), key)
    try:
        for command in ("import", "export"):
            assert "another node works with this" in refused(
                run(command, folder / "in.json", "--data-dir", folder)
            )
    finally:
        record.close()


def test_what_is_no_file_of_that_kind(folder: Path) -> None:
    assert refused(run("import", folder / "none.json", "--data-dir", folder)) == (
        f"{folder}/none.json: no such file"
    )
    (folder / "text.json").write_text("{}")
    assert refused(run("import", folder / "text.json", "--data-dir", folder)).startswith(
        f"{folder}/text.json: "
    )
    assert not (folder / "slashing-protection.db").exists()
    (folder / "slashing-protection.db").write_text("something else, and long enough to be taken for it")
    assert "slashing protection" in refused(run("import", folder / "in.json", "--data-dir", folder))


def test_nothing_is_written_over(folder: Path, keys: list[str]) -> None:
    assert refused(run("export", folder / "out.json", "--data-dir", folder)) == (
        f"{folder}/slashing-protection.db: no such file: nothing was signed here"
    )
    assert run("import", folder / "in.json", "--data-dir", folder).exit_code == 0
    assert "in.json: " in refused(run("export", folder / "in.json", "--data-dir", folder))
    assert json.loads((folder / "in.json").read_text()) == interchange(keys)


def test_a_file_that_protects_nothing_is_refused(folder: Path) -> None:
    """Of another node, or of whole validators: what this node signed would not be known."""
    (folder / "others.json").write_text(json.dumps(interchange(STRANGERS)))
    assert "none of its 2 keys is a key share of this node" in refused(
        run("import", folder / "others.json", "--data-dir", folder)
    )
    (folder / "nobody.json").write_text(json.dumps(interchange([])))
    assert "none of its 0 keys" in refused(run("import", folder / "nobody.json", "--data-dir", folder))
    assert not (folder / "slashing-protection.db").exists()


def test_who_is_not_in_a_file_is_told(folder: Path, keys: list[str]) -> None:
    (folder / "some.json").write_text(json.dumps(interchange([keys[0], *STRANGERS])))
    result = run("import", folder / "some.json", "--data-dir", folder)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines() == [
        "warning: 2 of these validators are no key shares of this node",
        "warning: of 1 of this node's 2 key shares the file has nothing",
    ]


@pytest.mark.parametrize("name", ["cluster-lock.json", KEY_FILE])
def test_without_what_says_whose_shares_they_are(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"{folder}/{name}: no such file" in refused(
        run("import", folder / "in.json", "--data-dir", folder)
    )
