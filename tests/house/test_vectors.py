"""Each vector has a birth certificate, and is unchanged since."""

import re
from hashlib import sha256

import pytest

from tests.vector_files import VECTORS

ROWS = dict(
    re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (VECTORS / "SOURCES.md").read_text(), re.MULTILINE)
)


def digest(path):
    """SHA-256 of a file; of a folder, that of its sorted `sha256sum` lines."""
    if path.is_file():
        return sha256(path.read_bytes()).hexdigest()
    lines = sorted(f"{digest(f)}  {f.relative_to(path).as_posix()}\n" for f in path.rglob("*") if f.is_file())
    return sha256("".join(lines).encode()).hexdigest()


def test_every_vector_has_a_row():
    assert set(ROWS) == {path.name for path in VECTORS.iterdir()} - {"SOURCES.md"}


@pytest.mark.parametrize("name", ROWS)
def test_digest(name):
    assert digest(VECTORS / name) == ROWS[name]
