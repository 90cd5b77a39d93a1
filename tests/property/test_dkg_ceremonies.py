"""Laws of dvtfast-dkg/1: whatever the network does, honest nodes end with the same keys; any t sign."""

from __future__ import annotations

from functools import partial
from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from py_ecc.optimized_bls12_381 import G1, multiply

import dvtfast
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Kind
from tests import cheaters, reference
from tests.ceremonies import Network, Node, make_terms
from tests.hostile.test_dkg_cheaters import COMPUTING, EQUIVOCATIONS


def lagrange_at_zero(indices, values):
    order, total = reference.CURVE_ORDER, 0
    for i, value in zip(indices, values, strict=True):
        weight = 1
        for j in indices:
            if j != i:
                weight = weight * j * pow(j - i, -1, order) % order
        total = (total + weight * value) % order
    return total


def check_keys(network):
    """Against py_ecc: shares, public shares and keys belong together, and any t signatures make one."""
    terms, nodes = network.terms, network.honest
    files = [node.files for node in nodes]
    for one in files[1:]:
        assert np.array_equal(one.keys.public_keys, files[0].keys.public_keys)
        assert np.array_equal(one.keys.public_shares, files[0].keys.public_shares)
        assert np.array_equal(one.signatures, files[0].signatures)
        assert (one.lock_hash, one.signature_aggregate, one.node_signatures) == (
            files[0].lock_hash,
            files[0].signature_aggregate,
            files[0].node_signatures,
        )
    keys = files[0].keys
    secrets = {
        node.position: int.from_bytes(node.files.keys.secret_shares[0].tobytes(), "big") for node in nodes
    }
    for position, secret in secrets.items():
        assert reference.g1_bytes(multiply(G1, secret)) == keys.public_shares[position, 0].tobytes()
    for chosen in list(combinations(secrets, terms.threshold))[:3]:
        whole = lagrange_at_zero([p + 1 for p in chosen], [secrets[p] for p in chosen])
        assert reference.g1_bytes(multiply(G1, whole)) == keys.public_keys[0].tobytes()
    root = np.full((terms.validators, 32), 7, np.uint8)
    partial = np.stack([dvtfast.sign(node.files.keys.secret_shares, root) for node in nodes], axis=1)
    indices = [node.position + 1 for node in nodes]
    for chosen in combinations(range(len(nodes)), terms.threshold):
        some = np.ascontiguousarray(partial[:, list(chosen)])
        whole = dvtfast.recover_signatures(some, [indices[i] for i in chosen], threshold=terms.threshold)
        dvtfast.verify_signatures(keys.public_keys, root, whole)


@settings(max_examples=8)
@given(st.integers(2, 6), st.data())
def test_honest_runs_agree(count, data):
    threshold = data.draw(st.integers(2, count), label="threshold")
    validators = data.draw(st.integers(1, 5), label="validators")
    kinds = data.draw(st.integers(0, 2), label="kinds")
    network = Network(make_terms(count, threshold, validators, kinds))
    network.run_to_the_end()
    assert all(node.finished and not node.aborts for node in network.nodes)
    assert all(node.phase.name == "closed" for node in network.nodes)
    check_keys(network)


def outcomes(network):
    """Each honest node's end: the keys' bytes, or the culprits."""
    return {
        node.files.keys.public_keys.tobytes() if node.finished else frozenset(node.culprits)
        for node in network.honest
    }


CHEATS = {
    **{name: ("computes", cheat) for name, cheat in COMPUTING.items()},
    **{name: ("says", kind_and_change) for name, kind_and_change in EQUIVOCATIONS.items()},
    "falls silent": ("silent", None),
}


@settings(max_examples=60)
@given(st.data(), st.randoms(use_true_random=True))
def test_up_to_n_minus_t_cheaters_of_any_kind_in_any_order(data, chance):
    terms = make_terms(5, 3)
    bad = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=2, unique=True), label="cheaters")
    chosen = {position: data.draw(st.sampled_from(sorted(CHEATS)), label="cheat") for position in bad}
    computing = {p: CHEATS[name][1] for p, name in chosen.items() if CHEATS[name][0] == "computes"}
    network = Network(terms, cheats=computing)
    for position, name in chosen.items():
        how, what = CHEATS[name]
        if how == "computes":
            continue
        targets = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4, unique=True), label="targets")
        if how == "says":
            tamper = cheaters.equivocating(*what, *targets)
        else:
            tamper = cheaters.silent_from(data.draw(st.sampled_from(list(Kind)[:7]), label="from"))
        network.tampers[position] = partial(tamper, network.nodes[position])
        network.cheaters.add(position)
    network.collect()
    for _ in range(400):
        if network.way:
            network.deliver(chance.randrange(min(8, len(network.way))))
    network.run_to_the_end()
    ends = outcomes(network)
    assert len(ends) == 1, [(node.position, node.finished, node.aborts) for node in network.honest]
    (end,) = ends
    assert isinstance(end, bytes) or (end and end <= network.cheaters)


class Ceremonies(RuleBasedStateMachine):
    """Messages arrive in any order, twice or not at all; nodes restart whenever they like."""

    @initialize(count=st.integers(2, 4), data=st.data())
    def begin(self, count, data):
        threshold = data.draw(st.integers(2, count))
        self.network = Network(make_terms(count, threshold, 2))
        self.network.collect()

    @precondition(lambda self: self.network.way)
    @rule(place=st.integers(0, 30))
    def deliver(self, place):
        self.network.deliver(place % len(self.network.way))

    @precondition(lambda self: self.network.way)
    @rule(number=st.integers(1, 40))
    def deliver_many(self, number):
        for _ in range(min(number, len(self.network.way))):
            self.network.deliver()

    @precondition(lambda self: self.network.way)
    @rule(place=st.integers(0, 30))
    def lose(self, place):
        del self.network.way[place % len(self.network.way)]

    @precondition(lambda self: self.network.way)
    @rule(place=st.integers(0, 30))
    def repeat(self, place):
        self.network.way.append(self.network.way[place % len(self.network.way)])

    @rule(position=st.integers(0, 3))
    def restart(self, position):
        node = self.network.nodes[position % len(self.network.nodes)]
        if not node.finished:
            node.restart()
            self.network.collect()

    @rule(position=st.integers(0, 3))
    def remind(self, position):
        self.network.nodes[position % len(self.network.nodes)].tell("remind")
        self.network.collect()

    @invariant()
    def nobody_is_blamed_and_nothing_is_said_twice(self):
        for node in self.network.nodes:
            assert not node.aborts
            for (_, kind), payloads in node.sent.items():
                own = {payload for payload in payloads if kind != "want" and payload[1] == node.position}
                assert len(own) <= 1, f"operator {node.position} has sent two {kind}"

    def teardown(self):
        if not hasattr(self, "network"):
            return
        self.network.run_to_the_end()
        assert all(node.finished and not node.aborts for node in self.network.nodes)
        for one in self.network.nodes:
            assert one.files.lock_hash == self.network.nodes[0].files.lock_hash


TestCeremonies = Ceremonies.TestCase
TestCeremonies.settings = settings(
    max_examples=25, stateful_step_count=40, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("restarted", range(3))
def test_a_restart_at_every_point_changes_nothing(restarted):
    """One node is killed before each message it gets, in one ceremony after the other."""
    terms = make_terms(3, 2)
    point = 0
    while True:
        network = Network(terms)
        network.collect()
        arrived = killed = 0
        while network.way:
            if network.way[0][1] == restarted:
                if arrived == point and not network.nodes[restarted].finished:
                    network.nodes[restarted].restart()
                    killed = 1
                arrived += 1
            network.deliver()
        network.run_to_the_end()
        assert all(node.finished and not node.aborts for node in network.nodes)
        assert len({node.files.lock_hash for node in network.nodes}) == 1
        if not killed:
            break
        point += 1
    assert point > 12


def test_a_node_whose_disk_is_older_than_what_it_said():
    """Records are written before they are sent: what was lost with them was never said."""
    terms = make_terms(3, 2)
    network = Network(terms)
    network.run_to_the_end()
    node = Node(terms, 0)
    node.disk = network.nodes[0].disk[:2]
    node.sent.clear()
    node.restart()
    said = {kind: payloads for (to, kind), payloads in node.sent.items() if to == 1 and kind != "want"}
    assert said["hello"] == network.nodes[0].sent[1, "hello"]
