"""Hosts among themselves: messages, streams, restarts, both dialing at once, and who is not let in."""

from __future__ import annotations

import asyncio
import errno
from contextlib import suppress
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from dvtfast.services.p2p import peering
from dvtfast.services.p2p.errors import (
    P2PError,
    StreamResetError,
    TooMuchError,
    UnreachableError,
    UnsupportedProtocolError,
    WireError,
)
from dvtfast.services.p2p.host import Host, IdentityKey, Terms
from dvtfast.services.p2p.swarm.exchange import MOST_READ, MOST_TAKEN, framed
from dvtfast.services.p2p.swarm.stream import Stream

from ..patience import PATIENCE_SECONDS
from .hosts import ECHO, HERE, PATIENT, SLOW, cluster, echo, identities, until

TAKING = replace(PATIENT, is_answered=False)


async def test_messages_both_ways():
    async with cluster(identities(3)) as hosts:
        for host in hosts:
            for other in hosts:
                if other is not host:
                    message = host.public_key + other.public_key
                    assert await host.request(other.public_key, ECHO, message, terms=PATIENT) == message
        assert all(state.is_connected and not state.is_relayed for state in hosts[0].states())
        await until(lambda: all(state.agent == "dvtfast" for state in hosts[0].states()))


async def test_what_a_peer_is_shows_while_it_is_connected(monkeypatch):
    """It is asked until it says so; what it was before says nothing of who comes next."""
    monkeypatch.setattr(peering, "ASK_AGAIN_SECONDS", 0.01)
    ask, asked = peering.identify.ask, 0

    async def in_vain_at_first(connection):
        nonlocal asked
        asked += 1
        if asked == 1:
            raise TimeoutError
        return await ask(connection)

    monkeypatch.setattr(peering.identify, "ask", in_vain_at_first)
    alice, bob = identities(2)
    keys = [alice.public_key, bob.public_key]
    async with Host.open(alice, peers=keys, listen=[HERE], limits=SLOW) as host, host.watching() as changed:
        known = {alice.public_key: host.bound}
        async with Host.open(bob, peers=keys, addresses=known, limits=SLOW, agent="another"):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while host.states()[0].agent != "another":
                    changed.clear()
                    await changed.wait()
        await until(lambda: host.states()[0].agent == "")
    assert asked > 1


@pytest.mark.parametrize("size", [0, 1, 127, 128, 65_507, 262_144, 3_000_000])
async def test_messages_of_any_size(size):
    async with cluster(identities(2)) as (alice, bob):
        message = bytes(range(256)) * (size // 256) + bytes(size % 256)
        assert await alice.request(bob.public_key, ECHO, message, terms=PATIENT) == message


async def test_the_peer_is_who_sent_it():
    async with cluster(identities(3)) as hosts:
        heard = asyncio.Queue()

        async def hear(peer, message):
            heard.put_nowait((peer, message))

        hosts[0].handle("/hear", hear)
        for host in hosts[1:]:
            await host.send(hosts[0].public_key, "/hear", b"hello", terms=PATIENT)
            assert await heard.get() == (host.public_key, b"hello")


async def test_many_at_once():
    """More than may be under way: the rest waits its turn."""
    async with cluster(identities(2)) as (alice, bob):
        under_way = most = 0

        async def slow(peer, message):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.001)
            under_way -= 1
            return message

        bob.handle("/slow", slow, terms=PATIENT)
        messages = [bytes([n]) * n for n in range(200)]
        requests = [alice.request(bob.public_key, "/slow", each, terms=PATIENT) for each in messages]
        assert await asyncio.gather(*requests) == messages
        assert 1 < most <= SLOW.outbound_streams


async def test_of_many_messages_none_is_lost():
    """However long each is worked on: a stream ends when its message is read, and who sends waits for one."""
    limits = replace(SLOW, inbound_streams=8, outbound_streams=6, outbound_messages=4)
    async with cluster(identities(2), limits=limits) as (alice, bob):
        heard = set()

        async def hear(peer, message):
            await asyncio.sleep(0.01)
            heard.add(message)

        bob.handle("/hear", hear, terms=TAKING)
        messages = {number.to_bytes(2, "big") for number in range(300)}
        sending = [alice.send(bob.public_key, "/hear", each, terms=PATIENT) for each in messages]
        await asyncio.gather(*sending)
        await until(lambda: heard == messages)


async def test_what_is_read_is_worked_on_for_as_long_as_that_takes():
    """The limit is for the reading; a busy machine drops nothing that came."""
    async with cluster(identities(2)) as (alice, bob):
        begun, heard, go_on = asyncio.Event(), set(), asyncio.Event()

        async def hear(peer, message):
            begun.set()
            await go_on.wait()
            heard.add(message)

        bob.handle("/hear", hear, terms=replace(TAKING, seconds=0.1))
        while not begun.is_set():  # where it was not read in time
            await alice.send(bob.public_key, "/hear", b"hello", terms=PATIENT)
            with suppress(TimeoutError):
                await asyncio.wait_for(begun.wait(), 0.5)
        await asyncio.sleep(0.3)
        go_on.set()
        await until(lambda: heard == {b"hello"})


@pytest.mark.parametrize("terms", [TAKING, PATIENT], ids=["taken", "answered"])
async def test_who_resets_what_it_sent_has_it_counted(terms):
    """Messages that are worked on, or wait for it, are the peer's, and bounded: their streams are gone."""
    async with cluster(identities(2)) as (alice, bob):
        begun, go_on = [], asyncio.Event()

        async def hear(peer, message):
            begun.append(message)
            await go_on.wait()

        bob.handle("/hear", hear, terms=terms)
        swarm, before = bob._swarm, len(bob._swarm._tasks)
        for _ in range(MOST_READ + 100):
            stream = await alice.open_stream(bob.public_key, "/hear")
            await stream.write(framed(bytes(100)))
            await asyncio.sleep(0.01)  # or it is reset before it is read
            stream.reset()
        assert terms.is_answered or len(begun) == MOST_TAKEN
        assert 100 * MOST_TAKEN < swarm.held_bytes <= 101 * (MOST_READ + 1)
        assert len(swarm._tasks) <= before + MOST_READ + 1
        held = swarm.held_bytes // 101
        go_on.set()
        await until(lambda: held <= len(begun) <= MOST_READ and not swarm.held_bytes)


async def test_messages_that_are_worked_on_have_bounds():
    """They are as many as that, they count as their sender's, and others of the peer come through."""
    async with cluster(identities(2)) as (alice, bob):
        begun, go_on = [], asyncio.Event()

        async def hear(peer, message):
            begun.append(message)
            await go_on.wait()

        bob.handle("/hear", hear, terms=TAKING)
        sending = [
            asyncio.create_task(alice.send(bob.public_key, "/hear", bytes(1000), terms=PATIENT))
            for _ in range(2 * MOST_TAKEN)
        ]
        await until(lambda: len(begun) == MOST_TAKEN)
        assert await alice.request(bob.public_key, ECHO, b"hello", terms=PATIENT) == b"hello"
        assert len(begun) == MOST_TAKEN
        assert bob._swarm.held_bytes >= 1000 * MOST_TAKEN
        go_on.set()
        await asyncio.gather(*sending)
        await until(lambda: len(begun) == 2 * MOST_TAKEN and not bob._swarm.held_bytes)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TimeoutError(), "stream failed"),
        (StreamResetError(0), "stream failed"),
        (TimeoutError(errno.ETIMEDOUT, "a disk far away"), "a handler failed"),
        (OSError(errno.EIO, "a disk"), "a handler failed"),
    ],
)
async def test_whose_fault_it_is_that_a_handler_fails(error, told):
    """The system's own time-outs are of what the handler works with, not of the peer."""

    async def fail(peer, message):
        raise error

    with capture_logs() as lines:
        async with cluster(identities(2)) as (alice, bob):
            bob.handle("/fail", fail, terms=PATIENT)
            with pytest.raises(StreamResetError):
                await alice.request(bob.public_key, "/fail", b"", terms=PATIENT)
    events = {line["event"] for line in lines if line.get("protocol") == "/fail"}
    assert events == {told}


async def test_what_a_handler_may_do():
    async with cluster(identities(2)) as (alice, bob):

        async def nothing(peer, message):
            return None

        async def empty(peer, message):
            return b""

        async def wrong(peer, message):
            raise RuntimeError("a bug of the handler")

        for name, function in (("/nothing", nothing), ("/empty", empty), ("/wrong", wrong)):
            bob.handle(name, function, terms=PATIENT)
        with pytest.raises(WireError, match="ends too early"):
            await alice.request(bob.public_key, "/nothing", b"", terms=PATIENT)
        assert await alice.request(bob.public_key, "/empty", b"", terms=PATIENT) == b""
        with pytest.raises(StreamResetError):
            await alice.request(bob.public_key, "/wrong", b"", terms=PATIENT)
        for protocol in ("/unknown", "/" + "x" * 900):
            with pytest.raises(UnsupportedProtocolError):
                await alice.request(bob.public_key, protocol, b"", terms=PATIENT)
            with pytest.raises(UnsupportedProtocolError):
                await alice.request(bob.public_key, protocol, bytes(300_000), terms=PATIENT)
        bob.forget(ECHO)
        with pytest.raises(UnsupportedProtocolError):
            await alice.request(bob.public_key, ECHO, b"", terms=PATIENT)
        assert await alice.request(bob.public_key, "/empty", b"", terms=PATIENT) == b""


async def test_messages_have_bounds():
    async with cluster(identities(2)) as (alice, bob):
        bob.handle("/short", echo, terms=Terms(most_bytes=1000, seconds=PATIENT.seconds))
        assert len(await alice.request(bob.public_key, "/short", bytes(1000), terms=PATIENT)) == 1000
        with pytest.raises(P2PError):
            await alice.request(bob.public_key, "/short", bytes(1001), terms=PATIENT)
        few = Terms(most_bytes=10, seconds=PATIENT.seconds)
        with pytest.raises(TooMuchError, match="at most 10 bytes, got one of 11"):
            await alice.request(bob.public_key, ECHO, bytes(11), terms=few)


async def test_time_has_bounds():
    async with cluster(identities(2)) as (alice, bob):
        ends = asyncio.Queue()

        async def never(peer, message):
            try:
                await asyncio.Event().wait()
            finally:
                ends.put_nowait("gone")

        bob.handle("/never", never, terms=Terms(seconds=0.2))
        with pytest.raises(StreamResetError):
            await alice.request(bob.public_key, "/never", b"", terms=PATIENT)
        assert await ends.get() == "gone"
        bob.handle("/never", never, terms=PATIENT)
        with pytest.raises(TimeoutError, match="did not answer in time"):
            await alice.request(bob.public_key, "/never", b"", terms=Terms(seconds=0.2))
        with pytest.raises(TimeoutError, match="did not answer in time"):
            await alice.request(
                bob.public_key, "/never", b"", terms=Terms(seconds=PATIENT.seconds, stall_seconds=0.2)
            )


async def test_streams():
    """As charon's sync has them: long, both ways, each message in one piece."""
    async with cluster(identities(2)) as (alice, bob):

        async def sync(peer, stream):
            assert peer == alice.public_key
            while size := await stream.read(8):
                size += await stream.read_exactly(8 - len(size))
                await stream.write(size + await stream.read_exactly(int.from_bytes(size, "little")))

        bob.handle_stream("/sync/", sync)
        stream = await alice.open_stream(bob.public_key, "/sync/", seconds=PATIENT.seconds)
        assert isinstance(stream, Stream)
        async with stream:
            for n in (1, 1000, 100_000):
                await stream.write(n.to_bytes(8, "little") + bytes(n))
                assert await stream.read_exactly(8 + n) == n.to_bytes(8, "little") + bytes(n)
            stream.finish()
            assert await stream.read() == b""
            with pytest.raises(P2PError):
                await stream.write(b"more")
        with pytest.raises(P2PError):
            await stream.read()
        nobody = await alice.open_stream(bob.public_key, "/nobody", seconds=PATIENT.seconds)
        with pytest.raises(UnsupportedProtocolError):
            await nobody.read()


async def test_a_peer_that_is_started_again():
    """With the same key at another address, which the first host learns when it is dialed."""
    first, second = identities(2)
    known = [first.public_key, second.public_key]
    async with Host.open(first, peers=known, listen=[HERE], limits=SLOW) as alice:
        alice.handle(ECHO, echo)
        for _ in range(3):
            places = {first.public_key: alice.bound}
            async with Host.open(second, peers=known, listen=[HERE], addresses=places, limits=SLOW) as bob:
                bob.handle(ECHO, echo)
                assert await alice.request(bob.public_key, ECHO, b"again", terms=PATIENT) == b"again"
                assert await bob.request(alice.public_key, ECHO, b"too", terms=PATIENT) == b"too"
            await until(lambda: not alice.states()[0].is_connected)
        with pytest.raises(UnreachableError, match="is not connected"):
            await alice.request(second.public_key, ECHO, b"", terms=Terms(seconds=0.1))


async def test_a_request_waits_for_a_peer_that_comes_later():
    first, second = identities(2)
    known = [first.public_key, second.public_key]
    async with Host.open(first, peers=known, listen=[HERE], limits=SLOW) as alice:
        asked = asyncio.create_task(alice.request(second.public_key, ECHO, b"late", terms=PATIENT))
        await asyncio.sleep(0.05)
        places = {first.public_key: alice.bound}
        async with Host.open(second, peers=known, addresses=places, limits=SLOW) as bob:
            bob.handle(ECHO, echo)
            assert await asked == b"late"


class Cable:
    """What lies between a dialer and a listener: it can be cut."""

    def __init__(self, target):
        self.target = target
        self.is_cut = False
        self.writers = []

    async def carry(self, reader, writer):
        if self.is_cut:
            writer.close()
            return
        there_reader, there_writer = await asyncio.open_connection(*self.target)
        self.writers += [writer, there_writer]
        await asyncio.gather(self.pump(reader, there_writer), self.pump(there_reader, writer))

    async def pump(self, reader, writer):
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    def cut(self):
        self.is_cut = True
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()


async def test_a_link_that_is_cut_for_a_while():
    """What is asked meanwhile is answered when it is mended, within its time."""
    first, second = identities(2)
    known = [first.public_key, second.public_key]
    async with Host.open(first, peers=known, listen=[HERE], limits=SLOW) as alice:
        alice.handle(ECHO, echo, terms=PATIENT)
        cable = Cable(alice.bound.pop())  # so that it is not told, and nobody goes round the cable
        async with await asyncio.start_server(cable.carry, *HERE) as server:
            places = {first.public_key: [server.sockets[0].getsockname()]}
            async with Host.open(second, peers=known, addresses=places, limits=SLOW) as bob:
                bob.handle(ECHO, echo, terms=PATIENT)
                for _ in range(2):
                    assert await bob.request(alice.public_key, ECHO, b"x", terms=PATIENT) == b"x"
                    cable.cut()
                    await until(lambda: not bob.states()[0].is_connected)
                    asked = [
                        asyncio.create_task(one.request(other.public_key, ECHO, b"y", terms=PATIENT))
                        for one, other in ((alice, bob), (bob, alice))
                    ]
                    await asyncio.sleep(0.3)
                    assert not any(each.done() for each in asked)
                    cable.is_cut = False
                    assert await asyncio.gather(*asked) == [b"y", b"y"]
                cable.cut()


async def test_both_dial_at_once():
    """Both connections stay, and either side may use either."""
    keys = identities(2)
    async with cluster(keys) as (alice, bob):
        alice.add_address(bob.public_key, *bob.bound[0])
        dials = [
            alice._swarm.dial(*bob.bound[0], bob.public_key),
            bob._swarm.dial(*alice.bound[0], alice.public_key),
        ]
        await asyncio.gather(*dials)
        requests = [
            one.request(other.public_key, ECHO, bytes([n]), terms=PATIENT)
            for n in range(20)
            for one, other in ((alice, bob), (bob, alice))
        ]
        assert await asyncio.gather(*requests) == [bytes([n]) for n in range(20) for _ in range(2)]
        assert len(alice._swarm.connections(bob.public_key)) >= 2


async def test_strangers_are_turned_away():
    alice, bob, stranger = identities(3)
    async with cluster([alice, bob]) as (_, host):
        places = {bob.public_key: host.bound}
        async with Host.open(stranger, peers=[bob.public_key], addresses=places, limits=SLOW) as other:
            with pytest.raises(P2PError):
                await other.request(bob.public_key, ECHO, b"", terms=Terms(seconds=1.0))
            assert stranger.public_key not in host._swarm.connected


async def test_another_peer_at_the_address():
    alice, bob, other = identities(3)
    async with (
        Host.open(other, peers=[alice.public_key], listen=[HERE], limits=SLOW) as wrong,
        Host.open(
            alice, peers=[bob.public_key], addresses={bob.public_key: wrong.bound}, limits=SLOW
        ) as host,
    ):
        await until(lambda: "another peer" in host.states()[0].problem)
        assert not host.states()[0].is_connected


async def test_ipv6():
    alice, bob = identities(2)
    try:
        opened = Host.open(alice, peers=[bob.public_key], listen=[("::1", 0)], limits=SLOW)
        async with opened as one:
            places = {alice.public_key: one.bound}
            async with Host.open(bob, peers=[alice.public_key], addresses=places, limits=SLOW) as two:
                one.handle(ECHO, echo)
                assert await two.request(alice.public_key, ECHO, b"six", terms=PATIENT) == b"six"
    except OSError:
        pytest.skip("no IPv6 on this machine")


async def test_who_is_no_peer():
    async with cluster(identities(2)) as (alice, _):
        with pytest.raises(ValueError, match="no peer"):
            await alice.request(IdentityKey.generate().public_key, ECHO, b"")
    with pytest.raises(WireError):
        Host(IdentityKey.generate(), peers=[bytes(33)])


async def test_changes_are_told():
    async with cluster(identities(2)) as (alice, bob), alice.watching() as changed:
        await until(lambda: alice.states()[0].is_connected)
        changed.clear()
        await bob._swarm.close()
        async with asyncio.timeout(PATIENT.seconds):
            await changed.wait()
        await until(lambda: not alice.states()[0].is_connected)
        assert alice.states()[0].problem
