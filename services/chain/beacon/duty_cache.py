"""Duties that need not be asked for again, until a reorganisation changes what they depend on.

Source: beacon API, `dependent_root` of duties; `head` events, which have those of two epochs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from ..encoding import HASH_BYTES, read_data
from .answers import uint64
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
        self._attesters: dict[int, Duties[AttesterDuty]] = {}
        self._proposers: dict[int, Duties[ProposerDuty]] = {}
        self._members: dict[int, tuple[SyncDuty, ...]] = {}

    async def attesters(self, epoch: int) -> Duties[AttesterDuty]:
        """Of an epoch; raises as the client."""
        return await _kept(self._attesters, epoch, lambda: self._client.attester_duties(epoch, self._indices))

    async def proposers(self, epoch: int) -> Duties[ProposerDuty]:
        """Of an epoch; raises as the client."""
        return await _kept(self._proposers, epoch, lambda: self._client.proposer_duties(epoch))

    async def members(self, epoch: int) -> tuple[SyncDuty, ...]:
        """Of the sync committee in an epoch; raises as the client."""
        period = epoch // self._client.chain.epochs_per_sync_committee_period
        return await _kept(self._members, period, lambda: self._client.sync_duties(epoch, self._indices))

    def begin(self, epoch: int) -> None:
        """An epoch begins. Who proposes in it may have depended on blocks that came since it was told."""
        self._proposers.pop(epoch, None)

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
            if of in kept and kept[of].dependent_root != root:
                del kept[of]
                changed.add(of)
        if epoch in changed:  # what the epoch after stands on has changed, too
            for known in (self._attesters, self._proposers):
                if known.pop(epoch + 1, None) is not None:
                    changed.add(epoch + 1)
        return changed


async def _kept(kept: dict[int, T], key: int, ask: Callable[[], Awaitable[T]]) -> T:
    if key not in kept:
        kept[key] = await ask()
        for old in list(kept)[:-EPOCHS_KEPT]:  # by when they were asked for: a clock may have been ahead
            del kept[old]
    return kept[key]
