"""What peers may cost: how many, how much, how often. Nothing a peer does costs more than its connection.

What is bounded for one peer is bounded for all as well, since only peers that are welcome get that far; what
strangers can do before they have proven who they are is bounded in all, and by address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024
FRAME_COST, STREAM_COST = 1.0, 25.0  # of what a peer sends, in frames: about 2 and 50 microseconds


@dataclass(frozen=True)
class Limits:
    """The limits of a host.

    Attributes:
        inbound_streams: of one peer, open at once, over all its connections.
        outbound_streams: to one peer, open at once; go's default resource manager takes 75.
        outbound_messages: of them, of one protocol, with messages that have no answer; a protocol that has
            many to send keeps no other one waiting.
        peer_connections: with one peer; a further one ends the oldest.
        connections: in all.
        address_connections: with peers of one address.
        handshakes: under way at once, of strangers; a further one ends the oldest one of the address that
            has most of them.
        address_handshakes: that one address may begin at once, and so many a second at length.
        frames_per_second: that one peer may send at length, a stream as 25; more is read later.
        peer_bytes: of one peer, come and not yet taken or answered.
        address_bytes: the same of all peers of one address.
        all_bytes: the same of all.
        unsent_bytes: to one connection that the system has not taken; with more nobody writes.
        unread_bytes: answers of ours to frames that a peer does not read.
        handshake_seconds: from the first byte until the peer is proven.
        negotiation_seconds: until a stream has its protocol.
        dial_seconds: until a TCP connection is there.
        ping_seconds: between two signs of life.
        pong_seconds: until one is answered, or something else comes.
        silent_seconds: until one is answered, whatever comes.
    """

    inbound_streams: int = 256
    outbound_streams: int = 48
    outbound_messages: int = 20
    peer_connections: int = 4
    connections: int = 1024
    address_connections: int = 1024
    handshakes: int = 128
    address_handshakes: int = 32
    address_handshakes_per_second: float = 20.0
    frames_per_second: float = 50_000.0
    peer_bytes: int = 160 * MIB
    address_bytes: int = 640 * MIB
    all_bytes: int = 640 * MIB
    unsent_bytes: int = MIB
    unread_bytes: int = MIB
    handshake_seconds: float = 15.0
    negotiation_seconds: float = 10.0
    dial_seconds: float = 10.0
    ping_seconds: float = 30.0
    pong_seconds: float = 20.0
    silent_seconds: float = 60.0


class Bucket:
    """How much of something may come: so much a second, and for a while more."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, per_second: float, burst: float, now: float) -> None:
        self._rate = per_second
        self._burst = burst
        self._left = burst
        self._at = now

    def take(self, cost: float, now: float) -> float:
        """Take it, there or not; returns for how many seconds nothing more should come."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - cost
        self._at = now
        return max(0.0, -self._left / self._rate)

    def would_wait(self, cost: float, now: float) -> bool:
        """Whether it is not there yet."""
        return min(self._burst, self._left + (now - self._at) * self._rate) < cost


@dataclass(slots=True)
class Account:
    """Bytes that are held, of one peer, of one address, or of all."""

    limit: int
    held: int = 0


class Accounts:
    """Those that what comes on one connection is held on."""

    __slots__ = ("_address", "_all", "_peer")

    def __init__(self, peer: Account, address: Account, all_: Account) -> None:
        self._peer, self._address, self._all = peer, address, all_

    def take(self, size: int) -> bool:
        """Hold so many more, unless that would be too many of any."""
        peer, address, all_ = self._peer, self._address, self._all
        if (
            peer.held + size > peer.limit
            or address.held + size > address.limit
            or all_.held + size > all_.limit
        ):
            return False
        self.give(-size)
        return True

    def give(self, size: int) -> None:
        """Hold so many fewer."""
        self._peer.held -= size
        self._address.held -= size
        self._all.held -= size
