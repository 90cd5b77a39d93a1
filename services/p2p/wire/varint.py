"""Unsigned varints: seven bits a byte, lowest first; a set high bit says that more follow.

Source: multiformats/unsigned-varint; protobuf's are the same with up to 64 bits, of which nobody wants
them shortest.
"""

from __future__ import annotations

from ..errors import WireError

MOST_BITS = 63  # of multiformats
PROTOBUF_BITS = 64
_ONE_BYTE = tuple(bytes([value]) for value in range(0x80))


def encode(value: int) -> bytes:
    """The shortest form of a number from 0."""
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
    if value < 0:
        raise ValueError("varint: expected a number from 0")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode(data: bytes | bytearray | memoryview, at: int = 0) -> tuple[int, int] | None:
    """A number, and the place behind it; None when its end has not come.

    Raises:
        WireError: it has more than 63 bits, or is not in its shortest form.
    """
    found = _decode(data, at, MOST_BITS)
    if found is not None and found[1] - at > 1 and data[found[1] - 1] == 0:
        raise WireError("varint: expected the shortest form")
    return found


def decode_protobuf(data: bytes | bytearray | memoryview, at: int) -> tuple[int, int]:
    """A number of a protobuf message, and the place behind it.

    Raises:
        WireError: it has more than 64 bits, or its end is not there.
    """
    found = _decode(data, at, PROTOBUF_BITS)
    if found is None:
        raise WireError("varint: cut short")
    return found


def _decode(data: bytes | bytearray | memoryview, at: int, most_bits: int) -> tuple[int, int] | None:
    value = shift = 0
    for place in range(at, len(data)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> most_bits:
                break
            return value, place + 1
        shift += 7
        if shift >= most_bits + 6:
            break
    else:
        return None
    raise WireError(f"varint: expected at most {most_bits} bits")
