"""The demo with a chain as people run it, and what it does when something is missing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ..patience import PATIENCE_SECONDS

DEMO = [sys.executable, "-m", "dvtfast.services", "demo", "--chain"]
SECONDS = 450

pytestmark = pytest.mark.timeout(SECONDS + 30)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DEMO, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)


def test_both_ways(tmp_path: Path) -> None:
    """Twelve validators each way, with fewer nodes and oracles than usual."""
    work = tmp_path / "work"
    result = run(
        "--validators", "12", "--nodes", "3", "--threshold", "2", "--oracles", "4", "--oracle-threshold", "3",
        "--json", "--workdir", str(work),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["validators"] == 24
    assert summary["deposits"] == 24 + 4  # other people's
    assert summary["shares_proven"] == 24 * 4
    assert summary["harvested_ether"] == 64
    # Eleven that the stakers pay for, and one that the rewards pay for.
    assert [(way["validators"], way["batches"]) for way in summary["ways"]] == [(12, 2), (12, 2)]
    assert all(way["gas"] > 12 * 21_000 for way in summary["ways"])
    assert "never deposit for these keys" in result.stderr
    assert (
        len(list((work / "ipfs").iterdir())) >= 4
    )  # one for each batch, more where somebody had to begin again
    assert not _processes_in(work)


def test_it_says_what_does_not_go_together() -> None:
    result = run("--network", "gnosis")
    assert result.returncode == 2
    assert "--network: expected hoodi with --chain" in result.stderr
    result = run("--validators", "1")
    assert "--validators: expected at least 2 with --chain, got 1" in result.stderr


def test_a_machine_without_anvil(tmp_path: Path) -> None:
    """The message says what to do; nothing is left running."""
    code = (
        "from dvtfast.services.demo.world import anvil; anvil.binary = lambda: None;"
        "from dvtfast.services.__main__ import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "demo", "--chain", "--workdir", str(tmp_path / "work")],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "make build/anvil/made" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_stopping_it_stops_everything(tmp_path: Path) -> None:
    work = tmp_path / "work"
    command = [
        *DEMO,
        "--validators",
        "2",
        "--oracles",
        "2",
        "--oracle-threshold",
        "2",
        "--workdir",
        str(work),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (work / "relayer.log").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        demo.terminate()
        assert demo.communicate(timeout=SECONDS)[0].endswith("stopped\n")
    assert demo.returncode == 130
    assert not _processes_in(work)


def _processes_in(directory: Path) -> list[str]:
    """Those whose command names the directory, or that work in it, as anvil does."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes().decode(errors="replace")
            if str(directory) in text or (process / "fd/1").readlink().is_relative_to(directory):
                found.append(text)
        except OSError:
            continue
    return found
