"""Messages, keys between two nodes, records and evidence of dvtfast-dkg/1, each by itself."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from hashlib import sha256

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.secp256k1 import secp256k1

import dvtfast
from dvtfast.dkg.dvtfast_dkg import channels, machine, work
from dvtfast.dkg.dvtfast_dkg.blame import judging
from dvtfast.dkg.dvtfast_dkg.blame.judging import EvidenceError, Known, UndecidedError, judge_evidence
from dvtfast.dkg.dvtfast_dkg.hashing import FORMAT, path_bytes, root_of_path, tree_path, tree_root
from dvtfast.dkg.dvtfast_dkg.machine import MOST_AHEAD, Machine
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import FRAME_BYTES, Kind, decode_envelope
from dvtfast.dkg.dvtfast_dkg.messages.sizes import largest_payload, most_validators, payload_sizes
from dvtfast.dkg.dvtfast_dkg.messages.statements import statement_sizes
from dvtfast.dkg.dvtfast_dkg.messages.wanting import (
    REMINDERS_IN_VAIN,
    Wanted,
    decode_want,
    encode_want,
    helpers,
)
from dvtfast.dkg.dvtfast_dkg.records import SALT_BYTES, MisfitError, Records
from dvtfast.dkg.dvtfast_dkg.terms import Terms
from dvtfast.dkg.outputs import Joined
from dvtfast.services.p2p.limits import Limits
from tests import cheaters
from tests.ceremonies import Network, SamplePlan, make_terms, operators_of, secret_of
from tests.hostile.test_dkg_cheaters import CHEATER, COMPUTING, EQUIVOCATIONS, TERMS, run

SECRETS = st.integers(1, channels.ORDER - 1).map(lambda number: number.to_bytes(32, "big"))


def payloads_of(network):
    return [
        (node.position, to, payload)
        for node in network.nodes
        for (to, _), payloads in node.sent.items()
        for payload in payloads
    ]


@cache
def honest():
    network = Network(make_terms(kinds=2))
    network.run_to_the_end()
    return network


def test_sizes_are_known_before():
    sizes = payload_sizes(honest().terms)
    kinds = {payload[0] for _, _, payload in payloads_of(honest())}
    assert kinds == set(Kind) - {Kind.COMPLAINT, Kind.BLAME, Kind.STOP, Kind.WANT}
    for _, _, payload in payloads_of(honest()):
        assert len(payload) in sizes[payload[0]]
        assert len(sizes[payload[0]]) == 1 or payload[0] == Kind.HELLO
        assert len(payload) <= largest_payload(honest().terms)


def test_sizes_of_ten_thousand_validators():
    sizes = payload_sizes(make_terms(4, 3, 10_000, 3))
    frame, statements = FRAME_BYTES, statement_sizes(make_terms(4, 3, 10_000, 3))
    assert sizes[Kind.DEAL][0] == frame + statements[Kind.DEAL][0] + 1_440_000 + 320_016
    assert sizes[Kind.SIGS][0] == frame + 32 + 2_880_000
    small = set(sizes) - {Kind.DEAL, Kind.SIGS, Kind.BLAME}
    assert max(sizes[kind][-1] for kind in small) < 1000


@pytest.mark.parametrize(("count", "threshold", "kinds"), [(2, 2, 64), (4, 3, 3), (31, 21, 3), (255, 170, 3)])
def test_what_is_allowed_can_be_held_and_carried(count, threshold, kinds):
    """By libp2p, two payloads of one peer at once, or one of each."""
    most = most_validators(make_terms(count, threshold, 1, kinds))
    terms, limits = make_terms(count, threshold, most, kinds), Limits()
    assert 2 * largest_payload(terms) <= limits.peer_bytes
    for kind in (Kind.DEAL, Kind.SIGS):
        assert count * payload_sizes(terms)[kind][-1] <= limits.all_bytes
    assert (most < 65_536) == (count != 4)


def test_messages_decode_to_what_they_were():
    for _, _, payload in payloads_of(honest()):
        envelope = decode_envelope(payload)
        assert envelope.encode() == payload
        assert envelope.is_signed(honest().terms.operators)
        assert not replace(envelope, sender=(envelope.sender + 1) % 4).is_signed(honest().terms.operators)
        assert not replace(envelope, slot=bytes(32)).is_signed(honest().terms.operators)


@given(st.binary(max_size=200))
def test_noise_is_no_message(noise):
    machine = Machine(TERMS, secret_of(0), SamplePlan())
    machine.start()
    for start in (b"", *(bytes([kind]) for kind in Kind)):
        for output in machine.receive(1, start + noise):
            assert not isinstance(output, dvtfast.dkg.outputs.Aborted)


@settings(max_examples=40)
@given(st.randoms(use_true_random=True))
def test_what_is_garbled_on_the_way_blames_nobody(chance):
    """Every message is garbled once; those that can be are asked for again, and all goes well."""
    network = Network(TERMS)
    network.collect()
    garbled = set()
    while network.way:
        sender, to, payload = network.way[0]
        if (sender, to, payload) not in garbled and payload[0] != Kind.WANT:
            garbled.add((sender, to, payload))
            other = bytearray(payload)
            other[chance.randrange(len(payload))] ^= chance.randint(1, 255)
            network.way[0] = sender, to, bytes(other)
        network.deliver()
        if not network.way:
            for node in network.nodes:
                node.tell("remind")
            network.collect()
            if all(node.phase.name == "closed" for node in network.nodes):
                break
    assert all(node.finished and not node.aborts for node in network.nodes)


def test_the_bytes_do_not_change_unnoticed(monkeypatch):
    """All that four nodes say, from seeds that are fixed: whoever changes a byte changes the protocol."""
    said = sha256()
    seeds = iter([bytes([place]) * 32 for place in range(200)])
    monkeypatch.setattr(machine.os, "urandom", lambda size: next(seeds))
    network = Network(TERMS)
    monkeypatch.undo()
    network.run_to_the_end()
    for position, to, payload in sorted(payloads_of(network)):
        said.update(bytes([position, to]) + payload)
    assert said.hexdigest() == "45d485d93bc5e9fa5f89cc1ffbcfb8f8249249ecbd8c881502977e9d30322e23"


@given(st.lists(st.binary(max_size=5), max_size=5), st.integers(-30, 30), st.integers(-30, 30))
def test_what_is_joined_is_sliced_as_the_whole(parts, start, stop):
    joined, whole = Joined(*parts), b"".join(parts)
    assert (len(joined), bytes(joined)) == (len(whole), whole)
    assert joined[start:stop] == whole[start:stop]
    assert {joined: 1}[Joined(*parts)]


@pytest.mark.parametrize("kind", [Kind.DEAL, Kind.SIGS], ids=lambda kind: kind.name)
def test_what_goes_to_all_is_held_once(kind):
    """However many they are: at 255 operators it would be 254 times as much."""
    work = honest().nodes[0].machine._work
    parts = [work.attachment(kind, receiver) for receiver in (1, 2, 3)]
    assert len({id(each[0]) for each in parts}) == 1
    sent = {to: next(iter(honest().nodes[0].sent[to, kind.name.lower()])) for to in (1, 2, 3)}
    assert all(sent[to].endswith(b"".join(each)) for to, each in enumerate(parts, 1))


# Trees.


@given(st.integers(1, 40), st.data())
def test_paths_lead_to_the_root(rows, data):
    array = np.arange(rows * 5, dtype=np.uint8).reshape(rows, 5)
    place = data.draw(st.integers(0, rows - 1))
    path, root = tree_path(array, place), tree_root(array)
    assert len(path) == path_bytes(rows)
    assert root_of_path(array[place].tobytes(), place, path) == root
    if rows > 1:
        assert root_of_path(array[place].tobytes(), place ^ 1, path) != root
    assert root_of_path(b"other", place, path) != root


# Keys between two nodes.


def points(*secrets):
    return [channels.public_point(secret) for secret in secrets]


@given(SECRETS, SECRETS)
def test_both_have_the_same_key_and_so_has_who_sees_the_opening(accuser, dealer):
    a, d = points(accuser, dealer)
    key = channels.pair_key(accuser, d, b"s" * 32, 2, 1)
    assert key == channels.pair_key(dealer, a, b"s" * 32, 2, 1)
    assert key != channels.pair_key(dealer, a, b"s" * 32, 1, 2)
    assert key != channels.pair_key(dealer, a, b"t" * 32, 2, 1)
    opening, proof = channels.open_pair(accuser, d, b"s" * 32, 1, 2)
    assert key == channels.opened_key(opening, b"s" * 32, 2, 1)
    assert channels.is_opening(opening, proof, a, d, b"s" * 32, 1, 2)


@given(SECRETS, SECRETS)
def test_the_point_is_that_of_another_implementation(accuser, dealer):
    own = ec.derive_private_key(int.from_bytes(accuser, "big"), ec.SECP256K1())
    other = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), points(dealer)[0])
    opening, _ = channels.open_pair(accuser, points(dealer)[0], bytes(32), 0, 1)
    assert opening[1:] == own.exchange(ec.ECDH(), other)


def decoded(point):
    """x and y of a compressed point, by the equation of the curve."""
    x = int.from_bytes(point[1:], "big")
    y = pow(x**3 + 7, (secp256k1.P + 1) // 4, secp256k1.P)
    return x, y if y % 2 == point[0] % 2 else secp256k1.P - y


def compressed(point):
    return bytes([2 + point[1] % 2]) + point[0].to_bytes(32, "big")


@settings(max_examples=5)
@given(SECRETS, SECRETS)
def test_an_opening_holds_for_py_ecc(accuser, dealer):
    a, d = points(accuser, dealer)
    opening, proof = channels.open_pair(accuser, d, b"s" * 32, 3, 1)
    c, z = (int.from_bytes(part, "big") for part in (proof[:32], proof[32:]))

    def combined(base, point):
        minus = secp256k1.multiply(decoded(point), channels.ORDER - c)
        return compressed(secp256k1.add(secp256k1.multiply(base, z), minus))

    r, s = combined(secp256k1.G, a), combined(decoded(d), opening)
    hashed = sha256()
    for part in (b"dvtfast-dkg/1 opening", b"s" * 32, b"\x03\x01", a, d, opening, r, s):
        hashed.update(len(part).to_bytes(8, "big") + part)
    assert c == int.from_bytes(hashed.digest(), "big") % (channels.ORDER - 1) + 1


@given(SECRETS, SECRETS, st.integers(0, 63), st.integers(1, 255))
def test_no_other_opening_and_no_other_proof_holds(accuser, dealer, place, flip):
    a, d = points(accuser, dealer)
    session = b"s" * 32
    opening, proof = channels.open_pair(accuser, d, session, 1, 2)
    other = bytearray(proof)
    other[place] ^= flip
    assert not channels.is_opening(opening, bytes(other), a, d, session, 1, 2)
    stranger = points(sha256(accuser).digest())[0]
    assert not channels.is_opening(stranger, proof, a, d, session, 1, 2)
    assert not channels.is_opening(opening, proof, stranger, d, session, 1, 2)
    assert not channels.is_opening(opening, proof, a, stranger, session, 1, 2)
    assert not channels.is_opening(opening, proof, a, d, b"t" * 32, 1, 2)
    assert not channels.is_opening(opening, proof, a, d, session, 2, 1)
    for nothing in (bytes(64), channels.ORDER.to_bytes(32, "big") * 2, proof[:32] + bytes(32)):
        assert not channels.is_opening(opening, nothing, a, d, session, 1, 2)
    assert not channels.is_opening(bytes(33), proof, a, d, session, 1, 2)


# Records.


def test_records_open_to_what_was_sealed_and_nothing_else_opens():
    writer = Records(secret_of(0))
    written = [writer.seal(content) for content in (b"seed", b"one", b"two")]
    assert Records(secret_of(0), written).opened() == [b"seed", b"one", b"two"]
    other = Records(secret_of(0))
    strange = [other.seal(b"seed"), other.seal(b"one")]
    for wrong, place in (
        ([written[0], written[2]], 1),
        ([written[0], strange[1]], 1),
        ([written[1]], 0),
        ([*written, written[2]], 3),
        ([written[0][:-1]], 0),
        ([written[0][:3]], 0),
        ([b""], 0),
        ([written[0], written[1][:1] + bytes([written[1][1] ^ 1]) + written[1][2:]], 1),
        ([written[0], written[1][:-1] + bytes([written[1][-1] ^ 1])], 1),
    ):
        with pytest.raises(dvtfast.EncodingError) as caught:
            Records(secret_of(0), wrong)
        assert caught.value.indices == (place,)
    with pytest.raises(dvtfast.EncodingError):
        Records(secret_of(1), written)


def test_a_record_that_is_written_again_has_another_key():
    """A crash may tear one off after it was sealed; what takes its place is not sealed under the same."""
    writer = Records(secret_of(0))
    first = writer.seal(b"seed")
    one, other = (Records(secret_of(0), [first]).seal(b"one") for _ in range(2))
    assert one[: 1 + SALT_BYTES] != other[: 1 + SALT_BYTES]


@pytest.mark.parametrize("place", [0, 3, 6])
def test_records_of_another_version(place):
    """What it would say may be something else: it says so, and nothing to anybody."""
    disk = list(honest_disk())
    disk[place] = bytes([FORMAT + 1]) + disk[place][1:]
    with pytest.raises(
        dvtfast.EncodingError, match=f"of format {FORMAT + 1}, and this program reads {FORMAT}"
    ):
        Machine(TERMS, secret_of(0), SamplePlan(), records=disk)


def test_records_of_other_terms_are_refused():
    network = honest()
    disk = network.nodes[0].disk
    for terms in (
        TERMS,
        replace(network.terms, attempt=1),
        replace(network.terms, definition_hash=bytes(32)),
    ):
        with pytest.raises(dvtfast.InputError, match="records: of other terms"):
            Machine(terms, secret_of(0), SamplePlan(2), records=disk)


@pytest.mark.parametrize("records", [6, 7], ids=["all but DONE", "all"])
def test_a_program_that_computes_something_else_accuses_nobody(records):
    """The same attempt, with a plan that changed: it goes on with nothing, whatever the others say."""
    network = Network(TERMS)
    network.run_to_the_end()
    node = network.nodes[0]
    node.disk = node.disk[:records]
    node.finished, node.plan = False, SamplePlan(1, b"another lock")
    node.sent.clear()
    for each in network.nodes[1:]:
        each.machine._mail.held.pop((Kind.DONE, 3))  # so that it cannot end by what all have said
    node.restart()
    node.machine._mail.held.pop((Kind.DONE, 3), None)
    node.tell("remind")
    with pytest.raises(MisfitError, match="computes another LOCKSIG than this node has said"):
        network.run()
    assert not node.aborts
    assert not any(kind == "blame" for _, kind in node.sent)


def test_nodes_of_two_versions_do_not_begin(monkeypatch):
    """Both say why, and that it is nobody's lie."""
    with monkeypatch.context() as patched:
        patched.setattr(work, "FORMAT", FORMAT + 1)
        machine = Machine(TERMS, secret_of(1), SamplePlan())
    sends = [each for each in machine.start() if isinstance(each, dvtfast.dkg.outputs.Send)]
    node = Machine(TERMS, secret_of(0), SamplePlan())
    node.start()
    (abort,) = node.receive(1, next(each.payload for each in sends if each.to == 0))
    assert abort.reason == (
        f"operator 1 has another version of dvtfast: its ceremonies are of format {FORMAT + 1}, this node's"
        f" of {FORMAT}"
    )
    assert abort.evidence is None


# Terms, and who waits for whom.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threshold": 1}, "threshold: expected 2 to 4, got 1"),
        ({"threshold": 5}, "threshold: expected 2 to 4, got 5"),
        ({"validators": 0}, "validators: expected 1 to 65536, got 0"),
        ({"kinds": 65}, "kinds: expected 0 to 64, got 65"),
        ({"attempt": 2**64}, "attempt: expected 0 to"),
        ({"definition_hash": bytes(31)}, "definition_hash: expected 32 bytes, got 31"),
        ({"operators": operators_of(1)}, "operators: expected 2 to 255, got 1"),
        (
            {"operators": (*operators_of(3), bytes(33))},
            r"operators\[3\]: expected a compressed secp256k1 key",
        ),
    ],
)
def test_terms_out_of_range(changes, message):
    with pytest.raises(dvtfast.InputError, match=message):
        replace(TERMS, **changes)


def test_what_is_asked_for_on_behalf_of_others():
    wanted = Wanted()
    wanted.ask_for(2, 1)
    assert wanted.refusing(1) is None
    for _ in range(REMINDERS_IN_VAIN):
        wanted.remind()
        wanted.ask_for(2, 1)
    assert wanted.refusing(1) == 2
    assert wanted.refusing(3) is None
    assert not wanted.give(2, 3)
    assert wanted.give(2, 1)
    assert wanted.refusing(1) is None
    wanted.ask_for(2, 1)
    for _ in range(REMINDERS_IN_VAIN):
        wanted.remind()
    assert wanted.refusing(1) is None, "who says again that it misses it makes the dealer no refuser"


def test_more_are_asked_each_time():
    assert helpers(2, 4, 1) == [3, 0]
    assert helpers(2, 4, 2) == [3, 0, 1]
    assert helpers(250, 255, 1) == [251, 252]
    assert [len(helpers(0, 255, reminders)) for reminders in range(1, 8)] == [2, 8, 32, 128, 254, 254, 254]


def test_what_a_want_asks_for():
    places = [(Kind.DEAL, 2), (Kind.DONE, 0)]
    assert decode_want(encode_want(places, 3, 4), 4) == [(*place, 3) for place in places]
    assert len(encode_want([places[0]] * 100, 3, 4)) in payload_sizes(TERMS)[Kind.WANT]
    noise = bytes([Kind.WANT, Kind.BLAME, 0, 1, Kind.DEAL, 4, 1, Kind.DEAL, 1, 4, Kind.DEAL, 1])
    assert decode_want(noise, 4) == []


def test_a_higher_attempt_is_heard_of():
    old, new = (Machine(make_terms(attempt=n), secret_of(n), SamplePlan()) for n in (0, 1))
    old.start()
    hello = next(each for each in new.start() if isinstance(each, dvtfast.dkg.outputs.Send) and each.to == 0)
    (abort,) = old.receive(1, hello.payload)
    assert abort.reason == "operator 1 begins attempt 1, this node 0"
    assert abort.culprit is None
    assert (old.newest_attempt, old.followed) == (1, 1)


def hello_of(attempt, position=1):
    machine = Machine(make_terms(attempt=attempt), secret_of(position), SamplePlan())
    sends = [each for each in machine.start() if isinstance(each, dvtfast.dkg.outputs.Send)]
    return next(each.payload for each in sends if each.to == 0)


@pytest.mark.parametrize("attempt", [MOST_AHEAD + 1, 2**64 - 1])
def test_nobody_is_followed_out_of_sight(attempt):
    machine = Machine(TERMS, secret_of(0), SamplePlan())
    machine.start()
    assert not machine.receive(1, hello_of(attempt))
    assert machine.newest_attempt == 0
    assert machine.receive(1, hello_of(MOST_AHEAD))
    assert machine.newest_attempt == MOST_AHEAD


def test_who_was_followed_often_enough_is_not():
    machine = Machine(TERMS, secret_of(0), SamplePlan(), unheeded=[1])
    machine.start()
    assert not machine.receive(1, hello_of(1))
    assert machine.receive(2, hello_of(1, 2))


def test_who_is_started_again_does_not_begin():
    """Whoever looks at where it is sees that it is bound by what it has said."""
    node = Network(TERMS).nodes[0]
    assert node.phase.name == "hello"
    node.restart()
    assert node.phase.name == "hello"
    node.disk = honest_disk()[:2]
    node.restart()
    assert node.phase.name == "rejoin"


@cache
def honest_disk():
    network = Network(TERMS)
    network.run_to_the_end()
    return network.nodes[0].disk


def test_who_is_done_follows_nobody_but_says_so():
    """Its keys may be those of the cluster; its operator learns once for each that others begin anew."""
    network = Network(TERMS)
    network.run_to_the_end()
    node = network.nodes[0]
    node.finished = False
    node.restart()
    for attempt in (1, 2):
        node.tell("receive", 1, hello_of(attempt))
    assert [(abort.reason, abort.unconfirmed) for abort in node.aborts] == [
        ("operator 1 begins attempt 1, this node 0", True)
    ]


# Evidence.


@cache
def proven():
    """One of each type that can be had, with the network it is of."""
    found = []
    for cheat in COMPUTING.values():
        found.append(run(cheats={CHEATER: cheat}))
    for kind_and_change in EQUIVOCATIONS.values():
        found.append(run(tamper=cheaters.equivocating(*kind_and_change, 1)))
    found.append(run(cheats={CHEATER: cheaters.wrong_signature()}, terms=make_terms(threshold=4)))

    def lying(node, to, name, payload):
        lies = [cheaters.false_complaint(node.machine, 0)] if payload[0] == Kind.ECHO else []
        return [*lies, payload]

    def noisy(node, to, name, payload):
        return [cheaters.blame_of_nothing(node.machine, 0), payload] if payload[0] == Kind.ECHO else [payload]

    found += [run(tamper=lying), run(tamper=noisy)]
    each = [(network, abort) for network in found for abort in network.honest[0].aborts if abort.evidence]
    return {abort.evidence[0]: (network, abort) for network, abort in each}


def test_there_is_one_of_each_type():
    assert set(proven()) == set(range(1, 13))


@pytest.mark.parametrize("proves", range(1, 13))
def test_evidence_is_judged_the_same_by_anybody(proves):
    network, abort = proven()[proves]
    judge = partial(judge_evidence, terms=network.terms)
    if proves in (8, 10, 11, 12):
        with pytest.raises(UndecidedError):
            judge(abort.evidence)
    known = network.honest[0].machine._work.known
    verdict = judge(abort.evidence, plan=SamplePlan(), known=known)
    assert (verdict.culprit, verdict.reason) == (CHEATER, abort.reason)


@pytest.mark.parametrize("proves", range(1, 13))
def test_evidence_with_a_field_too_many_costs_nothing(proves, monkeypatch):
    """Nor is it kept until it can be judged."""
    network, abort = proven()[proves]
    monkeypatch.setattr(judging, "_JUDGES", {})
    with pytest.raises(EvidenceError, match=r"expected \d+ fields, got \d+"):
        judge_evidence(abort.evidence + bytes(4), network.terms)


@pytest.mark.parametrize("proves", range(1, 13))
def test_evidence_for_another_ceremony_proves_nothing(proves):
    network, abort = proven()[proves]
    strangers = tuple(reversed(network.terms.operators))
    for terms in (
        replace(network.terms, operators=strangers),
        replace(network.terms, definition_hash=bytes(32)),
    ):
        with pytest.raises(EvidenceError):
            judge_evidence(abort.evidence, terms, plan=SamplePlan(), known=Known((bytes(32),) * 4, bytes(32)))


@settings(max_examples=150)
@given(st.sampled_from(range(1, 13)), st.data())
def test_no_change_of_an_evidence_convicts_the_honest(proves, data):
    network, abort = proven()[proves]
    evidence = bytearray(abort.evidence)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(evidence) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "repeat"])):
            case "flip":
                evidence[place] ^= data.draw(st.integers(1, 255))
            case "cut" if len(evidence) > 20:
                del evidence[place : place + data.draw(st.integers(1, 9))]
            case _:
                evidence[place:place] = evidence[place : place + data.draw(st.integers(1, 9))]
    known = network.honest[0].machine._work.known
    try:
        verdict = judge_evidence(bytes(evidence), network.terms, plan=SamplePlan(), known=known)
    except (EvidenceError, UndecidedError):
        return
    assert verdict.culprit == CHEATER


def test_nothing_secret_is_shown():
    node = honest().nodes[0]
    work = node.machine._work
    shown = repr(
        [node.machine, work, work._dealer, node.files, node.files.keys, work.keys, node.machine._identity]
    )
    for secret in (secret_of(0), node.files.keys.secret_shares[0].tobytes()):
        for place in range(0, 32, 4):
            part = secret[place : place + 4]
            assert part.hex() not in shown
            assert repr(part)[2:-1] not in shown


def test_terms_are_what_the_names_are_made_of():
    names = {
        (terms.hello_slot, terms.options_hash)
        for terms in (
            TERMS,
            make_terms(threshold=2),
            make_terms(validators=3),
            make_terms(kinds=2),
            make_terms(attempt=1),
            Terms(TERMS.definition_hash, TERMS.operators, 3, 2, 1, b"other options"),
            Terms(bytes(32), TERMS.operators, 3, 2, 1, b"options"),
        )
    }
    assert len(names) == 7
