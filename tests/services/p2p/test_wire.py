"""Bytes and what they mean: known answers, round trips, and bytes that mean nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvtfast.protobuf import bytes_field, number_field, varint
from dvtfast.secp256k1 import IdentityKey
from dvtfast.services.p2p.errors import WireError
from dvtfast.services.p2p.wire import base58, messages, peers, received, records
from dvtfast.services.p2p.wire.addresses import Multiaddr, with_peer
from tests.vector_files import unhex

# The key of the scalar 1.
GENERATOR = unhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (255, "ff01"), (300, "ac02"), (16384, "808001")],
)
def test_numbers_of_the_specification(value, encoded):
    assert varint(value) == unhex(encoded)
    assert received.number(unhex(encoded)) == (value, len(encoded) // 2)


@given(st.integers(0, 2**63 - 1), st.binary(max_size=3), st.binary(max_size=3))
def test_numbers_come_back(value, before, behind):
    encoded = varint(value)
    at = len(before)
    assert received.number(bytearray(before + encoded + behind), at) == (value, at + len(encoded))
    assert received.number(before + encoded[:-1], at) is None


@pytest.mark.parametrize(
    "encoded", ["8000", "ff00", "80808000", "ffffffffffffffffff01", "80" * 9, "80" * 10, "ff" * 40]
)
def test_numbers_that_are_none(encoded):
    with pytest.raises(WireError):
        received.number(unhex(encoded))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_are_refused(data):
    """And nothing else happens: no other error, whatever reads them."""
    for read in (
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


@pytest.mark.parametrize("data", ["00", "08", "1205", "0c", "8080808080808080808001"])
def test_protobuf_that_is_none_is_a_fault_of_the_peer(data):
    with pytest.raises(WireError, match="protobuf"):
        received.fields(unhex(data), {})


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
    identity = IdentityKey((1).to_bytes(32, "big"))
    assert identity.public_key == GENERATOR
    assert peers.peer_id(GENERATOR) == unhex("0025" + "08021221") + GENERATOR
    assert peers.peer_text(GENERATOR) == "16Uiu2HAm3cuhhRL2msUuLF62KRSfneFDx94RsuouyW25Ho42cFMq"  # js-libp2p
    assert peers.key_of_text(peers.peer_text(GENERATOR)) == GENERATOR
    assert peers.decode_key(peers.encode_key(GENERATOR)) == GENERATOR


@pytest.mark.parametrize("key", [b"", bytes(33), b"\x05" + GENERATOR[1:], GENERATOR[:-1], GENERATOR + b"\0"])
def test_keys_that_are_none(key):
    with pytest.raises(WireError):
        peers.check_key(key)
    with pytest.raises(WireError):
        peers.key_of_id(peers.peer_id(key))


def test_a_key_of_another_kind():
    with pytest.raises(WireError, match="key type 1"):
        peers.decode_key(number_field(1, 1) + bytes_field(2, bytes(32)))


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
    more = bytes_field(2, b"b") + bytes_field(3, b"/b") + bytes_field(6, b"two")
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
    stop = messages.Stop(messages.StopKind.CONNECT, peers.peer_id(GENERATOR), limit=limit)
    assert messages.Stop.decode(stop.encode()) == stop
    assert stop.encode().endswith(unhex("1a0808901c1080808010"))
    denied = messages.Stop(messages.StopKind.STATUS, status=messages.Status.DENIED)
    assert denied.encode() == unhex("080120ca01")
    assert messages.Hop(messages.HopKind.RESERVE).encode() == unhex("0800")
    assert messages.Hop(messages.HopKind.STATUS, status=messages.Status.OK).encode() == unhex("08022864")


def test_records_are_their_signers():
    relay, peer = IdentityKey.generate(), IdentityKey.generate()
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
    peer = IdentityKey.generate()
    envelope = records.PeerRecord(peer.public_key, 3, (b"address",)).sign(peer)
    for place in range(len(envelope)):
        changed = bytearray(envelope)
        changed[place] ^= 1
        with pytest.raises(WireError):
            records.PeerRecord.open(bytes(changed))
