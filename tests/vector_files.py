"""Reading the pinned vectors in tests/vectors."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).parent / "vectors"
# Figures that come from charon's own files are not ours to give away; who has them names their folder.
GIVEN = "DVTFAST_VECTORS"
NOT_GIVEN = f"{GIVEN} names no folder with figures of others"


def load(name: str) -> Any:
    """The JSON content of one vector file."""
    return json.loads((VECTORS / name).read_text())


def given(name: str) -> Path:
    """A file or folder of others' figures; the test is skipped where nobody has them."""
    folder = os.environ.get(GIVEN, "")
    if not folder:
        pytest.skip(NOT_GIVEN)
    path = Path(folder) / name
    assert path.exists(), f"{GIVEN}: no {name} in it"
    return path


def cases(items: Any, name_of: Any) -> list[Any]:
    """One pytest parameter with its own id per vector; none at all is a failure."""
    items = list(items)
    assert items, "no vectors found"
    return [pytest.param(item, id=name_of(item)) for item in items]


def suite(folder: str) -> list[Any]:
    """The cases of one folder of the public BLS suite, as (input, output)."""
    files = sorted((VECTORS / "bls12-381-tests" / folder).glob("*.json"))
    assert files, f"no vectors found in {folder}"
    contents = [json.loads(file.read_text()) for file in files]
    return [
        pytest.param(content["input"], content["output"], id=file.stem)
        for file, content in zip(files, contents, strict=True)
    ]


def unhex(text: str) -> bytes:
    """Bytes of a hex string with or without 0x."""
    return bytes.fromhex(text.removeprefix("0x"))
