"""Programs that hold secrets are not dumped: no core file, no debugger of the same user."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import make_cluster
from ..relayer.clusters.test_clusters import write_lock

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the call is Linux's")

PR_GET_DUMPABLE = "import ctypes; print('dumpable', ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"


def is_dumpable_after(program: str, *arguments: str, directory: Path) -> bool:
    """Whether a process may be dumped that has run a program of ours to its end."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{PR_GET_DUMPABLE}", *arguments],
        cwd=directory,
        stdout=subprocess.PIPE,
        check=True,
    )
    last = done.stdout.splitlines()[-1]
    assert last in (b"dumpable 0", b"dumpable 1")
    return last == b"dumpable 1"


def test_what_is_asked_is_what_is_told(tmp_path: Path) -> None:
    assert is_dumpable_after("pass", directory=tmp_path)


def test_the_relayer(tmp_path: Path) -> None:
    """It ends at once, since its database is no file; the manager's key is read before."""
    lock = write_lock(tmp_path / "lock.json", make_cluster(1))
    (tmp_path / "oracles.json").write_text("{}")
    program = (
        "import sys; from dvtfast.services.settings import RelayerSettings as Settings;"
        "from dvtfast.services.relayer.app import run;"
        "flags = dict(network='hoodi', cluster_locks=[sys.argv[1]], oracles='oracles.json');"
        "assert run(Settings.load(flags, {}))"
    )
    assert not is_dumpable_after(program, str(lock.path), directory=tmp_path)


def test_commands_on_its_database_and_keys(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from dvtfast.services.relayer.database_commands import make_key;"
        "assert make_key(Path('storage.key')) == 0"
    )
    assert not is_dumpable_after(program, directory=tmp_path)


def test_every_service(tmp_path: Path) -> None:
    """The relayer, the sidecar and all of the operator's run in this way."""
    program = (
        "from dvtfast.services.process.running import run\n"
        "async def service(stop): return 0\n"
        "assert run(service) == 0"
    )
    assert not is_dumpable_after(program, directory=tmp_path)
