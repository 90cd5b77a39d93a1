"""What comes from peers: numbers, and messages of protobuf; what is none is the fault of whoever sent it.

Source: multiformats/unsigned-varint; protobuf's numbers are the same, but nobody wants them shortest.
"""

from __future__ import annotations

from collections.abc import Mapping

from dvtfast.protobuf import Fields, ProtobufError, Wire

from ..errors import WireError

MOST_NUMBER_BYTES = 9  # of 63 bits


def fields(data: bytes, known: Mapping[int, Wire]) -> Fields:
    """What a message says.

    Raises:
        WireError: it is none.
    """
    try:
        return Fields(data, known)
    except ProtobufError as error:
        raise WireError(f"protobuf: {error}") from None


def number(data: bytes | bytearray, at: int = 0) -> tuple[int, int] | None:
    """A number outside of protobuf, and the place behind it; None when its end has not come.

    Raises:
        WireError: it has more than 63 bits, or is not in its shortest form.
    """
    value, last = 0, min(at + MOST_NUMBER_BYTES, len(data))
    for place in range(at, last):
        byte = data[place]
        value |= (byte & 0x7F) << 7 * (place - at)
        if byte < 0x80:
            if byte == 0 and place > at:
                raise WireError("varint: expected the shortest form")
            return value, place + 1
    if last == at + MOST_NUMBER_BYTES:
        raise WireError("varint: expected at most 63 bits")
    return None
