"""What is in a directory that has no keystores: often they are one directory further, or have other names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

IS_KEYSTORE: Final = re.compile(r"keystore-.*\.json", re.DOTALL)
DEPTH: Final = 2  # a cluster's directory has node0/validator_keys
MOST_ENTRIES: Final = 1000  # of a directory that are looked at
SHOWN: Final = 3


def what_is_there(directory: Path) -> str:
    """In words, what to do when a directory has no keystore."""
    if below := _with_keystores(directory, DEPTH):
        names = [str(path.relative_to(directory)) for path in below]
        return f"{names_of(names)} {'has' if len(names) == 1 else 'have'} some: give that directory instead"
    names = sorted(entry.name for entry in _entries(directory))
    if not names:
        return "the directory is empty"
    json = [name for name in names if name.endswith(".json")]
    return f"there is {names_of(json or names)}; the names of keystores begin with keystore-"


def names_of(names: Sequence[str]) -> str:
    """A few of many names."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _with_keystores(directory: Path, depth: int) -> list[Path]:
    """Directories below this one that have keystores, in the order of their names."""
    found: list[Path] = []
    for entry in sorted(_entries(directory), key=lambda entry: entry.name):
        with suppress(OSError):
            if not entry.is_dir():
                continue
            path = directory / entry.name
            if any(IS_KEYSTORE.fullmatch(inner.name) for inner in _entries(path)):
                found.append(path)
            elif depth > 1:
                found += _with_keystores(path, depth - 1)
    return found


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    """The first of them; none of what cannot be read."""
    with suppress(OSError), os.scandir(directory) as entries:
        return list(islice(entries, MOST_ENTRIES))
    return []
