"""The messages of libp2p itself: identify, and circuit-v2 on both of its legs.

Source: libp2p/specs identify and relay/circuit-v2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from ..errors import WireError
from . import peers, protobuf

IDENTIFY = "/ipfs/id/1.0.0"
PING = "/ipfs/ping/1.0.0"
HOP = "/libp2p/circuit/relay/0.2.0/hop"
STOP = "/libp2p/circuit/relay/0.2.0/stop"

PING_BYTES = 32
CIRCUIT_MESSAGE_BYTES = 4096  # the longest hop or stop message
IDENTIFY_PART_BYTES = 8192
IDENTIFY_PARTS = 10
_MOST_ADDRESSES = 32  # read of one message; the rest is passed over
_MOST_PROTOCOLS = 256


@dataclass(frozen=True)
class Identify:
    """What a peer says of itself.

    Attributes:
        addresses: where it listens, as multiaddrs in bytes, unchecked.
        protocols: some of what it speaks; may list prefixes such as `/…*`, and need not be complete.
    """

    public_key: bytes = b""
    addresses: tuple[bytes, ...] = ()
    protocols: tuple[str, ...] = ()
    observed: bytes = b""
    protocol_version: str = ""
    agent: str = ""
    signed_record: bytes = b""

    def encode(self) -> bytes:
        """As protobuf."""
        return protobuf.encode(
            [
                (1, peers.encode_key(self.public_key)),
                *((2, address) for address in self.addresses),
                *((3, name.encode()) for name in self.protocols),
                (4, self.observed or None),
                (5, self.protocol_version.encode()),
                (6, self.agent.encode()),
                (8, self.signed_record or None),
            ]
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Of one part, or of all parts one after the other, which protobuf takes as one message.

        Raises:
            WireError: it is none.
        """
        fields = protobuf.Fields(data)
        return cls(
            public_key=peers.decode_key(fields.bytes_(1)) if fields.has(1) else b"",
            addresses=tuple(fields.repeated(2)[:_MOST_ADDRESSES]),
            protocols=tuple(n.decode(errors="replace") for n in fields.repeated(3)[:_MOST_PROTOCOLS]),
            observed=fields.bytes_(4),
            protocol_version=fields.text(5),
            agent=fields.text(6),
            signed_record=fields.bytes_(8),
        )


class Status(IntEnum):
    """What came of a request to a relay, or to whom it asked."""

    NONE = 0
    OK = 100
    RESERVATION_REFUSED = 200
    LIMIT_EXCEEDED = 201
    DENIED = 202
    CONNECTION_FAILED = 203
    NO_RESERVATION = 204
    MALFORMED = 400
    UNEXPECTED = 401


@dataclass(frozen=True)
class Limit:
    """How long a circuit may last, and how much each of its directions may carry; 0 for no end."""

    seconds: int = 0
    bytes_: int = 0

    def encode(self) -> bytes:
        """As protobuf."""
        return protobuf.encode([(1, self.seconds), (2, self.bytes_)])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Of protobuf."""
        fields = protobuf.Fields(data)
        return cls(fields.integer(1), fields.integer(2))


@dataclass(frozen=True)
class Reservation:
    """That a relay lets others in to a peer.

    Attributes:
        expires: Unix time, seconds.
        addresses: where the relay is, as multiaddrs in bytes, unchecked.
        voucher: an envelope signed by the relay; empty when there is none.
    """

    expires: int
    addresses: tuple[bytes, ...] = ()
    voucher: bytes = b""

    def encode(self) -> bytes:
        """As protobuf."""
        return protobuf.encode(
            [(1, self.expires), *((2, each) for each in self.addresses), (3, self.voucher or None)]
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Of protobuf."""
        fields = protobuf.Fields(data)
        return cls(fields.integer(1), tuple(fields.repeated(2)[:_MOST_ADDRESSES]), fields.bytes_(3))


class HopKind(IntEnum):
    """What is said to a relay, or by it."""

    RESERVE = 0
    CONNECT = 1
    STATUS = 2


class StopKind(IntEnum):
    """What a relay says to whom it brings somebody, or that one to the relay."""

    CONNECT = 0
    STATUS = 1


@dataclass(frozen=True)
class Hop:
    """Between a relay and its client.

    Attributes:
        peer: the id of whom the client wants; empty when nobody is meant.
    """

    kind: int
    peer: bytes = b""
    reservation: Reservation | None = None
    limit: Limit | None = None
    status: int = Status.NONE

    def encode(self) -> bytes:
        """As protobuf."""
        return protobuf.encode(
            [
                (1, self.kind),
                (2, protobuf.encode([(1, self.peer)]) if self.peer else None),
                (3, self.reservation.encode() if self.reservation else None),
                (4, self.limit.encode() if self.limit else None),
                (5, self.status or None),
            ]
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Of protobuf.

        Raises:
            WireError: it is none.
        """
        fields = protobuf.Fields(data)
        return cls(
            kind=_kind(fields),
            peer=protobuf.Fields(fields.bytes_(2)).bytes_(1),
            reservation=Reservation.decode(fields.bytes_(3)) if fields.has(3) else None,
            limit=Limit.decode(fields.bytes_(4)) if fields.has(4) else None,
            status=fields.integer(5),
        )


@dataclass(frozen=True)
class Stop:
    """Between a relay and whom it brings somebody.

    Attributes:
        peer: the id of whom it brings; empty when nobody is meant.
    """

    kind: int
    peer: bytes = b""
    limit: Limit | None = None
    status: int = Status.NONE

    def encode(self) -> bytes:
        """As protobuf."""
        return protobuf.encode(
            [
                (1, self.kind),
                (2, protobuf.encode([(1, self.peer)]) if self.peer else None),
                (3, self.limit.encode() if self.limit else None),
                (4, self.status or None),
            ]
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Of protobuf.

        Raises:
            WireError: it is none.
        """
        fields = protobuf.Fields(data)
        return cls(
            kind=_kind(fields),
            peer=protobuf.Fields(fields.bytes_(2)).bytes_(1),
            limit=Limit.decode(fields.bytes_(3)) if fields.has(3) else None,
            status=fields.integer(4),
        )


def _kind(fields: protobuf.Fields) -> int:
    if not fields.has(1):
        raise WireError("circuit message: expected a type")
    return fields.integer(1)


def status_text(status: int) -> str:
    """A status for people, whatever number came."""
    try:
        return Status(status).name.lower().replace("_", " ")
    except ValueError:
        return f"status {status}"
