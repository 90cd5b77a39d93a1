"""Other broadcasts and shares than were dealt, in charon's ceremony: who can know says who sent them."""

from dataclasses import replace

import pytest

from dvtfast.dkg.coefficients import Coefficients
from dvtfast.dkg.frost.broadcast import Broadcasts
from dvtfast.dkg.frost.casts import Round1, Round2, Shares
from dvtfast.dkg.frost.ceremony import Ceremony
from dvtfast.dkg.frost.dialects import NODE_SIGNATURE, ROUND1, ROUND2, SHARES, V1_11
from dvtfast.dkg.frost.keygen import Dealing
from dvtfast.dkg.frost.messages import (
    NO_SIGNATURE,
    BroadcastMessage,
    NodeSignature,
    SignatureAnswer,
    SignatureRequest,
    Wrapped,
)
from dvtfast.dkg.outputs import Aborted
from tests.frost_cheaters import (
    CHEATER,
    HONEST,
    KEYS,
    NODES,
    M,
    N,
    T,
    assert_blamed,
    network_with,
    one_more,
    payload,
    random_scalars,
    run_with,
)
from tests.frost_nodes import DEFINITION_HASH, Network, terms_of


def round2(change):
    def value(data):
        cast = Round2.decode(data, position=CHEATER, validators=M)
        return change(cast).encode(CHEATER)

    return value


def tampered_broadcast(dialect, id, value):
    """The cheater's node is made to broadcast another value, which everybody signs."""
    network = network_with(dialect)
    inbox = network.nodes[CHEATER]._inbox
    begin = inbox.broadcasts.begin

    def forge(name, content):
        return begin(name, Wrapped(content.type_url, value(content.value)) if name == id else content)

    inbox.broadcasts.begin = forge
    return network.run()


OTHER_POINT = Dealing(Coefficients.from_bytes(random_scalars(M, T)), 0).cast.commitments[0, 0]


@pytest.mark.parametrize(
    ("name", "field"), [("verification_key", "public_keys"), ("vk_share", "public_shares")]
)
def test_public_keys_that_the_commitments_do_not_say(dialect, name, field):
    """charon takes the word of a node for its public key share."""

    def change(cast):
        rows = getattr(cast, field).copy()
        rows[1] = OTHER_POINT
        return replace(cast, **{field: rows})

    network = tampered_broadcast(dialect, ROUND2, round2(change))
    for node in HONEST:
        end = network.ended[node]
        assert isinstance(end, Aborted)
        assert end.culprit is None, "who else may have dealt it something different"
    words = f"node 3: {name}: not what the commitments say, for validator 1"
    assert any(words in network.ended[node].reason for node in HONEST)


def test_what_was_signed_in_other_runs_accuses_nobody_who_is_honest(dialect):
    """The cheater deals node 0 what all have signed in one run, and the others what they have in another."""
    dealings = [Dealing(Coefficients.generate(M, T), CHEATER) for _ in range(2)]
    contents = [Wrapped.of(Round1.NAME, dealing.cast.encode(CHEATER)) for dealing in dealings]
    signed = []
    for content in contents:
        run = Network.of(N, m=M, dialect=dialect)
        request = SignatureRequest(ROUND1, content).encode()
        answers = [run.nodes[i].receive(CHEATER, dialect.signature_protocol, request) for i in HONEST]
        digest = run.nodes[CHEATER]._inbox.broadcasts.digest(ROUND1, content)
        signatures = [SignatureAnswer.decode(answer).signature for answer in answers]
        signed.append((*signatures, KEYS[CHEATER].sign(digest)))
    of_node_0 = {
        dialect.signature_protocol: SignatureRequest(ROUND1, contents[0]).encode(),
        dialect.message_protocol: BroadcastMessage(ROUND1, contents[0], signed[0]).encode(),
        SHARES: Shares(dealings[0].shares_for(0)).encode(CHEATER, 0),
    }
    network = network_with(dialect, dealings[1])

    def tamper(delivery):
        way = (delivery.source, delivery.to)
        if way == (CHEATER, 0) and not delivery.is_answer and delivery.kind in of_node_0:
            return [payload(delivery, of_node_0.pop(delivery.kind))]
        if way == (0, CHEATER) and delivery.is_answer and ROUND1.encode() in delivery.payload:
            return [payload(delivery, SignatureAnswer(ROUND1, signed[1][0]).encode())]
        return [delivery]

    network.tamper = tamper
    network.run()
    assert not of_node_0, "it came that far"
    assert not network.sealed
    for node in HONEST:
        assert isinstance(network.ended[node], Aborted)
        assert network.ended[node].culprit in (None, CHEATER), network.ended[node]
    assert any("not what the commitments say" in network.ended[node].reason for node in HONEST)


@pytest.mark.parametrize(
    ("id", "value", "words"),
    [
        (ROUND1, lambda data: data[:-1], "expected"),
        (ROUND1, lambda data: b"", "expected entries for 2 validators, got 0"),
        (ROUND1, lambda data: data + data, "expected entries for 2 validators, got 4"),
        (ROUND2, lambda data: b"\xff" * 9, "expected a number"),
        (NODE_SIGNATURE, lambda d: NodeSignature(b"\1" * 65, 1).encode(), "peer_index: expected 3, got 1"),
        (NODE_SIGNATURE, lambda d: NodeSignature(NO_SIGNATURE, 3).encode(), "a node that leaves"),
        (NODE_SIGNATURE, lambda d: NodeSignature(b"\1" * 65, 3).encode(), "its signature of the lock hash"),
        (NODE_SIGNATURE, lambda d: NodeSignature(KEYS[3].sign(b"\1" * 32), 3).encode(), "its signature of"),
    ],
)
def test_broadcasts_of_something_else(dialect, id, value, words):
    network = tampered_broadcast(dialect, id, value)
    assert not network.sealed
    blamed = [network.ended[node] for node in HONEST if network.ended[node].culprit == CHEATER]
    assert blamed
    assert all(words in end.reason for end in blamed)


@pytest.mark.parametrize("id", ["", "x", ROUND1 + "/", "/charon/dkg/pedersen/1.0.0/node_pubkeys"])
def test_nothing_is_signed_under_an_id_that_is_none(dialect, id):
    """Whatever it says that it is: 300 such would be 300 signatures, and kept."""
    node = Ceremony(terms_of(0, dialect=dialect), KEYS[0])
    said = Wrapped("type.googleapis.com/dkg.dkgpb.v1.", NodeSignature(b"\1" * 65, CHEATER).encode())
    protocol = dialect.signature_protocol
    assert not node.receive(CHEATER, protocol, SignatureRequest(id, said).encode())
    assert any(isinstance(each, Aborted) and each.culprit == CHEATER for each in node.advance())


def test_different_casts_for_different_nodes(dialect):
    """Each signs one, so that none is signed by all; who is asked for both knows who cheats."""
    other = Dealing(Coefficients.from_bytes(random_scalars(M, T)), CHEATER).cast.encode(CHEATER)

    def change(delivery):
        request = SignatureRequest.decode(delivery.payload)
        if request.id != ROUND1:
            return None
        second = SignatureRequest(ROUND1, Wrapped(request.content.type_url, other)).encode()
        return [delivery, payload(delivery, second)] if delivery.to == 0 else [delivery]

    network = run_with(dialect, change, dialect.signature_protocol)
    assert_blamed(network, "two different broadcasts of", by=(0,))


def test_another_cast_than_was_signed(dialect):
    def change(delivery):
        message = BroadcastMessage.decode(delivery.payload)
        content = Wrapped(message.content.type_url, message.content.value + b"\x3a\0")
        return [payload(delivery, BroadcastMessage(message.id, content, message.signatures).encode())]

    network = run_with(dialect, change, dialect.message_protocol)
    assert_blamed(network, "that we did not sign for this peer")


def test_a_signature_less(dialect):
    def change(delivery):
        message = BroadcastMessage.decode(delivery.payload)
        return [payload(delivery, replace(message, signatures=message.signatures[:-1]).encode())]

    network = run_with(dialect, change, dialect.message_protocol)
    assert_blamed(network, "signatures: expected 4, got 3")


def test_a_signature_that_is_none(dialect):
    """The origin sees it, as it collects them."""

    def tamper(delivery):
        if delivery.source == CHEATER and delivery.is_answer and delivery.kind == dialect.signature_protocol:
            return [payload(delivery, delivery.payload[:-1] + bytes([delivery.payload[-1] ^ 1]))]
        return [delivery]

    network = network_with(dialect)
    network.tamper = tamper
    assert_blamed(network.run(), "not the peer's signature of what is broadcast")


def test_a_cast_of_another_node_as_its_own(dialect):
    """What is signed does not say by whom, but what is in it does."""
    other = Dealing(Coefficients.from_bytes(random_scalars(M, T)), 0).cast.encode(0)
    network = tampered_broadcast(dialect, ROUND1, lambda data: other)
    assert_blamed(network, "key: expected source_id 4 and target_id 0, got 1 and 0")


def test_a_broadcast_of_another_ceremony():
    """In v1.11 the session is signed; in v1.10 it is not, and a node can repeat its own old casts."""
    other = Broadcasts(V1_11, bytes(32), KEYS[0], NODES, 0)
    ours = Broadcasts(V1_11, DEFINITION_HASH, KEYS[0], NODES, 0)
    content = Wrapped.of(Round1.NAME, b"casts")
    assert other.digest(ROUND1, content) != ours.digest(ROUND1, content)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.encode(CHEATER, 1), "key: expected source_id 4 and target_id 1"),
        (lambda s: s.encode(0, 0), "key: expected source_id 4 and target_id 1"),
        (lambda s: b"", "expected entries for 2 validators"),
        (lambda s: s.encode(CHEATER, 0) + b"\x08", "expected a number"),
        (lambda s: s.encode(CHEATER, 0) + bytes(10_000), "expected at most"),
    ],
)
def test_shares_that_a_dealer_may_not_send(dialect, change, words):
    def tamper(delivery):
        if delivery.to != 0:
            return None
        shares = Shares.decode(delivery.payload, position=CHEATER, to=0, validators=M)
        return [payload(delivery, change(shares))]

    assert_blamed(run_with(dialect, tamper, SHARES), words, by=(0,))


def test_shares_that_change(dialect):
    def tamper(delivery):
        shares = Shares.decode(delivery.payload, position=CHEATER, to=delivery.to, validators=M)
        other = Shares(one_more(shares.values)).encode(CHEATER, delivery.to)
        return [delivery, payload(delivery, other)]

    assert_blamed(run_with(dialect, tamper, SHARES), "shares that are not those it sent before")
