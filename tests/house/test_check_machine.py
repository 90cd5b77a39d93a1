"""What `make` says of a machine that lacks something, before it begins."""

import os
import socket
import subprocess
import sys
from contextlib import closing

import pytest

from tests.house.sources import ROOT

CC = os.environ.get("CC", "cc")


def check(python=sys.executable, compiler=CC, **environment):
    clean = {name: value for name, value in os.environ.items() if name.lower() != "https_proxy"}
    return subprocess.run(
        [ROOT / "scripts/check-machine", python, compiler],
        capture_output=True,
        text=True,
        check=False,
        env={**clean, **environment},
    )


@pytest.fixture
def nobody():
    """A port of this machine at which nobody answers."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_a_machine_that_lacks_nothing():
    done = check()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        (
            {"python": "no-such-python"},
            ["Python 3.11 or newer as 'no-such-python'", "make PYTHON=", "python3-dev"],
        ),
        ({"compiler": "no-such-cc"}, ["a C compiler as 'no-such-cc'", "make CC=", "apt install gcc"]),
        ({"python": "no-such-python", "compiler": "no-such-cc"}, ["Python 3.11", "a C compiler"]),
    ],
)
def test_what_lacks_is_named_with_its_packages(lacking, said):
    done = check(**lacking)
    assert done.returncode == 1
    assert done.stderr.startswith("This machine lacks:\n")
    assert all(words in done.stderr for words in said)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("form", ["http://me:secret@127.0.0.1:{}/", "127.0.0.1:{}"])
def test_a_proxy_that_is_not_there(name, form, nobody):
    done = check(**{name: form.format(nobody)})
    assert done.returncode == 1
    assert f"a proxy at 127.0.0.1:{nobody}, which {name} names" in done.stderr.replace("http://", "")
    assert "unset the variable" in done.stderr
    assert "secret" not in done.stderr


def test_what_is_no_proxy():
    done = check(HTTPS_PROXY="http://[nonsense")
    assert "HTTPS_PROXY names" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_proxy_that_is_there():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        done = check(HTTPS_PROXY=f"http://127.0.0.1:{server.getsockname()[1]}")
    assert (done.returncode, done.stderr) == (0, "")
