"""How each duty went: performed, or missed for a reason; where there is none, something is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dvtfast.duties.duty_types import DutyType
from dvtfast.qbft.messages import Duty
from dvtfast.qbft.quorums import leader
from dvtfast.services.node.flows.aggregates import SLOTS_AHEAD
from dvtfast.services.node.flows.table import FLOWS
from tests.simulation.chain import SECONDS_PER_SLOT, SLOTS_PER_EPOCH, Chain
from tests.simulation.members import NODES
from tests.simulation.storms import Kind, Trouble

if TYPE_CHECKING:
    from tests.simulation.running import Simulation

SETTLING_SLOTS: Final = 2  # after a trouble, in which nothing is asked of a node
BEARABLE: Final = 1  # nodes of four
REORGANISED_SLOTS: Final = 3  # before an epoch, from which on a change of its duties comes too late
DONE: Final = {flow.type for flow in FLOWS}
HEAD_SECONDS: Final = SECONDS_PER_SLOT / 3 - 1.0, SECONDS_PER_SLOT / 3 + 1.0


class Duties:
    """The duties of the last epochs."""

    def __init__(self, simulation: Simulation, chain: Chain) -> None:
        self._simulation, self._chain = simulation, chain
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
            if chain.seats((slot + 1) // SLOTS_PER_EPOCH, position):
                self._account(DutyType.SYNC_MESSAGE, slot, position)
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
        for node, trouble in bad.items():
            if self._leads(type, slot, node):
                return f"{trouble.kind}, and leads"
        return ""

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
