"""Which backend computes: blst, or lanes of eight rows on AVX-512 IFMA. Results are the same, byte for byte.

The environment variable DVTFAST_BACKEND is read once, at import:

    auto   lanes where the processor has them and a batch is long enough to gain; else blst. The default.
    blst   never lanes
    ifma   lanes for every batch, also of one row; an error where there are none
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dvtfast._native.lanes import Lanes, find
from dvtfast.errors import InputError

VARIABLE = "DVTFAST_BACKEND"
NAMES = ("auto", "blst", "ifma")
# Rows from which on lanes are faster than blst; benchmarks/README.md says how they were measured.
CROSSOVERS = MappingProxyType(
    dict.fromkeys(("check", "decode", "hash", "recover", "sign"), 4)
    | {"generator": 16, "split": 2, "weighted_sum": 128}
)


@dataclass(frozen=True)
class BackendInfo:
    """What computes in this process.

    Attributes:
        name: "ifma" when lanes are used for batches that are long enough, else "blst".
        requested: what DVTFAST_BACKEND said: "auto", "blst" or "ifma".
        has_ifma: whether this build and processor have the lanes.
        crossovers: rows from which on an operation uses lanes; empty without lanes.
    """

    name: str
    requested: str
    has_ifma: bool
    crossovers: Mapping[str, int]


@dataclass(frozen=True)
class Backend:
    """Lanes, if any, and the rows from which on each operation uses them."""

    requested: str
    lanes: Lanes | None
    crossovers: Mapping[str, int]


def choose(requested: str) -> Backend:
    """The backend of this name.

    Raises:
        InputError: there is none, or not here.
    """
    if requested not in NAMES:
        raise InputError(f"{VARIABLE}: expected {', '.join(NAMES)}, got {requested!r:.80}")
    lanes = None if requested == "blst" else find("ifma")
    if requested == "ifma" and lanes is None:
        raise InputError(
            f"{VARIABLE}=ifma: this processor, system or build has no AVX-512 IFMA; use auto or blst"
        )
    if requested == "ifma":
        return Backend(requested, lanes, dict.fromkeys(CROSSOVERS, 1))
    return Backend(requested, lanes, CROSSOVERS if lanes else {})


_BACKEND = choose(os.environ.get(VARIABLE) or "auto")


def lanes_for(operation: str, rows: int) -> Lanes | None:
    """The lanes for a batch of so many rows, None for blst."""
    lanes = _BACKEND.lanes
    return lanes if lanes is not None and rows >= _BACKEND.crossovers[operation] else None


def backend_info() -> BackendInfo:
    """What computes in this process; DVTFAST_BACKEND chooses it."""
    name = "blst" if _BACKEND.lanes is None else _BACKEND.lanes.name
    return BackendInfo(name, _BACKEND.requested, find("ifma") is not None, dict(_BACKEND.crossovers))
