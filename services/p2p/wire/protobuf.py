"""The part of protobuf that libp2p's messages need: numbers, bytes, and messages within messages.

What a message has besides its known fields is passed over, as protobuf wants it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from ..errors import WireError
from . import varint

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_MOST_FIELD_NUMBER = (1 << 29) - 1

Value = int | bytes


def encode(fields: Iterable[tuple[int, Value | None]]) -> bytes:
    """Fields in the order given; those that are None are left out."""
    out = bytearray()
    for number, value in fields:
        if value is None:
            continue
        if isinstance(value, int):
            out += varint.encode(number << 3 | _VARINT)
            out += varint.encode(value)
        else:
            out += varint.encode(number << 3 | _BYTES)
            out += varint.encode(len(value))
            out += value
    return bytes(out)


class Fields:
    """What one message has.

    Raises:
        WireError: it is not a message, or a field is of another type than asked for.
    """

    def __init__(self, data: bytes) -> None:
        self._found: dict[int, list[Value]] = {}
        for number, value in _fields(data):
            self._found.setdefault(number, []).append(value)

    def has(self, number: int) -> bool:
        """Whether the field is there at all."""
        return number in self._found

    def integer(self, number: int) -> int:
        """A number; 0 when it is not there, the last one when it is there more than once."""
        value = self._found.get(number, [0])[-1]
        if not isinstance(value, int):
            raise WireError(f"protobuf field {number}: expected a number")
        return value

    def bytes_(self, number: int) -> bytes:
        """Bytes, or a message; empty when they are not there, the last ones when there are more."""
        return self.repeated(number)[-1] if number in self._found else b""

    def text(self, number: int) -> str:
        """Text; what is no UTF-8 in it is replaced, since it is for people."""
        return self.bytes_(number).decode(errors="replace")

    def repeated(self, number: int) -> list[bytes]:
        """All bytes, or messages, of one field."""
        values = []
        for value in self._found.get(number, ()):
            if not isinstance(value, bytes):
                raise WireError(f"protobuf field {number}: expected bytes")
            values.append(value)
        return values


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(data):
        key, at = varint.decode_protobuf(data, at)
        number, kind = key >> 3, key & 7
        if not 1 <= number <= _MOST_FIELD_NUMBER:
            raise WireError(f"protobuf: field number {number}")
        if kind == _VARINT:
            value, at = varint.decode_protobuf(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = varint.decode_protobuf(data, at)
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            raise WireError(f"protobuf field {number}: unknown wire type {kind}")
        if size > len(data) - at:
            raise WireError(f"protobuf field {number}: cut short")
        piece, at = data[at : at + size], at + size
        if kind == _BYTES:
            yield number, piece
        else:
            yield number, struct.unpack("<Q" if kind == _FIXED64 else "<I", piece)[0]
