"""The small messages of a charon ceremony: sync, reliable broadcast, node signatures.

Source: charon, dkg/dkgpb/v1 (sync, bcast and nodesigs.proto); google.protobuf.Any and Timestamp.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from dvtfast.errors import DvtfastError
from dvtfast.protobuf import (
    BYTES,
    VARINT,
    Fields,
    ProtobufError,
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


@dataclass(frozen=True)
class Wrapped:
    """A message with the name of its type (google.protobuf.Any)."""

    type_url: str
    value: bytes = field(repr=False)

    @classmethod
    def of(cls, name: str, value: bytes) -> Self:
        """A message of charon's key generation."""
        return cls(TYPE_PREFIX + name, value)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read it.

        Raises:
            ProtobufError: it is no such message.
        """
        fields = Fields(data, {1: BYTES, 2: BYTES})
        return cls(_text(fields, 1), fields.last(2))

    def encode(self) -> bytes:
        """As it is sent."""
        return text_field(1, self.type_url) + bytes_field(2, self.value)


@dataclass(frozen=True)
class SignatureRequest:
    """Asks for a signature of what will be broadcast under an id (BCastSigRequest)."""

    id: str
    content: Wrapped

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read it.

        Raises:
            ProtobufError, BadMessageError: it is no such message.
        """
        fields = Fields(data, {1: BYTES, 3: BYTES})
        return cls(_text(fields, 1), Wrapped.decode(_present(fields, 3, "message")))

    def encode(self) -> bytes:
        """As it is sent."""
        return text_field(1, self.id) + message_field(3, self.content.encode())


@dataclass(frozen=True)
class SignatureAnswer:
    """The signature that was asked for (BCastSigResponse)."""

    id: str
    signature: bytes

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read it.

        Raises:
            ProtobufError: it is no such message.
        """
        fields = Fields(data, {1: BYTES, 2: BYTES})
        return cls(_text(fields, 1), fields.last(2))

    def encode(self) -> bytes:
        """As it is sent."""
        return text_field(1, self.id) + bytes_field(2, self.signature)


@dataclass(frozen=True)
class BroadcastMessage:
    """What everybody has signed, in the order of the operators (BCastMessage)."""

    id: str
    content: Wrapped
    signatures: tuple[bytes, ...]

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read it.

        Raises:
            ProtobufError, BadMessageError: it is no such message.
        """
        fields = Fields(data, {1: BYTES, 2: BYTES, 3: BYTES})
        content = Wrapped.decode(_present(fields, 2, "message"))
        return cls(_text(fields, 1), content, tuple(fields.every(3)))

    def encode(self) -> bytes:
        """As it is sent."""
        signatures = b"".join(message_field(3, signature) for signature in self.signatures)
        return text_field(1, self.id) + message_field(2, self.content.encode()) + signatures


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


@dataclass(frozen=True)
class Sync:
    """How far a node is (MsgSync).

    Attributes:
        timestamp: a google.protobuf.Timestamp, which the answer repeats.
        hash_signature: of the definition hash, DER.
    """

    timestamp: bytes
    hash_signature: bytes
    shutdown: bool
    version: str
    step: int
    nickname: str = ""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read it.

        Raises:
            ProtobufError, BadMessageError: it is no such message.
        """
        fields = Fields(data, {1: BYTES, 2: BYTES, 3: VARINT, 4: BYTES, 5: VARINT, 6: BYTES})
        timestamp = _present(fields, 1, "timestamp")
        if len(timestamp) > MAX_TIMESTAMP_BYTES:
            raise BadMessageError(f"timestamp: expected at most {MAX_TIMESTAMP_BYTES} bytes")
        return cls(
            timestamp, fields.last(2), fields.boolean(3), _text(fields, 4), fields.int64(5), _text(fields, 6)
        )

    def encode(self) -> bytes:
        """As it is sent."""
        return (
            message_field(1, self.timestamp)
            + bytes_field(2, self.hash_signature)
            + number_field(3, self.shutdown)
            + text_field(4, self.version)
            + number_field(5, self.step)
            + text_field(6, self.nickname)
        )


@dataclass(frozen=True)
class SyncAnswer:
    """What a node says to that (MsgSyncResponse): nothing, or why it ends the ceremony."""

    timestamp: bytes
    error: str = ""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read it.

        Raises:
            ProtobufError: it is no such message.
        """
        fields = Fields(data, {1: BYTES, 2: BYTES})
        return cls(fields.message(1) or b"", fields.last(2)[:MAX_TEXT_BYTES].decode(errors="replace"))

    def encode(self) -> bytes:
        """As it is sent."""
        return message_field(1, self.timestamp) + text_field(2, self.error)


def timestamp(seconds: int, nanoseconds: int) -> bytes:
    """A google.protobuf.Timestamp."""
    return number_field(1, seconds) + number_field(2, nanoseconds)


def _text(fields: Fields, number: int) -> str:
    if len(fields.last(number)) > MAX_TEXT_BYTES:
        raise ProtobufError(f"field {number}: expected at most {MAX_TEXT_BYTES} bytes")
    return fields.text(number)


def _present(fields: Fields, number: int, name: str) -> bytes:
    """A message that charon drops the whole for, if it is absent."""
    value = fields.message(number)
    if value is None:
        raise BadMessageError(f"{name}: it is absent")
    return value
