"""The next validator index by several sources, which must tell the same: one that is wrong is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from ...process.offload import UnavailableError
from ..index_source import IndexUnknownError, NextIndex

T = TypeVar("T")

ATTEMPTS = 4  # of two sources to agree: a block may be known to one of them only
AGAIN_SECONDS = 3.0
FIND_OUT = "find out which node is wrong or behind: exits for a wrong index are worthless"


class AgreedIndex:
    """The index that deposits and a beacon node must both tell.

    Args:
        nodes: what may be said of those who are asked for each.
    """

    def __init__(self, deposits: NextIndex, beacon: NextIndex, *, nodes: Sequence[str] = ()) -> None:
        self._deposits = deposits
        self._beacon = beacon
        self._nodes = "; ".join(nodes)

    async def next_index(self, *, since: int = 0) -> int:
        """What both say, after a while if need be."""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(AGAIN_SECONDS)
            counted, told = await asyncio.gather(
                self._deposits.next_index(since=since), self._beacon.next_index(since=since)
            )
            if counted == told:
                return counted
        raise IndexUnknownError(
            f"the next validator index is {counted} by the deposits, {told} by the beacon node; {FIND_OUT}"
            + (f" ({self._nodes})" if self._nodes else "")
        )

    async def used(self, public_keys: Collection[bytes], *, since: int = 0) -> set[bytes]:
        """What either knows."""
        found = await asyncio.gather(
            self._deposits.used(public_keys, since=since), self._beacon.used(public_keys, since=since)
        )
        return set().union(*found)


class AgreedNodes:
    """The index that all beacon nodes must tell, as far as they answer; which of them do not is for the log.

    Args:
        sources: by the name of the node.
        awake: the names of those that are to be asked now.
    """

    def __init__(self, sources: Mapping[str, NextIndex], awake: Callable[[], Collection[str]]) -> None:
        self._sources = sources
        self._awake = awake

    async def next_index(self, *, since: int = 0) -> int:
        """What all of them say that answer, after a while if need be."""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(AGAIN_SECONDS)
            told = await self._each(lambda source: source.next_index(since=since))
            if len(set(told.values())) == 1:
                return next(iter(told.values()))
        indices = ", ".join(f"{index} by {name}" for name, index in told.items())
        raise IndexUnknownError(f"the next validator index is {indices}; {FIND_OUT}")

    async def used(self, public_keys: Collection[bytes], *, since: int = 0) -> set[bytes]:
        """What any of them knows."""
        told = await self._each(lambda source: source.used(public_keys, since=since))
        return set().union(*told.values())

    async def _each(self, ask: Callable[[NextIndex], Awaitable[T]]) -> dict[str, T]:
        """What each says that answers.

        Raises:
            UnavailableError: none does; the first one's error.
        """
        names = [name for name in self._sources if name in self._awake()]
        told = await asyncio.gather(*(ask(self._sources[name]) for name in names), return_exceptions=True)
        found, errors = {}, []
        for name, each in zip(names, told, strict=True):
            if isinstance(each, UnavailableError):
                errors.append(each)
            elif isinstance(each, BaseException):
                raise each
            else:
                found[name] = each
        if not found:
            raise errors[0]
        return found
