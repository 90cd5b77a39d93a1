"""Which backend computes, and that each does."""

import os
import subprocess
import sys

import numpy as np
import pytest

import dvtfast
from dvtfast import InputError, _backend
from dvtfast._native.lanes import Lanes, find
from tests.backends import NO_IFMA, ON_EACH_BACKEND, lanes_named, use_backend
from tests.samples import make_cluster

CLUSTER = make_cluster(9, threshold=3, share_indices=(1, 2, 3, 4))


def run_all():
    """Every operation that has lanes."""
    keys = dvtfast.PublicKeys(CLUSTER.public_keys)
    assert np.array_equal(dvtfast.sign(CLUSTER.secret_keys, CLUSTER.signing_roots), CLUSTER.signatures)
    dvtfast.verify_signatures(keys, CLUSTER.signing_roots, CLUSTER.signatures, threads=1)
    found = dvtfast.recover_and_check(
        keys, CLUSTER.signing_roots, CLUSTER.partial_signatures, [1, 2, 3, 4], threshold=3, threads=1
    )
    assert np.array_equal(found.signatures, CLUSTER.signatures)


def test_the_checked_lanes_check(monkeypatch):
    """Millions of operands: so they did the work, and not blst."""
    use_backend("checked", monkeypatch)
    lanes = lanes_named("checked")
    before = lanes.checks
    run_all()
    assert lanes.checks - before > 10_000_000
    use_backend("blst", monkeypatch)
    before = lanes.checks
    run_all()
    assert lanes.checks == before


@ON_EACH_BACKEND
def test_tests_run_on_the_backend_that_they_ask_for(backend):
    assert dvtfast.backend_info().name == backend
    run_all()


def test_auto_uses_lanes_from_the_crossover_on(monkeypatch):
    monkeypatch.setattr(_backend, "_BACKEND", _backend.choose("auto"))
    info = dvtfast.backend_info()
    assert info.requested == "auto"
    if find("ifma") is None:
        assert (info.name, info.crossovers) == ("blst", {})
        assert _backend.lanes_for("recover", 10**6) is None
        pytest.skip(NO_IFMA)
    assert (info.name, info.has_ifma) == ("ifma", True)
    for operation, rows in info.crossovers.items():
        assert _backend.lanes_for(operation, rows - 1) is None
        assert _backend.lanes_for(operation, rows).name == "ifma"


def test_blst_uses_none(monkeypatch):
    monkeypatch.setattr(_backend, "_BACKEND", _backend.choose("blst"))
    info = dvtfast.backend_info()
    assert (info.name, info.requested, info.crossovers) == ("blst", "blst", {})
    assert all(_backend.lanes_for(operation, 10**6) is None for operation in _backend.CROSSOVERS)


def test_other_names_are_refused():
    with pytest.raises(InputError, match="DVTFAST_BACKEND: expected auto, blst, ifma, got 'avx'"):
        _backend.choose("avx")


def test_ifma_is_an_error_where_there_is_none(monkeypatch):
    monkeypatch.setattr(_backend, "find", lambda name: None)
    with pytest.raises(InputError, match="DVTFAST_BACKEND=ifma: this processor"):
        _backend.choose("ifma")
    assert _backend.choose("auto").lanes is None


def test_lanes_of_no_name():
    assert find("scalar") is None
    with pytest.raises(ValueError, match="none are named 'scalar' here"):
        Lanes("scalar")


@pytest.mark.parametrize("name", ["auto", "blst", "ifma"])
def test_the_variable_is_read_at_import(name):
    if name == "ifma":
        lanes_named(name)
    script = "import dvtfast; info = dvtfast.backend_info(); print(info.requested, info.name)"
    environment = {**os.environ, "DVTFAST_BACKEND": name}
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    expected = {"auto": "blst" if find("ifma") is None else "ifma"}.get(name, name)
    assert run.stdout.split() == [name, expected]


def run_without_ifma(*tests):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.without_ifma",
        "--no-skips",
        "-q",
        *map(str, tests),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_skips_without_ifma_alone_fail_no_run(tmp_path):
    needs_it = "tests/property/test_lanes.py::test_edge_weights", "tests/fuzz/test_lanes_points.py::test_psi"
    done = run_without_ifma(*needs_it)
    assert done.returncode == 0, done.stdout
    assert NO_IFMA in done.stdout
    assert "4 passed, 4 skipped" in done.stdout

    other = tmp_path / "test_other.py"
    other.write_text("import pytest\n\ndef test_other():\n    pytest.skip('no such thing here')\n")
    assert run_without_ifma(*needs_it, other).returncode == pytest.ExitCode.TESTS_FAILED
