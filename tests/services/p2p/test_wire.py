"""Bytes and what they mean: known answers, round trips, and bytes that mean nothing."""

from __future__ import annotations

import pytest
from coincurve import PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from dvtfast.services.p2p.errors import WireError
from dvtfast.services.p2p.wire import base58, messages, peers, protobuf, records, varint
from dvtfast.services.p2p.wire.addresses import Multiaddr, with_peer
from tests.vector_files import unhex

# The key of the scalar 1.
GENERATOR = unhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (255, "ff01"), (300, "ac02"), (16384, "808001")],
)
def test_varints_of_the_specification(value, encoded):
    assert varint.encode(value) == unhex(encoded)
    assert varint.decode(unhex(encoded)) == (value, len(encoded) // 2)


@given(st.integers(0, 2**63 - 1), st.binary(max_size=3))
def test_varints_come_back(value, behind):
    encoded = varint.encode(value)
    assert varint.decode(encoded + behind) == (value, len(encoded))
    assert varint.decode(encoded[:-1]) is None
    assert varint.decode_protobuf(encoded + behind, 0) == (value, len(encoded))


@pytest.mark.parametrize(
    "encoded", ["8000", "ff00", "80808000", "ffffffffffffffffff01", "80" * 10, "ff" * 40]
)
def test_varints_that_are_none(encoded):
    with pytest.raises(WireError):
        varint.decode(unhex(encoded))


def test_protobuf_takes_64_bits_and_long_forms():
    assert varint.decode_protobuf(unhex("ffffffffffffffffff01"), 0)[0] == 2**64 - 1
    assert varint.decode_protobuf(unhex("8100"), 0) == (1, 2)
    with pytest.raises(WireError):
        varint.decode_protobuf(unhex("ffffffffffffffffff02"), 0)


def test_a_negative_number_is_no_varint():
    with pytest.raises(ValueError, match="from 0"):
        varint.encode(-1)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_are_refused(data):
    """And nothing else happens: no other error, whatever reads them."""
    for read in (
        protobuf.Fields,
        messages.Identify.decode,
        messages.Hop.decode,
        messages.Stop.decode,
        peers.decode_key,
        peers.key_of_id,
        records.Voucher.open,
        records.PeerRecord.open,
        Multiaddr.from_bytes,
    ):
        try:
            read(data)
        except WireError:
            continue


def test_protobuf_fields():
    fields = protobuf.Fields(unhex("0896011203616263" + "120178" + "1d01000000" + "210200000000000000"))
    assert fields.integer(1) == 150
    assert fields.repeated(2) == [b"abc", b"x"]
    assert fields.bytes_(2) == b"x"
    assert (fields.integer(3), fields.integer(4), fields.integer(5)) == (1, 2, 0)
    assert fields.bytes_(9) == b""
    for ask in (lambda: fields.integer(2), lambda: fields.bytes_(1)):
        with pytest.raises(WireError):
            ask()


@pytest.mark.parametrize(
    "data", ["00", "08", "1205", "120568", "0b", "0c", "0d000000", "09", "8080808080808080808001"]
)
def test_protobuf_that_is_none(data):
    with pytest.raises(WireError):
        protobuf.Fields(unhex(data))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"\0", "1"),
        (b"\0\0abc", "11ZiCa"),
        (b"Hello World!", "2NEpo7TZRRrLZSi2U"),
        (b"\xff" * 4, "7YXq9G"),
    ],
)
def test_base58_known_answers(data, text):
    assert base58.encode(data) == text
    assert base58.decode(text) == data


@given(st.binary(max_size=80))
def test_base58_comes_back(data):
    assert base58.decode(base58.encode(data)) == data


@pytest.mark.parametrize("text", ["0", "O", "I", "l", "é", "1 ", "1" * 129])
def test_base58_that_is_none(text):
    with pytest.raises(WireError):
        base58.decode(text)


def test_the_id_of_a_key():
    identity = peers.IdentityKey((1).to_bytes(32, "big"))
    assert identity.public_key == GENERATOR
    assert peers.peer_id(GENERATOR) == unhex("0025" + "08021221") + GENERATOR
    assert peers.peer_text(GENERATOR) == "16Uiu2HAm3cuhhRL2msUuLF62KRSfneFDx94RsuouyW25Ho42cFMq"  # js-libp2p
    assert peers.key_of_text(peers.peer_text(GENERATOR)) == GENERATOR
    assert peers.decode_key(peers.encode_key(GENERATOR)) == GENERATOR


@pytest.mark.parametrize(
    "secret", [b"", bytes(31), bytes(32), b"\xff" * 32, peers.ORDER.to_bytes(32, "big"), bytes(33)]
)
def test_scalars_that_are_none(secret):
    with pytest.raises(ValueError, match="scalar"):
        peers.IdentityKey(secret)


def test_a_secret_is_not_shown():
    secret = bytes(range(1, 33))
    shown = f"{peers.IdentityKey(secret)!r} {peers.IdentityKey(secret)}"
    assert secret.hex() not in shown
    assert str(int.from_bytes(secret, "big")) not in shown


def test_signatures():
    identity, other = peers.IdentityKey.generate(), peers.IdentityKey.generate()
    signature = identity.sign(b"message")
    assert signature == PrivateKey(identity._key.secret).sign(b"message")
    assert peers.is_signed_by(identity.public_key, b"message", signature)
    assert not peers.is_signed_by(other.public_key, b"message", signature)
    assert not peers.is_signed_by(identity.public_key, b"massage", signature)
    for broken in (b"", signature[:-1], b"\x30" + bytes(70), signature + b"\0"):
        assert not peers.is_signed_by(identity.public_key, b"message", broken)
    assert not peers.is_signed_by(b"\x02" + bytes(32), b"message", signature)


@pytest.mark.parametrize("key", [b"", bytes(33), b"\x05" + GENERATOR[1:], GENERATOR[:-1], GENERATOR + b"\0"])
def test_keys_that_are_none(key):
    with pytest.raises(WireError):
        peers.check_key(key)
    with pytest.raises(WireError):
        peers.key_of_id(peers.peer_id(key))


def test_a_key_of_another_kind():
    with pytest.raises(WireError, match="key type 1"):
        peers.decode_key(protobuf.encode([(1, 1), (2, bytes(32))]))


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("/ip4/127.0.0.1/tcp/3610", "047f000001060e1a"),
        ("/ip6/::1/tcp/1", "29" + "00" * 15 + "01" + "060001"),
        ("/dns4/example.org/tcp/443", "360b6578616d706c652e6f7267" + "0601bb"),
        ("/ip4/1.2.3.4/udp/4001/quic-v1", "0401020304" + "91020fa1" + "cd03"),
        ("/p2p-circuit", "a202"),
    ],
)
def test_addresses_known_answers(text, data):
    assert Multiaddr.from_text(text).to_bytes() == unhex(data)
    assert str(Multiaddr.from_bytes(unhex(data))) == text


def test_an_address_through_a_relay():
    relay = with_peer(Multiaddr.of("192.0.2.1", 3640), GENERATOR)
    address = with_peer(relay + Multiaddr.from_text("/p2p-circuit"), GENERATOR)
    assert Multiaddr.from_text(str(address)) == address == Multiaddr.from_bytes(address.to_bytes())
    assert relay.peer == address.peer == GENERATOR
    assert relay.endpoint == ("192.0.2.1", 3640)
    assert address.endpoint is None
    assert Multiaddr.of("relay.example", 1).endpoint == ("relay.example", 1)
    assert Multiaddr.of("::1", 7).endpoint == ("::1", 7)
    assert not Multiaddr.of("relay.example", 1).is_numeric


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "ip4/1.2.3.4", "/ip4", "/ip4/1.2.3", "/ip4/1.2.3.4/tcp", "/ip4/1.2.3.4/tcp/65536",
        "/ip4/1.2.3.4/tcp/-1", "/ip4/1.2.3.4/tcp/1/p2p/nobody", "/ip6/1.2.3.4", "/dns/a b/tcp/1",
        "/dns/" + "a" * 300, "/unknown/1", "/tcp/١",
    ],
)  # fmt: skip
def test_addresses_that_are_none(text):
    with pytest.raises(WireError):
        Multiaddr.from_text(text)


@pytest.mark.parametrize(
    "data", ["04", "047f0000", "06", "ff", "9903", "3605", "36ffffffff7f", "a5030500", "3603610a62"]
)
def test_bytes_that_are_no_address(data):
    with pytest.raises(WireError):
        Multiaddr.from_bytes(unhex(data))


def test_identify_comes_back():
    address = Multiaddr.of("127.0.0.1", 1).to_bytes()
    identify = messages.Identify(
        GENERATOR, (address, address), ("/a", "/…*"), address, "ipfs/0.1.0", "agent", b"r"
    )
    assert messages.Identify.decode(identify.encode()) == identify


def test_identify_in_parts():
    """Parts one after the other are one message; lists go on, and the last of the rest counts."""
    whole = messages.Identify(GENERATOR, (b"a",), ("/a",), agent="one").encode()
    more = protobuf.encode([(2, b"b"), (3, b"/b"), (6, b"two")])
    found = messages.Identify.decode(whole + more)
    assert (found.addresses, found.protocols, found.agent) == ((b"a", b"b"), ("/a", "/b"), "two")


def test_circuit_messages_come_back():
    limit = messages.Limit(3600, 1 << 25)
    reservation = messages.Reservation(1_800_000_000, (b"x", b"y"), b"voucher")
    for hop in (
        messages.Hop(messages.HopKind.RESERVE),
        messages.Hop(messages.HopKind.CONNECT, peer=peers.peer_id(GENERATOR)),
        messages.Hop(
            messages.HopKind.STATUS, reservation=reservation, limit=limit, status=messages.Status.OK
        ),
    ):
        assert messages.Hop.decode(hop.encode()) == hop
    stop = messages.Stop(messages.StopKind.CONNECT, peers.peer_id(GENERATOR), limit, messages.Status.NONE)
    assert messages.Stop.decode(stop.encode()) == stop
    assert messages.Hop(messages.HopKind.RESERVE).encode() == unhex("0800")
    assert messages.Hop(messages.HopKind.STATUS, status=messages.Status.OK).encode() == unhex("08022864")


def test_records_are_their_signers():
    relay, peer = peers.IdentityKey.generate(), peers.IdentityKey.generate()
    voucher = records.Voucher(relay.public_key, peer.public_key, 7)
    assert records.Voucher.open(voucher.sign(relay)) == voucher
    record = records.PeerRecord(peer.public_key, 3, (b"address",))
    assert records.PeerRecord.open(record.sign(peer)) == record
    for open_, envelope in (
        (records.Voucher.open, voucher.sign(peer)),
        (records.PeerRecord.open, record.sign(relay)),
        (records.Voucher.open, record.sign(peer)),
        (records.PeerRecord.open, voucher.sign(relay)),
    ):
        with pytest.raises(WireError):
            open_(envelope)


def test_no_bit_of_a_record_can_be_changed():
    peer = peers.IdentityKey.generate()
    envelope = records.PeerRecord(peer.public_key, 3, (b"address",)).sign(peer)
    for place in range(len(envelope)):
        changed = bytearray(envelope)
        changed[place] ^= 1
        with pytest.raises(WireError):
            records.PeerRecord.open(bytes(changed))
