"""The small messages of a charon ceremony: sync, reliable broadcast, node signatures.

Source: charon, dkg/dkgpb/v1 (sync, bcast and nodesigs.proto); google.protobuf.Any and Timestamp.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple, Self

from dvtfast.errors import DvtfastError
from dvtfast.protobuf import (
    BYTES,
    VARINT,
    Fields,
    ProtobufError,
    Wire,
    bytes_field,
    message_field,
    number_field,
    text_field,
)
from dvtfast.secp256k1 import SIGNATURE_BYTES

TYPE_PREFIX: Final = "type.googleapis.com/dkg.dkgpb.v1."
# Longer texts are nobody's id, version or nickname; an error is shown to people.
MAX_TEXT_BYTES = 256
MAX_TIMESTAMP_BYTES = 64
MAX_NICKNAME = 32
# What operators who leave a cluster broadcast in place of a signature; nobody leaves a new one.
NO_SIGNATURE = bytes.fromhex("deadbeef")
# No message of these, texts included, is longer.
MAX_SYNC_BYTES = 4096


class BadMessageError(DvtfastError):
    """What a peer sent is not what it may send now; says what, without the peer."""


class Kind(NamedTuple):
    """How a field is read and written."""

    wire: Wire
    read: Callable[[Fields, int], Any]
    write: Callable[[int, Any], bytes]


def _text(fields: Fields, number: int) -> str:
    if len(fields.last(number)) > MAX_TEXT_BYTES:
        raise ProtobufError(f"field {number}: expected at most {MAX_TEXT_BYTES} bytes")
    return fields.text(number)


def _message(fields: Fields, number: int, name: str = "message") -> bytes:
    """A message that charon drops the whole for, if it is absent."""
    value = fields.message(number)
    if value is None:
        raise BadMessageError(f"{name}: it is absent")
    return value


def _timestamp(fields: Fields, number: int) -> bytes:
    value = _message(fields, number, "timestamp")
    if len(value) > MAX_TIMESTAMP_BYTES:
        raise BadMessageError(f"timestamp: expected at most {MAX_TIMESTAMP_BYTES} bytes")
    return value


def _shown(fields: Fields, number: int) -> str:
    """A text for people, of whatever bytes."""
    return fields.last(number)[:MAX_TEXT_BYTES].decode(errors="replace")


TEXT = Kind(BYTES, _text, text_field)
SHOWN = Kind(BYTES, _shown, text_field)
BLOB = Kind(BYTES, lambda fields, number: fields.last(number), bytes_field)
BLOBS = Kind(
    BYTES,
    lambda fields, number: tuple(fields.every(number)),
    lambda number, blobs: b"".join(message_field(number, blob) for blob in blobs),
)
NUMBER = Kind(VARINT, lambda fields, number: fields.int64(number), number_field)
FLAG = Kind(VARINT, lambda fields, number: fields.boolean(number), number_field)
TIMESTAMP = Kind(BYTES, _timestamp, message_field)
ANY_TIMESTAMP = Kind(BYTES, lambda fields, number: fields.message(number) or b"", message_field)


class Message:
    """A message whose attributes are its fields.

    Attributes:
        LAYOUT: number and kind of each, in the order of the attributes.
    """

    LAYOUT: ClassVar[tuple[tuple[int, Kind], ...]]

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read it.

        Raises:
            ProtobufError, BadMessageError: it is no such message.
        """
        fields = Fields(data, {number: kind.wire for number, kind in cls.LAYOUT})
        return cls(*(kind.read(fields, number) for number, kind in cls.LAYOUT))

    def encode(self) -> bytes:
        """As it is sent."""
        values = vars(self).values()
        return b"".join(
            kind.write(number, value) for (number, kind), value in zip(self.LAYOUT, values, strict=True)
        )


@dataclass(frozen=True)
class Wrapped(Message):
    """A message with the name of its type (google.protobuf.Any)."""

    LAYOUT = ((1, TEXT), (2, BLOB))

    type_url: str
    value: bytes = field(repr=False)

    @classmethod
    def of(cls, name: str, value: bytes) -> Self:
        """A message of charon's key generation."""
        return cls(TYPE_PREFIX + name, value)


WRAPPED = Kind(
    BYTES,
    lambda fields, number: Wrapped.decode(_message(fields, number)),
    lambda number, content: message_field(number, content.encode()),
)


@dataclass(frozen=True)
class SignatureRequest(Message):
    """Asks for a signature of what will be broadcast under an id (BCastSigRequest)."""

    LAYOUT = ((1, TEXT), (3, WRAPPED))

    id: str
    content: Wrapped


@dataclass(frozen=True)
class SignatureAnswer(Message):
    """The signature that was asked for (BCastSigResponse)."""

    LAYOUT = ((1, TEXT), (2, BLOB))

    id: str
    signature: bytes


@dataclass(frozen=True)
class BroadcastMessage(Message):
    """What everybody has signed, in the order of the operators (BCastMessage)."""

    LAYOUT = ((1, TEXT), (2, WRAPPED), (3, BLOBS))

    id: str
    content: Wrapped
    signatures: tuple[bytes, ...]


@dataclass(frozen=True)
class Sync(Message):
    """How far a node is (MsgSync).

    Attributes:
        timestamp: a google.protobuf.Timestamp, which the answer repeats.
        hash_signature: of the definition hash, DER.
    """

    LAYOUT = ((1, TIMESTAMP), (2, BLOB), (3, FLAG), (4, TEXT), (5, NUMBER), (6, TEXT))

    timestamp: bytes
    hash_signature: bytes
    shutdown: bool
    version: str
    step: int
    nickname: str = ""


@dataclass(frozen=True)
class SyncAnswer(Message):
    """What a node says to that (MsgSyncResponse): nothing, or why it ends the ceremony."""

    LAYOUT = ((1, ANY_TIMESTAMP), (2, SHOWN))

    timestamp: bytes
    error: str = ""


@dataclass(frozen=True)
class NodeSignature:
    """A node's signature of the lock hash (MsgNodeSig); its position is from 0."""

    NAME: ClassVar = "MsgNodeSig"

    signature: bytes
    position: int

    @classmethod
    def decode(cls, data: bytes, *, position: int) -> Self:
        """Read the one of the node at a position.

        Raises:
            ProtobufError, BadMessageError: it is no such message, or another node's.
        """
        fields = Fields(data, {1: BYTES, 2: VARINT})
        if fields.uint32(2) != position:
            raise BadMessageError(f"peer_index: expected {position}, got {fields.uint32(2)}")
        signature = fields.last(1)
        if signature == NO_SIGNATURE:
            raise BadMessageError("signature: a node that leaves the cluster takes no part in this")
        if len(signature) != SIGNATURE_BYTES:
            raise BadMessageError(f"signature: expected {SIGNATURE_BYTES} bytes, got {len(signature)}")
        return cls(signature, position)

    def encode(self) -> bytes:
        """As it is sent."""
        return bytes_field(1, self.signature) + number_field(2, self.position)


def timestamp(seconds: int, nanoseconds: int) -> bytes:
    """A google.protobuf.Timestamp."""
    return number_field(1, seconds) + number_field(2, nanoseconds)
