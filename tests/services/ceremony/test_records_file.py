"""What a node must know again: there to the last byte, or said to be damaged; never a shorter one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvtfast.services.ceremony.errors import CeremonyError
from dvtfast.services.ceremony.running.records_file import (
    FOLDER,
    HEAD_BYTES,
    RecordsFile,
    _records_of,
    read_records,
)

HASH = bytes(range(32))


def test_what_was_recorded_is_there_again(tmp_path: Path) -> None:
    records = RecordsFile.open(tmp_path, HASH)
    assert (records.attempt, records.written) == (0, ())
    for content in (b"one", b"", b"three" * 1000):
        records.append(content)
    records.close()
    again = RecordsFile.open(tmp_path, HASH)
    assert (again.attempt, again.written) == (0, (b"one", b"", b"three" * 1000))


def written_to(directory: Path, *contents: bytes) -> Path:
    """The file of an attempt with these records."""
    records = RecordsFile.open(directory, HASH)
    for content in contents:
        records.append(content)
    records.close()
    return records.path


@pytest.mark.parametrize("cut", range(17))
def test_half_a_record_was_not_recorded(tmp_path: Path, cut: int) -> None:
    """It counts when the head says so, which is written when it is on the disk."""
    file = written_to(tmp_path, b"whole")
    head = file.read_bytes()[:HEAD_BYTES]
    content = written_to(tmp_path, b"half").read_bytes()
    file.write_bytes(head + content[HEAD_BYTES : len(content) - cut])
    again = RecordsFile.open(tmp_path, HASH)
    assert again.written == (b"whole",)
    again.append(b"other")
    again.close()
    assert RecordsFile.open(tmp_path, HASH).written == (b"whole", b"other")


def test_no_damage_is_a_shorter_file(tmp_path: Path) -> None:
    """Any byte of what counts, or of what says so; and any end that is missing."""
    file = written_to(tmp_path, b"one", b"two")
    content = file.read_bytes()
    for place in range(len(content)):
        for flip in (1, 0x80, 0xFF):
            wrong = bytearray(content)
            wrong[place] ^= flip
            file.write_bytes(wrong)
            with pytest.raises(CeremonyError, match="damaged"):
                RecordsFile.open(tmp_path, HASH)
            assert file.read_bytes() == wrong, "nothing of it is dropped"
    for end in range(HEAD_BYTES, len(content)):
        file.write_bytes(content[:end])
        with pytest.raises(CeremonyError, match="damaged"):
            RecordsFile.open(tmp_path, HASH)


@given(st.binary(max_size=100))
def test_noise_is_no_records(noise: bytes) -> None:
    with suppress(ValueError):
        assert _records_of(noise) == ((), 0)


@pytest.mark.parametrize("zeros", range(0, 50, 7))
def test_what_was_being_erased_is_erased(tmp_path: Path, zeros: int) -> None:
    """Its head first, so that no half of it is taken for damage."""
    records = RecordsFile.open(tmp_path, HASH)
    records.append(b"secret")
    records._write_head(0)
    records._write(HEAD_BYTES, bytes(min(zeros, records.path.stat().st_size - HEAD_BYTES)))
    records.close()
    assert RecordsFile.open(tmp_path, HASH).attempt == 1
    assert records.path.read_bytes() == b""


def test_what_is_set_aside_is_kept_and_its_number_used(tmp_path: Path) -> None:
    records = RecordsFile.open(tmp_path, HASH)
    records.append(b"secret")
    aside = records.set_aside()
    assert read_records(aside) == (b"secret",)
    again = RecordsFile.open(tmp_path, HASH)
    assert (again.attempt, again.written) == (1, ())
    again.append(b"other")
    again.close()
    assert RecordsFile.open(tmp_path, HASH, least_attempt=3).attempt == 3
    names = [file.name.partition("-")[2] for file in (tmp_path / FOLDER).iterdir()]
    assert sorted(names) == ["0.aside", "1.aside", "3"]


def test_what_to_do_about_damage_uses_no_number_twice(tmp_path: Path) -> None:
    """Two messages for one attempt are a proof of guilt: so the file is not moved away."""
    file = written_to(tmp_path, b"hello")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(CeremonyError, match=r"over, add \.aside to its name: docs/dkg\.md"):
        RecordsFile.open(tmp_path, HASH)
    file.rename(file.with_name(file.name + ".aside"))
    assert RecordsFile.open(tmp_path, HASH).attempt == 1


def test_an_attempt_is_used_once(tmp_path: Path) -> None:
    for attempt in range(3):
        records = RecordsFile.open(tmp_path, HASH)
        assert records.attempt == attempt
        records.append(b"secret")
        records.erase()
    assert [file.read_bytes() for file in (tmp_path / FOLDER).iterdir()] == [b""] * 3
    assert RecordsFile.open(tmp_path, HASH, least_attempt=7).attempt == 7
    assert RecordsFile.open(tmp_path, bytes(32)).attempt == 0
