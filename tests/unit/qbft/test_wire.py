"""Consensus messages from others: what is refused, and that nothing of them is kept that nobody signed."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.message_sizes import ENTRY_BYTES, LEAST_ENTRIES, RESULT_BYTES, MessageSizes
from dvtfast.protobuf import ProtobufError, bytes_field, message_field, number_field, text_field
from dvtfast.qbft import wire
from dvtfast.qbft.messages import Duty, Kind, Message
from dvtfast.qbft.timing import duty_offset, present_round, round_end
from tests.qbft_messages import DUTY, NODES, A, change, changes, commit, commits, decided, prepare, proposal

NAME, OTHER_NAME = "0x" + "ab" * 48, "0x" + "cd" * 48
VALUE = wire.Value(wire.DATA_SET, wire.encode_data_set({NAME: b"what is signed"}))
PEER = "16Uiu2HA" + "m" * 45
SAID = message_field(1, text_field(3, PEER))
RESULT = wire.Value(wire.PRIORITY_RESULT, SAID + message_field(2, b"scores"))
SIZES = MessageSizes(NODES, 100)
SIGNATURE = bytes(range(65))
DUTY_BYTES = number_field(1, 9) + number_field(2, 2)


def raw(**changed):
    """A PREPARE as bytes; fields by their numbers, as `_4`."""
    fields = {
        "_1": number_field(1, Kind.PREPARE),
        "_2": message_field(2, DUTY_BYTES),
        "_3": number_field(3, 1),
        "_4": number_field(4, 1),
        "_6": b"",
        "_8": bytes_field(8, SIGNATURE),
        "_11": bytes_field(11, VALUE.hash()),
        "_12": bytes_field(12, wire.NO_HASH),
    }
    return b"".join((fields | changed).values())


def envelope(message, *justification, values=(VALUE,)):
    return b"".join(
        (
            message_field(1, message),
            *(message_field(2, each) for each in justification),
            *(message_field(3, each.encode()) for each in values),
        )
    )


def refused(data, reason):
    with pytest.raises((wire.BadMessageError, ProtobufError), match=reason):
        wire.checked_values(wire.decode_envelope(data, SIZES), SIZES)


def test_a_good_one_is_read():
    read = wire.decode_envelope(envelope(raw()), SIZES)
    assert read.message == Message(Kind.PREPARE, DUTY, 1, 1, VALUE.hash())
    assert wire.checked_values(read, SIZES) == {VALUE.hash(): VALUE}
    assert [(claim.peer, claim.signature) for claim in read.claims] == [(1, SIGNATURE)]
    assert wire.encode_envelope(read.message, {VALUE.hash(): VALUE}) == envelope(raw())


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"_1": b""}, "Kind: there is no 0"),
        ({"_1": number_field(1, 6)}, "Kind: there is no 6"),
        ({"_1": number_field(1, -1)}, "Kind: there is no -1"),
        ({"_2": b""}, "field 2 is missing"),
        ({"_2": message_field(2, b"")}, "DutyType: there is no 0"),
        ({"_2": message_field(2, number_field(2, 14))}, "DutyType: there is no 14"),
        ({"_3": number_field(3, NODES)}, "peer: expected one of 4 nodes, got 4"),
        ({"_3": number_field(3, -1)}, "peer: expected one of 4 nodes, got -1"),
        ({"_4": b""}, "round: expected 1 or more, got 0"),
        ({"_4": number_field(4, 2**63)}, "round: expected 1 or more"),
        ({"_6": number_field(6, -1)}, "round: expected 1 or more"),
        ({"_8": b""}, "signature: too long or too short"),
        ({"_8": bytes_field(8, bytes(64))}, "signature: too long or too short"),
        ({"_11": bytes_field(11, bytes(10**6))}, "hashes, signature: too long"),
        ({"_12": bytes_field(12, b"\1" * 33)}, "hashes, signature: too long"),
        ({"_12": bytes_field(12, b"\1" * 32)}, "values: 1 of 2 are missing"),
        ({"_12": b"\xff"}, "at most 64 bits"),
    ],
)
def test_what_no_node_may_send(changed, reason):
    refused(envelope(raw(**changed)), reason)
    if "values" not in reason:
        refused(envelope(raw(), raw(**changed)), reason)


def test_what_may_not_go_along():
    refused(b"", "field 1 is missing")
    refused(envelope(raw(), *[raw()] * (2 * NODES + 1)), "justification: expected at most 8 messages, got 9")
    refused(
        envelope(raw(), raw(_2=message_field(2, number_field(1, 8) + number_field(2, 2)))), "another duty"
    )
    refused(envelope(raw(), values=[VALUE] * 3), "values: expected at most 2, got 3")
    refused(envelope(raw(), values=[]), "values: 1 of 1 are missing")
    refused(envelope(raw(), values=[wire.Value("text/plain", b"")]), "another type than its duty has")
    refused(envelope(raw(), values=[wire.Value(wire.DATA_SET, b"\xff")]), "at most 64 bits")


def test_no_hash_is_written_in_several_ways():
    for none in (b"", bytes_field(11, bytes(32)), bytes_field(11, b"\1" * 31)):
        read = wire.decode_envelope(envelope(raw(_11=none), values=[]), SIZES)
        assert read.message.value_hash is None
        assert wire.encode_envelope(read.message, {}) == envelope(raw(_11=none), values=[])


def test_what_nobody_signed_is_not_kept():
    """A field that is not known is not hashed, so that it is no part of what goes along with others."""
    stuffed = raw() + bytes_field(99, bytes(10**6))
    read = wire.decode_envelope(envelope(stuffed), SIZES)
    assert read.message.signed == raw()


def pair(name, data, more=b""):
    return message_field(1, message_field(1, name.encode()) + message_field(2, data) + more)


def result_envelope(*values):
    """A PREPARE for RESULT."""
    duty = number_field(1, 9) + number_field(2, DutyType.INFO_SYNC)
    return envelope(raw(_2=message_field(2, duty), _11=bytes_field(11, RESULT.hash())), values=values)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pair(NAME, b"A") + pair(NAME, b"B"), "two values for one validator"),
        (pair(NAME, b"A") * 2, "two values for one validator"),
        (pair(NAME, b"A") + pair("0x" + "AB" * 48, b"B"), "no validator's public key in lower case"),
        (pair("0X" + "ab" * 48, b"A"), "no validator's public key in lower case"),
        (pair("ab" * 48, b"A"), "no validator's public key in lower case"),
        (pair(NAME[:-2], b"A"), "no validator's public key in lower case"),
        (pair(NAME + "\n", b"A"), "no validator's public key in lower case"),
        (pair("", b"A"), "no validator's public key in lower case"),
        (message_field(1, b""), "no validator's public key in lower case"),
    ],
)
def test_a_validator_is_named_once_and_in_one_way(content, reason):
    value = wire.Value(wire.DATA_SET, content)
    with pytest.raises(wire.BadMessageError, match=reason):
        value.hash()
    refused(envelope(raw(), values=[value]), reason)


@pytest.mark.parametrize(
    "content",
    [
        pair(OTHER_NAME, b"B") + pair(NAME, b"A"),
        pair(NAME, b"A") + bytes_field(9, bytes(99)) + pair(OTHER_NAME, b"B"),
        pair(NAME, b"A", number_field(7, 1)) + pair(OTHER_NAME, b"B", bytes_field(3, b"rides along")),
        pair(NAME, b"overwritten", message_field(2, b"A")) + pair(OTHER_NAME, b"B"),
    ],
    ids=["in another order", "a field more", "fields more in pairs", "said twice in a pair"],
)
def test_of_one_hash_there_is_one_content(content):
    """Whatever form came first, every node keeps the same bytes."""
    one = wire.Value(wire.DATA_SET, wire.encode_data_set({NAME: b"A", OTHER_NAME: b"B"}))
    value = wire.Value(wire.DATA_SET, content)
    assert value != one
    assert value.hash() == one.hash()
    data = envelope(raw(_11=bytes_field(11, one.hash())), values=[value])
    assert wire.checked_values(wire.decode_envelope(data, SIZES), SIZES) == {one.hash(): one}


@pytest.mark.parametrize(
    "content",
    [
        message_field(2, b"scores") + SAID,
        bytes_field(3, b"rides along") + RESULT.content,
        b"\x0a" + bytes([SAID[1] | 0x80, 0]) + SAID[2:] + message_field(2, b"scores"),
    ],
    ids=["in another order", "a field more", "a length in two bytes"],
)
def test_of_one_hash_there_is_one_result(content):
    value = wire.Value(wire.PRIORITY_RESULT, content)
    assert value.hash() == RESULT.hash()
    read = wire.decode_envelope(result_envelope(value), SIZES)
    assert wire.checked_values(read, SIZES) == {RESULT.hash(): RESULT}


def test_zeros_at_the_end_are_no_part_of_a_result():
    """The hash is filled with them, so they would not change it."""
    value = wire.Value(wire.PRIORITY_RESULT, RESULT.content + b"\0")
    assert wire.proto_hash(value.content) == RESULT.hash()
    refused(result_envelope(value), "expected a field, got number 0")


def test_hashes_within_a_result_are_no_other_content_of_its_hash():
    """In 65,536 tries one finds a tree whose root reads as a message of its own."""
    chosen = bytes_field(2, (54781).to_bytes(4, "big"))
    value = wire.Value(wire.PRIORITY_RESULT, message_field(1, chosen + text_field(3, PEER)))
    twin = wire.Value(wire.PRIORITY_RESULT, value.hash())
    assert wire.proto_hash(twin.content) == value.hash()
    assert twin.content.startswith(b"\x0a\x1e")  # a field of 30 bytes, which are the rest
    with pytest.raises((wire.BadMessageError, ProtobufError)):
        twin.hash()


@pytest.mark.parametrize("said", [b"", message_field(1, b""), message_field(1, text_field(3, PEER[:-1]))])
def test_a_result_names_nodes(said):
    with pytest.raises(wire.BadMessageError, match="of no nodes"):
        wire.Value(wire.PRIORITY_RESULT, said + message_field(2, b"scores")).hash()


def named(validators):
    return {f"0x{number:096x}": b"data" for number in range(validators)}


@pytest.mark.parametrize(
    ("type", "value", "reason"),
    [
        (DutyType.ATTESTER, wire.encode_data_set(named(100)), ""),
        (DutyType.ATTESTER, wire.encode_data_set(named(101)), "at most 100 fields"),
        (DutyType.ATTESTER, b"\x0a\x00" * 50_000, "at most 100 fields"),
        (DutyType.ATTESTER, b"\x78\x00" * 50_000, "at most 100 fields"),
        (DutyType.ATTESTER, wire.encode_data_set({NAME: bytes(100 * ENTRY_BYTES)}), "at most 409600 bytes"),
        (DutyType.PROPOSER, wire.encode_data_set({NAME: bytes(100 * ENTRY_BYTES)}), ""),
        (DutyType.PROPOSER, wire.encode_data_set(named(2)), "at most 1 fields"),
        (DutyType.INFO_SYNC, SAID * 4 + message_field(2, b"scores") * 128, ""),
        (DutyType.INFO_SYNC, SAID * 4 + message_field(2, b"scores") * 129, "at most 132 fields"),
        (DutyType.INFO_SYNC, SAID + message_field(2, bytes(RESULT_BYTES)), "at most 1048576 bytes"),
    ],
)
def test_values_are_as_large_as_their_duty_may_make_them(type, value, reason):
    content = wire.Value(wire.PRIORITY_RESULT if type == DutyType.INFO_SYNC else wire.DATA_SET, value)
    duty = message_field(2, number_field(1, 9) + number_field(2, type))
    data = envelope(raw(_2=duty, _11=bytes_field(11, wire.proto_hash(value))), values=[content])
    if reason:
        refused(data, reason)
    else:
        assert len(wire.checked_values(wire.decode_envelope(data, SIZES), SIZES)) == 1


def test_a_small_cluster_may_grow():
    assert MessageSizes(NODES, 3).entries(DutyType.ATTESTER) == LEAST_ENTRIES


def test_a_duty_has_values_of_one_type():
    """The type is not hashed: the same bytes as another type would be another thing with the same hash."""
    twin = wire.Value(wire.PRIORITY_RESULT, VALUE.content)
    assert wire.proto_hash(twin.content) == VALUE.hash()
    for values in ([twin], [VALUE, twin], [twin, VALUE]):
        refused(envelope(raw(), values=values), "another type than its duty has")
    result_as_data = wire.Value(wire.DATA_SET, VALUE.content)
    refused(result_envelope(RESULT, result_as_data), "another type than its duty has")


def test_values_nobody_speaks_of_are_not_kept():
    other = wire.Value(wire.DATA_SET, wire.encode_data_set({OTHER_NAME: b"what is signed"}))
    read = wire.decode_envelope(envelope(raw(), values=[VALUE, other]), SIZES)
    assert wire.checked_values(read, SIZES) == {VALUE.hash(): VALUE}


def test_a_message_needs_the_contents_of_its_values():
    message = wire.with_signature(prepare(0), SIGNATURE)
    with pytest.raises(wire.BadMessageError, match="content is not there"):
        wire.encode_envelope(message, {})


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes(data):
    with suppress(wire.BadMessageError, ProtobufError):
        wire.checked_values(wire.decode_envelope(data, SIZES), SIZES)


@settings(max_examples=200)
@given(st.data())
def test_a_message_with_bytes_changed(data):
    whole = bytearray(envelope(raw(), raw(_3=number_field(3, 2)), raw(_3=number_field(3, 3))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    test_any_bytes.hypothesis.inner_test(bytes(whole))


@pytest.mark.parametrize(
    "message",
    [
        proposal(1, 2, A, changes(2)),
        prepare(3, 7),
        commit(0, 2**40),
        change(2, 5),
        change(2, 5, 4),
        decided(1, 3, A, commits(3)),
    ],
    ids=lambda message: message.kind.name,
)
def test_there_and_back(message):
    value = wire.Value(wire.DATA_SET, b"")
    parts = [wire.with_signature(each, SIGNATURE) for each in (message, *message.justification)]
    data = b"".join(
        (message_field(1, parts[0].signed), *(message_field(2, each.signed) for each in parts[1:]))
    )
    read = wire.decode_envelope(data, SIZES)
    assert read.message == message
    assert [claim.digest for claim in read.claims] == [wire.signing_digest(each) for each in parts]
    again = wire.encode_envelope(read.message, dict.fromkeys(message.value_hashes(), value))
    assert again.startswith(data)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 64, 65, 96, 97, 128, 129, 1000])
def test_the_hash_of_bytes_is_a_tree(size):
    data = bytes(i % 251 + 1 for i in range(size))
    leaves = [data[at : at + 32].ljust(32, b"\0") for at in range(0, max(size, 1), 32)]
    while len(leaves) & (len(leaves) - 1):
        leaves.append(bytes(32))
    while len(leaves) > 1:
        leaves = [sha256(a + b).digest() for a, b in zip(leaves[::2], leaves[1::2], strict=True)]
    assert wire.proto_hash(data) == leaves[0]


@given(st.dictionaries(st.text(max_size=8), st.binary(max_size=40), max_size=5))
def test_data_sets(data):
    assert wire.decode_data_set(wire.encode_data_set(data)) == data
    backwards = dict(reversed(data.items()))
    assert wire.encode_data_set(backwards) == wire.encode_data_set(data)


@given(st.dictionaries(st.binary(min_size=48, max_size=48).map(lambda key: "0x" + key.hex()), st.binary()))
def test_data_sets_have_one_form(data):
    value = wire.Value(wire.DATA_SET, wire.encode_data_set(data))
    pairs = reversed([pair(name, each) for name, each in sorted(data.items())])
    assert value.canonical() == value
    assert wire.Value(wire.DATA_SET, b"".join(pairs)).canonical() == value


@pytest.mark.parametrize(
    ("type", "round", "extended", "end"),
    [
        (DutyType.ATTESTER, 1, False, 5.0),
        (DutyType.ATTESTER, 2, False, 6.0),
        (DutyType.ATTESTER, 2, True, 8.0),
        (DutyType.AGGREGATOR, 1, False, 9.0),
        (DutyType.SYNC_CONTRIBUTION, 3, True, 14.0),
        (DutyType.PROPOSER, 1, False, 1.5),
        (DutyType.PROPOSER, 2, False, 2.5),
        (DutyType.PROPOSER, 2, True, 5.0),
        (DutyType.INFO_SYNC, 4, False, 4.0),
    ],
)
def test_rounds_end_by_the_clock(type, round, extended, end):
    assert round_end(type, round, 12.0, extended=extended) == pytest.approx(end)


@pytest.mark.parametrize("type", [DutyType.ATTESTER, DutyType.PROPOSER, DutyType.INFO_SYNC])
def test_the_present_round_is_the_first_that_has_not_ended(type):
    for half_seconds in range(60):
        seconds = half_seconds / 2 + 0.1
        ended = [round for round in range(1, 40) if round_end(type, round, 12.0) <= seconds]
        assert present_round(type, seconds, 12.0) == len(ended) + 1


def test_duties_begin_in_their_part_of_a_slot():
    assert [duty_offset(type, 12.0) for type in (DutyType.PROPOSER, DutyType.ATTESTER)] == [0.0, 4.0]
    assert duty_offset(DutyType.AGGREGATOR, 5.0) == pytest.approx(10 / 3)


def test_duties_are_ordered_by_slot():
    assert Duty(1, DutyType.INFO_SYNC) < Duty(2, DutyType.PROPOSER)
