"""Protocol buffers as far as small messages of known layout need them: fields in, fields out.

A reader says which fields it knows; all others are skipped, as are known ones of another wire type. What is
repeated though it should be single is as protobuf has it: the last number or text counts, and messages are
merged, which is to read their bytes one after the other. Numbers that are zero and texts that are empty are
not written, messages always are.

Source: protobuf.dev, "Encoding", proto3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum

from dvtfast.errors import DvtfastError

# A number has at most 64 bits, seven in a byte.
MAX_VARINT_BYTES = 10
MAX_FIELD_NUMBER = 2**29 - 1
# Groups exist in unknown fields alone; nobody has a reason to nest them.
MAX_GROUP_DEPTH = 32
# Fields that a reader does not know, where it says how many it takes in all; another may know a few more.
MAX_UNKNOWN_FIELDS = 16


class ProtobufError(DvtfastError):
    """Bytes that are no message of the expected layout."""


class Wire(IntEnum):
    """How a field is written."""

    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    GROUP = 3
    END_GROUP = 4
    FIXED32 = 5


VARINT, BYTES = Wire.VARINT, Wire.BYTES
_WIRES = tuple(Wire)
_ONE_BYTE = tuple(bytes([value]) for value in range(0x80))


class Fields:
    """What a message says in the fields that its reader knows.

    Args:
        data: the message.
        known: wire types, VARINT or BYTES, by field number.
        most: known fields that are read, besides a few unknown ones; None: whatever there is.

    Raises:
        ProtobufError: it is no message, or one of more fields; the rest of it is not read.
    """

    __slots__ = ("_values",)

    _values: dict[int, list[int | bytes]]

    def __init__(self, data: bytes, known: Mapping[int, Wire], *, most: int | None = None) -> None:
        values: dict[int, list[int | bytes]] = {}
        found = unknown = 0
        for number, wire, value in _fields(data, None if most is None else most + MAX_UNKNOWN_FIELDS):
            is_known = known.get(number) == wire
            found, unknown = found + is_known, unknown + (not is_known)
            if most is not None and (found > most or unknown > MAX_UNKNOWN_FIELDS):
                raise ProtobufError(f"expected at most {most} fields, and {MAX_UNKNOWN_FIELDS} unknown ones")
            if is_known:
                values.setdefault(number, []).append(value)
        self._values = values

    def __contains__(self, number: int) -> bool:
        return number in self._values

    def uint64(self, number: int) -> int:
        """The last number of this field, or 0."""
        value = self._values.get(number, (0,))[-1]
        assert isinstance(value, int)
        return value

    def uint32(self, number: int) -> int:
        """The same as 32 bits: what is above is dropped, as protobuf does."""
        return self.uint64(number) & (2**32 - 1)

    def int64(self, number: int) -> int:
        """The same with a sign."""
        value = self.uint64(number)
        return value - 2**64 if value >= 2**63 else value

    def int32(self, number: int) -> int:
        """The same as 32 bits with a sign."""
        value = self.uint32(number)
        return value - 2**32 if value >= 2**31 else value

    def boolean(self, number: int) -> bool:
        """Whether the last number is not zero."""
        return self.uint64(number) != 0

    def last(self, number: int) -> bytes:
        """The last bytes of this field, or none."""
        value = self._values.get(number, (b"",))[-1]
        assert isinstance(value, bytes)
        return value

    def text(self, number: int) -> str:
        """The same as text.

        Raises:
            ProtobufError: it is not UTF-8.
        """
        try:
            return self.last(number).decode()
        except UnicodeDecodeError:
            raise ProtobufError(f"field {number}: expected UTF-8") from None

    def message(self, number: int) -> bytes | None:
        """The message of this field, merged; None if it is absent."""
        parts = self._values.get(number)
        return None if parts is None else b"".join(self.every(number))

    def every(self, number: int) -> list[bytes]:
        """All bytes of a repeated field, in order."""
        return [value for value in self._values.get(number, ()) if isinstance(value, bytes)]


def read_varint(data: bytes, start: int = 0) -> tuple[int, int]:
    """The number that begins at `start`, and where it ends.

    Raises:
        ProtobufError: it does not end, or has more than 64 bits.
    """
    if start < len(data) and data[start] < 0x80:  # as nearly all that are read
        return data[start], start + 1
    value = shift = 0
    for position in range(start, min(start + MAX_VARINT_BYTES, len(data))):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 2**64:
                break
            return value, position + 1
        shift += 7
    raise ProtobufError(f"expected a number of at most 64 bits at byte {start}")


def varint(value: int) -> bytes:
    """A number of 0..2^64-1 as it is written, seven bits in a byte, the lowest first."""
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number_field(number: int, value: int) -> bytes:
    """A field of a number; nothing for zero, and negative ones as 64 bits."""
    return varint(number << 3 | VARINT) + varint(value % 2**64) if value else b""


def bytes_field(number: int, value: bytes) -> bytes:
    """A field of bytes; nothing for none."""
    return message_field(number, value) if value else b""


def text_field(number: int, value: str) -> bytes:
    """A field of text; nothing for none."""
    return bytes_field(number, value.encode())


def message_field(number: int, value: bytes) -> bytes:
    """A field of a message, or one element of repeated bytes: written though it be empty."""
    return varint(number << 3 | BYTES) + varint(len(value)) + value


def _fields(data: bytes, most: int | None) -> Iterator[tuple[int, Wire, int | bytes]]:
    """Number, wire type and value of each field outside groups; `most` counts those inside as well."""
    groups: list[int] = []
    at = read = 0
    while at < len(data):
        number, wire, at = _tag(data, at)
        read += 1
        if most is not None and read > most:
            raise ProtobufError(f"expected at most {most} fields")
        value: int | bytes = b""
        if wire == Wire.VARINT:
            value, at = read_varint(data, at)
        elif wire == Wire.GROUP:
            groups.append(number)
            if len(groups) > MAX_GROUP_DEPTH:
                raise ProtobufError(f"groups are nested more than {MAX_GROUP_DEPTH} deep")
            continue
        elif wire == Wire.END_GROUP:
            if not groups or groups.pop() != number:
                raise ProtobufError(f"a group {number} ends that is not open")
            continue
        else:
            if wire == Wire.BYTES:
                size, at = read_varint(data, at)
            else:
                size = 8 if wire == Wire.FIXED64 else 4
            if size > len(data) - at:
                raise ProtobufError(f"field {number}: expected {size} bytes, got {len(data) - at}")
            value, at = data[at : at + size], at + size
        if not groups:
            yield number, wire, value
    if groups:
        raise ProtobufError(f"group {groups[-1]} does not end")


def _tag(data: bytes, at: int) -> tuple[int, Wire, int]:
    tag, at = read_varint(data, at)
    number = tag >> 3
    if not 1 <= number <= MAX_FIELD_NUMBER or tag & 7 > Wire.FIXED32:
        raise ProtobufError(f"expected a field, got number {number} with wire type {tag & 7}")
    return number, _WIRES[tag & 7], at
