"""Writing files whole or not at all, and what works without the extras."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dvtfast import FileError
from dvtfast._files import write_json, write_text
from dvtfast.files import read_bytes, read_start, read_text
from tests.vector_files import VECTORS

READ_WITH_NUMPY_ONLY = """
import sys
for name in ("coincurve", "cryptography", "Crypto"):
    sys.modules[name] = None
from dvtfast import MissingExtraError, keystores
from dvtfast.clusters import read_cluster_lock, read_ssv_keyshares
from dvtfast.deposits import check_deposit_data, read_deposit_data
from dvtfast.protocol_config import read_oracle_config
from pathlib import Path

vectors = Path(sys.argv[1])
lock = vectors / "obol/synthetic/node0/cluster-lock.json"
read_cluster_lock(lock, check=False)
read_ssv_keyshares(vectors / "ssv/keyshares.json", check=False)
assert check_deposit_data(read_deposit_data(vectors / "obol/synthetic/node0/deposit-data.json")) == [[]] * 3
for read in (
    lambda: read_cluster_lock(lock),
    lambda: read_ssv_keyshares(vectors / "ssv/keyshares.json"),
    lambda: read_oracle_config(vectors / "protocol_config_sample.json"),
    lambda: keystores.encrypt(bytes(32), "p", kdf=keystores.PBKDF2_INSECURE),
):
    try:
        read()
    except MissingExtraError as error:
        print(error)
"""


def test_deposits_and_what_is_unchecked_need_numpy_only():
    done = subprocess.run(
        [sys.executable, "-c", READ_WITH_NUMPY_ONLY, VECTORS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("pip install 'dvtfast[files]'") == 4


def test_written_file_has_its_mode_and_nothing_is_left(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "first", mode=0o400)
    assert path.stat().st_mode & 0o777 == 0o400
    write_text(path, "second\n", mode=0o600, durable=False)
    assert path.read_text() == "second\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    (tmp_path / "directory").mkdir()
    with pytest.raises(IsADirectoryError):
        write_json(tmp_path / "directory", {})
    assert path.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [tmp_path / "directory", path]


def test_a_file_of_many_gigabytes_is_not_read_to_refuse_it(tmp_path, monkeypatch):
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, 10 * 1024**3)
    monkeypatch.setattr(os, "read", None)
    with pytest.raises(FileError, match=r"large: expected at most 1000 bytes"):
        read_bytes(path, limit_bytes=1000)


def test_a_file_of_which_the_system_does_not_say_how_long_it_is():
    """All of it is read, or it is refused: never its first byte only."""
    path = Path("/proc/self/status")
    assert path.stat().st_size == 0
    text = read_text(path, limit_bytes=100_000)
    assert text.startswith("Name:")
    assert text.endswith("\n")
    assert read_start(path, most_bytes=7) == text.encode()[:7]
    with pytest.raises(FileError, match="expected at most 7 bytes"):
        read_bytes(path, limit_bytes=7)
