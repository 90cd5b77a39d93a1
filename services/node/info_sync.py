"""What the nodes of a cluster can do, settled at the end of each epoch, and what follows from it.

Source: charon, core/infosync.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from dvtfast.duties.duty_types import DutyType
from dvtfast.protobuf import ProtobufError
from dvtfast.qbft import wire as consensus_wire
from dvtfast.qbft.messages import Duty

from ..process import logs
from ..process.offload import UnavailableError
from .priority import Priorities
from .slots import SlotClock
from .wire import partial_signatures, peer_info, priority
from .wire.priority import Topic

VERSION: Final = "version"
# Releases of charon whose messages this node reads and writes, the newest first.
VERSIONS: Final = tuple(f"v1.{minor}" for minor in range(11, -1, -1))
PROTOCOLS: Final = (
    consensus_wire.PROTOCOL,
    partial_signatures.PROTOCOL,
    peer_info.PROTOCOL,
    priority.PROTOCOL,
    priority.OLD_PROTOCOL,
)
MINOR_OF_VERSION: Final = re.compile(r"v(\d{1,9})\.(\d{1,9})")
PLURAL_CONTRIBUTIONS: Final = (1, 11)  # since which several contributions of a validator are one value
MOST_KEPT: Final = 4  # of what was settled; the last one counts, and duties of before are still on their way
MOST_DONE: Final = 64  # epochs that are not begun again when the clock is set back

log = logs.get("node")


def topics(*, builder: bool) -> tuple[Topic, ...]:
    """What this node says of itself.

    Args:
        builder: whether blocks of builders are wanted.
    """
    return (
        Topic(VERSION, VERSIONS),
        Topic("protocol", PROTOCOLS),
        Topic("proposal", ("builder", "full") if builder else ("full",)),
    )


class InfoSync:
    """What was settled last."""

    def __init__(self, priorities: Priorities, slots: SlotClock) -> None:
        self._priorities, self._slots = priorities, slots
        self._settled: dict[int, bool] = {}

    def plural_contributions(self, slot: int) -> bool:
        """Whether enough nodes read several sync contributions of one validator, as of a slot."""
        before = [each for each in self._settled if each <= slot]
        return bool(before) and self._settled[max(before)]

    async def run(self) -> None:
        """Settle it in the last slot of each epoch, until it is cancelled."""
        slots = self._slots
        done = deque([slots.slot()], maxlen=MOST_DONE)  # the slot in which it begins is nobody's
        async for slot in slots.slots():
            if slot + 1 == slots.first_slot(slots.epoch(slot) + 1) and slot not in done:
                done.append(slot)
                await self.settle(slot)

    async def settle(self, slot: int) -> None:
        """Do it once, for the last slot of an epoch."""
        try:
            found = await self._priorities.settle(Duty(slot, DutyType.INFO_SYNC))
        except (TimeoutError, ProtobufError, UnavailableError) as error:
            log.info("the nodes did not settle what they can do", slot=slot, why=str(error))
            return
        self._settled[slot] = knows_plural_contributions(found)
        self._settled = dict(sorted(self._settled.items())[-MOST_KEPT:])
        log.debug("the nodes settled what they can do", slot=slot, versions=list(found.get(VERSION, ())))


def knows_plural_contributions(settled: Mapping[str, Sequence[str]]) -> bool:
    """Whether a version is among what was settled that has several contributions in one value."""
    read = map(MINOR_OF_VERSION.fullmatch, settled.get(VERSION, ()))
    return any(
        found is not None and tuple(map(int, found.groups())) >= PLURAL_CONTRIBUTIONS for found in read
    )
