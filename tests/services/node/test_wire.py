"""The messages of nodes beside consensus: as charon writes them, whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvtfast.errors import DvtfastError
from dvtfast.protobuf import ProtobufError, message_field
from dvtfast.services.node.wire.partial_signatures import PartiallySigned, PartialSignaturesMessage
from dvtfast.services.node.wire.peer_info import PeerInfo
from tests import vector_files

PARTIAL_SIGNATURES = vector_files.load("charon_parsigex.json")
PEER_INFO = vector_files.load("charon_peerinfo.json")
KEY = bytes([0x8A, *[0x11] * 47])
SLOT = 12345


@pytest.mark.parametrize(("case", "duty"), [("attester_electra", 2), ("randao", 7)])
def test_partial_signatures_as_charon_writes_them(case: str, duty: int) -> None:
    vector = PARTIAL_SIGNATURES[case]
    data = bytes.fromhex(vector["data"]) if "data" in vector else vector["data_json"].encode()
    written = bytes.fromhex(vector["msg"])
    message = PartialSignaturesMessage.decode(written, most=1)
    assert (message.slot, message.duty_type) == (SLOT, duty)
    (entry,) = message.entries
    assert (entry.public_key[0], entry.data, entry.share_index) == (0x8A, data, 2)
    assert len(entry.signature) == 96
    assert message.encode() == written


entries = st.builds(
    PartiallySigned,
    st.binary(min_size=48, max_size=48),
    st.binary(max_size=300),
    st.binary(min_size=96, max_size=96),
    st.integers(1, 256),
)
messages = st.builds(
    PartialSignaturesMessage,
    st.integers(0, 2**64 - 1),
    st.integers(0, 13),
    st.lists(entries, min_size=1, max_size=5, unique_by=lambda entry: entry.public_key),
)


@given(messages)
def test_partial_signatures_there_and_back(message: PartialSignaturesMessage) -> None:
    read = PartialSignaturesMessage.decode(message.encode(), most=5)
    assert (read.slot, read.duty_type) == (message.slot, message.duty_type)
    assert read.entries == sorted(message.entries, key=lambda entry: entry.public_key)


def written(*texts: bytes) -> bytes:
    values = message_field(2, message_field(1, b"data"))
    return message_field(1, b"") + message_field(
        2, b"".join(message_field(1, message_field(1, text) + values) for text in texts)
    )


TEXT = b"0x" + KEY.hex().encode()
HOSTILE = {
    "nothing": (b"", "a duty and a set"),
    "no duty": (message_field(2, b""), "a duty and a set"),
    "no set": (message_field(1, b""), "a duty and a set"),
    "empty set": (message_field(1, b"") + message_field(2, b""), "1 to 2 partial signatures, got 0"),
    "too many": (written(*[TEXT[:-1] + b"%d" % n for n in range(3)]), "at most 2 fields"),
    "twice": (written(TEXT, TEXT), "each validator once"),
    "upper case": (written(TEXT.upper().replace(b"0X", b"0x")), "lower case"),
    "no 0x": (written(TEXT[2:]), "lower case"),
    "short": (written(TEXT[:-2]), "lower case"),
    "no hex": (written(TEXT[:-1] + b"g"), "in hex"),
    "blanks": (written(TEXT[:-2] + b"  "), "in hex"),
    "no value": (
        message_field(1, b"") + message_field(2, message_field(1, message_field(1, TEXT))),
        "data for each validator",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_partial_signatures(name: str) -> None:
    data, reason = HOSTILE[name]
    with pytest.raises(ProtobufError, match=reason):
        PartialSignaturesMessage.decode(data, most=2)


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    for read in (lambda: PartialSignaturesMessage.decode(data, most=3), lambda: PeerInfo.decode(data)):
        try:
            read()
        except DvtfastError:
            continue


def test_peer_info_as_charon_writes_it() -> None:
    info = PeerInfo(
        "v1.11.0", b"\x44" * 32, 1_780_000_000_000_005_000, 1_779_990_000 * 10**9, "0abcdef",
        nickname="dvtfast-1", client="dvtfast",
    )  # fmt: skip
    written = bytes.fromhex(PEER_INFO["msg"])
    assert info.encode() == written
    assert PeerInfo.decode(written) == info


def test_peer_info_that_says_little() -> None:
    assert PeerInfo.decode(b"") == PeerInfo("", b"", None, None, "")
