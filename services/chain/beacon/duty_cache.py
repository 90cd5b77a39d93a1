"""Duties that need not be asked for again, until a reorganisation changes what they depend on.

Source: beacon API, `dependent_root` of duties; `head` events, which have those of two epochs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from ..encoding import HASH_BYTES, read_data
from .answers import uint64
from .client import BeaconError
from .duties import DutiesClient
from .duty_answers import AttesterDuty, Duties, ProposerDuty, SyncDuty

EPOCHS_KEPT: Final = 3

T = TypeVar("T")


class DutyCache:
    """Duties of some validators by epoch.

    Args:
        indices: of the validators; whoever has others makes another one.
    """

    def __init__(self, client: DutiesClient, indices: Sequence[int]) -> None:
        self._client = client
        self._indices = tuple(indices)
        self._attesters = _Kept[Duties[AttesterDuty]]()
        self._proposers = _Kept[Duties[ProposerDuty]]()
        self._members = _Kept[tuple[SyncDuty, ...]]()

    @property
    def is_old(self) -> bool:
        """Whether something is to be asked for again."""
        return bool(self._proposers.old or self._members.old)

    async def attesters(self, epoch: int) -> Duties[AttesterDuty]:
        """Of an epoch; raises as the client."""
        return await self._attesters.get(epoch, lambda: self._client.attester_duties(epoch, self._indices))

    async def proposers(self, epoch: int) -> Duties[ProposerDuty]:
        """Of an epoch; raises as the client."""
        return await self._proposers.get(epoch, lambda: self._client.proposer_duties(epoch))

    async def members(self, epoch: int) -> tuple[SyncDuty, ...]:
        """Of the sync committee in an epoch; raises as the client."""
        return await self._members.get(
            self._period(epoch), lambda: self._client.sync_duties(epoch, self._indices)
        )

    def begin(self, epoch: int) -> None:
        """An epoch begins.

        Who proposes in it may have depended on blocks that came since it was told. Sync committees stay, but
        what is wrong about one should not count for a day.
        """
        self._proposers.ask_again({epoch})
        self._members.ask_again({self._period(epoch), self._period(epoch + 1)})

    def saw_head(self, event: Mapping[str, Any]) -> set[int]:
        """Forget what a new head has made wrong; the epochs whose duties are to be asked for again.

        Args:
            event: the data of a `head` event; one that cannot be read changes nothing.
        """
        try:
            epoch = uint64("slot", event["slot"]) // self._client.chain.slots_per_epoch
            previous = read_data(event["previous_duty_dependent_root"], width=HASH_BYTES)
            current = read_data(event["current_duty_dependent_root"], width=HASH_BYTES)
        except (KeyError, ValueError, AttributeError, TypeError):
            return set()
        changed = set()
        for kept, of, root in (
            (self._attesters, epoch, previous),
            (self._attesters, epoch + 1, current),
            (self._proposers, epoch, current),
        ):
            if of in kept.known and kept.known[of].dependent_root != root:
                del kept.known[of]
                changed.add(of)
        if epoch in changed:  # what the epoch after stands on has changed, too
            for known in (self._attesters, self._proposers):
                if known.known.pop(epoch + 1, None) is not None:
                    changed.add(epoch + 1)
        return changed

    def _period(self, epoch: int) -> int:
        return epoch // self._client.chain.epochs_per_sync_committee_period


@dataclass
class _Kept(Generic[T]):
    """What was told, by epoch or period.

    Attributes:
        old: of which of it is asked for again; while nobody tells, it stays what it was.
    """

    known: dict[int, T] = field(default_factory=dict)
    old: set[int] = field(default_factory=set)

    async def get(self, key: int, ask: Callable[[], Awaitable[T]]) -> T:
        if key in self.known and key not in self.old:
            return self.known[key]
        try:
            told = await ask()
        except BeaconError:
            if key not in self.known:
                raise
            return self.known[key]
        self.old.discard(key)
        self.known.pop(key, None)
        self.known[key] = told
        for first in list(self.known)[:-EPOCHS_KEPT]:  # by when it was told: a clock may have been ahead
            del self.known[first]
        return told

    def ask_again(self, keys: set[int]) -> None:
        self.old = keys & self.known.keys()
