"""Turns the statuses of a kernel into exceptions."""

from __future__ import annotations

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast._native.status import Status
from dvtfast.errors import EncodingError

# Looking up a member of an enum of Cython's takes microseconds.
OK = int(Status.OK)

_WORDS = {
    Status.BAD_ENCODING: "bad encoding",
    Status.NOT_ON_CURVE: "not on the curve",
    Status.NOT_IN_GROUP: "not in the subgroup",
    Status.IS_INFINITY: "infinity",
    Status.BAD_SCALAR: "not a scalar of 1..r-1",
}


def require_ok(name: str, status: Bytes) -> None:
    """Raise EncodingError for the rows that are not OK."""
    bad = np.flatnonzero(status != OK)
    if bad.size:
        words = [words_of(status[i]) for i in bad]
        raise EncodingError(f"{name}: {bad.size} of {status.size} rows are invalid", bad.tolist(), words)


def words_of(status: int | np.uint8) -> str:
    """What a status that is not OK says of its row."""
    return _WORDS.get(Status(int(status)), f"unexpected status {status}")
