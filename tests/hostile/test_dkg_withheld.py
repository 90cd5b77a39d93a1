"""One operator has what makes a cluster, or a deposit, and keeps it: the others still have the keys of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import dvtfast
from dvtfast.dkg.dvtfast_dkg.kept import kept_keys
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Kind
from dvtfast.errors import InputError
from dvtfast.keys import derive_public_keys
from dvtfast.secp256k1 import recovered_signer
from dvtfast.signatures import fast_aggregate_verify
from tests.ceremonies import Network, Node, make_terms, secret_of

CHEATER = 3
OTHERS = (0, 1, 2)


def withholding(kind, *but):
    """Nothing of a kind or after it goes out, but to some."""

    def tamper(node, to, name, payload):
        return [] if payload[0] >= kind and to not in but else [payload]

    return tamper


def run(terms, kind, *but):
    network = Network(terms, tampers={CHEATER: None})
    network.tampers[CHEATER] = partial(withholding(kind, *but), network.nodes[CHEATER])
    network.run()
    return network


def begin_anew(network):
    """The cheater begins the next attempt, which all others follow."""
    anew = Node(replace(network.terms, attempt=1), CHEATER)
    for send in anew.inbox:
        if send.to in OTHERS:
            network.nodes[send.to].tell("receive", CHEATER, send.payload)


def whole_keys(network, keys, signers):
    """The validators' keys of what these nodes have on their disks."""
    shares = [kept_keys(secret_of(i), network.nodes[i].disk, network.terms) for i in signers]
    for kept in shares:
        np.testing.assert_array_equal(kept.public_keys, keys.public_keys)
        np.testing.assert_array_equal(kept.public_shares, keys.public_shares)
    secrets = np.stack([kept.secret_shares for kept in shares], axis=1)
    return dvtfast.recover_secret_keys(secrets, [i + 1 for i in signers], threshold=network.terms.threshold)


def test_a_lock_that_one_alone_has():
    """It has all LOCKSIGs and gives none: the others end without keys, and have them nevertheless."""
    network = run(make_terms(), Kind.LOCKSIG)
    lock = network.nodes[CHEATER].files
    everybody = np.ascontiguousarray(lock.keys.public_shares.reshape(-1, 48))
    fast_aggregate_verify(everybody, lock.lock_hash, lock.signature_aggregate)
    signers = [recovered_signer(lock.lock_hash, each) for each in lock.node_signatures]
    assert signers == list(network.terms.operators)
    begin_anew(network)
    for node in network.honest:
        assert [(abort.culprit, abort.unconfirmed) for abort in node.aborts] == [(CHEATER, False)]
        assert not node.machine._work.keys.secret_shares.any(), "they are on its disk alone"
        assert node.machine.may_be_used
    keys = whole_keys(network, lock.keys, OTHERS)
    np.testing.assert_array_equal(derive_public_keys(keys), lock.keys.public_keys)


def test_a_deposit_that_two_have_signed():
    """One node gets the cheater's ECHO and signs; the others, who never do, have said theirs before."""
    terms = make_terms(threshold=2)
    network = run(terms, Kind.ECHO, 0)
    assert [node.phase.name for node in network.honest[1:]] == ["echo", "echo"]
    cheater = network.nodes[CHEATER]
    assert cheater.phase.name == "locksig", "with its own signatures and those of node 0"
    begin_anew(network)
    assert all(node.machine.may_be_used for node in network.honest)
    keys = cheater.machine._work.keys
    assert (whole_keys(network, keys, (1, 2)) == whole_keys(network, keys, (0, 2))).all()


def test_before_its_echo_nothing_of_a_node_is_of_use():
    """So nothing is kept of what ended there: no other node has signed anything."""
    network = run(make_terms(), Kind.DEAL)
    begin_anew(network)
    for node in network.honest:
        assert not node.machine.may_be_used
        assert not any(kind in ("sigs", "locksig") for _, kind in node.sent)
        with pytest.raises(InputError, match="ended before there were keys"):
            kept_keys(secret_of(node.position), node.disk, network.terms)


def test_what_is_kept_opens_for_its_own_terms_and_node():
    network = run(make_terms(), Kind.LOCKSIG)
    disk = network.nodes[0].disk
    assert kept_keys(secret_of(0), disk, replace(network.terms, attempt=5)).secret_shares.any()
    for terms in (make_terms(threshold=2), replace(network.terms, definition_hash=bytes(32))):
        with pytest.raises(InputError, match="records: of other terms"):
            kept_keys(secret_of(0), disk, terms)
    with pytest.raises(dvtfast.EncodingError):
        kept_keys(secret_of(1), disk, network.terms)
    with pytest.raises(InputError, match="there are none"):
        kept_keys(secret_of(0), (), network.terms)


def test_what_was_stopped_is_not_gone_on_with():
    """It has said that it signs no lock; killed before its records were set aside, it sticks to that."""
    network = Network(make_terms(), tampers={CHEATER: lambda to, kind, payload: [payload]})
    network.tampers[CHEATER] = lambda to, kind, payload: [] if kind == "echo" and to == 0 else [payload]
    network.cheaters.clear()
    network.run()
    node = network.nodes[0]
    assert node.phase.name == "echo"
    written = len(node.disk)
    node.tell("give_up")
    assert len(node.disk) == written + 1
    assert {kind for _, kind in node.sent} >= {"stop"}
    node.sent.clear()
    node.aborts.clear()
    node.restart()
    assert node.machine.has_stopped
    network.run_to_the_end()
    assert not node.sent
    assert not node.aborts
    assert node.machine.may_be_used
