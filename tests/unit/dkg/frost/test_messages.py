"""Messages of charon's ceremonies: there and back, and everything wrong in turn."""

import base64
import contextlib
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvtfast.constants import CURVE_ORDER
from dvtfast.dkg.frost.casts import Round1, Round2, Shares
from dvtfast.dkg.frost.messages import (
    NO_SIGNATURE,
    BadMessageError,
    BroadcastMessage,
    NodeSignature,
    SignatureAnswer,
    SignatureRequest,
    Sync,
    SyncAnswer,
    Wrapped,
    timestamp,
)
from dvtfast.dkg.frost.partials import LOCK_HASH, PartialsMessage, encode_partials, key_text
from dvtfast.protobuf import ProtobufError, bytes_field, message_field, number_field, text_field

M, T, OWN, TO = 3, 2, 4, 1
TEXTS = st.text(max_size=30)
REFUSED = (BadMessageError, ProtobufError)


def scalars(*shape):
    """Different scalars below r."""
    count = int(np.prod(shape))
    rows = [(i + 1).to_bytes(32, "big") for i in range(count)]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(*shape, 32).copy()


def points(*shape):
    """Different rows of 48 bytes, not decoded here."""
    count = int(np.prod(shape))
    return np.frombuffer(b"".join(bytes([i + 1]) * 48 for i in range(count)), np.uint8).reshape(*shape, 48)


ROUND1 = Round1(scalars(M), scalars(M), points(M, T))
SHARES = Shares(scalars(M))
ROUND2 = Round2(points(M), points(M))


def read_round1(data):
    return Round1.decode(data, position=OWN, validators=M, threshold=T)


def read_shares(data):
    return Shares.decode(data, position=OWN, to=TO, validators=M)


def read_round2(data):
    return Round2.decode(data, position=OWN, validators=M)


def key(validator, source=OWN + 1, target=0):
    return message_field(1, number_field(1, validator) + number_field(2, source) + number_field(3, target))


def test_casts_and_shares_are_read_as_they_were_written():
    cast = read_round1(ROUND1.encode(OWN))
    for name in ("responses", "challenges", "commitments"):
        assert np.array_equal(getattr(cast, name), getattr(ROUND1, name))
    assert np.array_equal(read_shares(SHARES.encode(OWN, TO)).values, SHARES.values)
    cast = read_round2(ROUND2.encode(OWN))
    assert np.array_equal(cast.public_keys, ROUND2.public_keys)
    assert np.array_equal(cast.public_shares, ROUND2.public_shares)


def test_known_bytes_of_a_share():
    shares = Shares(scalars(1))
    value = "00" * 31 + "01"
    # key {source_id 5, target_id 2}: val_idx 0 is not written; id 2; value.
    assert shares.encode(OWN, TO).hex() == "0a2a" + "0a0410051802" + "1002" + "1a20" + value


@given(st.permutations(range(M)), st.binary(max_size=5))
def test_entries_come_in_any_order_and_what_is_unknown_is_skipped(order, unknown):
    entries = [
        key(v)
        + message_field(99, unknown)
        + bytes_field(2, ROUND2.public_keys[v].tobytes())
        + bytes_field(3, ROUND2.public_shares[v].tobytes())
        for v in order
    ]
    data = text_field(7, "more") + b"".join(message_field(1, entry) for entry in entries)
    cast = read_round2(data)
    assert np.array_equal(cast.public_keys, ROUND2.public_keys)


def test_what_is_twice_in_an_entry_counts_once_the_last_and_a_key_is_merged():
    entries = b"".join(
        message_field(
            1,
            message_field(1, number_field(1, 9) + number_field(2, OWN + 1))
            + message_field(1, number_field(1, v) if v else b"\x08\x00")
            + bytes_field(2, b"wrong")
            + bytes_field(2, ROUND2.public_keys[v].tobytes())
            + bytes_field(3, ROUND2.public_shares[v].tobytes()),
        )
        for v in range(M)
    )
    assert np.array_equal(read_round2(entries).public_shares, ROUND2.public_shares)


def entries_of(message):
    """The entries of a message, without its tags; their lengths have one or two bytes."""
    found, at = [], 0
    while at < len(message):
        size, head = message[at + 1], 2
        if size >= 0x80:
            size, head = (size & 0x7F) + (message[at + 2] << 7), 3
        found.append(message[at + head : at + head + size])
        at += head + size
    return found


def joined(entries):
    return b"".join(message_field(1, entry) for entry in entries)


WHOLE = {
    "round1": (read_round1, ROUND1.encode(OWN)),
    "shares": (read_shares, SHARES.encode(OWN, TO)),
    "round2": (read_round2, ROUND2.encode(OWN)),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda e: e[1:], "expected entries for 3 validators, got 2", id="one is missing"),
        pytest.param(lambda e: [*e, e[0]], "expected entries for 3 validators, got 4", id="one more"),
        pytest.param(lambda e: [e[0], e[0], e[2]], "val_idx", id="one twice"),
        pytest.param(lambda e: [], "expected entries for 3 validators, got 0", id="none"),
        pytest.param(lambda e: [e[0], e[1], e[2] + b"\x0a\x02\x08\x03"], "val_idx", id="4th"),
        pytest.param(lambda e: [e[0], e[1], e[2] + b"\x0a\x02\x10\x01"], "key: expected", id="another's"),
        pytest.param(lambda e: [e[0], e[1], e[2] + b"\x0a\x02\x18\x03"], "key: expected", id="not ours"),
        pytest.param(lambda e: [e[0], e[1], b""], "key: it is absent", id="empty"),
        pytest.param(lambda e: [e[0], e[1], e[2][:-1]], "expected", id="cut"),
    ],
)  # fmt: skip
def test_entries_that_a_node_may_not_send(name, change, words):
    read, message = WHOLE[name]
    entries = entries_of(message)
    assert joined(entries) == message
    with pytest.raises(REFUSED, match=words):
        read(joined(change(entries)))


@pytest.mark.parametrize("value", [0, CURVE_ORDER, 2**256 - 1], ids=["0", "r", "most"])
def test_scalars_that_are_none(value):
    bad = np.frombuffer(value.to_bytes(32, "big"), np.uint8)
    shares, challenges, responses = (scalars(M) for _ in range(3))
    shares[1] = challenges[2] = bad
    with pytest.raises(BadMessageError, match="value: expected scalars"):
        read_shares(Shares(shares).encode(OWN, TO))
    with pytest.raises(BadMessageError, match="ci: expected scalars"):
        read_round1(Round1(responses, challenges, points(M, T)).encode(OWN))
    responses[0] = bad
    cast = Round1(responses, scalars(M), points(M, T)).encode(OWN)
    if value:
        with pytest.raises(BadMessageError, match="wi: expected scalars"):
            read_round1(cast)
    else:
        read_round1(cast)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_scalars_of_another_length(size):
    entry = key(0, target=TO + 1) + number_field(2, TO + 1) + bytes_field(3, b"\1" * size)
    with pytest.raises(BadMessageError, match=f"value: expected 32 bytes, got {size}"):
        Shares.decode(message_field(1, entry), position=OWN, to=TO, validators=1)


@pytest.mark.parametrize("sizes", [[48], [48] * 3, [47, 49], [48, 0], [96]], ids=str)
def test_commitments_of_another_number_or_length(sizes):
    """charon cuts or fills up those of another length."""
    entry = key(0) + bytes_field(2, b"\1" * 32) + bytes_field(3, b"\1" * 32)
    entry += b"".join(message_field(4, b"\1" * size) for size in sizes)
    with pytest.raises(BadMessageError, match="commitments: expected 2 of 48 bytes for validator 0"):
        Round1.decode(message_field(1, entry), position=OWN, validators=1, threshold=T)


def test_a_share_of_another_point():
    """charon would check it there, and use it."""
    entry = key(0, target=TO + 1) + number_field(2, TO + 2) + bytes_field(3, b"\1" * 32)
    with pytest.raises(BadMessageError, match="id: expected the share of 2, got 3"):
        Shares.decode(message_field(1, entry), position=OWN, to=TO, validators=1)


def test_shares_show_nothing_and_are_overwritten():
    shares = Shares(scalars(M))
    assert "1" not in repr(shares).replace("Shares", "")
    shares.wipe()
    assert not shares.values.any()


@pytest.mark.parametrize("name", WHOLE)
def test_messages_are_no_longer_than_they_may_be(name):
    """With the largest numbers that a ceremony has, and field by field as long as can be."""
    most = {
        "round1": Round1.most_bytes(M, T),
        "shares": Shares.most_bytes(M),
        "round2": Round2.most_bytes(M),
    }[name]
    assert len(WHOLE[name][1]) <= most <= len(WHOLE[name][1]) + 1024 + 100 * M


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    for read in (
        read_round1,
        read_shares,
        read_round2,
        Sync.decode,
        SyncAnswer.decode,
        SignatureRequest.decode,
        SignatureAnswer.decode,
        BroadcastMessage.decode,
        Wrapped.decode,
        PartialsMessage.decode,
        lambda d: NodeSignature.decode(d, position=0),
    ):
        with contextlib.suppress(*REFUSED):
            read(data)


@given(TEXTS, TEXTS, st.binary(max_size=30), st.lists(st.binary(max_size=70), max_size=4))
def test_messages_of_broadcasts_there_and_back(id, type_url, value, signatures):
    content = Wrapped(type_url, value)
    for message in (
        content,
        SignatureRequest(id, content),
        SignatureAnswer(id, value),
        BroadcastMessage(id, content, tuple(signatures)),
    ):
        assert type(message).decode(message.encode()) == message


@pytest.mark.parametrize("kind", [SignatureRequest, BroadcastMessage])
def test_broadcasts_without_a_message(kind):
    with pytest.raises(BadMessageError, match="message: it is absent"):
        kind.decode(text_field(1, "id"))


@given(st.integers(0, 2**40), st.integers(0, 999_999_999), st.booleans(), TEXTS, st.integers(-5, 9), TEXTS)
def test_sync_there_and_back(seconds, nanoseconds, shutdown, version, step, nickname):
    message = Sync(timestamp(seconds, nanoseconds), b"signed", shutdown, version, step, nickname)
    assert Sync.decode(message.encode()) == message
    answer = SyncAnswer(message.timestamp, version)
    assert SyncAnswer.decode(answer.encode()) == answer


def test_known_bytes_of_sync():
    message = Sync(timestamp(1, 2), b"\xaa", True, "v1.10", 3, "us")
    assert message.encode().hex() == "0a04080110021201aa1801220576312e3130280332027573"


def test_sync_that_is_none():
    with pytest.raises(BadMessageError, match="timestamp: it is absent"):
        Sync.decode(text_field(4, "v1.10"))
    with pytest.raises(BadMessageError, match="timestamp: expected at most 64 bytes"):
        Sync.decode(message_field(1, bytes(65)))
    with pytest.raises(ProtobufError, match="field 6: expected at most 256 bytes"):
        Sync.decode(message_field(1, b"") + text_field(6, "x" * 257))


def test_node_signatures():
    message = NodeSignature(b"\1" * 65, 3)
    assert NodeSignature.decode(message.encode(), position=3) == message
    for wrong, words in (
        (message.encode(), "peer_index: expected 2, got 3"),
        (NodeSignature(NO_SIGNATURE, 2).encode(), "a node that leaves"),
        (NodeSignature(b"\1" * 64, 2).encode(), "signature: expected 65 bytes, got 64"),
        (NodeSignature(b"", 2).encode(), "signature: expected 65 bytes, got 0"),
    ):
        with pytest.raises(BadMessageError, match=words):
            NodeSignature.decode(wrong, position=2)


KEYS = points(M)
VALIDATOR_OF = {key_text(k.tobytes()): v for v, k in enumerate(KEYS)}
SIGNATURES = np.frombuffer(b"".join(bytes([i + 7]) * 96 for i in range(M)), np.uint8).reshape(M, 96)


def quoted(signature):
    return b'"' + base64.b64encode(signature) + b'"'


def partials(entries, slot=LOCK_HASH, duty=3):
    return message_field(1, number_field(1, slot) + number_field(2, duty)) + message_field(
        2, b"".join(message_field(1, entry) for entry in entries)
    )


def partial(v, *, name=None, data=None, index=OWN + 1):
    data = quoted(SIGNATURES[v].tobytes()) if data is None else data
    value = bytes_field(1, data) + bytes_field(2, b"is not read") + number_field(3, index)
    return text_field(1, name or key_text(KEYS[v].tobytes())) + message_field(2, value)


def test_partial_signatures_there_and_back_in_any_order():
    message = encode_partials(205, SIGNATURES, KEYS, OWN)
    assert len(message) <= PartialsMessage.most_bytes(M)
    assert re.search(rb"0x[0-9a-f]{96}", message)
    for data in (message, partials([partial(v) for v in (2, 0, 1)], slot=205)):
        read = PartialsMessage.decode(data)
        assert read.slot == 205
        assert np.array_equal(read.signatures(VALIDATOR_OF, OWN), SIGNATURES)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "expected a signature for each of 3 validators"),
        ([partial(0), partial(1)], "expected a signature for each of 3 validators"),
        ([partial(0), partial(1), partial(1)], "expected a signature for each of 3 validators"),
        ([partial(v) for v in range(M)] + [partial(0, name="0xab")], "expected a signature for each"),
        ([partial(0), partial(1), partial(2, name=key_text(KEYS[2].tobytes()).upper())], "expected a sig"),
        ([partial(0), partial(1), partial(2, index=OWN)], "share_idx: expected 5, got 4"),
        ([partial(0), partial(1), partial(2, index=-1)], "share_idx: expected 5, got -1"),
        ([partial(0), partial(1), text_field(1, key_text(KEYS[2].tobytes()))], "share_idx: expected 5"),
        ([partial(0), partial(1), partial(2, data=b"")], "data: expected 96 bytes in base64, quoted"),
        ([partial(0), partial(1), partial(2, data=b'"')], "data: expected 96 bytes"),
        ([partial(0), partial(1), partial(2, data=quoted(bytes(95)))], "data: expected 96 bytes"),
        ([partial(0), partial(1), partial(2, data=quoted(bytes(96))[1:])], "data: expected 96 bytes"),
        ([partial(0), partial(1), partial(2, data=quoted(bytes(96))[:-1] + b"'")], "data: expected 96 bytes"),
        ([partial(0), partial(1), partial(2, data=b'"' + b"\xff" * 128 + b'"')], "data: expected 96 bytes"),
        ([partial(0), partial(1), partial(2, data=b'"' + b"-" * 128 + b'"')], "data: expected 96 bytes"),
    ],
)
def test_partial_signatures_that_a_node_may_not_send(entries, words):
    read = PartialsMessage.decode(partials(entries))
    with pytest.raises(BadMessageError, match=words):
        read.signatures(VALIDATOR_OF, OWN)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (partials([partial(0)], duty=1), "duty: expected type 3, got 1"),
        (partials([partial(0)], duty=-3), "duty: expected type 3, got -3"),
        (message_field(2, b""), "duty and data_set: expected both"),
        (message_field(1, b""), "duty and data_set: expected both"),
    ],
)
def test_partial_signatures_of_another_duty(data, words):
    with pytest.raises(BadMessageError, match=words):
        PartialsMessage.decode(data)
