"""yamux: frames as they are written, two sessions that stay in step, and whoever breaks the rules."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvtfast.services.p2p.errors import WireError
from dvtfast.services.p2p.layers import yamux
from dvtfast.services.p2p.layers.yamux import Event, Session
from tests.vector_files import unhex


def frame(kind, flags, stream, length, data=b""):
    return struct.pack(">BBHII", 0, kind, flags, stream, length) + data


def dialer(most=64):
    return Session(dialer=True, most_inbound=most)


def listener(most=64):
    return Session(dialer=False, most_inbound=most)


def events_of(session, data):
    events = []
    session.receive(data, events)
    return events


def opened(session, stream=1):
    """A stream that the other side has opened."""
    (event,) = events_of(session, frame(yamux.WINDOW, yamux.SYN, stream, 0))
    assert event[0] is Event.OPENED
    session.take()
    return event[1]


def test_frames_of_a_dialer():
    session = dialer()
    first, second = session.open(), session.open()
    assert session.take() == b""
    assert session.send(first, b"hello") == 5
    assert session.take() == unhex("000000010000000100000005") + b"hello"
    session.announce(second)
    session.finish(first)
    session.reset(second, 0x1001)
    session.ping(7)
    session.go_away()
    assert session.take() == unhex(
        "000100010000000300000000" + "000100040000000100000000" + "000100080000000300001001"
        "000200010000000000000007" + "000300000000000000000000"
    )


def test_a_listener_takes_a_stream_at_once():
    session = listener()
    events = events_of(session, frame(yamux.DATA, yamux.SYN | yamux.FIN, 1, 2, b"hi"))
    assert [(event, value) for event, _, value in events] == [
        (Event.OPENED, None),
        (Event.ARRIVED, b"hi"),
        (Event.FINISHED, None),
    ]
    assert session.take() == frame(yamux.WINDOW, yamux.ACK, 1, 0)
    session.send(events[0][1], b"ho")
    session.finish(events[0][1])
    assert session.take() == frame(yamux.DATA, 0, 1, 2, b"ho") + frame(yamux.WINDOW, yamux.FIN, 1, 0)
    assert not session.channels


def test_pings_are_answered():
    session = listener()
    assert events_of(session, frame(yamux.PING, yamux.SYN, 0, 0xDEADBEEF)) == []
    assert session.take() == frame(yamux.PING, yamux.ACK, 0, 0xDEADBEEF)
    assert events_of(session, frame(yamux.PING, yamux.ACK, 0, 5)) == [(Event.PONG, None, 5)]
    assert events_of(session, frame(yamux.PING, 0, 0, 5)) == []
    assert events_of(session, frame(yamux.GO_AWAY, 0, 0, 1)) == [(Event.WENT_AWAY, None, 1)]


def test_the_length_of_a_reset_is_its_reason_and_gives_nothing():
    session = listener()
    channel = opened(session)
    window = channel.send_window
    events = events_of(session, frame(yamux.WINDOW, yamux.RST, 1, 0x1001))
    assert events == [(Event.RESET, channel, 0x1001)]
    assert channel.send_window == window
    assert channel.is_gone
    assert session.send(channel, b"more") == 0
    session.finish(channel)
    session.reset(channel)
    assert session.take() == b""


def test_no_more_is_sent_than_the_window_has():
    session = dialer()
    channel = session.open()
    sent = 0
    while size := session.send(channel, bytes(100_000)):
        assert size <= yamux.MOST_PAYLOAD
        sent += size
    assert sent == yamux.FIRST_WINDOW
    assert events_of(session, frame(yamux.WINDOW, 0, 1, 10)) == [(Event.CREDIT, channel, None)]
    assert session.send(channel, bytes(100)) == 10


def test_the_window_grows_as_the_reader_reads_and_has_an_end():
    session = listener()
    channel = opened(session)
    for _ in range(200):
        size = channel.receive_window
        assert size <= yamux.MOST_WINDOW
        session.receive(frame(yamux.DATA, 0, 1, size, bytes(size)), [])
        assert channel.receive_window == 0
        session.consumed(channel, size)
        session.take()
    assert channel.receive_window == yamux.MOST_WINDOW


def test_all_windows_have_an_end_together():
    session = listener()
    channels = [opened(session, 1 + 2 * i) for i in range(64)]
    for _ in range(20):
        for channel in channels:
            size = channel.receive_window
            session.receive(frame(yamux.DATA, 0, channel.id, size, bytes(size)), [])
            session.consumed(channel, size)
    total = sum(channel.receive_window for channel in channels)
    assert total <= 64 * yamux.FIRST_WINDOW + yamux.EXTRA_WINDOWS
    for channel in channels:
        session.reset(channel)
    again = opened(session)
    for _ in range(20):
        size = again.receive_window
        session.receive(frame(yamux.DATA, 0, again.id, size, bytes(size)), [])
        session.consumed(again, size)
    assert again.receive_window == yamux.MOST_WINDOW


def test_streams_beyond_the_limit_are_reset():
    session = listener(most=2)
    first, _ = opened(session, 1), opened(session, 3)
    assert (
        events_of(session, frame(yamux.DATA, yamux.SYN, 5, 3, b"abc") + frame(yamux.DATA, 0, 5, 1, b"d"))
        == []
    )
    assert session.take() == frame(yamux.WINDOW, yamux.RST, 5, yamux.TOO_MANY_STREAMS)
    assert session.opened == 3
    session.close(first)
    session.take()
    opened(session, 7)


@pytest.mark.parametrize(
    "data",
    [
        b"\x01" + frame(yamux.DATA, 0, 1, 0)[1:],
        frame(4, 0, 1, 0),
        frame(yamux.DATA, yamux.SYN, 2, 0),
        frame(yamux.DATA, yamux.SYN, 0, 0),
        frame(yamux.DATA, yamux.SYN, 1, 0),
        frame(yamux.DATA, 0, 1, yamux.FIRST_WINDOW + 1),
        frame(yamux.DATA, 0, 1, 0xFFFFFFFF),
        frame(yamux.DATA, 0, 99, 0xFFFFFFFF),
        frame(yamux.DATA, yamux.SYN, 3, yamux.FIRST_WINDOW + 1),
        frame(yamux.DATA, 0, 1, yamux.FIRST_WINDOW, bytes(yamux.FIRST_WINDOW)) + frame(yamux.DATA, 0, 1, 1),
        frame(yamux.WINDOW, 0, 1, 0xFFFFFFFF),
        frame(yamux.WINDOW, yamux.FIN, 1, 0) + frame(yamux.DATA, 0, 1, 1, b"x"),
    ],
)
def test_whoever_breaks_the_rules(data):
    session = listener()
    opened(session)
    with pytest.raises(WireError):
        session.receive(data, [])


def test_what_comes_for_a_stream_that_is_gone_is_passed_over():
    session = listener()
    session.reset(opened(session))
    session.take()
    data = (
        frame(yamux.DATA, 0, 1, 5, b"late!")
        + frame(yamux.WINDOW, 0, 1, 9)
        + frame(yamux.WINDOW, yamux.FIN, 1, 0)
    )
    assert events_of(session, data + frame(yamux.WINDOW, yamux.RST, 1, 0)) == []
    assert session.take() == b""


def test_a_stream_may_be_given_up_while_its_data_come():
    session = listener()
    channel = opened(session)
    assert events_of(session, frame(yamux.DATA, 0, 1, 10, b"12345")) == [(Event.ARRIVED, channel, b"12345")]
    session.reset(channel)
    assert events_of(session, b"67890" + frame(yamux.PING, yamux.ACK, 0, 1)) == [(Event.PONG, None, 1)]


def test_ids_end():
    session = dialer()
    session._next_id = 2**32 - 1
    with pytest.raises(WireError, match="number"):
        session.open()


class Side:
    """A session that keeps what came on each stream."""

    def __init__(self, session):
        self.session = session
        self.came = {}
        self.ended = set()
        self.unread = {}

    def take(self, data):
        for event, channel, value in events_of(self.session, data):
            if event is Event.OPENED:
                self.came[channel.id] = bytearray()
            elif event is Event.ARRIVED:
                self.came.setdefault(channel.id, bytearray()).extend(value)
                self.unread[channel.id] = self.unread.get(channel.id, 0) + len(value)
            elif event in (Event.FINISHED, Event.RESET):
                self.ended.add(channel.id)

    def read(self):
        for identifier, size in self.unread.items():
            if channel := self.session.channels.get(identifier):
                self.session.consumed(channel, size)
        self.unread.clear()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.integers(0, 1)),
        st.tuples(st.just("send"), st.integers(0, 1), st.integers(0, 9), st.integers(0, 300_000)),
        st.tuples(st.just("finish"), st.integers(0, 1), st.integers(0, 9)),
        st.tuples(st.just("read"), st.integers(0, 1)),
        st.tuples(st.just("move"), st.integers(0, 1), st.integers(1, 400_000)),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(STEPS)
def test_two_sessions_stay_in_step(steps):
    """Whatever is sent arrives, once and in order, however it is cut, and nobody sends beyond a window."""
    sides = [Side(dialer()), Side(listener())]
    wires = [bytearray(), bytearray()]  # to each side
    sent = [{}, {}]

    def move(at, size):
        wires[1 - at] += sides[at].session.take()
        sides[1 - at].take(bytes(wires[1 - at][:size]))
        del wires[1 - at][:size]

    for step, at, *more in steps:
        channels = list(sides[at].session.channels.values())
        if step == "open":
            channel = sides[at].session.open()
            sides[at].session.announce(channel)
            sent[at][channel.id] = bytearray()
        elif step == "send" and channels:
            channel = channels[more[0] % len(channels)]
            data = bytes([more[1] % 251]) * more[1]
            size = sides[at].session.send(channel, data)
            sent[at].setdefault(channel.id, bytearray()).extend(data[:size])
        elif step == "finish" and channels:
            sides[at].session.finish(channels[more[0] % len(channels)])
        elif step == "read":
            sides[at].read()
        elif step == "move":
            move(at, more[0])
    for _ in range(3):
        for at in (0, 1):
            move(at, 10**9)
    for at in (0, 1):
        for identifier, data in sent[at].items():
            assert sides[1 - at].came.get(identifier, b"") == data
    windows = [{c.id: (c.send_window, c.receive_window) for c in s.session.channels.values()} for s in sides]
    for identifier in windows[0].keys() & windows[1].keys():
        assert windows[0][identifier] == windows[1][identifier][::-1]


@given(st.binary(max_size=200), st.integers(0, 1))
def test_any_bytes(data, whole):
    session = listener()
    opened(session)
    data = (
        data
        if whole
        else b"".join(b"\0" + data[i : i + 11].ljust(11, b"\0") for i in range(0, len(data), 11))
    )
    try:
        session.receive(data, [])
    except WireError:
        return
    assert session.pending <= 2 * len(data)
