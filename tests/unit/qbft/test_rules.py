"""Each rule of the paper, by itself: one machine, and what the others say to it.

Docstrings have the rule as H. Moniz, "The Istanbul BFT Consensus Algorithm", has it, in short.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from dvtfast.duties.duty_types import DutyType
from dvtfast.errors import InputError
from dvtfast.qbft.held import MOST_HELD
from dvtfast.qbft.justification import is_justified, proposes_again
from dvtfast.qbft.machine import MOST_REPLIES, Machine
from dvtfast.qbft.messages import Broadcast, Decided, Duty, Kind, Reply, SetTimer
from tests.qbft_messages import (
    DUTY,
    NODES,
    QUORUM,
    A,
    B,
    change,
    changes,
    commit,
    commits,
    decided,
    prepare,
    prepares,
    proposal,
    value,
)


def started(peer, value_hash=None):
    machine = Machine(DUTY, NODES, peer)
    machine.start(value_hash)
    return machine


def heard(machine, *messages):
    """What a machine does when it hears them."""
    return [each for message in messages for each in machine.receive(message)]


def in_round(peer, round, value_hash=None):
    machine = started(peer, value_hash)
    for each in range(1, round):
        machine.timer(each)
    assert machine.round == round
    return machine


# The normal case.


def test_start_the_leader_proposes_its_value():
    """procedure Start: if leader(h, r) = p then broadcast PRE-PREPARE; set timer."""
    assert Machine(DUTY, NODES, 0).start(A) == [SetTimer(1), Broadcast(proposal(0, 1))]


def test_start_others_only_set_their_timer():
    assert Machine(DUTY, NODES, 1).start(A) == [SetTimer(1)]


def test_start_a_leader_without_a_value_proposes_it_when_it_has_it():
    machine = started(0)
    assert machine.provide(A) == [Broadcast(proposal(0, 1))]
    assert machine.provide(B) == []


def test_start_a_leader_whose_round_is_over_does_not_propose():
    machine = in_round(0, 2)
    assert machine.provide(A) == []


def test_start_counts_what_came_before():
    machine = Machine(DUTY, NODES, 2)
    assert heard(machine, proposal(0, 1), prepare(0), prepare(1), prepare(3)) == []
    out = machine.start()
    assert [SetTimer(1), Broadcast(commit(2))] == [
        each for each in out if each in (SetTimer(1), Broadcast(commit(2)))
    ]
    assert Broadcast(prepare(2)) in out


def test_start_once():
    machine = started(0, A)
    assert machine.start(B) == []


def test_a_justified_proposal_is_prepared():
    """upon a valid PRE-PREPARE, JustifyPrePrepare: set timer; broadcast PREPARE."""
    assert heard(started(1), proposal(0, 1)) == [SetTimer(1, extended=True), Broadcast(prepare(1))]


def test_a_proposal_of_a_later_round_takes_its_node_there():
    out = heard(started(2), proposal(1, 2, because=changes(2)))
    assert out == [SetTimer(2), Broadcast(prepare(2, 2))]


def test_a_proposal_of_an_earlier_round_is_dropped():
    assert heard(in_round(2, 2), proposal(0, 1)) == []


def test_a_second_proposal_of_a_round_is_dropped():
    machine = started(1)
    heard(machine, proposal(0, 1))
    assert heard(machine, proposal(0, 1, B), proposal(0, 1)) == []


def test_a_second_proposal_is_dropped_though_the_first_is_forgotten():
    machine = started(1)
    heard(machine, proposal(0, 1))
    heard(machine, *[commit(0, round) for round in range(2, 2 + MOST_HELD)])
    assert heard(machine, proposal(0, 1, B)) == []


def test_a_proposal_by_anybody_but_the_leader_is_dropped():
    assert heard(started(1), proposal(2, 1)) == []


def test_a_quorum_of_prepares_is_committed_to():
    """upon a quorum of PREPAREs with this round and one value: pr := r, pv := value; broadcast COMMIT."""
    machine = started(3)
    assert heard(machine, *prepares(1, peers=range(QUORUM - 1))) == []
    assert heard(machine, prepare(2)) == [Broadcast(commit(3))]
    assert heard(machine, prepare(3)) == []
    assert machine.timer(1)[1] == Broadcast(change(3, 2, 1))


def test_prepares_of_another_round_do_not_count():
    assert heard(in_round(3, 2), *prepares(1)) == []
    assert heard(started(3), *prepares(2)) == []


def test_prepares_of_two_values_do_not_add_up():
    machine = started(3)
    assert heard(machine, prepare(0), prepare(1), prepare(2, value_hash=B)) == []


def test_prepares_of_one_node_count_once():
    machine = started(3)
    assert heard(machine, prepare(0), prepare(1), prepare(1), prepare(1, value_hash=B)) == []


def test_prepares_that_justify_a_round_change_count():
    machine = started(3)
    assert heard(machine, change(2, 2, 1)) == [Broadcast(commit(3))]


def test_prepares_that_came_early_count_when_their_round_begins():
    machine = started(3)
    heard(machine, *prepares(2))
    assert machine.timer(1) == [SetTimer(2), Broadcast(change(3, 2)), Broadcast(commit(3, 2))]


def test_a_quorum_of_commits_is_decided():
    """upon a quorum of COMMITs with one round and value: decide."""
    machine = started(3)
    assert heard(machine, commit(0), commit(1)) == []
    assert heard(machine, commit(2)) == [Decided(A, 1, tuple(commits(1)))]
    assert machine.decision == Decided(A, 1, tuple(commits(1)))


@pytest.mark.parametrize("round", [1, 3, 9])
def test_commits_of_any_round_decide(round):
    machine = in_round(3, 3)
    assert heard(machine, *commits(round)) == [Decided(A, round, tuple(commits(round)))]


def test_commits_of_two_rounds_or_values_do_not_add_up():
    machine = started(3)
    assert heard(machine, commit(0), commit(1), commit(2, 2), commit(2, 1, B), commit(1, 1, B)) == []


def test_a_decision_is_the_end():
    machine = started(0, A)
    heard(machine, *commits(1, B))
    assert heard(machine, *commits(2), proposal(0, 1), *prepares(1)) == []
    assert machine.timer(1) == machine.provide(A) == []
    assert machine.held_count == 0


# Round changes.


def test_the_end_of_a_round():
    """upon timer is expired: r := r + 1; set timer; broadcast ROUND-CHANGE(r, pr, pv)."""
    assert started(3).timer(1) == [SetTimer(2), Broadcast(change(3, 2))]


def test_a_late_node_goes_to_the_present_round():
    machine = started(3)
    assert machine.timer(1, present=7) == [SetTimer(7), Broadcast(change(3, 7))]
    assert machine.timer(7, present=1) == [SetTimer(8), Broadcast(change(3, 8))]


def test_the_end_of_another_round_means_nothing():
    machine = in_round(3, 2)
    assert machine.timer(1) == machine.timer(3) == []


def test_f_plus_one_nodes_ahead_are_followed():
    """upon f + 1 ROUND-CHANGEs with higher rounds: r := the lowest of them; set timer; broadcast."""
    machine = started(3)
    assert heard(machine, change(0, 5)) == []
    assert heard(machine, change(0, 6), change(0, 7)) == []
    assert heard(machine, change(1, 4)) == [SetTimer(4), Broadcast(change(3, 4))]


def test_nodes_behind_are_not_followed():
    assert heard(in_round(3, 3), change(0, 2), change(1, 3), change(2, 2)) == []


def test_the_leader_of_a_quorum_of_round_changes_proposes():
    """upon a quorum of ROUND-CHANGEs, leader(r) = p, JustifyRoundChange: broadcast PRE-PREPARE."""
    machine = in_round(1, 2, value("own"))
    assert heard(machine, *changes(2, [0, 1])) == []
    because = changes(2, [0, 1, 3])
    assert heard(machine, change(3, 2)) == [Broadcast(proposal(1, 2, value("own"), because))]
    assert heard(machine, change(2, 2)) == []


def test_the_highest_prepared_value_is_proposed():
    """if HighestPrepared(Qrc) then its value, justified by Qrc and the PREPAREs; else the own one."""
    machine = in_round(1, 6, value("own"))
    assert heard(machine, change(0, 6, 1, B), change(1, 6)) == []
    out = heard(machine, change(2, 6, 4, A))
    because = [change(0, 6, 1, B).bare(), change(1, 6), change(2, 6, 4, A).bare(), *prepares(4)]
    assert out == [Broadcast(proposal(1, 6, A, because))]
    assert is_justified(out[0].message, NODES)


def test_a_leader_with_round_changes_proposes_when_it_has_a_value():
    machine = in_round(1, 2)
    assert heard(machine, *changes(2)) == []
    assert machine.provide(A) == [Broadcast(proposal(1, 2, A, changes(2)))]


def test_who_does_not_lead_does_not_propose():
    assert heard(in_round(2, 2, A), *changes(2)) == []


# A node that is late.


def test_a_decided_node_answers_round_changes():
    """upon ROUND-CHANGE after a decision: send the quorum of COMMITs."""
    machine = started(3)
    heard(machine, *commits(1))
    answer = Reply(1, decided(3, because=commits(1)))
    assert heard(machine, change(1, 2)) == [answer]
    assert heard(machine, *[change(1, 2)] * 99) == [answer] * (MOST_REPLIES - 1)
    assert heard(machine, change(0, 9)) == [Reply(0, answer.message)]
    assert heard(machine, change(3, 2), prepare(1, 5)) == []


def test_a_late_node_decides_what_it_is_told():
    assert heard(started(0, B), decided(3, 7, A, commits(7))) == [Decided(A, 7, tuple(commits(7)))]


# Justifications.


@pytest.mark.parametrize(
    "because",
    [
        changes(2),
        changes(2, range(NODES)),
        [*changes(2, [0, 1]), change(2, 2, 1).bare(), *prepares(1)],
        [*changes(2, [0, 1, 2]), change(3, 2, 1, B).bare()],
        [change(0, 2, 1).bare(), *changes(2, [1, 2, 3]), *prepares(1, peers=[1, 2, 3])],
    ],
    ids=["nobody prepared", "all", "one prepared", "a quorum of others", "prepares of others"],
)
def test_proposals_that_are_justified(because):
    """JustifyPrePrepare: r = 1, or nobody of a quorum prepared, or the highest prepared with its PREPAREs."""
    assert is_justified(proposal(1, 2, A, because), NODES)


@pytest.mark.parametrize(
    "because",
    [
        [],
        changes(2, [0, 1]),
        [change(0, 2)] * 3,
        changes(3),
        [*changes(2, [0, 1]), change(2, 2, 1).bare()],
        [*changes(2, [0, 1]), change(2, 2, 1).bare(), *prepares(1, peers=[0, 1])],
        [*changes(2, [0, 1]), change(2, 2, 1).bare(), *[prepare(0)] * 3],
        [*changes(2, [0, 1]), change(2, 2, 1, B).bare(), *prepares(1, B)],
        [*changes(2, [0, 1]), change(2, 2, 1, B).bare(), *prepares(1)],
        [*changes(2, [0]), change(2, 2, 1).bare(), *prepares(1)],
        [*prepares(1)],
        [*commits(2)],
    ],
    ids=[
        "nothing",
        "too few",
        "one node thrice",
        "of another round",
        "no prepares",
        "too few prepares",
        "prepares of one node",
        "another value",
        "prepares of another value",
        "too few with one prepared",
        "prepares only",
        "commits",
    ],
)
def test_proposals_that_are_not(because):
    assert not is_justified(proposal(1, 2, A, because), NODES)
    assert heard(started(2), proposal(1, 2, A, because)) == []


def test_in_the_first_round_nothing_comes_with_a_proposal():
    """There was nothing before it: what comes along can only be meant to make it look as if there was."""
    for because in ([prepare(0)], prepares(1), [change(1, 1)], commits(1)):
        assert not is_justified(proposal(0, 1, A, because), NODES)
        assert not proposes_again(proposal(0, 1, A, because), NODES)
        assert heard(started(2), proposal(0, 1, A, because)) == []
    assert is_justified(proposal(0, 1), NODES)


@pytest.mark.parametrize(
    ("because", "again"),
    [
        ([*changes(2, [0, 1]), change(2, 2, 1).bare(), *prepares(1)], True),
        ([change(0, 2, 1).bare(), *changes(2, [1, 2, 3]), *prepares(1, peers=[1, 2, 3])], True),
        (changes(2), False),
        ([*changes(2), prepare(1)], False),
        ([*changes(2), *prepares(1)], False),
        ([*changes(2), change(3, 2, 1).bare(), *prepares(1, peers=[2, 3])], False),
        ([*changes(2), change(3, 2, 1).bare(), *[prepare(1)] * 3], False),
        ([*changes(2), change(3, 2, 1, B).bare(), *prepares(1, B)], False),
        ([*changes(2), change(3, 2, 1, B).bare(), *prepares(1)], False),
        ([*changes(2), change(3, 2, 1).bare(), *prepares(1, B)], False),
        ([change(3, 2, 1).bare(), *prepares(1)], False),
        (prepares(1), False),
    ],
    ids=[
        "prepared",
        "prepared by others",
        "nobody prepared",
        "a prepare of the leader",
        "prepares that no change speaks of",
        "too few prepares",
        "prepares of one node",
        "another value",
        "prepares for a value of another",
        "prepares of another value",
        "too few changes",
        "prepares only",
    ],
)
def test_what_is_proposed_again(because, again):
    """Only what a quorum prepared: one PREPARE, or those for another value, make nothing old."""
    assert proposes_again(proposal(1, 2, A, because), NODES) is again


def test_what_was_prepared_before_the_highest_round_is_not_proposed_again():
    older = [change(0, 3, 1, B).bare(), *prepares(1, B)]
    newer = [change(1, 3, 2, A).bare(), *prepares(2)]
    for value_hash, again in ((A, True), (B, False)):
        message = proposal(2, 3, value_hash, [*older, *newer, change(2, 3)])
        assert proposes_again(message, NODES) is again


def test_the_highest_prepared_round_binds():
    """A value of round 1 may not be proposed when one of a quorum prepared another in round 2."""
    older = [change(0, 3, 1, B).bare(), *prepares(1, B)]
    newer = change(1, 3, 2, A).bare()
    assert not is_justified(proposal(2, 3, B, [*older, newer, change(2, 3)]), NODES)
    assert is_justified(proposal(2, 3, A, [*older, newer, change(2, 3), *prepares(2)]), NODES)
    assert is_justified(proposal(2, 3, B, [*older, newer, *changes(3, [2, 3])]), NODES)


@pytest.mark.parametrize(
    ("message", "ok"),
    [
        (change(0, 3), True),
        (change(0, 3, 2), True),
        (change(0, 3, 2, because=prepares(2, peers=range(NODES))), True),
        (change(0, 3, because=prepares(2)), False),
        (change(0, 3, 2, because=[]), False),
        (change(0, 3, 2, because=prepares(2, peers=[0, 1])), False),
        (change(0, 3, 2, because=[prepare(0, 2)] * 3), False),
        (change(0, 3, 2, because=[*prepares(2), prepare(2, 2)]), False),
        (change(0, 3, 2, because=[*prepares(2), commit(3, 2)]), False),
        (change(0, 3, 2, because=prepares(1)), False),
        (change(0, 3, 2, because=prepares(2, B)), False),
        (change(0, 3, 3), False),
        (replace(change(0, 3, 2), prepared_value_hash=None), False),
        (replace(change(0, 3), prepared_value_hash=A), False),
        (replace(change(0, 3), value_hash=A), False),
    ],
)
def test_round_changes(message, ok):
    """JustifyRoundChange: nothing prepared, or a quorum of PREPAREs for just that, and nothing else."""
    assert is_justified(message, NODES) is ok


@pytest.mark.parametrize(
    ("because", "ok"),
    [
        (commits(1), True),
        ([*commits(1), prepare(0), commit(3, 2)], True),
        (commits(1, peers=[0, 1]), False),
        ([commit(0)] * 3, False),
        (commits(2), False),
        (commits(1, B), False),
        (prepares(1), False),
    ],
)
def test_decisions(because, ok):
    """A quorum of COMMITs for its round and value."""
    assert is_justified(decided(0, because=because), NODES) is ok


@pytest.mark.parametrize("make", [proposal, prepare, commit, decided])
def test_no_value_is_never_agreed_on(make):
    message = make(0, 1, value_hash=None)
    assert not is_justified(replace(message, justification=tuple(commits(1))), NODES)


@pytest.mark.parametrize("make", [prepare, commit])
def test_a_vote_speaks_of_one_value(make):
    """Whatever else it spoke of would have to go along with every message that it justifies."""
    assert not is_justified(replace(make(0), prepared_round=1, prepared_value_hash=B), NODES)


# Who may say what.


@pytest.mark.parametrize(
    "message",
    [
        replace(commit(2), duty=Duty(9, DutyType.PROPOSER)),
        commit(NODES),
        commit(-1),
        commit(2, 0),
        replace(commit(2), prepared_round=-1),
        decided(2, because=[*commits(1), replace(commit(0), duty=Duty(8, DutyType.ATTESTER))]),
        decided(2, because=[*commits(1), commit(NODES)]),
        decided(2, because=[*commits(1), decided(0, because=commits(1))]),
        decided(2, because=[*commits(1)] * 3),
    ],
    ids=["duty", "peer", "no peer", "round", "prepared", "its duty", "its peer", "nested", "too long"],
)
def test_what_no_node_may_say_is_dropped(message):
    machine = started(3)
    heard(machine, commit(0), commit(1))
    assert heard(machine, message) == []
    assert machine.decision is None


@pytest.mark.parametrize("peer", [-1, NODES])
def test_there_is_no_such_node(peer):
    with pytest.raises(InputError, match="peer: expected one of 4 nodes"):
        Machine(DUTY, NODES, peer)


# Bounds.


@pytest.mark.parametrize("begun", [True, False])
def test_what_a_node_says_is_bounded(begun):
    machine = Machine(DUTY, NODES, 3)
    if begun:
        machine.start()
    for round in range(1, 3 * MOST_HELD):
        for make in (commit, prepare, change):
            machine.receive(make(0, round))
            machine.receive(make(0, round))
    assert machine.held_count == MOST_HELD
    heard(machine, commit(0, 1), *commits(1, peers=[1, 2]))
    assert machine.held_count == MOST_HELD + 2


def test_old_words_said_again_do_not_push_out_new_ones():
    machine = started(3)
    heard(machine, *[commit(0, round) for round in range(500, 500 + MOST_HELD)])
    heard(machine, *[commit(0, round) for round in range(1, 400)])
    assert heard(machine, commit(1, 500), commit(2, 500)) == [Decided(A, 500, tuple(commits(500)))]


def test_values_of_votes_are_needed_once_f_plus_one_vote():
    machine = started(3)
    for round in range(1, 50):
        machine.receive(prepare(0, round, value(round)))
        machine.receive(commit(0, round, value(-round)))
    assert machine.values_in_use() == frozenset()
    machine.receive(commit(1, 7, value(-7)))
    assert machine.values_in_use() == {value(-7)}
    machine.receive(proposal(0, 1, B))
    machine.receive(change(1, 5, 2, A))
    machine.provide(value("own"))
    assert machine.values_in_use() == {A, B, value(-7), value("own")}
    heard(machine, *commits(1, peers=[1, 2, 3]))
    assert machine.values_in_use() == {A}


def test_a_round_that_is_over_is_forgotten():
    machine = started(3)
    heard(machine, prepare(0), prepare(1), change(0, 2), commit(0))
    assert machine.held_count == 4
    heard(machine, *changes(3, [0, 1]))
    assert machine.held_count == 3  # the COMMIT, and who is in round 3
    heard(machine, prepare(2), change(2, 2))
    assert machine.held_count == 3


@pytest.mark.parametrize("nodes", range(1, 14))
def test_a_cluster_of_any_size_decides_in_its_first_round(nodes):
    machines = [Machine(DUTY, nodes, peer) for peer in range(nodes)]
    way = [each.message for machine in machines for each in machine.start(A) if isinstance(each, Broadcast)]
    while way:
        message = way.pop(0)
        for machine in machines:
            way += [each.message for each in machine.receive(message) if isinstance(each, Broadcast)]
    assert {machine.decision.value_hash for machine in machines} == {A}
    assert {machine.decision.round for machine in machines} == {1}


def test_kinds_are_numbered_as_on_the_wire():
    assert [kind.value for kind in Kind] == [1, 2, 3, 4, 5]
