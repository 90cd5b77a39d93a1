"""All files or none: killed at every step, and what is in the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dvtfast import FileError
from dvtfast.services.ceremony.staging import ASIDE, MOVING, ORIGIN, WRITING, WRITTEN, Left, Staging
from tests.vector_files import VECTORS

ROOT = VECTORS.parent.parent
OURS, OTHERS = b"ours", b"others"


def test_killed_at_every_step(tmp_path: Path) -> None:
    """There is never a lock without the rest, and after `settle` there is all or none."""
    program = [sys.executable, "-m", "tests.services.ceremony.kill_at_every_step", str(tmp_path)]
    output = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stderr
    rows = [line.split() for line in output.stdout.splitlines()]
    assert len(rows) > 20
    assert [row[1] for row in rows] == ["1"] * (len(rows) - 1) + ["0"]
    assert {row[2] for row in rows} == {"none", "some", "all"}
    assert {row[4] for row in rows} == {"none", "all"}
    assert {row[5] for row in rows} == {"none", "all"}
    assert {row[6] for row in rows} == {"0"}
    kinds = [row[3] for row in rows]
    assert set(kinds) == {"NOTHING", "WRITTEN", "CONFIRMED", "PUBLISHED"}
    assert rows[-1][2:6] == ["all", "NOTHING", "all", "all"]
    # Before files are complete nothing comes of them; afterwards everything.
    first = next(place for place, kind in enumerate(kinds) if kind != "NOTHING")
    assert {row[5] for row in rows[:first]} == {"none"}
    assert {row[5] for row in rows[first:]} == {"all"}


def staged(directory: Path, *names: str) -> Staging:
    staging = Staging(directory, last=["lock"])
    writing = staging.begin(OURS)
    for name in names:
        (writing / name).write_text(name)
    return staging


def test_complete_files_wait(tmp_path: Path) -> None:
    staging = staged(tmp_path, "lock", "a")
    staging.complete()
    assert staging.settle() is Left.WRITTEN
    assert sorted(path.name for path in tmp_path.iterdir()) == [WRITTEN]
    with pytest.raises(FileError, match="has complete files of before"):
        staging.begin(OURS)
    staging.publish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "lock"]
    assert staging.settle() is Left.NOTHING


def test_what_is_confirmed_stays(tmp_path: Path) -> None:
    """Whoever comes after finds that it is to be published, and nobody throws it away."""
    staged(tmp_path, "lock", "a").complete()
    Staging(tmp_path).confirm()
    staging = Staging(tmp_path, last=["lock"])
    assert staging.settle() is Left.CONFIRMED
    assert staging.origin == OURS
    staging.discard(OURS)
    with pytest.raises(FileError, match="has complete files of before"):
        staging.begin(OURS)
    staging.publish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "lock"]


def test_thrown_away(tmp_path: Path) -> None:
    staging = staged(tmp_path, "lock")
    staging.complete()
    staging.discard(OURS)
    assert list(tmp_path.iterdir()) == []
    staged(tmp_path, "lock", "a").discard(OURS)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    """Also where nobody knows any more where it comes from."""
    staging = staged(tmp_path, "lock")
    staging.complete()
    staging.discard(OTHERS)
    with pytest.raises(FileError, match="has complete files of before"):
        staging.begin(OTHERS)
    assert (staging.origin, staging.settle()) == (OURS, Left.WRITTEN)
    (tmp_path / WRITTEN / ORIGIN).unlink()
    staging.discard(OURS)
    assert (staging.origin, staging.settle()) == (b"", Left.WRITTEN)
    assert (tmp_path / WRITTEN / "lock").exists()


def test_set_aside(tmp_path: Path) -> None:
    """Each time under a name of its own; then there is room for others."""
    (tmp_path / f"{ASIDE}2").mkdir()
    for number in (1, 3):
        staging = staged(tmp_path, f"lock {number}")
        staging.complete()
        assert staging.set_aside() == tmp_path / f"{ASIDE}{number}"
        assert staging.settle() is Left.NOTHING
    assert (tmp_path / f"{ASIDE}1" / "lock 1").exists()
    assert (tmp_path / f"{ASIDE}3" / "lock 3").exists()


def test_what_is_not_complete_is_nothing(tmp_path: Path) -> None:
    staged(tmp_path, "a")
    assert (tmp_path / WRITING / "a").read_text() == "a"
    assert Staging(tmp_path).settle() is Left.NOTHING
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    staging = staged(tmp_path, "lock", "a", "b")
    staging.complete()
    (tmp_path / "b").write_text("mine")
    with pytest.raises(FileError, match=r"/b: is there already, and new files wait in "):
        staging.publish()
    assert sorted(path.name for path in tmp_path.iterdir()) == [WRITTEN, "b"]
    # The same where it comes while files are moved: nothing more is, until somebody has looked.
    (tmp_path / WRITTEN).rename(tmp_path / MOVING)
    with pytest.raises(FileError, match="is there already"):
        staging.settle()
    (tmp_path / "b").unlink()
    assert staging.settle() is Left.PUBLISHED
    assert (tmp_path / "b").read_text() == "b"


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "none" / "at" / "all")
    assert staging.settle() is Left.NOTHING
    staging.discard(OURS)
    assert staging.begin(OURS).is_dir()
