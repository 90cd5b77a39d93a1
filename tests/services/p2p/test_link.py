"""A connection from its first byte, without a network: who may come, and what the bytes are."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from dvtfast.protobuf import BYTES, bytes_field, message_field
from dvtfast.secp256k1 import IdentityKey, is_message_signed_by
from dvtfast.services.p2p.errors import HandshakeError, P2PError
from dvtfast.services.p2p.layers import multistream, secure, yamux
from dvtfast.services.p2p.layers.link import Link
from dvtfast.services.p2p.layers.noise import Handshake
from dvtfast.services.p2p.wire import peers, received

ALICE, BOB, EVE = (IdentityKey(bytes([n]) * 32) for n in (1, 2, 3))


def make(identity, *, dialer, **more):
    options = {"is_welcome": lambda _: True, "most_inbound": 64} | more
    return Link(identity, dialer=dialer, **options)


def connect(alice, bob, *, pieces=10**6):
    """Move bytes until none are left; what went each way."""
    went = [bytearray(), bytearray()]
    ends = (alice, bob)
    while any(end.pending for end in ends):
        for at in (0, 1):
            data = ends[at].take()
            went[at] += data
            for begin in range(0, len(data), pieces):
                ends[1 - at].receive(data[begin : begin + pieces])
    return went


@settings(deadline=None)
@given(st.integers(1, 300), st.booleans(), st.booleans())
def test_peers_meet(pieces, alice_offers, bob_offers):
    """In any pieces, with and without the muxer agreed on early."""
    alice = make(ALICE, dialer=True, expected=BOB.public_key, offers_muxer=alice_offers)
    bob = make(BOB, dialer=False, offers_muxer=bob_offers)
    connect(alice, bob, pieces=pieces)
    assert (alice.peer, bob.peer) == (BOB.public_key, ALICE.public_key)
    channel = alice.session.open()
    alice.session.send(channel, b"hello")
    events = bob.receive(alice.take())
    assert [(event, value) for event, _, value in events][1] == (yamux.Event.ARRIVED, b"hello")


@pytest.mark.parametrize(
    ("offers", "digest"),
    [
        (True, "c7658ff0a309425c475a57835264e660e1c154ed7066bc1450e2c7efeb322479"),
        (False, "7759d7ce47140a79156d54e1c66e7643233a9da33e8e9976aae699ab2bdb44c1"),
    ],
)
def test_known_transcript(offers, digest):
    """The bytes of both sides with fixed keys; signatures are deterministic (RFC 6979)."""
    keys = [X25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(1, 5)]
    alice = make(ALICE, dialer=True, static=keys[0], ephemeral=keys[1], offers_muxer=offers)
    bob = make(BOB, dialer=False, static=keys[2], ephemeral=keys[3], offers_muxer=offers)
    went = connect(alice, bob)
    channel = alice.session.open()
    alice.session.send(channel, multistream.proposal("/ipfs/ping/1.0.0") + bytes(range(32)))
    data = alice.take()
    bob.receive(data)
    went[0] += data
    went[1] += bob.take()
    assert went[0].startswith(multistream.proposal("/noise") + b"\x00\x20")
    assert sha256(b"".join(map(bytes, went))).hexdigest() == digest


def test_the_handshake_as_an_independent_implementation_reads_it():
    """Our end beside the bare handshake, whose payloads are written out here."""
    alice = make(ALICE, dialer=True, expected=BOB.public_key)
    start = alice.take()
    proposal = multistream.proposal("/noise")
    assert start[: len(proposal)] == proposal
    other = Handshake(initiator=False)
    assert other.read(start[len(proposal) + 2 :]) == b""
    signature = BOB.sign_message(b"noise-libp2p-static-key:" + other.static_public)
    payload = b"\x0a\x25\x08\x02\x12\x21" + BOB.public_key + b"\x12" + bytes([len(signature)]) + signature
    message = other.write(payload + b"\x22\x0e\x12\x0c/yamux/1.0.0")
    alice.receive(proposal + len(message).to_bytes(2, "big") + message)
    answer = alice.take()
    assert int.from_bytes(answer[:2], "big") == len(answer) - 2
    fields = received.fields(other.read(answer[2:]), {1: BYTES, 2: BYTES, 4: BYTES})
    assert fields.last(1) == b"\x08\x02\x12\x21" + ALICE.public_key
    assert is_message_signed_by(
        ALICE.public_key, b"noise-libp2p-static-key:" + other.remote_static, fields.last(2)
    )
    assert fields.last(4) == b"\x12\x0c/yamux/1.0.0"


def answer_of(identity, signer, *, static=None, key_message=None):
    """What somebody answers to a dialer's first message, and the dialer's reaction to it."""
    alice = make(ALICE, dialer=True, expected=BOB.public_key)
    proposal = multistream.proposal("/noise")
    other = Handshake(initiator=False)
    other.read(alice.take()[len(proposal) + 2 :])
    key = peers.encode_key(identity.public_key) if key_message is None else key_message
    signature = signer.sign_message(b"noise-libp2p-static-key:" + (static or other.static_public))
    message = other.write(message_field(1, key) + bytes_field(2, signature))
    alice.receive(proposal + len(message).to_bytes(2, "big") + message)
    return alice


def test_who_is_expected():
    assert answer_of(BOB, BOB).peer == BOB.public_key


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"identity": EVE, "signer": EVE}, "another peer"),
        ({"identity": BOB, "signer": EVE}, "does not verify"),
        ({"identity": BOB, "signer": BOB, "static": bytes(32)}, "does not verify"),
        ({"identity": ALICE, "signer": ALICE}, "another peer"),
        ({"identity": BOB, "signer": BOB, "key_message": b""}, "key type 0"),
        ({"identity": BOB, "signer": BOB, "key_message": b"\x08\x02\x12\x21" + bytes(33)}, "not a point"),
        ({"identity": BOB, "signer": BOB, "key_message": b"\xff"}, "protobuf"),
    ],
)
def test_who_is_not(arguments, said):
    with pytest.raises(HandshakeError, match=said):
        answer_of(**arguments)


def test_strangers_are_turned_away():
    """The dialer has sent all it has to before it hears of it."""
    alice = make(ALICE, dialer=True)
    bob = make(BOB, dialer=False, is_welcome=lambda key: key != ALICE.public_key)
    with pytest.raises(HandshakeError, match="no peer of ours"):
        connect(alice, bob)
    assert alice.session is not None
    assert bob.session is None


def test_nobody_is_their_own_peer():
    with pytest.raises(HandshakeError, match="itself"):
        connect(make(ALICE, dialer=True), make(ALICE, dialer=False))


@pytest.mark.parametrize(
    "data",
    [
        multistream.proposal("/noise") + b"\x00\x00",
        multistream.proposal("/noise") + b"\xff\xff" + bytes(100),
        multistream.proposal("/noise") + b"\x00\x10" + bytes(16),
        b"GET / HTTP/1.1\r\n\r\n" + bytes(70),
        b"".join(multistream.proposal("/tls/1.0.0") for _ in range(20)),
    ],
)
def test_whoever_does_not_shake_hands(data):
    with pytest.raises(P2PError):
        make(BOB, dialer=False).receive(data)


def test_no_muxer_of_ours():
    bob = make(BOB, dialer=False)
    alice = secure.SecureChannel(ALICE, dialer=True, muxers=("/mplex/6.7.0",))
    bob.receive(multistream.proposal("/noise") + alice.start())
    _, answer = alice.receive(bob.take()[len(multistream.proposal("/noise")) :])
    bob.receive(answer + alice.encrypt(multistream.proposal("/mplex/6.7.0")))
    assert bob.session is None
    plaintexts, _ = alice.receive(bob.take())
    assert b"".join(plaintexts) == multistream.HEADER + multistream.REFUSED
    bob.receive(alice.encrypt(multistream.token("/yamux/1.0.0")))
    assert bob.session is not None


@pytest.mark.parametrize("change", ["flip", "drop", "twice", "swap"])
def test_messages_that_were_disturbed(change):
    alice, bob = make(ALICE, dialer=True), make(BOB, dialer=False)
    connect(alice, bob)
    channel = alice.session.open()
    parts = []
    for data in (b"first", b"second"):
        alice.session.send(channel, data)
        parts.append(alice.take())
    flipped = bytes([*parts[0][:-1], parts[0][-1] ^ 1])
    disturbed = {
        "flip": [flipped],
        "drop": [parts[1]],
        "twice": [parts[0], parts[0]],
        "swap": parts[::-1],
    }[change]
    with pytest.raises(HandshakeError, match="does not verify"):
        bob.receive(b"".join(disturbed))


@given(st.binary(max_size=400))
def test_any_bytes(data):
    for link in (make(ALICE, dialer=True), make(BOB, dialer=False)):
        try:
            link.receive(data)
        except P2PError:
            continue
        assert link.session is None
