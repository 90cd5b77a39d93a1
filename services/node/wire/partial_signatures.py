"""The message of a node that signed its part of a duty.

Source: charon, core/corepb/v1 (ParSigExMsg, ParSignedDataSet, ParSignedData);
protocol /charon/parsigex/2.0.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from dvtfast.constants import PUBLIC_KEY_BYTES
from dvtfast.protobuf import (
    BYTES,
    VARINT,
    Fields,
    ProtobufError,
    bytes_field,
    message_field,
    number_field,
)

PROTOCOL: Final = "/charon/parsigex/2.0.0"
KEY_TEXT_BYTES: Final = 2 + 2 * PUBLIC_KEY_BYTES


@dataclass(frozen=True)
class PartiallySigned:
    """What one validator's share signed.

    Attributes:
        public_key: the validator's, 48 bytes.
        data: what is signed and the partial signature, as its duty writes it.
        signature: the partial signature once more; nobody reads it.
        share_index: of the node, from 1.
    """

    public_key: bytes
    data: bytes
    signature: bytes
    share_index: int


@dataclass(frozen=True)
class PartialSignaturesMessage:
    """All that a node signed for a duty.

    Attributes:
        slot: of the duty.
        duty_type: its number.
        entries: one for each validator.
    """

    slot: int
    duty_type: int
    entries: Sequence[PartiallySigned]

    def encode(self) -> bytes:
        """Validators in the order of their keys, as protobuf sorts a map."""
        duty = number_field(1, self.slot) + number_field(2, self.duty_type)
        entries = sorted(self.entries, key=lambda entry: entry.public_key)
        return message_field(1, duty) + message_field(
            2, b"".join(message_field(1, _entry(e)) for e in entries)
        )

    @classmethod
    def decode(cls, data: bytes, *, most: int) -> Self:
        """Of a peer's message with at most so many entries, each of another validator.

        Raises:
            ProtobufError: it is no such message.
        """
        message = Fields(data, {1: BYTES, 2: BYTES}, most=16)
        duty, entries = message.message(1), message.message(2)
        if duty is None or entries is None:
            raise ProtobufError("expected a duty and a set of partial signatures")
        written = Fields(entries, {1: BYTES}, most=most).every(1)
        if not 1 <= len(written) <= most:
            raise ProtobufError(f"expected 1 to {most} partial signatures, got {len(written)}")
        read = [_read_entry(each) for each in written]
        if len({each.public_key for each in read}) != len(read):
            raise ProtobufError("expected each validator once")
        of = Fields(duty, {1: VARINT, 2: VARINT}, most=16)
        return cls(of.uint64(1), of.int32(2), read)


def _entry(entry: PartiallySigned) -> bytes:
    key = b"0x" + entry.public_key.hex().encode()
    signed = bytes_field(1, entry.data) + bytes_field(2, entry.signature) + number_field(3, entry.share_index)
    return message_field(1, key) + message_field(2, signed)


def _read_entry(data: bytes) -> PartiallySigned:
    entry = Fields(data, {1: BYTES, 2: BYTES}, most=16)
    text, value = entry.last(1), entry.message(2)
    if value is None:
        raise ProtobufError("expected data for each validator")
    if len(text) != KEY_TEXT_BYTES or text[:2] != b"0x" or text != text.lower():
        raise ProtobufError(f"expected keys as 0x and {2 * PUBLIC_KEY_BYTES} hex digits in lower case")
    try:
        key = bytes.fromhex(text[2:].decode())
    except ValueError:
        raise ProtobufError("expected keys in hex") from None
    if len(key) != PUBLIC_KEY_BYTES:  # there are spaces in it
        raise ProtobufError("expected keys in hex")
    signed = Fields(value, {1: BYTES, 2: BYTES, 3: VARINT}, most=16)
    return PartiallySigned(key, signed.last(1), signed.last(2), signed.int32(3))
