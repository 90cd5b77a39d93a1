"""Charon ceremonies that were recorded, of both dialects: each message checked, each node played by us.

Four charon nodes made them, v1.10.3 and a v1.11; the files have their secret shares and node keys.
"""

import dataclasses

import numpy as np
import pytest

from dvtfast.dkg.frost import keygen
from dvtfast.dkg.frost.broadcast import Broadcasts
from dvtfast.dkg.frost.casts import Round1, Round2, Shares
from dvtfast.dkg.frost.ceremony import Ceremony
from dvtfast.dkg.frost.dialects import NODE_SIGNATURE, PARTIALS, ROUND1, ROUND2, SHARES, SYNC
from dvtfast.dkg.frost.messages import (
    BroadcastMessage,
    NodeSignature,
    SignatureAnswer,
    SignatureRequest,
    Sync,
    SyncAnswer,
)
from dvtfast.dkg.frost.outputs import Ask, Generated, LockWanted, Sealed
from dvtfast.dkg.frost.partials import LOCK_HASH, PartialsMessage, encode_partials, key_text
from dvtfast.dkg.outputs import Finished, Send
from dvtfast.obol import hashing, verify_cluster_lock
from dvtfast.secp256k1 import is_message_signed_by, recovered_signer
from dvtfast.signatures import check_signatures
from tests.frost_recorded import Recorded

NAMES = ["ceremony_frost_v1.10.3", "ceremony_frost_main-e628470"]


@pytest.fixture(scope="module", params=NAMES)
def recorded(request):
    return Recorded(request.param)


def lock_with(recorded, keys, signatures):
    """The lock of the definition with keys and signatures of ours."""
    lock = recorded.lock
    deposits = [value for name, value in signatures.items() if name.startswith("deposit")]
    return dataclasses.replace(
        lock,
        public_keys=keys.public_keys,
        public_key_shares=np.ascontiguousarray(keys.public_shares.transpose(1, 0, 2)),
        deposits=dataclasses.replace(
            lock.deposits,
            public_keys=keys.public_keys.repeat(len(deposits), axis=0),
            signatures=np.stack(deposits, axis=1).reshape(-1, 96),
        ),
        registrations=dataclasses.replace(
            lock.registrations, public_keys=keys.public_keys, signatures=signatures["registration"]
        ),
        lock_hash=b"",
        signature_aggregate=b"",
        node_signatures=(),
    )


def test_sync_is_signed_in_libp2ps_way_and_steps_go_from_0_to_8(recorded):
    definition_hash = recorded.lock.definition.definition_hash
    for node, key in enumerate(recorded.keys):
        sent = [Sync.decode(each.body) for each in recorded.of(SYNC, kind="request", source=node)]
        assert all(is_message_signed_by(key.public_key, definition_hash, s.hash_signature) for s in sent)
        assert {s.hash_signature for s in sent} == {key.sign_message(definition_hash)}
        assert {s.version for s in sent} == {recorded.dialect.version}
        steps = [s.step for s in sent]
        assert steps == sorted(steps)
        assert {0, 1, 8} <= set(steps) <= set(range(9))
        assert [s.step for s in sent if s.shutdown] == [8]
        assert all(s.encode() == each.body for s, each in zip(
            sent, recorded.of(SYNC, kind="request", source=node), strict=True))  # fmt: skip
    for each in recorded.of(SYNC, kind="response"):
        assert SyncAnswer.decode(each.body).encode() == each.body


def test_broadcasts_are_signed_by_all_over_the_hash_of_the_dialect(recorded):
    nodes = [key.public_key for key in recorded.keys]
    session = recorded.lock.definition.definition_hash
    seen = []
    for each in recorded.of(recorded.dialect.message_protocol):
        message = BroadcastMessage.decode(each.body)
        own = Broadcasts(recorded.dialect, session, recorded.keys[0], nodes, 0)
        digest = own.digest(message.id, message.content)
        assert [recovered_signer(digest, signature) for signature in message.signatures] == nodes
        assert message.encode() == each.body
        seen.append((each.source, message.id))
    assert sorted(seen) == sorted((n, i) for n in range(4) for i in (ROUND1, ROUND2, NODE_SIGNATURE))


def test_requests_and_answers_of_broadcasts_are_ours_to_the_byte(recorded):
    """We play each node: what it asked, what it answered, and what it sent in the end."""
    dialect, nodes = recorded.dialect, [key.public_key for key in recorded.keys]
    session = recorded.lock.definition.definition_hash
    ours = [Broadcasts(dialect, session, key, nodes, i) for i, key in enumerate(recorded.keys)]
    answers = recorded.of(dialect.signature_protocol, kind="response")
    messages = {
        (each.source, BroadcastMessage.decode(each.body).id): each.body
        for each in recorded.of(dialect.message_protocol)
    }
    asked = recorded.of(dialect.signature_protocol, kind="request")
    assert len(asked) == 12
    assert len(answers) == 36
    for each in asked:
        request = SignatureRequest.decode(each.body)
        assert ours[each.source].begin(request.id, request.content) == each.body
        for peer in each.to:
            answer = ours[peer].sign(each.source, each.body, lambda *_: None)
            assert answer in [a.body for a in answers if a.source == peer and a.to == (each.source,)], (
                f"{peer} {SignatureAnswer.decode(answer)}"
            )
            whole = ours[each.source].answered(peer, answer)
        assert whole.encode() == messages[each.source, request.id]
        for peer in each.to:
            assert ours[peer].accept(each.source, whole.encode()) == request.id


@pytest.mark.parametrize("position", range(4))
def test_keys_come_of_what_was_dealt(recorded, position):
    shares = [Shares(recorded.dealt[dealer, position].copy()) for dealer in range(4)]
    keys, _ = keygen.combine(recorded.casts, shares, position)
    lock = recorded.lock
    assert np.array_equal(keys.public_keys, lock.public_keys)
    assert np.array_equal(keys.public_shares.transpose(1, 0, 2), lock.public_key_shares)
    assert np.array_equal(keys.secret_shares, recorded.secret_shares[position])
    for each in recorded.of(recorded.dialect.message_protocol):
        message = BroadcastMessage.decode(each.body)
        if message.id == ROUND2:
            cast = Round2.decode(message.content.value, position=each.source, validators=2)
            keygen.check_round2(cast, keys, each.source)


def test_a_dealing_that_is_made_anew_is_the_same_to_the_byte(recorded):
    """From its shares follow its polynomials, and from these the casts: commitments, proofs and all."""
    for node in range(4):
        dealing = recorded.dealing(node)
        for name in ("commitments", "challenges", "responses"):
            assert np.array_equal(getattr(dealing.cast, name), getattr(recorded.casts[node], name))
        for to in range(4):
            assert np.array_equal(dealing.shares_for(to), recorded.dealt[node, to])


def test_partial_signatures(recorded):
    terms, lock = recorded.terms(0), recorded.lock
    validator_of = {key_text(key.tobytes()): v for v, key in enumerate(lock.public_keys)}
    roots = {exchange.slot: exchange.roots(lock.public_keys) for exchange in terms.exchanges}
    roots[LOCK_HASH] = np.tile(np.frombuffer(lock.lock_hash, np.uint8), (2, 1))
    seen = set()
    for each in recorded.of(PARTIALS):
        sent = PartialsMessage.decode(each.body)
        signatures = sent.signatures(validator_of, each.source)
        shares = np.ascontiguousarray(lock.public_key_shares[:, each.source])
        assert check_signatures(shares, roots[sent.slot], signatures).all()
        again = encode_partials(sent.slot, signatures, lock.public_keys, each.source)
        assert len(again) == len(each.body)
        assert sorted(again) == sorted(each.body)
        seen.add((each.source, sent.slot))
    assert seen == {(node, slot) for node in range(4) for slot in roots}


@pytest.mark.parametrize("position", range(4))
def test_each_node_played_by_us_ends_with_the_same_lock(recorded, position):
    """All that the others sent goes in as it was; what comes out is what the fourth sent, and the lock."""
    terms, dialect = recorded.terms(position), recorded.dialect
    node = Ceremony(terms, recorded.keys[position], dealing=recorded.dealing(position))
    nodes = [key.public_key for key in recorded.keys]
    peers = {
        peer: Broadcasts(dialect, terms.definition_hash, recorded.keys[peer], nodes, peer)
        for peer in terms.peers
    }
    sent, results = [], []

    def advance():
        for output in node.advance():
            if isinstance(output, Send):
                sent.append(output)
            elif isinstance(output, Ask):
                # charon's peers signed the same in another order of validators, so we sign with their keys.
                answer = peers[output.to].sign(position, output.payload, lambda *_: None)
                node.answered(output.to, output.kind, answer)
            elif isinstance(output, Generated):
                node.kept()
            elif isinstance(output, LockWanted):
                lock = lock_with(recorded, output.keys, output.signatures)
                node.sign_lock(hashing.lock_hash(lock))
            elif isinstance(output, Sealed | Finished):
                results.append(output)
                node.stored()
            else:
                assert type(output).__name__ == "Phase", output

    for peer in terms.peers:
        node.answered(peer, SYNC, SyncAnswer(b"").encode())
    for each in recorded.messages:
        if position in each.to and each.kind != "response":
            # The recording leaves out what followed a step, so that later ones may come before we are there.
            answer = node.receive(each.source, each.protocol, each.body)
            if each.protocol == dialect.signature_protocol:
                assert SignatureAnswer.decode(answer).id == SignatureRequest.decode(each.body).id
            for _ in range(20):
                advance()

    sealed, finished = results
    lock = recorded.lock
    assert np.array_equal(sealed.keys.public_keys, lock.public_keys)
    assert np.array_equal(sealed.keys.public_shares.transpose(1, 0, 2), lock.public_key_shares)
    assert np.array_equal(finished.result.secret_shares, recorded.secret_shares[position])
    deposits = lock.deposits.signatures.reshape(2, -1, 96)
    for i, exchange in enumerate(terms.exchanges[:-1]):
        assert np.array_equal(sealed.signatures[exchange.name], deposits[:, i])
    assert np.array_equal(sealed.signatures["registration"], lock.registrations.signatures)
    assert sealed.lock_hash == lock.lock_hash
    assert sealed.signature_aggregate == lock.signature_aggregate
    assert sealed.node_signatures == lock.node_signatures
    ours = dataclasses.replace(
        lock_with(recorded, sealed.keys, sealed.signatures),
        lock_hash=sealed.lock_hash,
        signature_aggregate=sealed.signature_aggregate,
        node_signatures=sealed.node_signatures,
    )
    verify_cluster_lock(ours)
    check_sent(recorded, position, sent)


def check_sent(recorded, position, sent):
    """What we sent is what charon's node at this position sent, but for the order of validators."""
    for peer in recorded.terms(position).peers:
        (shares,) = [s.payload for s in sent if s.kind == SHARES and s.to == peer]
        values = Shares.decode(shares, position=position, to=peer, validators=2).values
        assert np.array_equal(values, recorded.dealt[position, peer])
        ours = sorted(sorted(s.payload) for s in sent if s.kind == PARTIALS and s.to == peer)
        theirs = sorted(sorted(e.body) for e in recorded.of(PARTIALS, source=position) if peer in e.to)
        assert ours == theirs
    broadcast = {
        (m := BroadcastMessage.decode(s.payload)).id: m.content
        for s in sent
        if s.kind == recorded.dialect.message_protocol
    }
    for each in recorded.of(recorded.dialect.message_protocol, source=position):
        theirs = BroadcastMessage.decode(each.body)
        ours = broadcast[theirs.id]
        assert ours.type_url == theirs.content.type_url
        assert sorted(ours.value) == sorted(theirs.content.value)
    cast = Round1.decode(broadcast[ROUND1].value, position=position, validators=2, threshold=3)
    assert np.array_equal(cast.commitments, recorded.casts[position].commitments)
    node_signature = NodeSignature.decode(broadcast[NODE_SIGNATURE].value, position=position)
    assert node_signature.signature == recorded.lock.node_signatures[position]
