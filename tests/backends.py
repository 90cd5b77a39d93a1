"""The backends that tests run on: blst, the lanes, and their build in portable C that checks every operand.

A module says `pytestmark = ON_EACH_BACKEND`, and all its tests run on each, on the checked build with those
that are thorough; a test that would take minutes on it, and shows nothing there that another does not, says
`@ON_FAST_BACKENDS`.
"""

import pytest

from dvtfast import _backend
from dvtfast._native.lanes import Lanes, find

BACKENDS = ("blst", "ifma", "checked")
ON_EACH_BACKEND = pytest.mark.on_each_backend
ON_FAST_BACKENDS = pytest.mark.on_each_backend("blst", "ifma")
NO_IFMA = "this processor, system or build has no AVX-512 IFMA"


def lanes_named(name: str) -> Lanes:
    """The lanes of this name; skips the test where the processor has none."""
    lanes = find(name)
    if lanes is None and name == "ifma":
        pytest.skip(NO_IFMA)
    assert lanes, "the checked lanes are not built: pip install -e ."
    return lanes


def use_backend(name: str, monkeypatch: pytest.MonkeyPatch, *, least_rows: int = 1) -> None:
    """All batches of at least so many rows go through this backend, others through blst."""
    lanes = None if name == "blst" else lanes_named(name)
    crossovers = {} if lanes is None else dict.fromkeys(_backend.CROSSOVERS, least_rows)
    monkeypatch.setattr(_backend, "_BACKEND", _backend.Backend(name, lanes, crossovers))
