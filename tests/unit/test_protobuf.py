"""Protocol buffers: what is written, what is read of it, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvtfast import protobuf
from dvtfast.protobuf import (
    BYTES,
    MAX_GROUP_DEPTH,
    VARINT,
    Fields,
    ProtobufError,
    Wire,
    bytes_field,
    message_field,
    number_field,
    read_varint,
    text_field,
    varint,
)

NUMBERS = st.integers(0, 2**64 - 1)
FIELD_NUMBERS = st.integers(1, 2**29 - 1)
KNOWN = {1: VARINT, 2: BYTES, 3: VARINT}


def fixed(number, wire, value):
    return varint(number << 3 | wire) + value


# Examples of the encoding's description: 150 in field 1, "testing" in field 2.
@pytest.mark.parametrize(
    ("written", "bytes_"),
    [
        (number_field(1, 150), "089601"),
        (text_field(2, "testing"), "120774657374696e67"),
        (message_field(3, number_field(1, 150)), "1a03089601"),
        (number_field(1, -2), "08feffffffffffffffff01"),
        (number_field(2**29 - 1, 1), "f8ffffff0f01"),
        (number_field(1, 0) + bytes_field(2, b"") + text_field(3, ""), ""),
        (message_field(3, b""), "1a00"),
    ],
)
def test_known_bytes(written, bytes_):
    assert written.hex() == bytes_


@given(NUMBERS, st.binary(max_size=3))
def test_a_number_is_read_as_it_was_written(number, rest):
    data = varint(number)
    assert read_varint(data + rest) == (number, len(data))
    assert read_varint(rest + data, len(rest)) == (number, len(rest) + len(data))


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3]), NUMBERS, st.binary(max_size=20))))
def test_the_last_of_a_single_field_counts_and_repeated_ones_are_in_order(items):
    data, numbers, texts = b"", {}, []
    for number, value, text in items:
        if number == 2:
            data += message_field(2, text)
            texts.append(text)
        else:
            data += varint(number << 3) + varint(value)
            numbers[number] = value
    fields = Fields(data, KNOWN)
    assert fields.every(2) == texts
    assert fields.last(2) == (texts[-1] if texts else b"")
    assert fields.message(2) == (b"".join(texts) if texts else None)
    assert {n: fields.uint64(n) for n in (1, 3) if n in fields} == numbers


def test_numbers_are_cut_to_their_bits_and_have_a_sign():
    fields = Fields(number_field(1, 2**40 + 5) + number_field(3, -7), KNOWN)
    assert (fields.uint32(1), fields.uint64(1)) == (5, 2**40 + 5)
    assert (fields.int64(3), fields.int32(3), fields.uint32(3)) == (-7, -7, 2**32 - 7)
    assert fields.boolean(1)
    assert not Fields(varint(1 << 3) + b"\0", KNOWN).boolean(1)
    assert not Fields(b"", KNOWN).boolean(1)


@given(
    st.lists(
        st.one_of(
            st.tuples(FIELD_NUMBERS, NUMBERS).map(lambda f: varint(f[0] << 3) + varint(f[1])),
            st.tuples(FIELD_NUMBERS, st.binary(max_size=9)).map(lambda f: message_field(*f)),
            st.tuples(FIELD_NUMBERS, st.binary(min_size=8, max_size=8)).map(
                lambda f: fixed(f[0], Wire.FIXED64, f[1])
            ),
            st.tuples(FIELD_NUMBERS, st.binary(min_size=4, max_size=4)).map(
                lambda f: fixed(f[0], Wire.FIXED32, f[1])
            ),
            FIELD_NUMBERS.map(
                lambda f: fixed(f, Wire.GROUP, number_field(1, 5) + fixed(f, Wire.END_GROUP, b""))
            ),
        )
    ),
    NUMBERS.filter(bool),
)
def test_what_is_unknown_is_skipped(unknown, value):
    """In groups, too, which have a known number inside."""
    fields = Fields(b"".join(unknown) + number_field(1, value), {1: VARINT})
    assert fields.uint64(1) == value
    other = Fields(b"".join(unknown), {2**29: VARINT})
    assert 2**29 not in other


def test_a_known_field_of_another_type_is_unknown():
    fields = Fields(text_field(1, "one") + number_field(2, 2), KNOWN)
    assert 1 not in fields
    assert 2 not in fields
    assert fields.message(2) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x08", id="no value"),
        pytest.param(b"\x80", id="half a tag"),
        pytest.param(b"\x08" + b"\x80" * 11, id="a number that does not end"),
        pytest.param(b"\x08" + b"\xff" * 9 + b"\x02", id="65 bits"),
        pytest.param(b"\x00\x01", id="field 0"),
        pytest.param(varint(2**29 << 3) + b"\0", id="field 2^29"),
        pytest.param(b"\x0e", id="wire type 6"),
        pytest.param(b"\x0f", id="wire type 7"),
        pytest.param(b"\x12\x05abcd", id="too short a text"),
        pytest.param(b"\x12" + varint(2**64 - 1) + b"abcd", id="a text of 2^64 bytes"),
        pytest.param(b"\x11" + bytes(7), id="seven of eight bytes"),
        pytest.param(b"\x15" + bytes(3), id="three of four bytes"),
        pytest.param(b"\x0b", id="an open group"),
        pytest.param(b"\x0c", id="a group that is not open"),
        pytest.param(b"\x0b\x14", id="another group ends"),
        pytest.param(b"\x0b" * (MAX_GROUP_DEPTH + 1) + b"\x0c" * (MAX_GROUP_DEPTH + 1), id="deep"),
        pytest.param(b"\x0b" * 1_000_000, id="very deep"),
    ],
)
def test_what_is_no_message(data):
    with pytest.raises(ProtobufError):
        Fields(data, KNOWN)


def test_text_is_utf_8():
    assert Fields(text_field(2, "\u00e9t\u00e9"), KNOWN).text(2) == "\u00e9t\u00e9"
    with pytest.raises(ProtobufError, match="field 2: expected UTF-8"):
        Fields(bytes_field(2, b"\xff"), KNOWN).text(2)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    try:
        fields = Fields(data, KNOWN)
    except ProtobufError:
        return
    assert all(isinstance(text, bytes) for text in fields.every(2))


def test_a_message_of_too_many_fields_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    def counted(data: bytes, start: int = 0) -> tuple[int, int]:
        nonlocal read
        read += 1
        return read_varint(data, start)

    monkeypatch.setattr(protobuf, "read_varint", counted)
    for junk in (b"\x78\x00", b"\x0a\x00", b"\x7b\x7c"):  # unknown, known, an unknown group
        read = 0
        with pytest.raises(ProtobufError, match="expected at most"):
            Fields(junk * 10_000, {1: BYTES}, most=4)
        assert read <= 2 * (4 + protobuf.MAX_UNKNOWN_FIELDS + 1)
