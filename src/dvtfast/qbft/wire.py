"""The bytes of consensus messages: what is signed of them, and the values that go along.

A message goes with the whole content of every value that it, or what justifies it, speaks of. Contents are
protobuf messages in an Any, of the type that their duty has. A content may come in several forms, as maps
have no order: it is brought into one, which is hashed and kept, so that nodes with one hash sign one thing.

Source: charon, core/corepb/v1 (core.proto, consensus.proto) and core/consensus/qbft (hashing, limits).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, TypeVar

from dvtfast.duties.codecs import bytes_root
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.message_sizes import MessageSizes
from dvtfast.errors import DvtfastError
from dvtfast.protobuf import (
    BYTES,
    VARINT,
    Fields,
    bytes_field,
    message_field,
    number_field,
    text_field,
)
from dvtfast.qbft.messages import FIRST_ROUND, HASH_BYTES, Duty, Kind, Message
from dvtfast.secp256k1 import SIGNATURE_BYTES

PROTOCOL: Final = "/charon/consensus/qbft/2.0.0"
TYPE_PREFIX: Final = "type.googleapis.com/core.corepb.v1."
DATA_SET: Final = TYPE_PREFIX + "UnsignedDataSet"
PRIORITY_RESULT: Final = TYPE_PREFIX + "PriorityResult"
NO_HASH: Final = bytes(HASH_BYTES)

_MESSAGE: Final = dict.fromkeys((1, 3, 4, 6), VARINT) | dict.fromkeys((2, 8, 11, 12), BYTES)
_ENVELOPE: Final = dict.fromkeys((1, 2, 3), BYTES)
_DUTY: Final = {1: VARINT, 2: VARINT}
_PAIR: Final = {1: BYTES, 2: BYTES}
_RESULT: Final = {1: BYTES, 2: BYTES}
_PREFERENCES: Final = dict.fromkeys((1, 2, 3, 4), BYTES)
_NAME: Final = re.compile(r"0x[0-9a-f]{96}")  # of a validator: its public key, in no other case or length
_NODE: Final = re.compile(r"16Uiu2HA[1-9A-HJ-NP-Za-km-z]{45}")  # its peer id, as all keys of nodes have it
_MOST_FIELDS: Final = 16  # of a message; it has eight

_E = TypeVar("_E", bound=IntEnum)


class BadMessageError(DvtfastError):
    """What came is no message that a node of this cluster may send."""


@dataclass(frozen=True)
class Value:
    """What is agreed on: a message of that type, as it is sent.

    Attributes:
        type_url: of its type: `DATA_SET` or `PRIORITY_RESULT`.
        content: the message.
    """

    type_url: str
    content: bytes

    def canonical(self, most: int | None = None) -> Value:
        """The same in the one form in which it is hashed and kept: in order, without what is not known.

        The hash is a tree over the content that says nothing of its length, so that the hashes within are
        contents of the same hash. None of these names a validator or a node, as all values do.

        Args:
            most: entries that are read; None: all.

        Raises:
            ProtobufError, BadMessageError: it is not of its type, or of one that nobody agrees on.
        """
        if self.type_url == DATA_SET:
            data = decode_data_set(self.content, most)
            if not all(map(_NAME.fullmatch, data)):
                raise BadMessageError("a value for what is no validator's public key in lower case")
            return replace(self, content=encode_data_set(data))
        if self.type_url == PRIORITY_RESULT:
            fields = Fields(self.content, _RESULT, most=most)
            said = [Fields(each, _PREFERENCES, most=most).text(3) for each in fields.every(1)]
            if not said or not all(map(_NODE.fullmatch, said)):
                raise BadMessageError("a value that is of no nodes")
            parts = (message_field(number, each) for number in _RESULT for each in fields.every(number))
            return replace(self, content=b"".join(parts))
        raise BadMessageError("a value of an unknown type")

    def hash(self) -> bytes:
        """The hash of its canonical form, 32 bytes.

        Raises:
            ProtobufError, BadMessageError: as for `canonical`.
        """
        return proto_hash(self.canonical().content)

    def encode(self) -> bytes:
        """As it is sent."""
        return text_field(1, self.type_url) + bytes_field(2, self.content)


@dataclass(frozen=True)
class Claim:
    """Who is said to have signed what.

    Attributes:
        peer: a position from 0.
        digest: 32 bytes.
        signature: R | S | V, if it is one.
    """

    peer: int
    digest: bytes
    signature: bytes


@dataclass(frozen=True)
class Envelope:
    """A message as it came, with all that came along; nobody has looked at a signature or a hash.

    Attributes:
        message: with its justification.
        claims: the signatures of all of these.
        values: in any order.
    """

    message: Message
    claims: tuple[Claim, ...]
    values: tuple[Value, ...]


def proto_hash(data: bytes) -> bytes:
    """The hash of a message's bytes: the root of the Merkle tree over 32 bytes each, filled with zeros.

    A message of at most 32 bytes is its own hash.
    """
    return bytes_root(data)


# Values.


def encode_data_set(data: Mapping[str, bytes]) -> bytes:
    """What is agreed on for each validator, by its key as text, in order."""
    pairs = sorted((key.encode(), value) for key, value in data.items())
    return b"".join(message_field(1, message_field(1, key) + message_field(2, value)) for key, value in pairs)


def decode_data_set(data: bytes, most: int | None = None) -> dict[str, bytes]:
    """The same back, in the order of its bytes; at most so many entries.

    Raises:
        ProtobufError, BadMessageError: it is none, or a validator is in it twice.
    """
    entries = Fields(data, {1: BYTES}, most=most).every(1)
    pairs = [Fields(pair, _PAIR, most=_MOST_FIELDS) for pair in entries]
    found = {pair.text(1): pair.last(2) for pair in pairs}
    if len(found) != len(pairs):
        raise BadMessageError("two values for one validator")
    return found


# Messages.


def signing_digest(message: Message) -> bytes:
    """What a node signs of its own message."""
    return proto_hash(_encode(message))


def with_signature(message: Message, signature: bytes) -> Message:
    """A message of this node, signed."""
    return replace(message, signed=_encode(message, signature))


def encode_envelope(message: Message, values: Mapping[bytes, Value]) -> bytes:
    """A signed message as it is sent, with the contents of all values that it speaks of.

    Raises:
        BadMessageError: the content of one of them is not there.
    """
    wanted = sorted(message.value_hashes())
    if not all(value in values for value in wanted):
        raise BadMessageError("a value is spoken of whose content is not there")
    return b"".join(
        (
            message_field(1, message.signed),
            *(message_field(2, each.signed) for each in message.justification),
            *(message_field(3, values[value].encode()) for value in wanted),
        )
    )


def decode_envelope(data: bytes, sizes: MessageSizes) -> Envelope:
    """Read a message and all that comes with it.

    Args:
        data: as it came.
        sizes: of the cluster's messages; what is larger is not read to its end.

    Raises:
        ProtobufError, BadMessageError: it is nothing that a node may send.
    """
    nodes = sizes.nodes
    fields = Fields(data, _ENVELOPE, most=1 + sizes.justifications + sizes.values)
    given = fields.every(2)
    if len(given) > sizes.justifications:
        raise BadMessageError(
            f"justification: expected at most {sizes.justifications} messages, got {len(given)}"
        )
    parts = [_decode(_present(fields, 1), nodes), *(_decode(each, nodes) for each in given)]
    message, *justification = (message for message, _ in parts)
    if any(each.duty != message.duty for each in justification):
        raise BadMessageError("justification: of another duty")
    contents = fields.every(3)
    if len(contents) > (most := min(sizes.values, 2 * (len(given) + 1))):
        raise BadMessageError(f"values: expected at most {most}, got {len(contents)}")
    return Envelope(
        replace(message, justification=tuple(justification)),
        tuple(claim for _, claim in parts),
        tuple(_decode_value(each, sizes.value_bytes(message.duty.type)) for each in contents),
    )


def checked_values(envelope: Envelope, sizes: MessageSizes) -> dict[bytes, Value]:
    """The values of an envelope, canonical, by their hashes: all that are spoken of, no others; slow.

    Raises:
        ProtobufError, BadMessageError: one is not of its type or of its duty's, or missing.
    """
    type = envelope.message.duty.type
    expected = PRIORITY_RESULT if type == DutyType.INFO_SYNC else DATA_SET
    if any(value.type_url != expected for value in envelope.values):
        raise BadMessageError("a value of another type than its duty has")
    canonical = [value.canonical(sizes.entries(type)) for value in envelope.values]
    values = {proto_hash(value.content): value for value in canonical}
    wanted = envelope.message.value_hashes()
    if missing := wanted - values.keys():
        raise BadMessageError(f"values: {len(missing)} of {len(wanted)} are missing")
    return {value_hash: values[value_hash] for value_hash in wanted}


def _encode(message: Message, signature: bytes = b"", hashes: tuple[bytes, ...] = ()) -> bytes:
    """A message without justification. Another node may write no hash otherwise than as 32 zeros."""
    duty = number_field(1, message.duty.slot) + number_field(2, message.duty.type)
    value_hash, prepared = hashes or (message.value_hash or NO_HASH, message.prepared_value_hash or NO_HASH)
    return b"".join(
        (
            number_field(1, message.kind),
            message_field(2, duty),
            number_field(3, message.peer),
            number_field(4, message.round),
            number_field(6, message.prepared_round),
            bytes_field(8, signature),
            bytes_field(11, value_hash),
            bytes_field(12, prepared),
        )
    )


def _decode(data: bytes, nodes: int) -> tuple[Message, Claim]:
    """A message, and who is said to have signed it. What of it is not known is not kept, and not signed."""
    fields = Fields(data, _MESSAGE, most=_MOST_FIELDS)
    duty = Fields(_present(fields, 2), _DUTY, most=_MOST_FIELDS)
    peer, round, prepared_round = fields.int64(3), fields.int64(4), fields.int64(6)
    hashes, signature = (fields.last(11), fields.last(12)), fields.last(8)
    if not 0 <= peer < nodes:
        raise BadMessageError(f"peer: expected one of {nodes} nodes, got {peer}")
    if round < FIRST_ROUND or prepared_round < 0:
        raise BadMessageError(
            f"round: expected {FIRST_ROUND} or more, got {round}, prepared {prepared_round}"
        )
    if max(map(len, hashes)) > HASH_BYTES or len(signature) != SIGNATURE_BYTES:
        raise BadMessageError("hashes, signature: too long or too short")
    message = Message(
        _one_of(Kind, fields.int64(1)),
        Duty(duty.uint64(1), _one_of(DutyType, duty.int32(2))),
        peer,
        round,
        _hash(hashes[0]),
        prepared_round,
        _hash(hashes[1]),
    )
    claim = Claim(peer, proto_hash(_encode(message, hashes=hashes)), signature)
    return replace(message, signed=_encode(message, signature, hashes)), claim


def _hash(data: bytes) -> bytes | None:
    return data if len(data) == HASH_BYTES and data != NO_HASH else None


def _one_of(kinds: type[_E], number: int) -> _E:
    try:
        return kinds(number)
    except ValueError:
        raise BadMessageError(f"{kinds.__name__}: there is no {number}") from None


def _decode_value(data: bytes, most_bytes: int) -> Value:
    fields = Fields(data, _PAIR, most=_MOST_FIELDS)
    value = Value(fields.text(1), fields.last(2))
    if len(value.content) > most_bytes:
        raise BadMessageError(f"values: expected at most {most_bytes} bytes, got {len(value.content)}")
    return value


def _present(fields: Fields, number: int) -> bytes:
    """A message that must be there."""
    if (found := fields.message(number)) is None:
        raise BadMessageError(f"field {number} is missing")
    return found
