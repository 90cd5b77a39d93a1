"""Laws of consensus, whatever the network does, and up to f of n nodes with it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dvtfast.qbft.machine import Machine
from dvtfast.qbft.messages import Broadcast, Decided, Message, Outputs, Reply
from dvtfast.qbft.quorums import faulty, quorum
from tests.qbft_laws import Laws
from tests.qbft_liar import Liar
from tests.qbft_messages import DUTY, value
from tests.qbft_network import Schedule

SIZES = st.integers(1, 13)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), nodes=SIZES)
def test_a_cluster_agrees_once_the_network_is_well(seed, nodes):
    Schedule(seed, nodes).run()


@pytest.mark.parametrize("nodes", range(1, 14))
def test_any_two_quorums_share_an_honest_node_and_the_honest_are_one(nodes):
    assert 2 * quorum(nodes) - nodes > faulty(nodes)
    assert quorum(nodes) <= nodes - faulty(nodes)


class Cluster(RuleBasedStateMachine):
    """Everything in any order: what arrives when, how often, or never; rounds that end; nodes that lie."""

    @initialize(nodes=SIZES, seed=st.integers(0, 2**32), bad=st.booleans())
    def begin(self, nodes: int, seed: int, bad: bool) -> None:
        random = Random(seed)
        liars = random.sample(range(nodes), faulty(nodes) if bad else 0)
        self.nodes = nodes
        self.liars = {peer: Liar(random, DUTY, peer, nodes) for peer in liars}
        self.machines = {peer: Machine(DUTY, nodes, peer) for peer in range(nodes) if peer not in liars}
        self.laws = Laws(DUTY, nodes, self.machines)
        self.values = {peer: value(peer) for peer in self.machines}
        self.way: list[tuple[int, Message]] = []

    @rule(of=st.integers(0, 12), knows=st.booleans())
    def start(self, of: int, knows: bool) -> None:
        if machine := self.machines.get(of):
            self._do(of, machine.start(self.values[of] if knows else None))

    @rule()
    def start_all(self) -> None:
        for peer in self.machines:
            self.start(peer, True)

    @rule(of=st.integers(0, 12))
    def learn(self, of: int) -> None:
        if machine := self.machines.get(of):
            self._do(of, machine.provide(self.values[of]))

    @rule(places=st.lists(st.integers(0, 10_000), max_size=30))
    def arrive(self, places: list[int]) -> None:
        for place in places:
            if self.way:
                self._hear(*self.way.pop(place % len(self.way)))

    @rule(place=st.integers(0, 10_000))
    def arrive_twice(self, place: int) -> None:
        if self.way:
            self._hear(*self.way[place % len(self.way)])

    @rule(place=st.integers(0, 10_000), some=st.integers(1, 20))
    def lose(self, place: int, some: int) -> None:
        for _ in range(min(some, len(self.way))):
            self.way.pop(place % len(self.way))

    @rule(of=st.integers(0, 12))
    def ring(self, of: int) -> None:
        if machine := self.machines.get(of):
            self._do(of, machine.timer(machine.round))

    @rule()
    def lie(self) -> None:
        for liar in self.liars.values():
            self.way += liar.lie()

    @invariant()
    def memory_is_bounded(self) -> None:
        for machine in getattr(self, "machines", {}).values():
            self.laws.holds(machine)

    def teardown(self) -> None:
        """The network is well now: all that is said arrives, and the rounds of those who are behind end."""
        if not hasattr(self, "machines"):
            return
        self.way.clear()
        for peer, machine in self.machines.items():
            self._do(peer, machine.start(self.values[peer]))
        highest = max(machine.round for machine in self.machines.values())
        while not self.laws.all_have_decided:
            while self.way:
                self._hear(*self.way.pop(0))
            behind = {p: m for p, m in self.machines.items() if p not in self.laws.decisions}
            lowest = min((machine.round for machine in behind.values()), default=0)
            assert lowest <= highest + self.nodes, "nobody decides"
            for peer, machine in behind.items():
                if machine.round == lowest:
                    self._do(peer, machine.timer(lowest))
        self.laws.ends([*self.values.values(), *(lie for each in self.liars.values() for lie in each.values)])

    def _hear(self, peer: int, message: Message) -> None:
        if peer in self.liars:
            self.liars[peer].hear(message)
        else:
            self._do(peer, self.machines[peer].receive(message))

    def _do(self, peer: int, outputs: Outputs) -> None:
        for each in outputs:
            match each:
                case Broadcast(message):
                    self.laws.says(peer, message)
                    self.way += [(target, message) for target in range(self.nodes) if target != peer]
                    self._hear(peer, message)
                case Reply(target, message):
                    self.way.append((target, message))
                case Decided() as decision:
                    self.laws.decides(peer, decision)


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=40, stateful_step_count=60)
