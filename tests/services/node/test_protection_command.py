"""What was signed is taken over from another signer, and handed to one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dvtfast.services.cli import main
from dvtfast.services.node.signing.record import SigningRecord
from dvtfast.services.settings import EXIT_CODE

ROOT, OTHER_ROOT = "0x" + "11" * 32, "0x" + "22" * 32
KEYS = ["0x" + "aa" * 48, "0x" + "bb" * 48]


def interchange(root: str = ROOT) -> dict[str, Any]:
    return {
        "metadata": {"interchange_format_version": "5", "genesis_validators_root": root},
        "data": [
            {
                "pubkey": key,
                "signed_blocks": [{"slot": "81952"}],
                "signed_attestations": [{"source_epoch": "2290", "target_epoch": "3007"}],
            }
            for key in KEYS
        ],
    }


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["slashing-protection", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in.json").write_text(json.dumps(interchange()))
    return tmp_path


def refused(result: Result) -> str:
    assert result.exit_code == EXIT_CODE, result.output
    (line,) = result.stderr.splitlines()
    return line.removeprefix("error: ")


def test_there_and_back(folder: Path) -> None:
    result = run("import", folder / "in.json", "--data-dir", folder)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == (
        f"2 blocks and 2 votes of 2 validators are in {folder}/slashing-protection.db, of the chain with"
        f" genesis validators root {ROOT}\n"
    )
    assert run("import", folder / "in.json", "--data-dir", folder).exit_code == 0  # once more
    result = run("export", folder / "out.json", "--data-dir", folder)
    assert result.exit_code == 0, result.stderr
    assert json.loads((folder / "out.json").read_text()) == interchange()


def test_whose_chain_it_is(folder: Path) -> None:
    assert run("import", folder / "in.json", "--data-dir", folder).exit_code == 0
    (folder / "other.json").write_text(json.dumps(interchange(OTHER_ROOT)))
    assert refused(run("import", folder / "other.json", "--data-dir", folder)) == (
        f"{folder}/other.json: genesis_validators_root: it is of another chain"
    )


def test_not_beside_a_node(folder: Path) -> None:
    """Which has the file for itself: what it signs next would be missing."""
    assert run("import", folder / "in.json", "--data-dir", folder).exit_code == 0
    keys = np.frombuffer(bytes.fromhex(KEYS[0][2:]), np.uint8).reshape(1, 48)
    record = SigningRecord(folder / "slashing-protection.db", bytes.fromhex(ROOT[2:]), keys)
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


def test_nothing_is_written_over(folder: Path) -> None:
    assert refused(run("export", folder / "out.json", "--data-dir", folder)) == (
        f"{folder}/slashing-protection.db: no such file: nothing was signed here"
    )
    assert run("import", folder / "in.json", "--data-dir", folder).exit_code == 0
    assert "in.json: " in refused(run("export", folder / "in.json", "--data-dir", folder))
    assert json.loads((folder / "in.json").read_text()) == interchange()
