"""Four whole nodes on virtual time, in all weathers: nothing wrong is signed, nothing missed for no reason.

Where one fails it names the call that repeats it, as `Simulation(seed, slots).run()`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from statistics import median

import pytest

from dvtfast.duties.duty_types import DutyType
from dvtfast.services.chain.beacon.duties import DutiesClient
from dvtfast.services.node import exchange
from dvtfast.services.node.exchange import Exchange
from dvtfast.services.node.flows import aggregates, attestations
from dvtfast.services.node.flows.aggregates import SLOTS_AHEAD
from dvtfast.services.node.flows.votes import OwnVote
from dvtfast.services.node.signing.record import SigningRecord
from dvtfast.services.node.tracker import Tracker
from tests.simulation import network
from tests.simulation.beacon import SimulatedBeacon
from tests.simulation.liars import Liar
from tests.simulation.network import Weather
from tests.simulation.running import Simulation
from tests.simulation.storms import Kind, Trouble

SEEDS = range(1, 9)
SLOTS = 250
SHOW = "from tests.simulation.running import Simulation; s = Simulation(5, 60); s.run(); print(s.trace_hash)"


@pytest.mark.parametrize("seed", SEEDS)
def test_nodes_do_their_duties_in_all_weathers(seed):
    seen = Simulation(seed, SLOTS, validators=2 if seed == 1 else 1).run()
    assert seen["ATTESTER performed"] > SLOTS // 32


def test_a_seed_repeats_exactly():
    runs = [Simulation(5, 60) for _ in range(2)]
    for each in runs:
        each.run()
    assert runs[0].trace_hash == runs[1].trace_hash
    assert runs[0].events == runs[1].events > 100
    other = Simulation(6, 60)
    other.run()
    assert other.trace_hash != runs[0].trace_hash
    # In another process, where sets of strings have another order.
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    shown = subprocess.run(
        [sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == runs[0].trace_hash


def test_all_goes_well_where_nothing_is_wrong():
    seen = Simulation(3, 60, troubles=[]).run()
    assert seen["ATTESTER performed"]
    assert not [what for what in seen if "missed" in what]


def test_two_down_do_nothing_and_nothing_wrong_and_come_back():
    seconds = 12.0
    down = [Trouble(Kind.KILLED, 10 * seconds, 40 * seconds, node) for node in (1, 2)]
    seen = Simulation(4, 80, troubles=down).run()
    assert seen["ATTESTER missed: too many nodes in trouble"]
    assert seen["ATTESTER performed"]


@pytest.mark.parametrize("again", [64, 0])
def test_who_is_cut_off_for_seconds_sends_again(monkeypatch, again):
    """Nobody hears anybody while selection proofs go out, in each slot; who sends learns that."""
    monkeypatch.setattr(network, "PART_TOLD", 1.0)
    monkeypatch.setattr(exchange, "MOST_AGAIN", again)
    # Otherwise most went out before the epoch, when there was no cut.
    monkeypatch.setattr(aggregates, "_early", lambda node, slot: node.slots.start(slot - SLOTS_AHEAD))
    parted = Weather(sides=(0, 1, 2, 3))
    cuts = [Trouble(Kind.WEATHER, at - 0.3, at + 1.5, weather=parted) for at in range(12, 720, 12)]
    seen = Simulation(1, 60, troubles=cuts).run()
    assert bool(seen["AGGREGATOR performed"]) == bool(again)
    assert bool(seen["AGGREGATOR missed: bad weather"]) != bool(again)


@pytest.mark.parametrize("way", Liar.WAYS)
def test_a_liar_costs_at_most_what_it_leads_and_is_named(monkeypatch, way):
    monkeypatch.setattr(Liar, "WAYS", [way])
    run = Simulation(9, 60, validators=1, troubles=[Trouble(Kind.LIAR, 0.0, 10_000.0, 2)])
    blamed = Counter()
    blame = Tracker.blame

    def noted(tracker, gathered, fault):
        blamed[fault.node] += 1
        blame(tracker, gathered, fault)

    monkeypatch.setattr(Tracker, "blame", noted)
    seen = run.run()
    assert seen["ATTESTER performed"] >= 2
    assert set(blamed) <= {2}
    assert bool(blamed) == ("shares" in way) or way in ("flood", "two values")


@pytest.mark.parametrize("slots", [0.5, 2, 5])
def test_a_node_whose_beacon_node_lags_blames_nobody(monkeypatch, slots):
    """What it does not know yet may be there; what it proposes itself may be old, and the others know it."""
    run = Simulation(9, 60, troubles=[Trouble(Kind.LAGS, 0.0, 10_000.0, 2, seconds=12 * slots)])
    blamed = set()

    def noted(tracker, gathered, fault):
        [node] = [each for each in run.nodes if each.node is not None and each.node.parts.tracker is tracker]
        blamed.add((node.position, fault.node))

    monkeypatch.setattr(Tracker, "blame", noted)
    seen = run.run()
    assert seen["ATTESTER performed"] >= 2
    assert blamed <= {(node, 2) for node in (0, 1, 3)}


def test_a_node_that_is_away_and_a_beacon_node_that_is_behind(monkeypatch):
    """The other two do not stop: whoever doubts the heads of more rounds than may lie goes along."""
    rounds = Counter()
    decide = Tracker.decide

    def noted(tracker, duty, round):
        if duty.type == DutyType.ATTESTER:
            rounds[min(round, 9)] += 1
        decide(tracker, duty, round)

    monkeypatch.setattr(Tracker, "decide", noted)
    behind = Trouble(Kind.LAGS, 0.0, 10_000.0, 2, seconds=24)
    seen = Simulation(9, 100, troubles=[Trouble(Kind.KILLED, 0.0, 10_000.0, 1), behind]).run()
    assert seen["PROPOSER performed"]
    assert seen["ATTESTER performed"]
    assert rounds[9] < sum(rounds.values()) / 4  # where the source differs, as it does when an epoch begins


@pytest.mark.thorough
def test_memory_stays_flat():
    """In `make fuzz` over 10,000 slots."""
    run = Simulation(7, 480, validators=1, troubles=[])
    run.run()
    early, late = (median(each["objects"] for each in run.sizes[at : at + 10]) for at in (10, 20))
    assert late <= 1.1 * early


@pytest.mark.parametrize("name", [name for name in vars(DutiesClient) if not name.startswith("_")])
def test_the_simulated_beacon_has_all_that_is_asked_for(name):
    if name != "send_exit":
        assert hasattr(SimulatedBeacon, name)


# What must be noticed.


def test_a_duty_that_is_missed_for_no_reason_is_noticed(monkeypatch):
    submit = Exchange.submit

    async def submit_some(self, duty, validators, values):
        if duty.type != DutyType.ATTESTER or duty.slot < 20:
            await submit(self, duty, validators, values)

    monkeypatch.setattr(Exchange, "submit", submit_some)
    with pytest.raises(AssertionError, match=r"ATTESTER of slot .* was missed for no reason") as caught:
        Simulation(3, 80, troubles=[]).run()
    assert caught.value.__notes__ == ["Simulation(3, 80).run()"]


def test_what_is_slashable_is_noticed(monkeypatch):
    """Without protection, where nobody looks and beacon nodes lie, sooner or later it is signed."""

    async def nothing(*_):
        return None

    monkeypatch.setattr(attestations, "why_not_proposed", nothing)
    monkeypatch.setattr(OwnVote, "known_soon", nothing)
    monkeypatch.setattr(
        SigningRecord, "add", lambda _self, _duty, validators, *_, **__: [""] * len(validators)
    )
    lies = [Trouble(Kind.LIES, 0.0, 10_000.0, node) for node in range(4)]
    with pytest.raises(AssertionError, match=r"double vote|around another"):
        Simulation(2, 600, troubles=lies).run()
