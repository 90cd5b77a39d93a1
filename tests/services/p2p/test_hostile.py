"""Peers and strangers that mean harm: whatever they do ends their own connection or stream, at most."""

from __future__ import annotations

import asyncio
import hashlib
import os
import struct
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from dvtfast.services.p2p.errors import P2PError, StreamResetError
from dvtfast.services.p2p.host import Host, IdentityKey
from dvtfast.services.p2p.layers import multistream, yamux
from dvtfast.services.p2p.layers.link import Link
from dvtfast.services.p2p.limits import MIB
from dvtfast.services.p2p.swarm import exchange
from dvtfast.services.p2p.wire.messages import IDENTIFY, PING

from .hosts import ECHO, HERE, PATIENT, SLOW, cluster, echo, identities, until


def frame(kind, flags, stream, length, data=b""):
    return struct.pack(">BBHII", 0, kind, flags, stream, length) + data


class Raw:
    """A peer that writes frames as it likes, over a connection that is made as it should be."""

    def __init__(self, link, reader, writer):
        self.link = link
        self.reader = reader
        self.writer = writer
        self.events = []

    async def write(self, data):
        self.link.session._out += data
        await self.flush()

    async def flush(self):
        if out := self.link.take():
            self.writer.write(out)
            await self.writer.drain()

    async def read(self):
        """What the other side says next; False at its end."""
        try:
            data = await self.reader.read(65536)
        except ConnectionError:
            return False
        if data:
            self.events += self.link.receive(data)
        return bool(data)

    async def until_ended(self):
        async with asyncio.timeout(PATIENT.seconds):
            while await self.read():
                await self.flush()

    async def until(self, kind):
        """Events of a kind; waits for one."""
        async with asyncio.timeout(PATIENT.seconds):
            while not (found := [event for event in self.events if event[0] is kind]):
                assert await self.read(), "the connection ended"
        self.events = [event for event in self.events if event[0] is not kind]
        return found


@asynccontextmanager
async def raw(host, identity):
    """A connection of a peer to a host, in the peer's own hands."""
    reader, writer = await asyncio.open_connection(*host.bound[0])
    link = Link(identity, dialer=True, is_welcome=lambda _: True, most_inbound=10_000)
    made = Raw(link, reader, writer)
    try:
        while link.session is None:
            await made.flush()
            assert await made.read()
        await made.flush()
        yield made
    finally:
        writer.close()


@asynccontextmanager
async def victim(*, limits=SLOW, honest=True):
    """A host with a hostile peer, whose key is given, and an honest one that must not notice."""
    keys = identities(3)
    async with Host.open(keys[0], peers=[k.public_key for k in keys], listen=[HERE], limits=limits) as host:
        host.handle(ECHO, echo, terms=PATIENT)
        places = {keys[0].public_key: host.bound}
        async with Host.open(keys[2], peers=[keys[0].public_key], addresses=places, limits=SLOW) as friend:
            if honest:
                await friend.connect(host.public_key, seconds=PATIENT.seconds)
            yield host, keys[1], friend
            message = os.urandom(100_000)
            assert await friend.request(host.public_key, ECHO, message, terms=PATIENT) == message
    assert host._swarm.held_bytes == 0


@pytest.mark.parametrize(
    "data",
    [
        frame(yamux.DATA, yamux.SYN, 1, 0xFFFFFFFF),
        frame(yamux.DATA, yamux.SYN, 1, yamux.FIRST_WINDOW + 1),
        frame(yamux.DATA, yamux.SYN, 2, 0),
        frame(7, 0, 0, 0),
        b"\x01" * 12,
        frame(yamux.GO_AWAY, 0, 0, 1),
        hashlib.sha512(b"noise").digest(),
    ],
)
async def test_frames_that_break_the_rules(data):
    async with victim() as (host, identity, _), raw(host, identity) as peer:
        await peer.write(data)
        await peer.until_ended()


async def test_bytes_that_are_no_messages():
    async with victim() as (host, identity, _), raw(host, identity) as peer:
        peer.writer.write(b"\x00\x20" + bytes(32))
        await peer.until_ended()


async def test_data_beyond_the_window():
    """A window is filled and nobody reads: one byte more ends the connection."""
    async with victim() as (host, identity, _):

        async def wait(peer, stream):
            await asyncio.Event().wait()

        host.handle_stream("/wait", wait)
        async with raw(host, identity) as peer:
            opening = multistream.proposal("/wait")
            await peer.write(frame(yamux.DATA, yamux.SYN, 1, len(opening), opening))
            await peer.until(yamux.Event.ARRIVED)
            size = yamux.FIRST_WINDOW - len(opening)
            await peer.write(frame(yamux.DATA, 0, 1, size, bytes(size)))
            await until(lambda: host._swarm.held_bytes == size)
            await peer.write(frame(yamux.DATA, 0, 1, 1000, bytes(1000)))
            await peer.until_ended()


async def test_floods_of_pings():
    """Answered as long as the answers are read; whoever does not read them is cut off."""
    limits = replace(SLOW, unread_bytes=100_000)
    async with victim(limits=limits) as (host, identity, _), raw(host, identity) as peer:
        await peer.write(frame(yamux.PING, yamux.SYN, 0, 7) * 1000)
        async with asyncio.timeout(PATIENT.seconds):
            while sum(event[0] is yamux.Event.PONG for event in peer.events) < 1000:
                assert await peer.read()
        with pytest.raises(ConnectionError):
            await write_for_ever(peer, frame(yamux.PING, yamux.SYN, 0, 7) * 5000)


async def write_for_ever(peer, data):
    async with asyncio.timeout(PATIENT.seconds):
        while True:
            await peer.write(data)


async def test_streams_that_never_end():
    async with victim() as (host, identity, _), raw(host, identity) as peer:
        opening = multistream.proposal(ECHO) + b"\x05"  # a message that does not come
        for number in range(SLOW.inbound_streams + 5):
            await peer.write(frame(yamux.DATA, yamux.SYN, 1 + 2 * number, len(opening), opening))
        await until(lambda: identity.public_key in host._swarm.connected)
        guest = host._swarm._guests[identity.public_key]
        async with raw(host, identity) as other:  # another connection of the same peer
            await until(lambda: guest.inbound_streams == SLOW.inbound_streams)
            await other.write(frame(yamux.DATA, yamux.SYN, 1, len(opening), opening))
            await asyncio.sleep(0.05)
            assert guest.inbound_streams == SLOW.inbound_streams


async def test_unknown_protocols_by_the_thousand():
    async with victim() as (host, identity, _), raw(host, identity) as peer:
        for number in range(2000):
            opening = multistream.proposal(f"/unknown/{number}") + bytes(100)
            stream = 1 + 2 * number
            await peer.write(
                frame(yamux.DATA, yamux.SYN, stream, len(opening), opening)
                + frame(yamux.WINDOW, yamux.RST, stream, 0)
            )
        await peer.write(frame(yamux.PING, yamux.SYN, 0, 1))
        await peer.until(yamux.Event.PONG)
        assert host._swarm._guests[identity.public_key].inbound_streams == 0


async def test_streams_without_a_protocol_end():
    limits = replace(SLOW, negotiation_seconds=0.1)
    async with victim(limits=limits) as (host, identity, _), raw(host, identity) as peer:
        await peer.write(frame(yamux.WINDOW, yamux.SYN, 1, 0) + frame(yamux.DATA, yamux.SYN, 3, 1, b"\x13"))
        await until(lambda: identity.public_key in host._swarm.connected)
        guest = host._swarm._guests[identity.public_key]
        await peer.until(yamux.Event.RESET)
        await until(lambda: guest.inbound_streams == 0)


async def test_messages_that_are_announced_and_do_not_come():
    """A length alone takes no memory; what comes does, and is given back."""
    async with victim() as (host, identity, _), raw(host, identity) as peer:
        opening = multistream.proposal(ECHO) + b"\xff\xff\xff\x3f"  # 128 MiB - 1
        for number in range(40):
            await peer.write(frame(yamux.DATA, yamux.SYN, 1 + 2 * number, len(opening), opening))
        await peer.write(frame(yamux.DATA, 0, 1, 5000, bytes(5000)))
        await until(lambda: 0 < host._swarm.held_bytes < 40 * 5 + 5000)


async def test_what_one_peer_can_have_held():
    """Long messages on many streams: beyond the account the stream is reset, and the rest goes on."""
    limits = replace(SLOW, peer_bytes=MIB, all_bytes=2 * MIB)
    async with victim(limits=limits) as (host, identity, _):
        other = Host.open(
            identity, peers=[host.public_key], addresses={host.public_key: host.bound}, limits=SLOW
        )
        async with other as peer:
            with pytest.raises(P2PError):
                await peer.request(host.public_key, ECHO, bytes(2 * MIB), terms=PATIENT)
            assert host._swarm.held_bytes <= MIB
            assert await peer.request(host.public_key, ECHO, bytes(MIB // 2), terms=PATIENT) == bytes(
                MIB // 2
            )


async def test_half_open_handshakes():
    """A thousand of one address: it loses its own, and a peer from the same address still gets in."""
    limits = replace(SLOW, handshakes=50, address_handshakes=2000, address_handshakes_per_second=1e6)
    async with victim(limits=limits, honest=False) as (host, _, _):
        writers = []
        for _ in range(1000):
            _, writer = await asyncio.open_connection(*host.bound[0])
            writers.append(writer)
        await until(lambda: host._swarm._under_way <= 50)
        for writer in writers:
            writer.close()
        await until(lambda: host._swarm._under_way == 0)


async def test_silent_strangers():
    limits = replace(SLOW, handshake_seconds=0.2)
    async with victim(limits=limits, honest=False) as (host, _, _):
        reader, writer = await asyncio.open_connection(*host.bound[0])
        async with asyncio.timeout(PATIENT.seconds):
            assert await reader.read() == b""
        writer.close()
        host._swarm.limits = SLOW


async def test_handshakes_of_one_address_have_a_rate():
    limits = replace(SLOW, address_handshakes=5, address_handshakes_per_second=0.001)
    keys = identities(2)
    async with Host.open(keys[0], peers=[keys[1].public_key], listen=[HERE], limits=limits) as host:
        ended = 0
        for _ in range(10):
            reader, writer = await asyncio.open_connection(*host.bound[0])
            await asyncio.sleep(0.01)
            ended += reader.at_eof() or writer.is_closing() or reader.exception() is not None
            writer.close()
        await until(lambda: host._swarm._under_way == 0)
        assert ended >= 4


async def test_a_peer_that_falls_silent():
    limits = replace(SLOW, ping_seconds=0.05, pong_seconds=0.2)
    async with victim(limits=limits) as (host, identity, _), raw(host, identity) as peer:
        await until(lambda: identity.public_key in host._swarm.connected)
        await until(lambda: identity.public_key not in host._swarm.connected)
        assert peer.link.session is not None


async def test_a_peer_that_answers_stays():
    limits = replace(SLOW, ping_seconds=0.05, pong_seconds=0.3)
    async with cluster(identities(2), limits=limits) as (alice, bob):
        await alice.connect(bob.public_key, seconds=PATIENT.seconds)
        first = alice._swarm.best(bob.public_key)
        await asyncio.sleep(1)
        assert not first.is_closed


async def test_too_many_connections_of_one_peer():
    async with victim() as (host, identity, _), AsyncExitStack() as stack:
        first, *_ = [await stack.enter_async_context(raw(host, identity)) for _ in range(5)]
        await first.until_ended()
        assert len(host._swarm.connections(identity.public_key)) <= SLOW.peer_connections


async def test_frames_have_a_rate():
    """Who sends more is read later; nobody is cut off, and nothing is lost."""
    limits = replace(SLOW, frames_per_second=20_000.0)
    async with victim(limits=limits) as (host, identity, _), raw(host, identity) as peer:
        began = asyncio.get_running_loop().time()
        await peer.write(frame(yamux.PING, yamux.ACK, 0, 7) * 100_000 + frame(yamux.PING, yamux.SYN, 0, 8))
        await peer.until(yamux.Event.PONG)
        assert asyncio.get_running_loop().time() - began > 1


async def test_resets_while_a_handler_works():
    """A handler whose peer goes away gets an error where it waits, and ends."""
    async with victim() as (host, identity, _):
        ends = asyncio.Queue()

        async def work(peer, stream):
            try:
                while await stream.read():
                    pass
            except P2PError as error:
                ends.put_nowait(error)

        host.handle_stream("/toil", work)
        opening = multistream.proposal("/toil") + b"data"
        async with raw(host, identity) as peer:
            await peer.write(frame(yamux.DATA, yamux.SYN, 1, len(opening), opening))
            await peer.write(frame(yamux.WINDOW, yamux.RST, 1, 0x1003))
            error = await ends.get()
            assert isinstance(error, StreamResetError)
            assert error.code == 0x1003
            await peer.write(frame(yamux.DATA, yamux.SYN, 3, len(opening), opening))
        assert isinstance(await ends.get(), P2PError)


@pytest.mark.parametrize("answer", [b"\xff" * 8, b"\x05\xff\xff\xff\xff\xff", b"\xff\xff\x7f", b""])
async def test_identify_that_makes_no_sense(answer):
    """Nothing is learned, and the connection stays."""
    async with victim() as (host, identity, _):
        opened = Host.open(
            identity, peers=[host.public_key], addresses={host.public_key: host.bound}, limits=SLOW
        )
        async with opened as peer:

            async def lie(stream):
                await stream.write(answer)

            peer._swarm.handlers[IDENTIFY] = lie
            peer.handle(ECHO, echo)
            assert await host.request(peer.public_key, ECHO, b"x", terms=PATIENT) == b"x"
            state = next(each for each in host.states() if each.key == peer.public_key)
            assert state.is_connected
            assert state.agent == ""


async def test_pings_in_pieces():
    """libp2p's ping: 32 bytes come back, however they are cut, and a cut one ends the stream."""
    async with cluster(identities(2)) as (alice, bob):
        stream = await alice.open_stream(bob.public_key, PING, seconds=PATIENT.seconds)
        async with stream:
            for _ in range(3):
                data = os.urandom(32)
                await stream.write(data[:5])
                await asyncio.sleep(0.01)
                await stream.write(data[5:])
                assert await stream.read_exactly(32) == data
            await stream.write(b"short")
            stream.finish()
            with pytest.raises(P2PError):
                await stream.read_exactly(1)


async def test_a_message_that_is_cut_short():
    async with cluster(identities(2)) as (alice, bob):
        await alice.connect(bob.public_key, seconds=PATIENT.seconds)
        connection = alice._swarm.best(bob.public_key)
        for data in (b"\x05abc", b"\xff", b"\x80\x80", b"\x80\x00x", exchange.framed(b"whole")[:-1]):
            async with connection.open_stream(ECHO) as stream:
                await stream.write(data)
                stream.finish()
                with pytest.raises(P2PError):
                    await stream.read_message(100)
        assert await alice.request(bob.public_key, ECHO, b"x", terms=PATIENT) == b"x"


def test_keys_of_nobody():
    """A key that is ours is passed over, and one that is none is refused."""
    key = IdentityKey.generate()
    assert Host(key, peers=[key.public_key]).states() == []
