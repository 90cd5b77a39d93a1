"""What nodes prefer, and what comes of it: each says it of several topics, best first, and signs that.

A topic and what is preferred in it are texts, each a google.protobuf.Value in an Any.

Source: charon, core/corepb/v1/priority.proto; protocol /charon/priority/2.0.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.message_sizes import MOST_TOPICS, MessageSizes
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
from dvtfast.qbft.messages import Duty
from dvtfast.qbft.wire import proto_hash
from dvtfast.secp256k1 import IdentityKey, recovered_signer

from ...p2p.errors import WireError
from ...p2p.wire.peers import key_of_text, peer_text

PROTOCOL: Final = "/charon/priority/2.0.0"
OLD_PROTOCOL: Final = "charon/priority/2.0.0"  # all that charon speaks up to v1.10
VALUE: Final = "type.googleapis.com/google.protobuf.Value"
MOST_PRIORITIES: Final = 999  # in a topic; each position costs one of a thousand points


@dataclass(frozen=True)
class Topic:
    """What a node prefers in a topic, best first."""

    name: str
    priorities: tuple[str, ...]

    def encode(self) -> bytes:
        """As it is sent."""
        return message_field(1, any_text(self.name)) + b"".join(
            message_field(2, any_text(each)) for each in self.priorities
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Of a peer; ProtobufError when it is none."""
        fields = Fields(data, {1: BYTES, 2: BYTES}, most=1 + MOST_PRIORITIES)
        priorities = fields.every(2)
        if len(priorities) > MOST_PRIORITIES:
            raise ProtobufError(f"expected at most {MOST_PRIORITIES} priorities, got {len(priorities)}")
        return cls(_read_any(fields.message(1)), _each_once(map(_read_any, priorities)))


@dataclass(frozen=True)
class PriorityMessage:
    """What a node prefers.

    Attributes:
        node: its key, 33 bytes.
        signature: R | S | V.
    """

    duty: Duty
    topics: tuple[Topic, ...]
    node: bytes
    signature: bytes = b""

    def encode(self) -> bytes:
        """As it is sent."""
        duty = number_field(1, self.duty.slot) + number_field(2, self.duty.type)
        return b"".join(
            (
                message_field(1, duty),
                *(message_field(2, topic.encode()) for topic in self.topics),
                text_field(3, peer_text(self.node)),
                bytes_field(4, self.signature),
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Of a peer; nobody has looked at the signature.

        Raises:
            ProtobufError: it is no such message.
        """
        fields = Fields(data, dict.fromkeys((1, 2, 3, 4), BYTES), most=3 + MOST_TOPICS)
        duty, topics = fields.message(1), fields.every(2)
        if duty is None:
            raise ProtobufError("expected a duty")
        if len(topics) > MOST_TOPICS:
            raise ProtobufError(f"expected at most {MOST_TOPICS} topics, got {len(topics)}")
        of = Fields(duty, {1: VARINT, 2: VARINT}, most=2)
        if of.int32(2) != DutyType.INFO_SYNC:
            raise ProtobufError(f"expected a duty of type {DutyType.INFO_SYNC:d}, got {of.int32(2)}")
        read = tuple(map(Topic.decode, topics))
        _each_once(topic.name for topic in read)
        try:
            node = key_of_text(fields.text(3))
        except WireError as error:
            raise ProtobufError(str(error)) from None
        return cls(Duty(of.uint64(1), DutyType.INFO_SYNC), read, node, fields.last(4))

    def signed(self, key: IdentityKey) -> Self:
        """The same, signed by its node."""
        return replace(self, signature=key.sign(self._digest()))

    def is_signed(self) -> bool:
        """Whether its node signed it."""
        return recovered_signer(self._digest(), self.signature) == self.node

    def _digest(self) -> bytes:
        return proto_hash(replace(self, signature=b"").encode())


@dataclass(frozen=True)
class TopicResult:
    """What nodes prefer together in a topic, best first, with the points of each."""

    name: str
    scores: tuple[tuple[str, int], ...]

    def encode(self) -> bytes:
        """As it is agreed on."""
        return message_field(1, any_text(self.name)) + b"".join(
            message_field(2, message_field(1, any_text(each)) + number_field(2, score))
            for each, score in self.scores
        )


def encode_result(messages: Sequence[PriorityMessage], topics: Sequence[TopicResult]) -> bytes:
    """What is agreed on: what nodes said, and what comes of it."""
    return b"".join(
        (
            *(message_field(1, message.encode()) for message in messages),
            *(message_field(2, topic.encode()) for topic in topics),
        )
    )


def decode_result(data: bytes, sizes: MessageSizes) -> list[PriorityMessage]:
    """What nodes said, of what was agreed on; what comes of it is in there once more.

    Raises:
        ProtobufError: it is no such thing.
    """
    messages = Fields(data, {1: BYTES, 2: BYTES}, most=sizes.entries(DutyType.INFO_SYNC)).every(1)
    if len(messages) > sizes.nodes:
        raise ProtobufError(f"expected at most {sizes.nodes} messages, got {len(messages)}")
    return [PriorityMessage.decode(message) for message in messages]


def any_text(text: str) -> bytes:
    """A text as Any of a Value."""
    return text_field(1, VALUE) + message_field(2, message_field(3, text.encode()))


def _read_any(data: bytes | None) -> str:
    fields = Fields(data or b"", {1: BYTES, 2: BYTES}, most=2)
    text = Fields(fields.last(2), {3: BYTES}, most=1).text(3)
    if fields.text(1) != VALUE or not text:
        raise ProtobufError("expected a text")
    return text


def _each_once(texts: Iterable[str]) -> tuple[str, ...]:
    found = tuple(texts)
    if len(set(found)) != len(found):
        raise ProtobufError("expected each once")
    return found
