"""/yamux/1.0.0: many streams in one channel.

A frame has 12 bytes, big-endian: version 0, type, flags (2), stream id (4), length (4); those of data are
followed by so many bytes. Who dialed has odd ids. A stream has a window each way: how many bytes may still
come; WINDOW frames give more.

The length of a WINDOW frame that resets a stream is an error code, and gives nothing.

Source: hashicorp/yamux spec.md; libp2p/specs yamux; error codes of libp2p/specs error-codes.
"""

from __future__ import annotations

import struct
from enum import Enum, auto
from typing import Any

from ..errors import WireError

PROTOCOL = "/yamux/1.0.0"
FIRST_WINDOW = 256 * 1024
MOST_WINDOW = 4 * 1024 * 1024  # of one stream; each refill doubles it, as far as there is room
EXTRA_WINDOWS = 16 * 1024 * 1024  # of all streams of a session, above their first windows
HEADER_BYTES = 12
MOST_PAYLOAD = 65_535 - 16 - HEADER_BYTES  # of a frame that fills one message of Noise

DATA, WINDOW, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8

# Why a stream was reset.
NO_REASON = 0
PROTOCOL_NOT_SPOKEN = 0x1001
TOO_MANY_STREAMS = 0x1002
WENT_AWAY_NORMALLY, WENT_AWAY_PROTOCOL_ERROR = 0, 1

_HEADER = struct.Struct(">BBHII")
_LAST_ID = 2**32 - 2
_MOST_SEND_WINDOW = 2**32 - 1


class Event(Enum):
    """What a frame meant."""

    OPENED = auto()  # by the other side
    ARRIVED = auto()  # data; the value has them
    FINISHED = auto()  # no more data will come
    RESET = auto()  # the value is the code
    CREDIT = auto()  # more may be sent
    PONG = auto()  # the value is the ping's
    WENT_AWAY = auto()  # the other side opens nothing more; the value is the code


class Channel:
    """One stream.

    Attributes:
        id: its number.
        send_window: how many bytes may be sent.
        owner: whatever belongs to it above; nothing here looks at it.
    """

    __slots__ = (
        "_consumed",
        "_window",
        "finished",
        "id",
        "is_gone",
        "opening_flag",
        "owner",
        "receive_window",
        "remote_finished",
        "send_window",
    )

    def __init__(self, identifier: int, opening_flag: int) -> None:
        self.id = identifier
        self.opening_flag = opening_flag  # of the first frame of ours
        self.send_window = FIRST_WINDOW
        self.receive_window = FIRST_WINDOW
        self.finished = False  # by us
        self.remote_finished = False
        self.is_gone = False
        self.owner: Any = None
        self._window = FIRST_WINDOW  # what receive_window is filled up to
        self._consumed = 0  # taken by whoever reads, and not yet given back


Events = list[tuple[Event, Channel | None, Any]]


class Session:
    """All streams of one connection.

    Attributes:
        channels: those that are open, by id.
        frames: how many came.
        opened: how many streams the other side has opened, or tried to; whoever counts may set it back.
    """

    def __init__(self, *, dialer: bool, most_inbound: int) -> None:
        """`most_inbound` is how many streams of the other side may be open at once; more are reset."""
        self._next_id = 1 if dialer else 2
        self._remote_parity = 0 if dialer else 1
        self._most_inbound = most_inbound
        self._inbound = 0
        self._extra = EXTRA_WINDOWS
        self._out = bytearray()
        self._rest = b""
        self._body_left = 0
        self._body_channel: Channel | None = None
        self._body_flags = 0
        self.channels: dict[int, Channel] = {}
        self.frames = 0
        self.opened = 0

    # What this side does.

    def open(self) -> Channel:
        """A new stream; the other side hears of it with its first frame."""
        if self._next_id > _LAST_ID:
            raise WireError("yamux: no number is left for another stream")
        channel = Channel(self._next_id, SYN)
        self._next_id += 2
        self.channels[channel.id] = channel
        return channel

    def send(self, channel: Channel, data: bytes | bytearray | memoryview) -> int:
        """Send as much as one frame may have now; returns how much that was."""
        size = min(len(data), channel.send_window, MOST_PAYLOAD)
        if size > 0 and not channel.is_gone and not channel.finished:
            self._frame(channel, DATA, 0, size)
            self._out += data if size == len(data) else data[:size]
            channel.send_window -= size
            return size
        return 0

    def announce(self, channel: Channel) -> None:
        """Say at once that the stream is there, or was taken."""
        if channel.opening_flag:
            self._frame(channel, WINDOW, 0, 0)

    def finish(self, channel: Channel) -> None:
        """Nothing more will be sent; what was sent arrives."""
        if not channel.finished and not channel.is_gone:
            channel.finished = True
            self._frame(channel, WINDOW, FIN, 0)
            if channel.remote_finished:
                self._forget(channel)

    def reset(self, channel: Channel, code: int = NO_REASON) -> None:
        """Give the stream up, both ways."""
        if not channel.is_gone:
            self._frame(channel, WINDOW, RST, code)
            self._forget(channel)

    def close(self, channel: Channel) -> None:
        """Finish, and care for nothing that still comes."""
        self.finish(channel)
        self._forget(channel)

    def consumed(self, channel: Channel, size: int) -> None:
        """Whoever reads has taken so many bytes; as many may come again, in time."""
        channel._consumed += size
        if channel.remote_finished or channel.is_gone or 2 * channel._consumed < channel._window:
            return
        more = min(channel._window, self._extra, MOST_WINDOW - channel._window)
        self._extra -= more
        channel._window += more
        given = channel._consumed + more
        channel._consumed = 0
        channel.receive_window += given
        self._frame(channel, WINDOW, 0, given)

    def ping(self, value: int) -> None:
        """Ask for a sign of life."""
        self._out += _HEADER.pack(0, PING, SYN, 0, value)

    def go_away(self, code: int = WENT_AWAY_NORMALLY) -> None:
        """Say that this is the end."""
        self._out += _HEADER.pack(0, GO_AWAY, 0, 0, code)

    def take(self) -> bytearray:
        """What is to be sent; each byte is given out once."""
        out, self._out = self._out, bytearray()
        return out

    @property
    def pending(self) -> int:
        """How many bytes `take` would return."""
        return len(self._out)

    # What the other side does.

    def receive(self, data: bytes, events: Events) -> None:
        """Take what came, and append what it means.

        Raises:
            WireError: it breaks the protocol; the connection must end.
        """
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while True:
            if self._body_left:
                piece = data[at : at + self._body_left]
                if not piece:
                    break
                at += len(piece)
                self._body_left -= len(piece)
                channel = self._body_channel
                if channel is not None and not channel.is_gone:
                    events.append((Event.ARRIVED, channel, piece))
                    if not self._body_left:
                        self._end_by(channel, self._body_flags, NO_REASON, events)
            elif end - at >= HEADER_BYTES:
                version, kind, flags, identifier, length = _HEADER.unpack_from(data, at)
                at += HEADER_BYTES
                self.frames += 1
                if version != 0:
                    raise WireError(f"yamux: expected version 0, got {version}")
                if kind in (DATA, WINDOW):
                    self._take_frame(kind, flags, identifier, length, events)
                elif kind == PING:
                    self._take_ping(flags, length, events)
                elif kind == GO_AWAY:
                    events.append((Event.WENT_AWAY, None, length))
                else:
                    raise WireError(f"yamux: unknown type {kind}")
            else:
                break
        self._rest = data[at:]

    def _take_frame(
        self,
        kind: int,
        flags: int,
        identifier: int,
        length: int,
        events: Events,
    ) -> None:
        channel = self.channels.get(identifier)
        if flags & SYN:
            if channel is not None or identifier == 0 or identifier % 2 != self._remote_parity:
                raise WireError(f"yamux: stream {identifier} cannot be opened")
            channel = self._accept(identifier, events)
        if kind == DATA:
            if length > (channel.receive_window if channel else MOST_WINDOW):
                raise WireError(f"yamux: {length} bytes beyond the window of stream {identifier}")
            if channel is not None:
                if channel.remote_finished and length:
                    raise WireError(f"yamux: data after the end of stream {identifier}")
                channel.receive_window -= length
            if length:
                self._body_left, self._body_channel, self._body_flags = length, channel, flags
                return
        elif channel is not None and length and not flags & RST:
            channel.send_window += length
            if channel.send_window > _MOST_SEND_WINDOW:
                raise WireError(f"yamux: a window of stream {identifier} that is too large")
            events.append((Event.CREDIT, channel, None))
        if channel is not None:
            self._end_by(channel, flags, length if kind == WINDOW else NO_REASON, events)

    def _accept(self, identifier: int, events: Events) -> Channel | None:
        self.opened += 1
        if self._inbound >= self._most_inbound:
            self._out += _HEADER.pack(0, WINDOW, RST, identifier, TOO_MANY_STREAMS)
            return None
        self._inbound += 1
        channel = self.channels[identifier] = Channel(identifier, ACK)
        self.announce(channel)  # a dialer has few streams that nobody took yet
        events.append((Event.OPENED, channel, None))
        return channel

    def _end_by(self, channel: Channel, flags: int, code: int, events: Events) -> None:
        """What a frame's flags end."""
        if flags & RST:
            self._forget(channel)
            events.append((Event.RESET, channel, code))
        elif flags & FIN and not channel.remote_finished:
            channel.remote_finished = True
            if channel.finished:
                self._forget(channel)
            events.append((Event.FINISHED, channel, None))

    def _take_ping(self, flags: int, value: int, events: Events) -> None:
        if flags & SYN:
            self._out += _HEADER.pack(0, PING, ACK, 0, value)
        elif flags & ACK:
            events.append((Event.PONG, None, value))

    def _frame(self, channel: Channel, kind: int, flags: int, length: int) -> None:
        self._out += _HEADER.pack(0, kind, flags | channel.opening_flag, channel.id, length)
        channel.opening_flag = 0

    def _forget(self, channel: Channel) -> None:
        if self.channels.pop(channel.id, None) is None:
            return
        channel.is_gone = True
        self._extra += channel._window - FIRST_WINDOW
        if channel.id % 2 == self._remote_parity:
            self._inbound -= 1
