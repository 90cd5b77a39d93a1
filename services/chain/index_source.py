"""Which index the next validator will get, and which keys have one already.

An exit is for one validator index; off by one, it is worthless. So the index is never guessed: it comes from
the deposits (deposits/scan.py), from a beacon node (index/by_beacon.py), from both, which must agree, or from
whoever knows it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from ..process.offload import UnavailableError


class IndexUnknownError(UnavailableError):
    """The next validator index cannot be told; the message says what to do, or that it takes a while."""


class BehindError(UnavailableError):
    """A node is behind the block that the index is wanted for; a moment later it may not be."""


def require_since(what: str, seen: int, since: int) -> None:
    """Raise BehindError where deposits were seen up to a block that is too early."""
    if seen < since:
        raise BehindError(f"{what}: expected all up to block {since}, got them up to {seen}: behind")


class NextIndex(Protocol):
    """A source of the next validator index."""

    async def next_index(self, *, since: int = 0) -> int:
        """The index that the validator of the next deposit of a new key gets, deposits that wait counted in.

        Args:
            since: a block of the execution chain whose deposits must be counted in.

        Raises:
            BehindError: they are not yet.
            UnavailableError: it cannot be told, or not now.
        """
        ...

    async def used(self, public_keys: Collection[bytes], *, since: int = 0) -> set[bytes]:
        """Those of these keys that have a validator, or a deposit that will make one.

        Args:
            since: as of `next_index`.

        Raises:
            UnavailableError: it cannot be told, or not now.
        """
        ...
