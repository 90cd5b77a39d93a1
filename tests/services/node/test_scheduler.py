"""When what is done: flows at their moments, again after a reorganisation, and nothing that is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dvtfast.duties.duty_types import DutyType
from dvtfast.qbft.messages import Duty
from dvtfast.services.chain.beacon.client import BeaconError, ValidatorDetails
from dvtfast.services.chain.beacon.duty_answers import AttesterDuty, Duties, ProposerDuty, SyncDuty
from dvtfast.services.chain.beacon.events import Event
from dvtfast.services.chain.beacon.nodes import NodeHealth
from dvtfast.services.chain.encoding import write_data
from dvtfast.services.node import running as node_running
from dvtfast.services.node.deadlines import Deadlines
from dvtfast.services.node.exchange import Gathered
from dvtfast.services.node.flows.timetable import Flow
from dvtfast.services.node.running import ClusterNode
from dvtfast.services.node.scheduler import Scheduler
from dvtfast.services.node.tracker import Step, Tracker
from dvtfast.services.node.validators import EpochDuties, Validators
from dvtfast.services.process.background import in_background
from tests.services.node.cluster_of_nodes import HandClock
from tests.services.p2p.hosts import until

PER_EPOCH = 8
ROOT, OTHER = bytes(32), bytes([1] * 32)
KEYS = [bytes([number] * 48) for number in range(1, 4)]
STRANGER = bytes([9] * 48)


class Members:
    """Three validators; their indices on the chain are 10 to 12."""

    def __init__(self) -> None:
        self.validators = {key: position for position, key in enumerate(KEYS)}


class Beacon:
    """A beacon node that says what a test wants.

    Attributes:
        slot_of: in its epoch, for each validator.
        root: that all duties depend on.
    """

    chain = type("Chain", (), {"slots_per_epoch": PER_EPOCH, "epochs_per_sync_committee_period": 8})

    def __init__(self) -> None:
        self.slot_of = {10: 3, 11: 3, 12: 5}
        self.root = ROOT
        self.is_down = False
        self.goes_on = asyncio.Event()  # without it nobody tells who proposes
        self.goes_on.set()
        self.activated = dict.fromkeys(KEYS, 0)
        self.told: asyncio.Queue[Event] = asyncio.Queue()
        self.asked: list[tuple[str, int]] = []

    def _asked(self, what: str, epoch: int) -> None:
        self.asked.append((what, epoch))
        if self.is_down:
            raise BeaconError("down")

    async def details(self, keys: Sequence[bytes], *, state: str) -> dict[bytes, ValidatorDetails]:
        self._asked("details", -1)
        return {
            key: ValidatorDetails(
                10 + KEYS.index(key), "active_ongoing", 0, 0, bytes(32), False, self.activated[key], 99
            )
            for key in keys
        }

    async def attester_duties(self, epoch: int, indices: Sequence[int]) -> Duties[AttesterDuty]:
        self._asked("attesters", epoch)
        duties = [
            AttesterDuty(KEYS[index - 10], index, epoch * PER_EPOCH + self.slot_of[index], 0, 8, 1, index % 8)
            for index in indices
        ]
        return Duties(self.root, tuple(duties))

    async def proposer_duties(self, epoch: int) -> Duties[ProposerDuty]:
        self._asked("proposers", epoch)
        await self.goes_on.wait()
        first = epoch * PER_EPOCH
        return Duties(
            self.root, (ProposerDuty(KEYS[0], 10, first + 1), ProposerDuty(STRANGER, 11, first + 2))
        )

    async def sync_duties(self, epoch: int, indices: Sequence[int]) -> tuple[SyncDuty, ...]:
        self._asked("members", epoch)
        return ()

    async def health(self) -> list[NodeHealth]:
        raise BeaconError("down")

    async def events(self, topics: Sequence[str]) -> AsyncIterator[Event]:
        while True:
            yield await self.told.get()

    def tell(self, slot: int, root: bytes) -> None:
        """A head whose epoch's attesters, and all after them, depend on that root."""
        data = {
            "slot": str(slot),
            "previous_duty_dependent_root": write_data(root),
            "current_duty_dependent_root": write_data(root),
        }
        self.told.put_nowait(Event("node", "head", data))


class Partials:
    """What other nodes signed, of some duties."""

    def __init__(self) -> None:
        self.kept: list[Gathered] = []

    def forget(self, is_over: Callable[[Gathered], bool]) -> None:
        self.kept = [each for each in self.kept if not is_over(each)]


class Parts:
    """What the scheduler needs of a node's parts."""

    def __init__(self, beacon: Beacon, slots: HandClock, since: float) -> None:
        self.beacon, self.slots, self.partials = beacon, slots, Partials()
        self.deadlines = Deadlines(slots, since)
        self.tracker = Tracker(slots.now)


class Scheduled:
    """A scheduler whose flows note what they are to do.

    Attributes:
        begun: slot, part of it, and validators.
        ended: slots whose flow was ended.
        held: whether flows go on until they are ended.
    """

    def __init__(self, begins: Fraction, since: int, *, is_ahead: bool = False) -> None:
        self.beacon, self.slots = Beacon(), HandClock.at_genesis(PER_EPOCH)
        self.parts: Any = Parts(self.beacon, self.slots, self.slots.start(since))
        self.begun: list[tuple[int, float, list[int]]] = []
        self.ended: list[int] = []
        self.held = False
        validators = Validators(Members(), self.beacon)  # type: ignore[arg-type]
        flow = Flow(DutyType.ATTESTER, self._flow, self._attesters, begins, is_ahead)
        self.scheduler = Scheduler(self.parts, validators, [flow])

    @staticmethod
    def _attesters(duties: EpochDuties, slot: int) -> Sequence[AttesterDuty]:
        return duties.attesters.get(slot, ())

    async def _flow(self, node: Any, active: Any, slot: int, duties: Sequence[AttesterDuty]) -> None:
        part = (self.slots.now() - self.slots.start(slot)) / self.slots.seconds_per_slot
        self.begun.append((slot, round(part, 3), [duty.validator_index for duty in duties]))
        node.tracker.expect(Duty(slot, DutyType.ATTESTER), [0])
        if self.held:
            try:
                await asyncio.Event().wait()
            finally:
                self.ended.append(slot)

    def go_to(self, slot: int, part: float = 0.0) -> None:
        self.slots.hand.move(self.slots.start(slot, part))

    async def settle(self) -> None:
        """Let all that can happen now happen."""
        for _ in range(50):
            await asyncio.sleep(0)


@asynccontextmanager
async def scheduled(
    begins: Fraction = Fraction(1, 3), *, slot: int = 0, since: int = 0, is_ahead: bool = False
) -> AsyncIterator[Scheduled]:
    found = Scheduled(begins, since, is_ahead=is_ahead)
    found.go_to(slot)
    running = asyncio.create_task(found.scheduler.run())
    try:
        await found.settle()
        yield found
        assert not running.done(), running.exception()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_flows_begin_at_their_moment() -> None:
    async with scheduled() as found:
        for slot in range(3, 6):
            found.go_to(slot, 0.3)
            await found.settle()
            assert slot not in [at for at, _, _ in found.begun]
            found.go_to(slot, 0.35)
            await found.settle()
        assert found.begun == [(3, 0.35, [10, 11]), (5, 0.35, [12])]


async def test_what_needs_time_begins_when_it_is_known() -> None:
    """In the last slots of the epoch before."""
    async with scheduled(is_ahead=True) as found:
        assert found.begun == [(3, -3.0, [10, 11]), (5, -5.0, [12])]
        found.go_to(PER_EPOCH - 3)
        await found.settle()
        assert len(found.begun) == 2
        found.go_to(PER_EPOCH - 2)
        await found.settle()
        assert [slot for slot, _, _ in found.begun[2:]] == [PER_EPOCH + 3, PER_EPOCH + 5]
        assert ("proposers", 1) in found.beacon.asked


async def test_nothing_of_a_slot_that_began_before_the_process() -> None:
    async with scheduled(slot=3, since=4) as found:
        found.go_to(3, 0.5)
        await found.settle()
        found.go_to(5, 0.5)
        await found.settle()
        assert [slot for slot, _, _ in found.begun] == [5]


async def test_a_reorganisation_changes_what_has_not_begun() -> None:
    async with scheduled() as found:
        found.held = True
        found.go_to(3, 0.4)
        await found.settle()
        found.beacon.slot_of, found.beacon.root = {10: 4, 11: 3, 12: 6}, OTHER
        found.beacon.tell(3, ROOT)
        await found.settle()
        assert found.beacon.asked.count(("attesters", 0)) == 1  # it is what it was
        found.beacon.tell(3, OTHER)
        await found.settle()
        assert found.beacon.asked.count(("attesters", 0)) == 2
        for slot in (4, 5, 6):
            found.go_to(slot, 0.4)
            await found.settle()
        assert [(slot, who) for slot, _, who in found.begun] == [(3, [10, 11]), (4, [10]), (6, [12])]


async def test_a_reorganisation_while_duties_are_asked_for() -> None:
    """Some were told already, and are none any more."""
    found = Scheduled(Fraction(1, 3), 0)
    found.beacon.goes_on.clear()
    found.go_to(0)
    running = asyncio.create_task(found.scheduler.run())
    try:
        await found.settle()
        assert found.beacon.asked.count(("attesters", 0)) == 1
        found.beacon.slot_of, found.beacon.root = {10: 4, 11: 3, 12: 6}, OTHER
        found.beacon.tell(0, OTHER)
        await found.settle()
        found.beacon.goes_on.set()
        await found.settle()
        for slot in range(3, 7):
            found.go_to(slot, 0.4)
            await found.settle()
        assert [(slot, who) for slot, _, who in found.begun] == [(3, [11]), (4, [10]), (6, [12])]
        assert found.beacon.asked.count(("attesters", 0)) == 2
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_beacon_node_that_is_down_is_asked_in_each_slot() -> None:
    found = Scheduled(Fraction(1, 3), 0)
    found.beacon.is_down = True
    found.go_to(0)
    running = asyncio.create_task(found.scheduler.run())
    try:
        for slot in (0, 1, 2):
            found.go_to(slot)
            await found.settle()
        assert found.beacon.asked == [("details", -1)] * 3
        found.beacon.is_down = False
        found.go_to(3)
        await found.settle()
        found.go_to(3, 0.4)
        await found.settle()
        assert [slot for slot, _, _ in found.begun] == [3]
        # Who is active is not forgotten when nobody tells.
        found.beacon.is_down = True
        found.go_to(PER_EPOCH - 1)
        await found.settle()
        assert not found.scheduler.known[1].is_whole  # but for the sync committee, as it stays
        assert 0 in found.scheduler.known
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_flow_ends_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scheduled() as found:
        found.held = True
        monkeypatch.setattr(Deadlines, "seconds_until", lambda self, moment: 0.01)
        found.go_to(3, 0.4)
        await until(lambda: found.ended == [3])
        report = found.parts.tracker.reports()[Duty(3, DutyType.ATTESTER)]
        assert report.reasons == {0: "no beacon node said in time what to sign"}


async def test_a_flow_that_fails_is_alone() -> None:
    async with scheduled() as found:
        found.parts.tracker.expect = None  # what the flow calls
        found.go_to(3, 0.4)
        await found.settle()
        del found.parts.tracker.expect
        found.go_to(5, 0.4)
        await found.settle()
        assert [slot for slot, _, _ in found.begun] == [3, 5]


async def test_whoever_is_activated_has_duties_from_then_on() -> None:
    found = Scheduled(Fraction(1, 3), 0)
    found.beacon.activated[KEYS[2]] = 1
    validators = Validators(Members(), found.beacon)  # type: ignore[arg-type]
    first, second = await validators.duties(0), await validators.duties(1)
    assert sorted(first.active.positions) == [10, 11]
    assert sorted(second.active.positions) == [10, 11, 12]
    assert list(second.attesters) == [PER_EPOCH + 3, PER_EPOCH + 5]
    # A key that is another's is not believed, nor that of no validator of ours.
    assert list(first.proposers) == [1]


async def test_what_is_over_is_forgotten() -> None:
    async with scheduled() as found:
        for epoch in range(20):
            for slot in range(epoch * PER_EPOCH, (epoch + 1) * PER_EPOCH):
                found.go_to(slot, 0.4)
                await found.settle()
        assert len(found.begun) == 20 * 2
        assert set(found.scheduler.known) == {19, 20}
        assert len(found.scheduler._planned) <= 2 * PER_EPOCH
        assert len(found.parts.tracker.reports()) <= 5 * 2
        assert {step for each in found.parts.tracker.reports().values() for step in each.steps.values()} == {
            Step.EXPECTED
        }


async def test_what_is_over_is_forgotten_while_there_is_no_beacon_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others do their duties meanwhile, and send this node their part."""
    monkeypatch.setattr(node_running, "LOOK_SECONDS", 0.0)
    found, nothing = Scheduled(Fraction(1, 3), 0), cast(Any, None)
    node = ClusterNode(nothing, found.parts, found.scheduler, nothing, nothing)
    found.go_to(0)
    waiting = asyncio.create_task(node._wait_for_beacon())
    for slot in range(10 * PER_EPOCH):
        found.go_to(slot, 0.5)
        duty = Duty(slot, DutyType.ATTESTER)
        found.parts.partials.kept.append(Gathered(duty))
        found.parts.tracker.hear(duty, 1)
        await found.settle()
    assert not waiting.done()
    assert len(found.parts.partials.kept) <= 2 * PER_EPOCH
    assert len(found.parts.tracker.reports()) <= 5 * PER_EPOCH
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_a_clock_that_was_ahead_for_a_moment_costs_no_duty() -> None:
    async with scheduled() as found:
        found.go_to(800)
        await found.settle()
        found.go_to(1)
        await found.settle()
        for slot in range(2, 6):
            found.go_to(slot, 0.4)
            await found.settle()
        assert [slot for slot, _, _ in found.begun] == [3, 5]
        assert found.scheduler.seen == 5


async def test_a_clock_that_is_set_back_begins_nothing_twice() -> None:
    """Also where duties are others than the first time."""
    async with scheduled() as found:
        for slot in (3, 4, 5, 6, 7):
            found.go_to(slot, 0.4)
            await found.settle()
        found.beacon.slot_of, found.beacon.root = {10: 4, 11: 3, 12: 6}, OTHER
        found.go_to(1)
        await found.settle()
        found.beacon.tell(1, OTHER)
        await found.settle()
        for slot in range(2, 8):
            found.go_to(slot, 0.4)
            await found.settle()
        assert [slot for slot, _, _ in found.begun] == [3, 5, 4, 6]


async def test_beacon_nodes_are_asked_for_forks_in_each_epoch() -> None:
    """Also one that was exchanged without a new connection may know of a later one by then."""
    slots, asked = HandClock.at_genesis(), []

    async def look_again() -> None:
        asked.append(slots.slot())

    parts = SimpleNamespace(slots=slots, beacon=SimpleNamespace(look_again=look_again))
    node = ClusterNode(*(cast(Any, each) for each in (None, parts, None, None, None)))
    async with in_background(node.look_at_forks()):
        for slot in range(17):
            slots.hand.move(slots.start(slot) + 0.1)
            for _ in range(5):
                await asyncio.sleep(0)
    assert asked == [0, 8, 16]
