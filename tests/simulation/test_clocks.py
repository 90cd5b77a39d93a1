"""Clocks that are a little wrong, clocks that are set, machines that sleep."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dvtfast.duties.duty_types import DutyType
from dvtfast.qbft.messages import Duty
from dvtfast.services.node.deadlines import EPOCHS_KNOWN
from dvtfast.services.node.wire.partial_signatures import PROTOCOL, PartialSignaturesMessage
from tests.simulation.chain import SECONDS_PER_SLOT, SLOTS_PER_EPOCH
from tests.simulation.members import NODES
from tests.simulation.running import Simulation
from tests.simulation.storms import Kind, Trouble

SEED, SLOTS, VALIDATORS = 6, 96, 2  # with blocks, and a seat in a sync committee
BEGIN, END = 30, 36  # slots in which something is wrong
SETTLED = END + 2
HOUR = 3600.0
ONE, ALL = (1,), tuple(range(NODES))


def run_with(run: Simulation) -> dict[int, set[Duty]]:
    """Let it happen: for which duties each node sent its part."""
    sent: dict[int, set[Duty]] = {node: set() for node in range(NODES)}
    look = run.network.sent

    def noted(position: int, protocol: str, message: bytes) -> None:
        if protocol == PROTOCOL:
            part = PartialSignaturesMessage.decode(message, most=VALIDATORS)
            sent[position].add(Duty(part.slot, DutyType(part.duty_type)))
        look(position, protocol, message)

    run.network.sent = noted
    run.run()
    return sent


def of_slots(duties: set[Duty], first: int) -> set[Duty]:
    """Those of slots from one on whose time is over."""
    return {duty for duty in duties if first <= duty.slot < SLOTS - 2}


@pytest.mark.parametrize("ahead", [(1, 3), pytest.param((0, 1, 2), marks=pytest.mark.thorough)], ids=str)
def test_clocks_that_are_200_ms_off(ahead: Sequence[int]) -> None:
    """Some ahead, the others behind: nothing is missed."""
    run = Simulation(SEED, SLOTS, validators=VALIDATORS, troubles=[])
    for member in run.nodes:
        member.offset = 0.2 if member.position in ahead else -0.2
    sent = run_with(run)
    assert not [what for what in run.seen if "missed" in what]
    assert {f"{type} performed" for type in ("ATTESTER", "SYNC_MESSAGE", "PROPOSER")} <= run.seen.keys()
    assert len({frozenset(of_slots(duties, 2)) for duties in sent.values()}) == 1


@pytest.mark.parametrize(
    ("kind", "seconds", "nodes"),
    [
        (Kind.CLOCK, -40.0, ONE),
        (Kind.CLOCK, HOUR, ONE),
        (Kind.CLOCK, HOUR, ALL),
        (Kind.ASLEEP, 0.0, ALL),
        *(
            pytest.param(Kind.CLOCK, seconds, nodes, marks=pytest.mark.thorough)
            for seconds, nodes in [*((each, ALL) for each in (2.0, -2.0, 40.0, -40.0, -HOUR)), (2.0, ONE)]
        ),
    ],
)
def test_who_was_out_of_time_does_all_duties_again_two_slots_later(
    kind: Kind, seconds: float, nodes: Sequence[int]
) -> None:
    """Nobody signs what may not be, ever; the others go on meanwhile, which is part of each simulation."""
    begin, end = BEGIN * SECONDS_PER_SLOT + 1.0, END * SECONDS_PER_SLOT + 5.0
    troubles = [Trouble(kind, begin, end, node, seconds=seconds) for node in nodes]
    run = Simulation(SEED, SLOTS, validators=VALIDATORS, troubles=troubles)
    sent = run_with(run)
    missed = [what for what in run.seen if "missed" in what]
    if len(nodes) == 1:
        assert all(what.endswith(", and leads") for what in missed)
    assert len({frozenset(of_slots(duties, SETTLED + 1)) for duties in sent.values()}) == 1
    assert of_slots(sent[nodes[0]], SETTLED + 1)


def test_who_was_started_while_the_clock_was_ahead_goes_on_within_two_epochs() -> None:
    """How long it runs is told by a clock that nobody sets."""
    begin, end = BEGIN * SECONDS_PER_SLOT + 1.0, END * SECONDS_PER_SLOT + 5.0
    troubles = [
        Trouble(Kind.CLOCK, begin, end, 1, seconds=HOUR),
        Trouble(Kind.KILLED, begin + 1.0, begin + 5.0, 1),
    ]
    sent = run_with(Simulation(SEED, SLOTS, validators=VALIDATORS, troubles=troubles))
    again = (BEGIN // SLOTS_PER_EPOCH + EPOCHS_KNOWN) * SLOTS_PER_EPOCH
    assert of_slots(sent[1], again)
    assert len({frozenset(of_slots(duties, again + 2)) for duties in sent.values()}) == 1
    assert not {duty for duty in sent[1] if END < duty.slot < again} & sent[0]
