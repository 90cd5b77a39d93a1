"""What a node says of itself when a peer asks.

Source: charon, app/peerinfo/peerinfopb/v1; protocol /charon/peerinfo/2.0.0; google.protobuf.Timestamp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from dvtfast.protobuf import (
    BYTES,
    VARINT,
    Fields,
    bytes_field,
    message_field,
    number_field,
    text_field,
)

PROTOCOL: Final = "/charon/peerinfo/2.0.0"
LIMIT_BYTES: Final = 1 << 20
NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True)
class PeerInfo:
    """Attributes:
    charon_version: the release of charon that it is like, such as v1.11.0.
    lock_hash: of its cluster, 32 bytes.
    sent_at, started_at: Unix time in nanoseconds; None where it does not say.
    git_hash: 7 hex digits, or "unknown".
    builder: whether it wants blocks of builders.
    nickname: at most 32 characters.
    client: which program it is; empty is charon.
    """

    charon_version: str
    lock_hash: bytes
    sent_at: int | None
    started_at: int | None
    git_hash: str = "unknown"
    builder: bool = False
    nickname: str = ""
    client: str = ""

    def encode(self) -> bytes:
        """As it is sent."""
        return b"".join(
            [
                text_field(1, self.charon_version),
                bytes_field(2, self.lock_hash),
                _timestamp(3, self.sent_at),
                text_field(4, self.git_hash),
                _timestamp(5, self.started_at),
                number_field(6, self.builder),
                text_field(7, self.nickname),
                text_field(8, self.client),
            ]
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Of a peer.

        Raises:
            ProtobufError: it is no such message.
        """
        fields = Fields(data, dict.fromkeys((1, 2, 3, 4, 5, 7, 8), BYTES) | {6: VARINT})
        return cls(
            charon_version=fields.text(1),
            lock_hash=fields.last(2),
            sent_at=_read_timestamp(fields.message(3)),
            started_at=_read_timestamp(fields.message(5)),
            git_hash=fields.text(4),
            builder=fields.boolean(6),
            nickname=fields.text(7),
            client=fields.text(8),
        )


def _timestamp(number: int, moment: int | None) -> bytes:
    if moment is None:
        return b""
    seconds, rest = divmod(moment, NANOSECONDS)
    return message_field(number, number_field(1, seconds) + number_field(2, rest))


def _read_timestamp(data: bytes | None) -> int | None:
    if data is None:
        return None
    fields = Fields(data, {1: VARINT, 2: VARINT})
    return fields.int64(1) * NANOSECONDS + fields.int32(2)
