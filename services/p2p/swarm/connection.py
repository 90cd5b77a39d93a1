"""A connection: its link driven by asyncio, and what its peer may cost."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Protocol

from ...web.addresses import network_of
from ..errors import ConnectionEndedError, P2PError, StreamResetError, TooMuchError, WireError
from ..layers import yamux
from ..layers.link import Link
from ..limits import FRAME_COST, STREAM_COST, Account, Accounts, Bucket
from ..wire import peers
from .stream import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .swarm import Handler, Swarm

_CLOSE_SECONDS = 5.0  # for what was written before the end
_PING_BITS = 32
_NONE = Accounts(Account(0), Account(0), Account(0))  # of a stranger, which has no streams


class Carrier(Protocol):
    """What carries a connection: a transport of asyncio, or a stream of another connection."""

    def write(self, data: bytes) -> None:
        """Send it, some time."""

    def close(self) -> None:
        """End it when all is sent."""

    def abort(self) -> None:
        """End it."""

    def pause_reading(self) -> None:
        """Hear nothing for a while."""

    def resume_reading(self) -> None:
        """Hear again."""


class Connection(asyncio.BufferedProtocol):
    """A connection with one peer.

    Attributes:
        peer: its key, proven; empty while the handshake lasts.
        is_dialed: whether it began here.
        relay: the connection that it goes through, or None.
        is_limited: whether it goes through a relay, which ends it some time.
        renewed_at: by the loop's clock, when another one should be there, as the relay ends this one; None
            for never, and where the other side sees to it.
        opened: done when the peer is proven and welcome; or why not.
        closed: set at its end.
        local_host: our address on it, or None.
        remote_host: the other side's, or None.
        remote_port: its port; 0 where there is no address.
        network: whom its address stands for.
        protocols: what its peer may ask for.
    """

    def __init__(
        self,
        swarm: Swarm,
        *,
        is_dialed: bool,
        expected: bytes | None = None,
        relay: Connection | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_dialed = is_dialed
        self.relay = relay
        self.is_limited = relay is not None
        self.renewed_at: float | None = None
        self.peer = b""
        self.opened: asyncio.Future[Connection] = self.loop.create_future()
        self.closed = asyncio.Event()
        self.local_host: str | None = None
        self.remote_host: str | None = None
        self.remote_port = 0
        self.network = network_of(None)
        self.accounts = _NONE
        self.is_paused = False
        self.protocols: Mapping[str, Handler] = {}
        self._swarm = swarm
        self._limits = swarm.limits
        self._expected = expected
        self._link: Link | None = None  # once there is room for it
        self._session: yamux.Session | None = None
        self._carrier: Carrier | None = None
        self._why: Exception | None = None
        self._is_flushing = False
        self._fresh: list[Stream] = []
        self._bucket: Bucket | None = None
        self._frames = 0
        self._timer: asyncio.TimerHandle | None = None
        self._ping = 0
        self._pinged_at: float | None = None
        self._next_ping_at = 0.0
        self._heard_at = 0.0

    # What the carrier says.

    def connection_made(self, transport: Any) -> None:
        """It is there."""
        self._carrier = transport
        if here := transport.get_extra_info("sockname"):
            self.local_host = str(here[0]).partition("%")[0]
        if there := transport.get_extra_info("peername"):
            self.remote_host, self.remote_port = str(there[0]).partition("%")[0], there[1]
            self.network = network_of(self.remote_host)
        if not self._swarm.arrived(self):
            transport.abort()
            return
        self._link = Link(
            self._swarm.identity,
            dialer=self.is_dialed,
            is_welcome=self._swarm.is_welcome,
            most_inbound=self._limits.inbound_streams,
            expected=self._expected,
        )
        transport.set_write_buffer_limits(high=self._limits.unsent_bytes)
        self._timer = self.loop.call_later(self._limits.handshake_seconds, self._too_slow)
        self._flush()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._swarm.received

    def buffer_updated(self, nbytes: int) -> None:
        """So many came."""
        self.data_received(bytes(self._swarm.received[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """These came."""
        link = self._link
        if self._why is not None or link is None:
            return
        try:
            events = link.receive(data)
            self._heard_at = self.loop.time()
            if link.session is None:
                self._flush()
                return
            if self._session is None:
                self._open(link, link.session)
            self._handle(events)
        except P2PError as error:
            self._break(error)
            return
        self._slow_down(link, link.session)
        if self.is_paused and link.pending > self._limits.unread_bytes:
            self._break(WireError("the peer does not read what it is sent"))
        self.flush_soon()

    def eof_received(self) -> None:
        """The other side says nothing more; there is no half of a connection."""

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self._end(ConnectionEndedError("the connection ended"))

    def pause_writing(self) -> None:
        """The system takes no more for now."""
        self.is_paused = True

    def resume_writing(self) -> None:
        """It does again."""
        self.is_paused = False
        self._flush()
        if self._session is not None:
            for channel in list(self._session.channels.values()):
                if channel.owner is not None:
                    channel.owner.may_write()

    # What streams say.

    def open_stream(self, protocol: str) -> Stream:
        """A new stream; the other side hears of it with what is written first.

        Raises:
            ConnectionEndedError: there is no connection any more.
        """
        if self._why is not None or self._session is None:
            raise ConnectionEndedError("the connection ended")
        return Stream(self, self._session.open(), protocol)

    def send(self, channel: yamux.Channel, data: bytes | bytearray | memoryview, *, flush_from: int) -> int:
        """Send as much as one frame may have now; at once when that much waits, else soon."""
        if self._why is not None or self._session is None:
            return 0
        sent = self._session.send(channel, data)
        if self._session.pending >= flush_from:
            self._flush()
        else:
            self.flush_soon()
        return sent

    def credit(self, channel: yamux.Channel, size: int) -> None:
        """So many bytes were read."""
        if self._session is not None:
            self._session.consumed(channel, size)
            self.flush_soon()

    def finish(self, channel: yamux.Channel) -> None:
        """Nothing more will be written."""
        if self._session is not None:
            self._session.finish(channel)
            self.flush_soon()

    def close_channel(self, channel: yamux.Channel) -> None:
        """Neither written nor read."""
        if self._session is not None and not channel.is_gone:
            self._session.close(channel)
            self.flush_soon()
        self._forget(channel)

    def reset_channel(self, channel: yamux.Channel, code: int) -> None:
        """Given up."""
        if self._session is not None and not channel.is_gone:
            self._session.reset(channel, code)
            self.flush_soon()
        self._forget(channel)

    def serve(self, stream: Stream) -> None:
        """A stream of the other side has its protocol."""
        self._swarm.serve(stream)

    # Its end.

    @property
    def is_closed(self) -> bool:
        """Whether it is over."""
        return self._why is not None

    def close(self) -> None:
        """End it; what was written goes out first."""
        if self._why is None:
            if self._session is not None:
                self._session.go_away()
            self._flush()
            if self._carrier is not None:
                self._carrier.close()
                # A peer that reads nothing would keep it, and all that waits, for as long as it likes.
                self.loop.call_later(_CLOSE_SECONDS, self._carrier.abort)
            self._end(ConnectionEndedError("the connection was closed"))

    def give_way(self) -> None:
        """End it before its handshake is done, since others wait."""
        self._break(TooMuchError("too many handshakes at once"))

    def _break(self, error: Exception) -> None:
        """End it because of what the other side did."""
        if self._session is not None and isinstance(error, WireError):
            self._session.go_away(yamux.WENT_AWAY_PROTOCOL_ERROR)
            self._flush()
        if self.peer:
            self._swarm.complain(self, error)
        self._end(error)
        if self._carrier is not None:
            self._carrier.abort()

    def _end(self, error: Exception) -> None:
        if self._why is not None:
            return
        self._why = error
        if self._timer is not None:
            self._timer.cancel()
        if not self.opened.done():
            self.opened.set_exception(error)
            self.opened.exception()  # nobody may wait for it
        if self._session is not None:
            for channel in list(self._session.channels.values()):
                if channel.owner is not None:
                    channel.owner.fail(ConnectionEndedError(f"the connection ended: {error}"))
        self._swarm.ended(self)
        self.closed.set()

    def _too_slow(self) -> None:
        self._break(TimeoutError("no handshake in time"))

    # What came.

    def _open(self, link: Link, session: yamux.Session) -> None:
        self._session, self.peer = session, link.peer
        self.protocols = self._swarm.handlers_for(self.peer)
        assert self._timer is not None
        self._timer.cancel()
        self._next_ping_at = self.loop.time() + self._limits.ping_seconds
        self._timer = self.loop.call_later(self._limits.pong_seconds, self._look_for_life)
        self.accounts, self._bucket = self._swarm.admit(self)
        self.opened.set_result(self)

    def _handle(self, events: yamux.Events) -> None:
        for event, channel, value in events:
            if channel is not None:
                stream: Stream | None = channel.owner
                if event is yamux.Event.OPENED:
                    self._accept(channel)
                elif stream is None:
                    continue
                elif event is yamux.Event.ARRIVED:
                    stream.feed(value)
                elif event is yamux.Event.FINISHED:
                    stream.end_reading()
                elif event is yamux.Event.CREDIT:
                    stream.may_write()
                else:
                    stream.fail(StreamResetError(value))
            elif event is yamux.Event.PONG:
                if value == self._ping:  # another one is no answer
                    self._pinged_at = None
            elif value != yamux.WENT_AWAY_NORMALLY:
                raise P2PError(f"the peer went away (code {value})")
            else:
                self._swarm.retire(self)
        if self._fresh:
            for stream in self._fresh:
                stream.expect_protocol(self._limits.negotiation_seconds)
            self._fresh.clear()

    def _accept(self, channel: yamux.Channel) -> None:
        if not self._swarm.may_open(self):
            assert self._session is not None
            self._session.reset(channel, yamux.TOO_MANY_STREAMS)
            return
        self._fresh.append(Stream(self, channel, None))

    def _forget(self, channel: yamux.Channel) -> None:
        """The stream is over, and no longer counts."""
        if channel.owner is not None:
            channel.owner = None
            was_opened_there = channel.id % 2 == (0 if self.is_dialed else 1)
            if was_opened_there or self.is_closed:
                self._swarm.stream_ended(self, was_opened_there=was_opened_there)

    def _slow_down(self, link: Link, session: yamux.Session) -> None:
        """Read on later when the peer has sent more than its share."""
        assert self._bucket is not None
        frames = max(session.frames, link.messages)  # a message may have no frame, or a part of one
        cost = (frames - self._frames) * FRAME_COST + session.opened * STREAM_COST
        self._frames, session.opened = frames, 0
        pause = self._bucket.take(cost, self.loop.time())
        if pause > 0 and self._carrier is not None:
            self._carrier.pause_reading()
            self.loop.call_later(pause, self._read_on)

    def _read_on(self) -> None:
        if self._why is None and self._carrier is not None:
            self._carrier.resume_reading()

    def flush_soon(self) -> None:
        """Send what there is, together with what else comes up now."""
        if not self._is_flushing:
            self._is_flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        if self.is_paused or self._carrier is None or self._link is None or self._why is not None:
            return
        try:
            out = self._link.take()
        except P2PError as error:
            self._end(error)
            return
        if out:
            self._carrier.write(out)

    def _look_for_life(self) -> None:
        """Ping now and then; a peer that neither answers nor sends is gone."""
        now, limits = self.loop.time(), self._limits
        if self._pinged_at is not None:
            heard_at = max(self._pinged_at, self._heard_at)
            if now - heard_at >= limits.pong_seconds or now - self._pinged_at >= limits.silent_seconds:
                self._break(TimeoutError("the peer is silent"))
                return
        elif now >= self._next_ping_at and self._session is not None:
            self._ping = secrets.randbits(_PING_BITS)
            self._session.ping(self._ping)
            self._pinged_at, self._next_ping_at = now, now + limits.ping_seconds
            self.flush_soon()
        self._timer = self.loop.call_later(limits.pong_seconds, self._look_for_life)

    def __repr__(self) -> str:
        name = peers.shown(self.peer) if self.peer else "a stranger"
        return f"<connection with {name}{', relayed' if self.is_limited else ''}>"
