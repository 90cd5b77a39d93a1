"""Cheaters in a key generation: the honest end with the same keys, or all name the same culprits."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from py_ecc.optimized_bls12_381 import neg

from dvtfast.constants import CURVE_ORDER, PUBLIC_KEY_BYTES
from dvtfast.dkg.dvtfast_dkg import dealing
from dvtfast.dkg.dvtfast_dkg.blame.evidence import Proves, of_envelopes
from dvtfast.dkg.dvtfast_dkg.blame.judging import EvidenceError, UndecidedError, judge_evidence
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Kind, seal
from dvtfast.dkg.dvtfast_dkg.messages.statements import Stop
from dvtfast.dkg.dvtfast_dkg.messages.wanting import encode_want
from dvtfast.dkg.outputs import Phase
from dvtfast.errors import EncodingError, InputError
from tests import cheaters, reference
from tests.ceremonies import Network, SamplePlan, make_terms, operators_of

CHEATER, VICTIM = 2, 1
TERMS = make_terms()


def run(*, cheats=None, tamper=None, plans=None, terms=TERMS, prepare=None):
    network = Network(terms, cheats=cheats, plans=plans, tampers={CHEATER: None} if tamper else {})
    if tamper:
        network.tampers[CHEATER] = partial(tamper, network.nodes[CHEATER])
    network.run_to_the_end()
    return network


def assert_blamed(network, *culprits):
    """All honest nodes name these and nobody else, and each evidence convinces who knows what they know."""
    for node in network.honest:
        assert not node.finished
        assert node.culprits == set(culprits), node.aborts
        for abort in node.aborts:
            assert abort.evidence is not None, abort
            known = node.machine._work.known
            verdict = judge_evidence(abort.evidence, network.terms, plan=node.plan, known=known)
            assert verdict.culprit == abort.culprit


def assert_all_finished(network):
    honest = network.honest
    assert all(node.finished and not node.aborts for node in honest), [node.aborts for node in honest]
    assert len({node.files.keys.public_keys.tobytes() for node in honest}) == 1
    assert len({node.files.lock_hash for node in honest}) == 1


def stop_of(node, kind, silent):
    statement = Stop(kind, silent).encode()
    return seal(node.machine._identity, Kind.STOP, node.position, node.terms.hello_slot, statement).encode()


def assert_named_silent(network, culprit, kind):
    for node in network.honest:
        assert not node.finished
        assert node.culprits == {culprit}
        assert all(f"{kind.name} of operator {culprit}" in each.reason for each in node.aborts), node.aborts


SMALL = reference.small_order_point_g1(3)
COMPUTING = {
    "wrong share to one": cheaters.wrong_shares(VICTIM),
    "wrong share to one, last validator": cheaters.wrong_shares(VICTIM, validator=1),
    "wrong shares to all": cheaters.wrong_shares(0, 1, 3),
    "share of zero": cheaters.share_bytes(VICTIM, bytes(32)),
    "share not below r": cheaters.share_bytes(VICTIM, CURVE_ORDER.to_bytes(32, "big")),
    "ciphertext that does not decrypt": cheaters.garbled_ciphertext(VICTIM),
    "proof of another session": cheaters.wrong_proof,
    "commitments changed after their hash": cheaters.changed_after_commit,
    "infinity": cheaters.commitment(1, coefficient=2, content=reference.G1_INFINITY),
    "off the curve": cheaters.commitment(0, coefficient=1, content=cheaters.OFF_THE_CURVE),
    "constant term off the subgroup": cheaters.commitment(1, plus=SMALL),
    "coefficient off the subgroup": cheaters.commitment(0, coefficient=2, plus=SMALL),
    "equal polynomials for two validators": cheaters.same_for_two,
    "other public key shares": cheaters.other_results,
    "other lock": cheaters.other_lock_hash,
    "wrong signature of the lock": cheaters.wrong_lock_signature,
    "wrong signature of the lock by the identity": cheaters.wrong_node_signature,
    "signature of the lock by the identity in another form": cheaters.node_signature_of_another_form,
    "ephemeral key that is no point": cheaters.ephemeral(b"\x02" + b"\xff" * 32),
}


@pytest.mark.parametrize("name", COMPUTING)
def test_what_is_computed_wrongly_is_proven(name):
    assert_blamed(run(cheats={CHEATER: COMPUTING[name]}), CHEATER)


@pytest.mark.parametrize("name", COMPUTING)
def test_it_is_proven_where_one_dealer_is_held_decoded_at_a_time(name, monkeypatch):
    monkeypatch.setattr(dealing, "MOST_DECODED_BYTES", 1)
    assert_blamed(run(cheats={CHEATER: COMPUTING[name]}), CHEATER)


def test_a_wrong_partial_signature_is_proven_where_it_is_used():
    """Node 0, 1 and the cheater are the first three; node 3 may have signatures enough without it."""
    network = run(cheats={CHEATER: cheaters.wrong_signature()}, terms=make_terms(threshold=4))
    assert_blamed(network, CHEATER)


EQUIVOCATIONS = {
    "HELLO": (Kind.HELLO, cheaters.other_nonce),
    "COMMIT": (Kind.COMMIT, cheaters.other_promise),
    "DEAL": (Kind.DEAL, cheaters.other_ciphertexts),
    "list of HELLOs": (Kind.COMMIT, cheaters.forged_list),
    "attempt of HELLOs": (Kind.COMMIT, cheaters.other_attempt),
    "list of HELLOs of another attempt": (Kind.COMMIT, cheaters.forged_list_of_another_attempt),
    "list of COMMITs": (Kind.DEAL, cheaters.forged_list),
    "list of DEALs": (Kind.ECHO, cheaters.forged_list),
    "LOCKSIG": (Kind.LOCKSIG, cheaters.other_node_signature),
    "list of LOCKSIGs": (Kind.DONE, cheaters.forged_list),
}


@pytest.mark.parametrize("targets", [(VICTIM,), (0, 1, 3)], ids=["to one", "to all"])
@pytest.mark.parametrize("name", EQUIVOCATIONS)
def test_saying_different_things_is_proven(name, targets):
    """To all it is only a lie where it can be: one nonce is as good as another."""
    network = run(tamper=cheaters.equivocating(*EQUIVOCATIONS[name], *targets))
    if name == "list of LOCKSIGs" and len(targets) == 1:  # the others give the victim the one that they got
        assert all(node.finished for node in network.honest)
        assert [node.culprits for node in network.honest] == [set(), {CHEATER}, set()]
    elif any(node.finished for node in network.honest):
        assert_all_finished(network)
    elif name == "HELLO" and len(targets) == 3:
        assert all(node.culprits == {CHEATER} for node in network.honest)
    else:
        assert_blamed(network, CHEATER)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind <= Kind.DONE], ids=lambda kind: kind.name)
def test_who_falls_silent_is_named_with_the_step(kind):
    network = run(tamper=cheaters.silent_from(kind))
    if kind == Kind.SIGS:  # t others are enough for these
        kind = Kind.LOCKSIG
    assert_named_silent(network, CHEATER, kind)
    unconfirmed = [abort.unconfirmed for node in network.honest for abort in node.aborts]
    assert set(unconfirmed) == {kind >= Kind.LOCKSIG}


@pytest.mark.parametrize(
    "kind", [Kind.HELLO, Kind.COMMIT, Kind.ECHO, Kind.LOCKSIG, Kind.DONE], ids=lambda k: k.name
)
def test_small_messages_are_passed_on_to_whom_they_were_kept_from(kind):
    """The cheater sends that kind to everybody but one; all finish nevertheless."""

    def tamper(node, to, name, payload):
        return [] if to == VICTIM and payload[0] == kind and payload[1] == node.position else [payload]

    assert_all_finished(run(tamper=tamper))


@pytest.mark.parametrize("kind", [Kind.DEAL, Kind.SIGS], ids=lambda kind: kind.name)
def test_large_messages_are_handed_out_for_whom_they_were_kept_from(kind):
    """The others ask the cheater for them; what it does not tell the victim it tells them."""

    def tamper(node, to, name, payload):
        return [] if to == VICTIM and payload[0] == kind else [payload]

    assert_all_finished(run(tamper=tamper, terms=make_terms(threshold=4)))


def test_a_deal_that_one_node_never_gets_names_the_dealer_everywhere():
    """It is not handed out for the victim either, which all others see."""
    first = {}

    def tamper(node, to, name, payload):
        refused = payload[0] == Kind.DEAL and (to == VICTIM or first.setdefault(to, payload) != payload)
        return [] if refused else [payload]

    assert_named_silent(run(tamper=tamper), CHEATER, Kind.DEAL)


def test_who_says_falsely_that_a_deal_has_not_come_is_silent_itself():
    """It gets the DEAL of node 0 from everybody, says that it has none, and says no more."""

    def tamper(node, to, name, payload):
        if payload[0] == Kind.WANT:
            return []
        want = encode_want([(Kind.DEAL, 0)], CHEATER, 4)
        return [want, stop_of(node, Kind.DEAL, 0)] if payload[0] == Kind.ECHO else [payload]

    assert_named_silent(run(tamper=tamper), CHEATER, Kind.ECHO)


@pytest.mark.parametrize("kind", [Kind.HELLO, Kind.DEAL, Kind.ECHO], ids=lambda kind: kind.name)
def test_who_stops_without_reason_stops_nobody(kind):
    def tamper(node, to, name, payload):
        return [stop_of(node, kind, 0), payload]

    assert_all_finished(run(tamper=tamper))


@pytest.mark.parametrize("kind", [Kind.HELLO, Kind.DEAL, Kind.ECHO, Kind.LOCKSIG], ids=lambda kind: kind.name)
def test_who_stops_because_of_one_who_is_slow_stops_nobody(kind):
    """However often the others are reminded: their own patience decides."""
    slow = []

    def tamper(node, to, name, payload):
        if payload[0] == kind and payload[1] == CHEATER and not slow_is_over:
            slow.append((to, payload))
            return [stop_of(node, kind, CHEATER)]
        return [] if payload[0] == Kind.WANT else [payload]

    slow_is_over = False
    network = Network(TERMS, tampers={CHEATER: None})
    network.tampers[CHEATER] = partial(tamper, network.nodes[CHEATER])
    network.run()
    for _ in range(10):
        for node in network.honest:
            node.tell("remind")
        network.way.clear()
        network.collect()
        network.way.clear()
    assert not any(node.aborts for node in network.nodes)
    slow_is_over = True
    for to, payload in slow:
        network.nodes[to].tell("receive", CHEATER, payload)
    network.tampers.clear()
    network.run_to_the_end()
    assert all(node.finished and not node.aborts for node in network.nodes)


def lose(network, kind):
    """What the cheater says of a kind never comes to the victim, whoever sends it."""

    def tamper(to, name, payload):
        return [] if to == VICTIM and payload[:2] == bytes([kind, CHEATER]) else [payload]

    network.tampers |= dict.fromkeys(range(network.terms.count), tamper)


def test_who_has_signed_the_lock_forgets_nothing_because_others_are_silent():
    """All others may have stored theirs: it is needed, and goes on when it is started again."""
    network = Network(TERMS)
    victim = network.nodes[VICTIM]
    lose(network, Kind.LOCKSIG)
    network.run()
    assert victim.phase == Phase("locksig", (CHEATER,))
    assert all(node.machine.is_done for node in network.nodes if node is not victim)
    victim.tell("give_up")
    assert [(abort.culprit, abort.unconfirmed) for abort in victim.aborts] == [(CHEATER, True)]
    network.tampers.clear()
    victim.aborts.clear()
    victim.restart()
    network.run_to_the_end()
    assert_all_finished(network)


def test_who_ended_before_it_signed_the_lock_ends_it_for_all():
    """Nobody can have all signatures of the lock then, so nobody is left in doubt."""
    network = Network(make_terms(threshold=4))
    gone = network.nodes[VICTIM]
    lose(network, Kind.SIGS)
    network.run()
    assert {node.phase.name for node in network.nodes if node is not gone} == {"locksig"}
    gone.tell("give_up")
    network.run()
    for node in network.nodes:
        if node is not gone:
            assert not node.aborts
            node.tell("give_up")
            assert [(abort.culprit, abort.unconfirmed) for abort in node.aborts] == [(VICTIM, False)]
    assert [abort.unconfirmed for abort in gone.aborts] == [False]


def test_proof_while_keys_are_written_leaves_them_to_who_writes():
    """They are that one's: what it writes is never half of zeros."""
    network = Network(TERMS)
    for node in network.nodes:
        node.stores = False
    network.run()
    victim = network.nodes[VICTIM]
    shares = victim.files.keys.secret_shares.copy()
    machine = network.nodes[CHEATER].machine
    victim.tell("receive", CHEATER, cheaters.false_complaint(machine, 0))
    assert victim.culprits == {CHEATER}
    assert not victim.aborts[0].unconfirmed
    assert shares.any()
    assert (victim.files.keys.secret_shares == shares).all()


def test_a_wrong_done_is_as_good_as_none():
    network = run(tamper=cheaters.equivocating(Kind.DONE, cheaters.other_done, 0, 1, 3))
    assert_named_silent(network, CHEATER, Kind.DONE)


@pytest.mark.parametrize(
    "blame",
    [
        cheaters.false_complaint,
        partial(cheaters.false_complaint, proof=bytes(31) + b"\x01" + bytes(31) + b"\x01"),
        partial(cheaters.false_complaint, opening=b"\x02" * 33),
        cheaters.blame_of_nothing,
        cheaters.blame_of_noise,
    ],
    ids=["right opening", "wrong proof", "wrong opening", "good message", "noise"],
)
@pytest.mark.parametrize("targets", [(VICTIM,), (0, 1, 3)], ids=["to one", "to all"])
def test_who_accuses_falsely_is_guilty(blame, targets):
    def tamper(node, to, name, payload):
        if payload[0] == Kind.ECHO and to in targets:
            return [blame(node.machine, 0), payload]
        return [payload]

    assert_blamed(run(tamper=tamper), CHEATER)


def test_a_session_before_is_not_this_one():
    """What a cheater has signed in an earlier attempt counts for nothing in the next one."""
    before = Network(TERMS)
    before.run_to_the_end()
    recorded = {
        (to, payload[0]): payload
        for (to, _), payloads in before.nodes[CHEATER].sent.items()
        for payload in payloads
    }

    def tamper(node, to, name, payload):
        return [recorded.get((to, payload[0]), payload)]

    assert_named_silent(run(tamper=tamper, terms=make_terms(attempt=1)), CHEATER, Kind.HELLO)


@pytest.mark.parametrize("kind", [Kind.COMMIT, Kind.DEAL, Kind.ECHO, Kind.LOCKSIG])
def test_a_message_of_a_session_before_does_not_take_the_place_of_a_new_one(kind):
    before = Network(TERMS)
    before.run_to_the_end()
    old = {to: before.nodes[CHEATER].sent[to, kind.name.lower()] for to in (0, 1, 3)}

    def tamper(node, to, name, payload):
        return [*old[to], payload] if payload[0] == kind else [payload]

    assert_all_finished(run(tamper=tamper, terms=make_terms(attempt=1)))


def test_small_parts_that_cancel_between_dealers_change_nothing():
    """What is left of them are the sums; a proof and a share that fit are judged the same everywhere."""
    one = cheaters.commitment(1, coefficient=1, plus=SMALL)
    other = cheaters.commitment(1, coefficient=1, plus=neg(SMALL))
    assert_all_finished(run(cheats={1: one, 2: other}))


def test_small_parts_that_do_not_cancel_are_proven():
    one = cheaters.commitment(1, coefficient=1, plus=SMALL)
    network = run(cheats={1: one, 2: one})
    assert all(node.culprits <= {1, 2} and node.culprits for node in network.honest)
    assert len({frozenset(node.culprits) for node in network.honest}) == 1


def test_two_cheaters_are_both_named_by_all():
    network = run(cheats={1: cheaters.wrong_shares(0), 2: cheaters.wrong_shares(3)})
    assert_blamed(network, 1, 2)


@pytest.mark.parametrize("fault", ["find_repeat", "public_shares"])
def test_shares_of_which_nothing_comes_are_overwritten(fault, monkeypatch):
    """Two keys are equal, or a key share is zero, which nobody alone can bring about."""
    made = []

    def add_shares(parts):
        made.append(right(parts))
        return made[-1]

    def fail(keys, *arguments):
        if fault == "find_repeat":  # which looks at dealers' rows before it looks at keys
            return (0, 1) if keys.shape[1] == PUBLIC_KEY_BYTES else None
        raise EncodingError("public_shares: infinity", [0])

    right = dealing.add_shares
    monkeypatch.setattr(dealing, "add_shares", add_shares)
    monkeypatch.setattr(dealing, fault, fail)
    network = run()
    assert all(node.aborts and not node.aborts[0].evidence for node in network.nodes)
    assert len(made) == TERMS.count
    assert not any(shares.any() for shares in made)


def test_a_node_that_plans_otherwise_is_found_out():
    network = run(plans={CHEATER: SamplePlan(1, b"another lock")})
    network.cheaters.add(CHEATER)
    assert_blamed(network, CHEATER)


def test_who_was_not_there_may_need_to_know_the_result():
    network = run(cheats={CHEATER: cheaters.other_lock_hash})
    with pytest.raises(UndecidedError):
        judge_evidence(network.nodes[0].aborts[0].evidence, TERMS)


def test_nobody_is_convicted_by_who_was_told_of_other_options():
    """By these a COMMIT is of no session, and what a BLAME shows proves nothing; no definition says them."""
    told = replace(TERMS, options=b"what an accuser says")
    network = run(cheats={CHEATER: cheaters.same_for_two})
    node = network.nodes[0]
    commit, (blame,) = node.machine._mail.own[Kind.COMMIT], node.machine._verdicts.messages
    digests, known = node.machine._work.hello_digests, node.machine._work.known
    false_blame = of_envelopes(Proves.FALSE_BLAME, TERMS, digests, blame, rest=[blame.attachment])
    for evidence in (of_envelopes(Proves.MALFORMED, TERMS, digests, commit), false_blame):
        with pytest.raises(UndecidedError, match="what options were agreed on"):
            judge_evidence(evidence.encode(), told, plan=node.plan, known=replace(known, is_party=False))
        with pytest.raises(EvidenceError):
            judge_evidence(evidence.encode(), TERMS, plan=node.plan, known=known)


def test_an_operator_is_there_once():
    one, other, *_ = operators_of(4)
    with pytest.raises(InputError, match=r"operators\[2\]: the same key as operators\[0\]"):
        make_terms().__class__(bytes(32), (one, other, one), 2, 1, 0)


def test_trouble_and_other_options_end_it_at_once():
    network = Network(TERMS, troubles={CHEATER: "the disk is full\n"})
    network.run_to_the_end()
    for node in network.nodes:
        assert [(each.culprit, each.reason) for each in node.aborts] == [
            (CHEATER, f"operator {CHEATER} cannot take part: the disk is full?")
        ]
