"""What is to be done when: each flow is started at its moment, ended at its deadline, and then forgotten.

Duties of an epoch are asked for in the last slots of the epoch before, again when it begins, and whenever a
new head shows that the chain was reorganised. What was planned with others is planned anew, unless it has
begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dvtfast.qbft.messages import Duty

from ..chain.beacon.client import BeaconError
from ..process import logs
from ..process.background import for_ever, in_background, start_task
from .flows.preparing import prepare
from .flows.timetable import FLOWS, Flow
from .parts import NodeParts
from .validators import EpochDuties, Validators

SLOTS_EARLY: Final = 2  # before an epoch begins, in which its duties are asked for
EPOCHS_TOLD: Final = 4  # for which it is known how duties went
MOST_BEGUN: Final = 8192  # duties that are remembered as begun; of some hours
TOPICS: Final = ("head",)

log = logs.get("node")


@dataclass(frozen=True, eq=False)
class _Planned:
    """A flow of a slot, under way or to come."""

    duties: Sequence[Any]
    fixed_at: float  # from then on it stays as it is
    task: asyncio.Task[None]


class Scheduler:
    """All duties of one node."""

    def __init__(self, node: NodeParts, validators: Validators, flows: Sequence[Flow] = FLOWS) -> None:
        self._node, self._validators, self._flows = node, validators, flows
        self._known: dict[int, EpochDuties] = {}
        self._resolving: dict[int, asyncio.Task[None]] = {}
        self._changed: set[int] = set()  # epochs whose duties a head changed while they were asked for
        self._planned: dict[Duty, _Planned] = {}
        self._preparing: dict[int, asyncio.Task[None]] = {}
        self._begun: dict[Duty, None] = {}  # oldest first; a clock that is set back begins none again
        self._seen: int | None = None

    @property
    def seen(self) -> int | None:
        """The slot that came last; None: none yet."""
        return self._seen

    @property
    def known(self) -> dict[int, EpochDuties]:
        """The duties of this and the next epoch, as far as they are known."""
        return dict(self._known)

    async def run(self) -> None:
        """Do all duties from the next slot on, until it is cancelled."""
        slots = self._node.slots
        async with in_background(for_ever(self._listen)):
            try:
                async for slot in slots.slots():
                    if self._seen is not None and slot < self._seen:
                        self._begin_anew()
                    self._seen, epoch = slot, slots.epoch(slot)
                    if slot == slots.first_slot(epoch):
                        self._validators.begin(epoch)
                        self._resolve(epoch)
                    elif not self._knows(epoch):
                        self._resolve(epoch)
                    if slot + SLOTS_EARLY >= slots.first_slot(epoch + 1) and not self._knows(epoch + 1):
                        self._resolve(epoch + 1)
                    self._forget(slot, epoch)
            finally:
                tasks = [*self._resolving.values(), *self._preparing.values()]
                tasks += [each.task for each in self._planned.values()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        """Ask for duties again that a new head has changed."""
        async for event in self._node.beacon.events(TOPICS):
            for epoch in sorted(self._validators.saw_head(event.data)):
                log.info("duties have changed", epoch=epoch, node=event.node)
                if epoch in self._resolving:
                    self._changed.add(epoch)
                self._resolve(epoch)

    # Duties.

    def _knows(self, epoch: int) -> bool:
        return epoch in self._known and self._known[epoch].is_whole

    def _resolve(self, epoch: int) -> None:
        """Find out the duties of an epoch, unless that is being done."""
        if epoch not in self._resolving:
            task = self._resolving[epoch] = start_task(self._plan_epoch(epoch))
            task.add_done_callback(lambda task: self._resolved(epoch, task))

    def _resolved(self, epoch: int, task: asyncio.Task[None]) -> None:
        """Once more if what was told may be that of before."""
        self._resolving.pop(epoch, None)
        is_changed = epoch in self._changed
        self._changed.discard(epoch)
        if is_changed and not task.cancelled():
            self._resolve(epoch)

    async def _plan_epoch(self, epoch: int) -> None:
        before = self._known.get(epoch)
        try:
            duties = self._known[epoch] = await self._validators.duties(epoch)
        except BeaconError as error:  # it is asked for again in the next slot
            log.warning("duties are not known", epoch=epoch, error=str(error))
            return
        if epoch not in self._preparing or (before is not None and before.members != duties.members):
            if epoch in self._preparing:
                self._preparing[epoch].cancel()
            members = [member for each in duties.members.values() for member in each]
            self._preparing[epoch] = start_task(
                prepare(self._node, duties.active, epoch, list(dict.fromkeys(members)))
            )
        slots = self._node.slots
        for slot in range(max(slots.first_slot(epoch), slots.slot()), slots.first_slot(epoch + 1)):
            for flow in self._flows:
                self._plan(flow, slot, duties)

    def _plan(self, flow: Flow, slot: int, duties: EpochDuties) -> None:
        slots, duty, of_slot = self._node.slots, Duty(slot, flow.type), flow.duties(duties, slot)
        planned = self._planned.get(duty)
        if duty in self._begun:
            return
        if planned is not None:
            if slots.now() >= planned.fixed_at or planned.duties == of_slot:
                return
            planned.task.cancel()
            del self._planned[duty]
        if of_slot and slots.start(slot) >= self._node.deadlines.since:
            task = start_task(self._perform(flow, slot, duties, of_slot))
            self._planned[duty] = _Planned(of_slot, slots.start(slot, float(flow.begins)), task)

    async def _perform(self, flow: Flow, slot: int, duties: EpochDuties, of_slot: Sequence[Any]) -> None:
        node, duty = self._node, Duty(slot, flow.type)
        if not flow.is_ahead:
            await node.slots.wait_until(node.slots.start(slot, float(flow.begins)))
            if node.deadlines.is_over(duty):  # or the clock is wrong for a moment
                self._planned.pop(duty, None)
                return
            self._begun[duty] = None
        try:
            async with asyncio.timeout(node.deadlines.seconds_until(node.deadlines.deadline(duty))):
                await flow.start(node, duties.active, slot, of_slot)
        except TimeoutError:
            if not node.tracker.is_done(duty):  # or only a peer that is away did not get everything
                log.info("duty not done in time", type=flow.type.name, slot=slot)
        except Exception:  # a fault of ours in one duty is none of the others'
            log.exception("duty failed", type=flow.type.name, slot=slot)
        node.tracker.end(duty)

    # What is over.

    def _begin_anew(self) -> None:
        """The clock was ahead: what was done by it of duties to come was over then for others, too.

        What has begun at its moment is begun once only.
        """
        for duty in [duty for duty in self._planned if duty not in self._begun]:
            self._planned.pop(duty).task.cancel()
        self._known.clear()  # so that all is planned in this slot

    def _forget(self, slot: int, epoch: int) -> None:
        self._known = {each: duties for each, duties in self._known.items() if each >= epoch}
        self._planned = {
            duty: each for duty, each in self._planned.items() if duty.slot >= slot or not each.task.done()
        }
        self._preparing = {each: task for each, task in self._preparing.items() if each >= epoch}
        for old in list(self._begun)[:-MOST_BEGUN]:
            del self._begun[old]
        self.forget_others()

    def forget_others(self) -> None:
        """What other nodes told of duties that are over; they do so before `run`, too."""
        node, slots = self._node, self._node.slots
        node.partials.forget(lambda gathered: node.deadlines.is_over(gathered.duty))
        node.tracker.forget(slots.first_slot(slots.epoch(slots.slot()) - EPOCHS_TOLD))
