"""A plugin for pytest: lanes of AVX-512 IFMA are not found, as on another processor."""

from dvtfast import _backend
from dvtfast._native import lanes

found = lanes.find


def find(name: str) -> lanes.Lanes | None:
    return None if name == "ifma" else found(name)


lanes.find = _backend.find = find
_backend._BACKEND = _backend.choose("auto")
