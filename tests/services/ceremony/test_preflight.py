"""Whether a folder is fit for new keys."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dvtfast.obol import KEY_FILE, write_node_key
from dvtfast.services.ceremony import preflight
from dvtfast.services.ceremony.dealing import DealtCluster
from dvtfast.services.ceremony.folder import staging_of, write_node_files

from .dealt import CHEAP, result_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_node_key(tmp_path / KEY_FILE, b"\x07" * 32)
    return tmp_path


def problems(folder: Path, validators: int = 100) -> list[str]:
    return preflight.problems_of(folder, validators=validators, nodes=4, amounts=2)


def test_a_folder_that_is_fit(folder: Path) -> None:
    (folder / (KEY_FILE + ".lock")).touch()
    (folder / "cluster-definition.json").touch()
    assert problems(folder) == []
    assert len(list(folder.iterdir())) == 3  # what was tried is gone


@pytest.mark.parametrize(
    "name",
    [
        "validator_keys",
        "cluster-lock.json",
        "deposit-data.json",
        "deposit-data-1eth.json",
        "deposit-data.old",
    ],
)
def test_what_must_not_be_there(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    assert problems(folder) == [
        f"{folder / name}: is there already; move it away, or name another --data-dir"
    ]


def test_no_key(tmp_path: Path) -> None:
    (line,) = problems(tmp_path)
    assert line.startswith(f"{tmp_path / KEY_FILE}: no such file; make one with `dvtfast create enr`")
    (tmp_path / KEY_FILE).write_text("x")
    (line,) = problems(tmp_path)
    assert "expected a secp256k1 key, 64 hex digits" in line
    (line,) = problems(tmp_path / "none")
    assert line.startswith("no such directory: ")


def test_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1024**2))
    (line,) = problems(folder, validators=10_000)
    assert line == f"{folder}: its disk has 1 MiB left, and 141 MiB are needed"
    assert problems(folder, validators=10) == []


def test_a_folder_of_a_ceremony_that_was_about_to_end(folder: Path, dealt: DealtCluster) -> None:
    staging = staging_of(folder)
    write_node_files(staging.begin(b"here"), result_of(dealt, 0), CHEAP)
    staging.complete()
    assert problems(folder) == []  # whose files these are the ceremony knows
