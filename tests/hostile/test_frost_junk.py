"""Junk and silence in charon's ceremony: who sends it, or nothing, is named."""

import pytest

from dvtfast.dkg.frost.ceremony import Ceremony
from dvtfast.dkg.frost.dialects import NODE_SIGNATURE, PARTIALS, ROUND1, ROUND2, SHARES, SYNC
from dvtfast.dkg.frost.messages import (
    SignatureRequest,
    Sync,
    timestamp,
)
from dvtfast.dkg.outputs import Aborted, Finished, Phase
from dvtfast.errors import InputError
from dvtfast.protobuf import message_field
from tests.frost_cheaters import (
    CHEATER,
    HONEST,
    KEYS,
    M,
    N,
    T,
    assert_blamed,
    from_cheater,
    network_with,
    payload,
)
from tests.frost_nodes import DEFINITION_HASH, terms_of


@pytest.mark.parametrize("kind", [SYNC, SHARES, PARTIALS, "sig", "msg"])
@pytest.mark.parametrize("junk", [b"\xff", b"\x0b" * 1000, b"\x12\x02\x08\x01"], ids=len)
def test_junk_in_every_protocol(dialect, kind, junk):
    kind = {"sig": dialect.signature_protocol, "msg": dialect.message_protocol}.get(kind, kind)
    node = Ceremony(terms_of(0, n=N, t=T, m=M, dialect=dialect), KEYS[0])
    node.advance()
    assert node.receive(CHEATER, kind, junk) is None
    end = node.advance()[-1]
    assert isinstance(end, Aborted)
    assert end.culprit == CHEATER
    assert end.reason.startswith("node 3: ")
    assert node.advance() == []


@pytest.mark.parametrize("kind", [SYNC, SHARES, PARTIALS, "sig", "msg"])
def test_messages_that_are_too_long_are_not_read(dialect, kind):
    kind = {"sig": dialect.signature_protocol, "msg": dialect.message_protocol}.get(kind, kind)
    node = Ceremony(terms_of(0, n=N, t=T, m=M, dialect=dialect), KEYS[0])
    node.receive(CHEATER, kind, message_field(9, bytes(node.most_bytes(kind))))
    end = node.advance()[-1]
    assert "expected at most" in end.reason
    assert end.culprit == CHEATER


def test_junk_as_an_answer(dialect):
    network = network_with(dialect)
    network.tamper = lambda d: [
        payload(d, b"\xff") if d.is_answer and d.source == CHEATER and d.kind != SYNC else d
    ]
    assert_blamed(network.run(), f"{dialect.signature_protocol}: ")


@pytest.mark.parametrize(
    ("kind", "id", "phase"),
    [
        (SYNC, None, "connecting"),
        ("sig", ROUND1, "commitments and shares of others"),
        (SHARES, None, "commitments and shares of others"),
        ("sig", ROUND2, "keys of others"),
        (PARTIALS, None, "signatures for deposit of 1 ETH"),
        ("sig", NODE_SIGNATURE, "node signatures"),
    ],
)
def test_a_node_that_falls_silent_is_named_with_the_phase(dialect, kind, id, phase):
    kind = {"sig": dialect.signature_protocol}.get(kind, kind)

    def change(delivery):
        if id and SignatureRequest.decode(delivery.payload).id != id:
            return None
        return []

    network = network_with(dialect)
    network.tamper = from_cheater(change, kind)
    network.run(20)
    assert not network.ended
    for node in HONEST:
        shown = network.phases[node][-1]
        assert (shown.name, shown.missing) == (phase, (CHEATER,))
        network.nodes[node].give_up()
        (end,) = network.nodes[node].advance()
        assert end == Aborted(f"waited too long for node 3: {phase}", CHEATER)
        # Who comes back is told.
        report = Sync(timestamp(1, 0), KEYS[1].sign_message(DEFINITION_HASH), False, dialect.version, 0)
        told = network.nodes[node].receive((node + 1) % N, SYNC, report.encode())
        assert b"waited too long for node 3" in told


def test_a_node_that_is_started_anew(dialect):
    network = network_with(dialect)
    before = network.tamper

    def tamper(delivery):
        if delivery.kind == SHARES:
            terms = terms_of(CHEATER, n=N, t=T, m=M, dialect=dialect)
            network.nodes[CHEATER] = Ceremony(terms, KEYS[CHEATER])
            network.tamper = before
        return [delivery]

    network.tamper = tamper
    network.run()
    assert_blamed(network, "went back from step 1 to 0: it was started anew", by=())
    assert any(network.ended[node].culprit == CHEATER for node in HONEST)


def test_who_cannot_be_reached(dialect):
    node = network_with(dialect).nodes[0]
    node.advance()
    node.undelivered(2, "no route")
    (end,) = node.advance()
    assert end == Aborted("node 2 cannot be reached: no route")
    node.undelivered(1, "no route")
    assert node.advance() == []


def test_at_the_very_end_nobody_has_to_be_waited_for(dialect):
    """All have stored everything when one goes away without a word."""
    network = network_with(dialect)

    def change(delivery):
        return [] if Sync.decode(delivery.payload).shutdown else None

    network.tamper = from_cheater(change, SYNC)
    network.run(20)
    assert {type(end) for end in network.ended.values()} == {Finished}
    for node in HONEST:
        assert network.phases[node][-1] == Phase("the end", (CHEATER,))
        assert not network.nodes[node].is_over
        network.nodes[node].give_up()
        assert network.nodes[node].advance() == []
        assert network.nodes[node].is_over


def test_what_comes_after_the_end_changes_nothing(dialect):
    network = network_with(dialect).run()
    node = network.nodes[0]
    for kind in (SYNC, SHARES, PARTIALS, dialect.signature_protocol):
        node.receive(CHEATER, kind, b"\xff")
        node.answered(CHEATER, dialect.signature_protocol, b"\xff")
        assert node.advance() == []


def test_the_callers_mistakes(dialect):
    node = network_with(dialect).nodes[0]
    for peer in (0, 4, -1):
        with pytest.raises(InputError, match="peer"):
            node.receive(peer, SYNC, b"")
    for protocol in ("", "/charon/other", "/charon/dkg/bcast/3.0.0/sig"):
        with pytest.raises(InputError, match="protocol"):
            node.receive(1, protocol, b"")
    with pytest.raises(InputError, match="nothing is asked"):
        node.answered(1, SHARES, b"")
    with pytest.raises(InputError, match="lock_hash: expected 32 bytes"):
        node.sign_lock(b"")
    with pytest.raises(InputError, match="key: not that of the node"):
        Ceremony(terms_of(0), KEYS[1])
