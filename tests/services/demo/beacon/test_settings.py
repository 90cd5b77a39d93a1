"""What the chain is told, wrongly: the message says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from dvtfast.services.demo.beacon.settings import read_validators

KEY = "0x" + "11" * 48


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{KEY}\n0x12\n", "key 2: expected 48 bytes"),
        ("", "expected public keys, each once"),
        (f"{KEY}\n{KEY}\n", "expected public keys, each once"),
    ],
)
def test_files_of_keys_that_are_none(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "validators.txt"
    file.write_text(text)
    with pytest.raises(ValueError, match=problem) as caught:
        read_validators(file)
    assert str(file) in str(caught.value)
