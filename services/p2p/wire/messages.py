"""The messages of libp2p itself: identify, and circuit-v2 on both of its legs.

Source: libp2p/specs identify and relay/circuit-v2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Self

from dvtfast.protobuf import BYTES, VARINT, bytes_field, message_field, number_field, text_field, varint

from ..errors import WireError
from . import peers, received

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
        lists = [message_field(2, address) for address in self.addresses]
        lists += [message_field(3, name.encode()) for name in self.protocols]
        return (
            message_field(1, peers.encode_key(self.public_key))
            + b"".join(lists)
            + bytes_field(4, self.observed)
            + text_field(5, self.protocol_version)
            + text_field(6, self.agent)
            + bytes_field(8, self.signed_record)
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Of one part, or of all parts one after the other, which protobuf takes as one message.

        Raises:
            WireError: it is none.
        """
        fields = received.fields(data, dict.fromkeys((1, 2, 3, 4, 5, 6, 8), BYTES))
        return cls(
            public_key=peers.decode_key(fields.last(1)) if 1 in fields else b"",
            addresses=tuple(fields.every(2)[:_MOST_ADDRESSES]),
            protocols=tuple(_text(name) for name in fields.every(3)[:_MOST_PROTOCOLS]),
            observed=fields.last(4),
            protocol_version=_text(fields.last(5)),
            agent=_text(fields.last(6)),
            signed_record=fields.last(8),
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
        return number_field(1, self.seconds) + number_field(2, self.bytes_)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Of protobuf."""
        fields = received.fields(data, {1: VARINT, 2: VARINT})
        return cls(fields.uint64(1), fields.uint64(2))


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
        addresses = b"".join(message_field(2, each) for each in self.addresses)
        return number_field(1, self.expires) + addresses + bytes_field(3, self.voucher)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Of protobuf."""
        fields = received.fields(data, {1: VARINT, 2: BYTES, 3: BYTES})
        return cls(fields.uint64(1), tuple(fields.every(2)[:_MOST_ADDRESSES]), fields.last(3))


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
        kind: a HopKind, or the number that came.
        peer: the id of whom the client wants; empty when nobody is meant.
        status: a Status, or the number that came.
    """

    kind: int
    peer: bytes = b""
    reservation: Reservation | None = None
    limit: Limit | None = None
    status: int = Status.NONE

    _LIMIT: ClassVar[int] = 4  # the number of its field; that of the status is the next one
    _RESERVATION: ClassVar[int] = 3

    def encode(self) -> bytes:
        """As protobuf; its type is there though it be zero."""
        return b"".join(
            [
                varint(1 << 3 | VARINT) + varint(self.kind),
                message_field(2, bytes_field(1, self.peer)) if self.peer else b"",
                message_field(self._RESERVATION, self.reservation.encode()) if self.reservation else b"",
                message_field(self._LIMIT, self.limit.encode()) if self.limit else b"",
                number_field(self._LIMIT + 1, self.status),
            ]
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Of protobuf.

        Raises:
            WireError: it is none.
        """
        known = {cls._RESERVATION: BYTES, 1: VARINT, 2: BYTES, cls._LIMIT: BYTES, cls._LIMIT + 1: VARINT}
        fields = received.fields(data, known)
        if 1 not in fields:
            raise WireError("circuit message: expected a type")
        reservation, limit = fields.message(cls._RESERVATION), fields.message(cls._LIMIT)
        return cls(
            kind=fields.uint64(1),
            peer=received.fields(fields.last(2), {1: BYTES}).last(1),
            reservation=Reservation.decode(reservation) if reservation is not None else None,
            limit=Limit.decode(limit) if limit is not None else None,
            status=fields.uint64(cls._LIMIT + 1),
        )


class Stop(Hop):
    """Between a relay and whom it brings somebody: a StopKind, and no reservation."""

    _LIMIT = 3
    _RESERVATION = 0  # no number of a field


def status_text(status: int) -> str:
    """A status for people, whatever number came."""
    try:
        return Status(status).name.lower().replace("_", " ")
    except ValueError:
        return f"status {status}"


def _text(data: bytes) -> str:
    """For people: what is no UTF-8 in it is replaced."""
    return data.decode(errors="replace")
