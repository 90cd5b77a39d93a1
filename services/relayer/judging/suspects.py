"""Share indices whose shares were bad lately: theirs are checked by themselves before they are used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from ..clusters.served import Group

GOOD_AGAIN = 512  # good shares in a row, and an index is no suspect any more
SUSPECTS_LIMIT = 512  # of one group, where anybody can make up share indices; the oldest go


class Suspects:
    """Who handed in bad shares, by group; each relayer learns it anew from the first bad ones it meets."""

    def __init__(self) -> None:
        self._good_since: defaultdict[Group, dict[int, int]] = defaultdict(dict)

    def of(self, group: Group) -> frozenset[int]:
        """The share indices that are suspects in this group."""
        return frozenset(self._good_since[group.base])

    def of_known(self) -> frozenset[int]:
        """Those of all groups whose public key shares are known."""
        known = (indices for group, indices in self._good_since.items() if group.knows_key_shares)
        return frozenset().union(*known)

    def note(self, group: Group, good: Mapping[int, int], bad: Iterable[int]) -> bool:
        """Learn how many shares of which index were good, and which had bad ones; whether one is new."""
        suspects, bad = self._good_since[group.base], set(bad)
        for index in suspects.keys() & good.keys() - bad:
            suspects[index] += good[index]
            if suspects[index] >= GOOD_AGAIN:
                del suspects[index]
        new = bad - suspects.keys()
        suspects |= dict.fromkeys(bad, 0)
        for index in list(suspects)[: max(0, len(suspects) - SUSPECTS_LIMIT)]:
            del suspects[index]
        return bool(new)
