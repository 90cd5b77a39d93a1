"""How each duty went: performed, or missed for a reason; where there is none, something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from dvtfast import sign
from dvtfast.duties.aggregators import are_sync_aggregators
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.signed_sets import NO_SIGNATURE, signed_set
from dvtfast.duties.sync_committees import SyncCommitteeSelection
from dvtfast.qbft.leaders import leader
from dvtfast.qbft.messages import Duty
from dvtfast.services.node.flows.aggregates import SLOTS_AHEAD
from dvtfast.services.node.flows.timetable import FLOWS
from tests.simulation.chain import (
    CONSTANTS,
    PRESET,
    SECONDS_PER_SLOT,
    SLOTS_PER_EPOCH,
    SUBCOMMITTEE,
    Block,
    Chain,
)
from tests.simulation.members import NODES
from tests.simulation.storms import Kind, Trouble

if TYPE_CHECKING:
    from tests.simulation.running import Simulation

SETTLING_SLOTS: Final = 2  # after a trouble, in which nothing is asked of a node
BEARABLE: Final = 1  # nodes of four
REORGANISED_SLOTS: Final = 3  # before an epoch, from which on a change of its duties comes too late
DONE: Final = {flow.type for flow in FLOWS}
# After a slot began, when nodes look at the head, each by its own clock.
HEAD_SECONDS: Final = SECONDS_PER_SLOT / 3 - 1.0, SECONDS_PER_SLOT / 3 + 1.0
OF_HEAD: Final = frozenset({DutyType.SYNC_MESSAGE, DutyType.SYNC_CONTRIBUTION})


class Duties:
    """The duties of the last epochs."""

    def __init__(self, simulation: Simulation, chain: Chain) -> None:
        self._simulation, self._chain = simulation, chain
        self._moved: set[int] = set()
        chain.came = self._came
        self._performed: dict[tuple[DutyType, int, int], float] = {}

    def performed(self, type: DutyType, slot: int, position: int) -> None:
        """Something was accepted that counts."""
        self._performed.setdefault((type, slot, position), self._simulation.loop.time())

    def judge(self, slot: int) -> None:
        """A slot all of whose duties are over."""
        if slot < 1:  # with which the nodes begin
            return
        chain, epoch = self._chain, slot // SLOTS_PER_EPOCH
        seed = chain.truth.seed(epoch)
        for position in range(chain.validators):
            if chain.attester(seed, epoch, position).slot == slot:
                self._account(DutyType.ATTESTER, slot, position)
                self._account(DutyType.AGGREGATOR, slot, position)
            if chain.proposer(seed, slot) == position:
                self._account(DutyType.PROPOSER, slot, position)
            if seats := chain.seats((slot + 1) // SLOTS_PER_EPOCH, position):
                self._account(DutyType.SYNC_MESSAGE, slot, position)
                if self._is_selected(slot, position, seats):
                    self._account(DutyType.SYNC_CONTRIBUTION, slot, position)
        self._moved = {each for each in self._moved if each > slot}
        for key in [key for key in self._performed if key[1] < slot - SLOTS_PER_EPOCH]:
            del self._performed[key]

    def _account(self, type: DutyType, slot: int, position: int) -> None:
        simulation = self._simulation
        if type not in DONE:
            return
        if (type, slot, position) in self._performed:
            simulation.seen[f"{type.name} performed"] += 1
            return
        why = self._why(type, slot)
        simulation.seen[f"{type.name} missed: {why}" if why else f"{type.name} lost"] += 1
        if not why:
            simulation.wrong.append(
                f"{type.name} of slot {slot}, validator {position}, was missed for no reason\n"
                + "\n".join(self._reports(type, slot))
            )

    def _why(self, type: DutyType, slot: int) -> str:
        """Which trouble explains that a duty is missed; empty: none."""
        first = slot - SETTLING_SLOTS - (SLOTS_AHEAD if type is DutyType.AGGREGATOR else 0)
        begin, end = first * SECONDS_PER_SLOT, (slot + 1) * SECONDS_PER_SLOT
        now = [each for each in self._simulation.troubles if each.begin < end and each.end > begin]
        if any(each.node is None for each in now):
            return Kind.WEATHER
        bad: dict[int, Trouble] = {each.node: each for each in now if each.node is not None}
        if len(bad) > BEARABLE:
            return "too many nodes in trouble"
        changed = self._chain.reorganised.get(slot // SLOTS_PER_EPOCH)
        if changed is not None and changed >= slot - slot % SLOTS_PER_EPOCH - REORGANISED_SLOTS:
            return "duties have changed"
        if type in OF_HEAD and slot in self._moved:
            return "the head changed when nodes looked"
        for node, trouble in bad.items():
            if self._leads(type, slot, node):
                return f"{trouble.kind}, and leads"
        return ""

    def _came(self, block: Block) -> None:
        low, high = HEAD_SECONDS
        if low <= self._simulation.loop.time() - block.slot * SECONDS_PER_SLOT <= high:
            self._moved.add(block.slot)

    def _is_selected(self, slot: int, position: int, seats: Sequence[int]) -> bool:
        """Whether a validator contributes for any of its subcommittees."""
        values = [
            SyncCommitteeSelection(Chain.FIRST_INDEX + position, slot, subcommittee, NO_SIGNATURE)
            for subcommittee in sorted({seat // SUBCOMMITTEE for seat in seats})
        ]
        type = DutyType.PREPARE_SYNC_CONTRIBUTION
        roots = signed_set(type, values, CONSTANTS.schedule, PRESET).signing_roots
        keys = np.repeat(self._simulation.members.secret_keys[position : position + 1], len(values), axis=0)
        return bool(are_sync_aggregators(sign(keys, roots, threads=1), PRESET).any())

    def _leads(self, type: DutyType, slot: int, node: int) -> bool:
        """Whether what was agreed on may be a node's."""
        rounds = [
            report.round
            for member in self._simulation.nodes
            if member.node is not None
            for duty, report in member.node.parts.tracker.reports().items()
            if duty == Duty(slot, type)
        ]
        duty = Duty(slot, type)
        return any(leader(duty, round, NODES) == node for round in range(1, max(rounds, default=0) + 1))

    def _reports(self, type: DutyType, slot: int) -> list[str]:
        return [
            f"node {member.position}: {member.node.parts.tracker.reports().get(Duty(slot, type))}"
            for member in self._simulation.nodes
            if member.node is not None
        ]
