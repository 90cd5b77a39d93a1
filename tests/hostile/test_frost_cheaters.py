"""A node that cheats in charon's ceremony: nobody ends with keys, and who can know says who it was."""

from dataclasses import replace

import numpy as np
import pytest
from py_ecc.optimized_bls12_381 import add, neg

from dvtfast.constants import CURVE_ORDER
from dvtfast.dkg.coefficients import Coefficients
from dvtfast.dkg.frost.broadcast import Broadcasts
from dvtfast.dkg.frost.casts import Round1, Round2, Shares
from dvtfast.dkg.frost.ceremony import Ceremony
from dvtfast.dkg.frost.dialects import NODE_SIGNATURE, PARTIALS, ROUND1, ROUND2, SHARES, SYNC, V1_10, V1_11
from dvtfast.dkg.frost.keygen import Dealing
from dvtfast.dkg.frost.messages import (
    NO_SIGNATURE,
    BroadcastMessage,
    NodeSignature,
    SignatureAnswer,
    SignatureRequest,
    Sync,
    Wrapped,
    timestamp,
)
from dvtfast.dkg.frost.partials import LOCK_HASH, REGISTRATION, PartialsMessage, encode_partials, key_text
from dvtfast.dkg.outputs import Aborted, Finished, Phase
from dvtfast.errors import InputError
from dvtfast.protobuf import message_field
from tests import reference
from tests.frost_nodes import DEFINITION_HASH, Network, node_keys, terms_of
from tests.vector_files import load, unhex

N, T, M, CHEATER = 4, 3, 2, 3
KEYS = node_keys(N)
NODES = [key.public_key for key in KEYS]
HONEST = (0, 1, 2)


@pytest.fixture(params=[V1_10, V1_11], ids=lambda dialect: dialect.version)
def dialect(request):
    return request.param


def random_scalars(*shape):
    rng = np.random.default_rng(7)
    scalars = rng.integers(0, 256, (*shape, 32), dtype=np.uint8)
    scalars[..., 0] &= 0x3F
    return scalars


def network_with(dialect, dealing=None, *, others=()):
    """Three honest nodes and a fourth that deals what a test made; `others` are dealings by position."""
    dealings = dict(others) | {CHEATER: dealing}
    nodes = [
        Ceremony(terms_of(i, n=N, t=T, m=M, dialect=dialect), KEYS[i], dealing=dealings.get(i))
        for i in range(N)
    ]
    return Network(nodes)


def assert_blamed(network, words, *, by=HONEST):
    """Nobody has keys; `by` blame the cheater, and the others know it from these."""
    assert not any(isinstance(end, Finished) for end in network.ended.values())
    assert not network.sealed
    for node in HONEST:
        end = network.ended[node]
        assert isinstance(end, Aborted)
        if node in by:
            assert end.culprit == CHEATER
            assert words in end.reason
        else:
            assert end.culprit in (None, CHEATER)
            assert "node" in end.reason


# --- what is dealt ---


class Forged(Dealing):
    """Deals what it is told to."""

    def __init__(self, coefficients, position, *, cast=lambda cast: cast, shares=lambda to, shares: shares):
        super().__init__(coefficients, position)
        self.cast, self._change = cast(self.cast), shares

    __slots__ = ("_change",)

    def shares_for(self, position):
        return self._change(position, super().shares_for(position))


def forged(**changes):
    return Forged(Coefficients.generate(M, T), CHEATER, **changes)


def one_more(scalars, v=0):
    """The same with one more modulo r at one place."""
    changed = scalars.copy()
    value = (int.from_bytes(changed[v].tobytes(), "big") + 1) % CURVE_ORDER or 1
    changed[v] = np.frombuffer(value.to_bytes(32, "big"), np.uint8)
    return changed


def with_commitment(point, k=1, v=1):
    def change(cast):
        commitments = cast.commitments.copy()
        commitments[v, k] = np.frombuffer(point, np.uint8)
        return replace(cast, commitments=commitments)

    return change


def test_a_wrong_share_for_one_node(dialect):
    dealing = forged(shares=lambda to, shares: one_more(shares, 1) if to == 1 else shares)
    network = network_with(dialect, dealing).run()
    assert_blamed(network, "dealer 3: share of validator 1: does not fit", by=(1,))
    assert any("dealer 3" in network.ended[node].reason for node in (0, 2))


def test_wrong_shares_for_all(dialect):
    network = network_with(dialect, forged(shares=lambda to, shares: one_more(shares))).run()
    assert_blamed(network, "dealer 3: share of validator 0: does not fit")


@pytest.mark.parametrize("name", ["responses", "challenges"])
def test_a_proof_that_is_wrong(dialect, name):
    dealing = forged(cast=lambda cast: replace(cast, **{name: one_more(getattr(cast, name), 1)}))
    assert_blamed(network_with(dialect, dealing).run(), "dealer 3: commitment 0 of validator 1: the proof")


def test_a_proof_of_another_dealer(dialect):
    """Its index is hashed, so what one dealer said another cannot say."""
    honest = Dealing(Coefficients.from_bytes(random_scalars(M, T)), 0)
    copied = forged(cast=lambda cast: honest.cast)
    network = network_with(dialect, copied, others=[(0, honest)]).run()
    assert_blamed(network, "dealer 3: commitment 0 of validator 0: the proof")


INFINITY = b"\xc0" + bytes(47)
POINTS = {
    "infinity": (INFINITY, "infinity"),
    "not on the curve": (b"\x80" + bytes(46) + b"\x01", ""),
    "zeros": (bytes(48), ""),
    "x too large": (b"\x9f" + b"\xff" * 47, ""),
    "of order 3": (reference.g1_bytes(reference.small_order_point_g1(3)), "subgroup"),
    "another of the curve": (unhex(load("bls_extra.json")["off_subgroup_g1"][0]), "subgroup"),
}


@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize("k", [0, 2])
def test_commitments_that_are_no_points_of_the_group(dialect, name, k):
    point, _ = POINTS[name]
    network = network_with(dialect, forged(cast=with_commitment(point, k))).run()
    assert_blamed(network, f"dealer 3: commitment {k} of validator 1: ")


def test_a_commitment_to_another_polynomial(dialect):
    point = Dealing(Coefficients.from_bytes(random_scalars(M, T)), 0).cast.commitments[0, 1].tobytes()
    network = network_with(dialect, forged(cast=with_commitment(point))).run()
    assert_blamed(network, "dealer 3: share of validator 1: does not fit")


def test_parts_of_small_order_that_cancel_between_two_dealers_have_no_effect(dialect):
    """Only sums are used, and these are in the group."""
    small = reference.small_order_point_g1(3)

    def adding(point):
        def change(cast):
            had = reference.g1(cast.commitments[1, 2].tobytes())
            return with_commitment(reference.g1_bytes(add(had, point)), 2)(cast)

        return change

    dealings = [
        (node, Forged(Coefficients.generate(M, T), node, cast=adding(point)))
        for node, point in ((1, small), (2, neg(small)))
    ]
    network = network_with(dialect, others=dealings).run()
    assert {type(end) for end in network.ended.values()} == {Finished}
    assert len({sealed.lock_hash for sealed in network.sealed.values()}) == 1


def test_two_validators_with_the_same_polynomials(dialect):
    dealings = []
    for node in range(N):
        scalars = random_scalars(M, T)
        scalars[1] = scalars[0] = scalars[0] + node
        dealings.append((node, Dealing(Coefficients.from_bytes(scalars), node)))
    network = network_with(dialect, dict(dealings)[CHEATER], others=dealings).run()
    for end in network.ended.values():
        assert end.culprit is None
        assert "validator 1: the validator has the key of another" in end.reason


def test_keys_that_cancel():
    scalars = random_scalars(1, 2)
    opposite = [CURVE_ORDER - int.from_bytes(row.tobytes(), "big") for row in scalars[0]]
    negative = np.frombuffer(b"".join(v.to_bytes(32, "big") for v in opposite), np.uint8).reshape(1, 2, 32)
    nodes = [
        Ceremony(terms_of(i, n=2, t=2, m=1), KEYS[i], dealing=Dealing(Coefficients.from_bytes(each), i))
        for i, each in enumerate((scalars, negative))
    ]
    terms = [replace(terms_of(i, n=2, t=2, m=1)) for i in range(2)]
    assert terms[0].nodes == tuple(NODES[:2])
    for end in Network(nodes).run().ended.values():
        assert end.culprit is None
        assert "all dealers together: commitment 0 of validator 0" in end.reason


def test_a_dealer_that_makes_a_share_zero():
    """It can, if it speaks last: all learn that it is nobody's fault alone, and no share is left."""
    scalars = random_scalars(1, 2)
    a = [int.from_bytes(row.tobytes(), "big") for row in scalars[0]]
    b = (a[0] + 1) % CURVE_ORDER
    other = [b, -(sum(a) + b) % CURVE_ORDER]  # at the first node's index, 1, both are zero together
    last = np.frombuffer(b"".join(v.to_bytes(32, "big") for v in other), np.uint8).reshape(1, 2, 32)
    nodes = [
        Ceremony(terms_of(i, n=2, t=2, m=1), KEYS[i], dealing=Dealing(Coefficients.from_bytes(each), i))
        for i, each in enumerate((scalars, last))
    ]
    for end in Network(nodes).run().ended.values():
        assert isinstance(end, Aborted)
        assert end.culprit is None
        assert "all dealers together: share of validator 0" in end.reason


def test_polynomials_are_wiped_when_all_goes_well_and_when_it_does_not(dialect):
    cases = ((lambda to, shares: shares, Finished), (lambda to, shares: one_more(shares), Aborted))
    for change, kind in cases:
        mine = Dealing(Coefficients.generate(M, T), 0)
        network = network_with(dialect, forged(shares=change), others=[(0, mine)]).run()
        assert isinstance(network.ended[0], kind)
        with pytest.raises(InputError, match="wiped"):
            mine.shares_for(1)


# --- what is sent ---


def from_cheater(change, kind=None):
    """A network's tampering with what the cheater sends."""

    def tamper(delivery):
        if delivery.source != CHEATER or delivery.is_answer or (kind and delivery.kind != kind):
            return [delivery]
        changed = change(delivery)
        return [delivery] if changed is None else changed

    return tamper


def payload(delivery, data):
    return replace(delivery, payload=data)


def run_with(dialect, change, kind=None):
    network = network_with(dialect)
    network.tamper = from_cheater(change, kind)
    return network.run()


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


# --- what is signed ---


def resigned(slot, change):
    """The cheater's signatures for a slot, changed."""

    def tamper(delivery):
        sent = PartialsMessage.decode(delivery.payload)
        if sent.slot != slot:
            return None
        keys = tamper.network.nodes[0]._order._keys.public_keys
        validator_of = {key_text(key.tobytes()): v for v, key in enumerate(keys)}
        signatures = sent.signatures(validator_of, CHEATER)
        return [payload(delivery, data) for data in change(signatures, keys)]

    return tamper


def run_resigned(dialect, slot, change):
    network = network_with(dialect)
    tamper = resigned(slot, change)
    tamper.network = network
    network.tamper = from_cheater(tamper, PARTIALS)
    return network.run()


def encoded(slot, position=CHEATER):
    return lambda signatures, keys: [encode_partials(slot, signatures, keys, position)]


def swapped(signatures, keys):
    return signatures[::-1].copy()


@pytest.mark.parametrize("slot", [200, 201, REGISTRATION])
def test_signatures_by_a_share_that_are_wrong(dialect, slot):
    """Though three would do without them: the fourth's are looked at, too."""
    network = run_resigned(dialect, slot, lambda s, k: encoded(slot)(swapped(s, k), k))
    assert_blamed(network, "node 3: its signature for validator 0 is wrong")


def test_signatures_of_the_lock_that_are_wrong(dialect):
    def change(signatures, keys):
        wrong = signatures.copy()
        wrong[0] = wrong[1]
        return encoded(LOCK_HASH)(wrong, keys)

    assert_blamed(run_resigned(dialect, LOCK_HASH, change), "its signatures of the lock hash are wrong")


@pytest.mark.parametrize("name", ["infinity", "zeros", "x too large"])
def test_signatures_that_are_no_points(dialect, name):
    wrong = {"infinity": b"\xc0" + bytes(95), "zeros": bytes(96), "x too large": b"\x9f" + b"\xff" * 95}[name]

    def change(slot):
        def of(signatures, keys):
            changed = signatures.copy()
            changed[1] = np.frombuffer(wrong, np.uint8)
            return encoded(slot)(changed, keys)

        return of

    network = run_resigned(dialect, 200, change(200))
    assert_blamed(network, "its signature for validator 1 is wrong")
    network = run_resigned(dialect, LOCK_HASH, change(LOCK_HASH))
    assert_blamed(network, "its signatures of the lock hash are wrong")


def test_signatures_with_the_index_of_another(dialect):
    """charon before v1.11 takes them."""
    network = run_resigned(dialect, 200, encoded(200, position=1))
    assert_blamed(network, "share_idx: expected 4, got 2")


def test_signatures_of_nothing_that_is_signed(dialect):
    network = run_resigned(dialect, 200, encoded(202))
    assert_blamed(network, "duty: nothing is signed in slot 202")


def test_signatures_that_change(dialect):
    network = run_resigned(dialect, 200, lambda s, k: encoded(200)(s, k) + encoded(200)(swapped(s, k), k))
    assert_blamed(network, "signatures for slot 200 that are not those it sent before")


def test_another_lock(dialect):
    """A node that reads another definition, or makes the lock of it otherwise, signs another hash."""
    network = network_with(dialect)
    honest = network.lock_hash

    def lock_hash(wanted):
        mine = wanted.keys.secret_shares.tobytes()
        theirs = network.nodes[CHEATER]._order._keys
        return b"\1" * 32 if theirs and theirs.secret_shares.tobytes() == mine else honest(wanted)

    network.lock_hash = lock_hash
    assert_blamed(network.run(), "its signatures of the lock hash are wrong")


# --- junk, and silence ---


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
