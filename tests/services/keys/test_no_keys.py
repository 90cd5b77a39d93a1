"""Why no key was found: what is there instead, and the reason of each file, many in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from dvtfast import DvtfastError, generate_secret_keys, keystores
from dvtfast.keystores import Pbkdf2
from dvtfast.services.cli import main
from dvtfast.services.keys.grouped_problems import grouped
from dvtfast.services.keys.key_shares import NoKeysError
from dvtfast.services.settings import SidecarSettings
from dvtfast.services.sidecar.nodes.obol import read_obol
from tests.vector_files import VECTORS

LOCK = VECTORS / "obol/synthetic/node0/cluster-lock.json"
CHEAP = Pbkdf2(count=10)


@pytest.fixture(scope="session")
def shares(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The keystores of each node, written anew at little cost."""
    nodes = []
    for node in range(2):
        loaded = keystores.load_keystores(VECTORS / f"obol/synthetic/node{node}/validator_keys")
        nodes.append(tmp_path_factory.mktemp("node"))
        keystores.write_keystores(nodes[-1], loaded.secret_keys, kdf=CHEAP)
    return nodes


def renamed(directory: Path, name: Callable[[int], str]) -> None:
    for i in range(3):
        (directory / f"keystore-{i}.json").rename(directory / name(i))


def no_passwords(directory: Path) -> None:
    for file in directory.glob("*.txt"):
        file.unlink()


def wrong_passwords(directory: Path) -> None:
    for file in directory.glob("*.txt"):
        file.unlink()
        file.write_text("another")


def launchpad(directory: Path) -> None:
    no_passwords(directory)
    renamed(directory, lambda i: f"keystore-m_12381_3600_{i}_0_0-1700000000.json")
    (directory / "password.txt").write_text("one for all")


def lighthouse(directory: Path) -> None:
    renamed(directory, lambda i: f"0x{i}.json")


def of_the_node(directory: Path) -> None:
    inner = directory / "validator_keys"
    inner.mkdir()
    for file in directory.glob("keystore-*"):
        file.rename(inner / file.name)


def of_the_cluster(directory: Path) -> None:
    for node in range(4):
        shutil.copytree(directory, directory / f"node{node}/validator_keys", ignore=lambda *_: [])
        for file in directory.glob("keystore-*"):
            if node == 3:
                file.unlink()


def empty(directory: Path) -> None:
    for file in directory.iterdir():
        file.unlink()


def of_others(directory: Path) -> None:
    empty(directory)
    keystores.write_keystores(directory, generate_secret_keys(3), kdf=CHEAP)


def mixed(directory: Path) -> None:
    (directory / "keystore-0.json").unlink()
    (directory / "keystore-0.json").write_text("")
    (directory / "keystore-1.txt").unlink()
    (directory / "keystore-2.txt").unlink()


WANTED = "the keystore's password is expected in it"
NO_SUCH = "none of 3 keystores can be used: {}/"
LAYOUTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no passwords": (
        no_passwords,
        f"{NO_SUCH}keystore-0.txt, keystore-1.txt, keystore-2.txt: no such file; {WANTED}",
    ),
    "wrong passwords": (
        wrong_passwords,
        f"{NO_SUCH}keystore-0.json, keystore-1.json, keystore-2.json: wrong password",
    ),
    "launchpad": (
        launchpad,
        f"{NO_SUCH}keystore-m_12381_3600_0_0_0-1700000000.txt, keystore-m_12381_3600_1_0_0-1700000000.txt,"
        f" keystore-m_12381_3600_2_0_0-1700000000.txt: no such file; {WANTED};"
        " password.txt is none of a keystore: copy it for each",
    ),
    "other names": (
        lighthouse,
        "{}: no keystore-*.json here; there is 0x0.json, 0x1.json, 0x2.json; the names of keystores begin"
        " with keystore-",
    ),
    "the node's directory": (
        of_the_node,
        "{}: no keystore-*.json here; validator_keys has some: give that directory instead",
    ),
    "the cluster's directory": (
        of_the_cluster,
        "{}: no keystore-*.json here; node0/validator_keys, node1/validator_keys, node2/validator_keys and 1"
        " more have some: give that directory instead",
    ),
    "empty": (empty, "{}: no keystore-*.json here; the directory is empty"),
    "of another cluster": (
        of_others,
        "none of 3 keystores is a key share of any node of 'dvtfast synthetic', which has nodes 0..3:"
        " {}/keystore-0.json, {}/keystore-1.json, {}/keystore-2.json: its key is no share of the cluster"
        " 'dvtfast synthetic'",
    ),
    "this and that": (
        mixed,
        f"{NO_SUCH}keystore-1.txt, keystore-2.txt: no such file; {WANTED};"
        " {}/keystore-0.json: not JSON: the file is empty",
    ),
}


@pytest.mark.parametrize(("make", "says"), LAYOUTS.values(), ids=LAYOUTS)
def test_the_sidecar_says_what_is_there(
    make: Callable[[Path], None], says: str, shares: list[Path], tmp_path: Path
) -> None:
    directory = tmp_path / "keys"
    shutil.copytree(shares[0], directory)
    make(directory)
    with pytest.raises((NoKeysError, DvtfastError)) as caught:
        read_obol(sidecar(directory))
    assert str(caught.value) == says.replace("{}", str(directory))


def test_the_node_that_was_meant(shares: list[Path], tmp_path: Path) -> None:
    with pytest.raises(
        NoKeysError, match=r"key share of node 0 of .*: it is a key share of node 1, not of node 0"
    ):
        read_obol(sidecar(shares[1], node_indices="0"))


def test_many_files_are_few_lines(tmp_path: Path) -> None:
    keystores.write_keystores(tmp_path / "keys", generate_secret_keys(50), kdf=CHEAP)
    no_passwords(tmp_path / "keys")
    done = CliRunner().invoke(main, ["keys", "export", str(tmp_path / "keys"), str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "keystore-0.txt, keystore-1.txt, keystore-2.txt and 47 more: no such file" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("none of its keystores can be used")
    assert not (tmp_path / "out").exists()


def test_grouping() -> None:
    assert grouped([]) == []
    assert grouped([("a", "x"), ("b", "y"), ("c", "y")]) == ["b, c: y", "a: x"]


def sidecar(directory: Path, **more: str) -> SidecarSettings:
    flags = {
        "network": "hoodi",
        "relayers": ["http://127.0.0.1:1"],
        "cluster_lock": str(LOCK),
        "keystores": str(directory),
        "no_key_cache": "true",
        **more,
    }
    return SidecarSettings.load(flags, {})
