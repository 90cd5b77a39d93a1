"""What one peer, or one address, may take of a relay or of a host: no more than its part."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from unittest.mock import patch

import aiohttp
import pytest

from dvtfast.services.p2p.errors import P2PError, UnsupportedProtocolError
from dvtfast.services.p2p.host import Host, IdentityKey
from dvtfast.services.p2p.layers import multistream, yamux
from dvtfast.services.p2p.layers.link import Link
from dvtfast.services.p2p.limits import MIB
from dvtfast.services.p2p.peering import usable
from dvtfast.services.p2p.relay import hop
from dvtfast.services.p2p.relay.app import look_up
from dvtfast.services.p2p.relay.hop import RelayLimits
from dvtfast.services.p2p.relay.relaying import relaying
from dvtfast.services.p2p.swarm import connection as connections
from dvtfast.services.p2p.swarm.exchange import framed
from dvtfast.services.p2p.wire import messages, peers
from dvtfast.services.p2p.wire.addresses import Multiaddr
from dvtfast.services.p2p.wire.messages import Hop, HopKind, Status, Stop, StopKind
from dvtfast.services.web import http
from tests.services.patience import PATIENCE_SECONDS

from .hosts import ECHO, HERE, PATIENT, SLOW, cluster, echo, identities, relay, swarm, until
from .test_hostile import frame, raw, victim


async def taken(stream):
    """A peer that takes every circuit, and nothing from it."""
    await stream.read_message(messages.CIRCUIT_MESSAGE_BYTES)
    await stream.write(framed(Stop(StopKind.STATUS, status=Status.OK).encode()))
    await asyncio.Event().wait()


async def silent(stream):
    """A peer that never says whether it takes a circuit."""
    await asyncio.Event().wait()


async def refused(stream):
    """A peer that takes none."""
    await stream.read_message(messages.CIRCUIT_MESSAGE_BYTES)
    await stream.write(framed(Stop(StopKind.STATUS, status=Status.DENIED).encode()))


class Clients:
    """A relay, and clients of it that are in our own hands."""

    def __init__(self, running, stack):
        self.running = running
        self._stack = stack

    async def client(self, handler=None):
        """A connection of a new peer with the relay; it has reserved when it has a handler."""
        handlers = {messages.STOP: handler} if handler else None
        identity = IdentityKey.generate()
        made, _ = await self._stack.enter_async_context(swarm(identity, listens=False, handlers=handlers))
        connection = await made.dial(*self.running.bound[0], self.running.swarm.identity.public_key)
        if handler:
            _, answer = await self.ask(connection, Hop(HopKind.RESERVE))
            assert answer.status == Status.OK
        return identity.public_key, connection

    async def ask(self, connection, request):
        stream = connection.open_stream(messages.HOP)
        await stream.write(framed(request.encode()))
        return stream, Hop.decode(await stream.read_message(messages.CIRCUIT_MESSAGE_BYTES))

    async def call(self, connection, target):
        """A circuit, and what the relay says."""
        return await self.ask(connection, Hop(HopKind.CONNECT, peer=peers.peer_id(target)))


@pytest.fixture
async def clients(request):
    """With limits of the relay as the test has them."""
    limits = replace(RelayLimits(), **getattr(request, "param", {}))
    async with AsyncExitStack() as stack:
        running, _ = await stack.enter_async_context(relay(limits=limits))
        yield Clients(running, stack)


@pytest.mark.parametrize("clients", [{"peer_circuits": 2}], indirect=True)
async def test_nobody_uses_up_the_circuits_of_another(clients):
    """Calls that a peer does not take are not its own, however many somebody makes."""
    target, _ = await clients.client(silent)
    _, stranger = await clients.client()
    calls = [asyncio.create_task(clients.call(stranger, target)) for _ in range(2)]
    await until(lambda: clients.running.service.circuits == 2)
    other, _ = await clients.client(taken)
    _, friend = await clients.client()
    assert (await clients.call(friend, other))[1].status == Status.OK
    assert (await clients.call(stranger, other))[1].status == Status.LIMIT_EXCEEDED  # its own are used up
    waiting = asyncio.create_task(clients.call(friend, target))
    await until(lambda: clients.running.service.circuits == 4)  # and it is called by others as before
    for task in (*calls, waiting):
        task.cancel()


@pytest.mark.parametrize("clients", [{"peer_circuits": 2}], indirect=True)
async def test_a_peer_has_what_it_took(clients):
    target, _ = await clients.client(taken)
    for _ in range(2):
        _, friend = await clients.client()
        assert (await clients.call(friend, target))[1].status == Status.OK
    _, friend = await clients.client()
    assert (await clients.call(friend, target))[1].status == Status.LIMIT_EXCEEDED


@pytest.mark.parametrize("clients", [{"address_circuits": 3}, {"circuits": 3}], indirect=True)
async def test_one_address_has_a_part_of_all_circuits(clients):
    target, _ = await clients.client(taken)
    for status in [Status.OK] * 3 + [Status.LIMIT_EXCEEDED]:
        _, friend = await clients.client()
        assert (await clients.call(friend, target))[1].status == status


def test_many_addresses_do_not_fill_a_relay_together():
    """Who comes gets what who has most loses, its oldest, until all have as much."""
    limits = replace(RelayLimits(), reservations=100, circuits=100)
    identity = IdentityKey.generate()
    service = hop.HopService(SimpleNamespace(identity=identity), limits=limits, addresses=lambda _: [])
    keys = (b"%033d" % number for number in count())
    refused_ = Status.RESERVATION_REFUSED, Status.LIMIT_EXCEEDED

    def come(network):
        connection = SimpleNamespace(is_limited=False, peer=next(keys), network=network)
        with patch.object(hop.records.Voucher, "sign", lambda voucher, key: b""):
            return service._reserve(connection).status

    def call(network):
        if service._is_too_much(SimpleNamespace(peer=next(keys), network=network), next(keys)):
            return Status.LIMIT_EXCEEDED
        service._carried[FakeStream(lambda: service._count.subtract((hop.ALL, network)))] = network
        service._count.update((hop.ALL, network))
        return Status.OK

    def held(network):
        return (service._by_address[network], service._count[network])

    for place, ask in enumerate((come, call)):
        for number in range(4):
            for _ in range(50):
                ask(f"192.0.2.{number}")
        assert (service.reservations, service.circuits)[place] == 100
        assert [held(f"192.0.2.{number}")[place] for number in range(4)] == [25] * 4
        assert [ask("198.51.100.1") for _ in range(50)] == [Status.OK] * 20 + [refused_[place]] * 30
        assert held("198.51.100.1")[place] == 20
        assert sorted(held(f"192.0.2.{number}")[place] for number in range(4)) == [20] * 4
        assert ask("198.51.100.2") is Status.OK
        assert (service.reservations, service.circuits)[place] == 100


class FakeStream:
    def __init__(self, reset):
        self.reset = reset


async def test_calls_of_one_address_that_nobody_answers(clients):
    target, _ = await clients.client(silent)
    _, stranger = await clients.client()
    calls = [asyncio.create_task(clients.call(stranger, target)) for _ in range(hop.MOST_CALLS)]
    await until(lambda: clients.running.service.circuits == hop.MOST_CALLS)
    assert (await clients.call(stranger, target))[1].status == Status.LIMIT_EXCEEDED
    for task in calls:
        task.cancel()


async def test_refused_calls_leave_nothing(clients):
    target, _ = await clients.client(refused)
    _, stranger = await clients.client()
    for _ in range(3):
        assert (await clients.call(stranger, target))[1].status == Status.CONNECTION_FAILED
    assert not clients.running.service._count


async def test_a_circuit_whose_other_side_takes_nothing(clients, monkeypatch):
    """It ends soon, and what the relay held for it is given back."""
    monkeypatch.setattr(hop, "STALL_SECONDS", 0.5)
    target, _ = await clients.client(taken)
    _, friend = await clients.client()
    stream, answer = await clients.call(friend, target)
    assert answer.status == Status.OK
    with pytest.raises(P2PError):
        await stream.write(bytes(8 * MIB))
    await until(lambda: clients.running.service.circuits == 0)
    await until(lambda: clients.running.swarm.held_bytes == 0)


async def fill(host, identity, stack, size):
    """A peer that sends so much, which nobody reads."""
    peer = await stack.enter_async_context(raw(host, identity))
    opening = multistream.proposal("/wait")
    await peer.write(frame(yamux.DATA, yamux.SYN, 1, len(opening), opening))
    await peer.until(yamux.Event.ARRIVED)
    await peer.write(frame(yamux.DATA, 0, 1, size, bytes(size)))
    return peer


async def test_peers_of_one_address_have_one_account():
    keys = identities(4)
    limits = replace(SLOW, address_bytes=500_000)
    async with Host.open(keys[0], peers=[k.public_key for k in keys], listen=[HERE], limits=limits) as host:

        async def wait(peer, stream):
            await asyncio.Event().wait()

        host.handle_stream("/wait", wait)
        async with AsyncExitStack() as stack:
            for key in keys[1:3]:
                await fill(host, key, stack, 200_000)
            await until(lambda: host._swarm.held_bytes == 400_000)
            third = await fill(host, keys[3], stack, 200_000)
            await third.until(yamux.Event.RESET)
            assert host._swarm.held_bytes <= 500_000
        await until(lambda: not host._swarm._addresses)


async def test_connections_of_one_address():
    keys = identities(4)
    limits = replace(SLOW, address_connections=2)
    async with Host.open(keys[0], peers=[k.public_key for k in keys], listen=[HERE], limits=limits) as host:
        async with AsyncExitStack() as stack:
            for key in keys[1:3]:
                await stack.enter_async_context(raw(host, key))
            await until(lambda: len(host._swarm.connected) == 2)
            third = await stack.enter_async_context(raw(host, keys[3]))
            await third.until_ended()
            assert len(host._swarm.connected) == 2
        await until(lambda: not host._swarm._addresses)


async def test_a_look_up_does_not_stop_the_relay(monkeypatch):
    """Names are not resolved where all connections wait for it."""
    resolve, here = socket.getaddrinfo, threading.get_ident()
    blocked = []

    def watched(*arguments, **more):
        if threading.get_ident() == here:
            blocked.append(arguments)
        return resolve(*arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", watched)
    secret = bytes(31) + b"\1"
    async with (
        relaying(IdentityKey(secret), listen=[("0.0.0.0", 0)], shows_private=True) as running,
        http.listening(look_up(running, secret), "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        for path in ("/", "/enr"):
            async with session.get(path) as answer:
                assert await answer.text()
    assert not blocked


async def test_empty_messages_have_a_rate():
    """As frames have: who sends more is read later."""
    limits = replace(SLOW, frames_per_second=20_000.0)
    async with victim(limits=limits) as (host, identity, _), raw(host, identity) as peer:
        await until(lambda: identity.public_key in host._swarm.connected)
        began = asyncio.get_running_loop().time()
        empty = b"".join(peer.link._channel.encrypt(b"") for _ in range(100_000))
        peer.writer.write(empty)
        await peer.write(frame(yamux.PING, yamux.SYN, 0, 8))
        await peer.until(yamux.Event.PONG)
        assert asyncio.get_running_loop().time() - began > 2


async def test_a_rate_is_of_a_peer_not_of_a_connection():
    limits = replace(SLOW, frames_per_second=20_000.0)
    async with victim(limits=limits) as (host, identity, _), AsyncExitStack() as stack:
        ends = [await stack.enter_async_context(raw(host, identity)) for _ in range(3)]
        await until(lambda: len(host._swarm.connections(identity.public_key)) == 3)
        began = asyncio.get_running_loop().time()
        flood = frame(yamux.PING, yamux.ACK, 0, 7) * 40_000 + frame(yamux.PING, yamux.SYN, 0, 8)
        await asyncio.gather(*(each.write(flood) for each in ends))
        await asyncio.gather(*(each.until(yamux.Event.PONG) for each in ends))
        assert asyncio.get_running_loop().time() - began > 2


async def test_an_answer_to_no_ping_is_none():
    """A peer that sends and sends, but never what it was asked for, is gone after all."""
    limits = replace(SLOW, ping_seconds=0.05, pong_seconds=0.1, silent_seconds=0.5)
    async with victim(limits=limits, honest=False) as (host, identity, _), raw(host, identity) as peer:
        await until(lambda: identity.public_key in host._swarm.connected)
        peer.link.session._take_ping = lambda *_: None  # it does not answer by itself
        async with asyncio.timeout(PATIENCE_SECONDS):
            while identity.public_key in host._swarm.connected:
                await peer.write(frame(yamux.PING, yamux.ACK, 0, 0))
                await asyncio.sleep(0.02)


async def test_what_is_handled_is_for_peers_alone():
    """A relay may not ask for it, nor learn that it is spoken."""
    async with relay() as (running, places), cluster(identities(2), relays=places) as (alice, bob):
        assert await alice.request(bob.public_key, ECHO, b"x", terms=PATIENT) == b"x"
        await until(lambda: not alice.relay_problems())
        connection = running.swarm.best(alice.public_key)
        async with connection.open_stream(ECHO) as stream:
            await stream.write(framed(b"x"))
            with pytest.raises(UnsupportedProtocolError):
                await stream.read_message(100)
        async with connection.open_stream(messages.IDENTIFY) as stream:
            await stream.write(b"")
            told = messages.Identify.decode(await stream.read_message(messages.IDENTIFY_PART_BYTES))
        assert ECHO not in told.protocols
        assert messages.STOP in told.protocols


async def test_a_peer_that_is_a_relay_as_well():
    """It is a peer: what is handled is for it, too."""
    keys = identities(2)
    async with Host.open(keys[0], peers=[keys[1].public_key], listen=[HERE], limits=SLOW) as alice:
        place = f"/ip4/127.0.0.1/tcp/{alice.bound[0][1]}/p2p/{peers.peer_text(alice.public_key)}"
        opened = Host.open(keys[1], peers=[alice.public_key], relays=[place], limits=SLOW)
        async with opened as bob:
            bob.handle(ECHO, echo, terms=PATIENT)
            assert await alice.request(bob.public_key, ECHO, b"x", terms=PATIENT) == b"x"


PRIVATE = ("127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", "192.168.0.7", "100.64.0.9", "fd00::1")
PUBLIC = ("8.8.8.8", "2606:4700::1111")
ABSURD = ("0.0.0.0", "255.255.255.255", "224.0.0.1", "169.254.169.254", "240.0.0.1", "fe80::1", "ff02::1")


@pytest.mark.parametrize(
    ("remote", "dialed"),
    [
        ("8.8.4.4", PUBLIC),
        (None, PUBLIC),
        ("192.168.0.1", PRIVATE[3:] + PUBLIC),
        ("fe80::9", PRIVATE[3:] + PUBLIC),
        ("127.0.0.1", PRIVATE + PUBLIC),
        ("::1", PRIVATE + PUBLIC),
    ],
)
def test_addresses_that_a_peer_tells(remote, dialed):
    """One that is far away does not have us connect to whatever is near to us; absurd ones nobody does."""
    told = [Multiaddr.of(host, 22).to_bytes() for host in (*PRIVATE, *ABSURD, *PUBLIC)]
    told += [
        b"",
        b"\xff" * 600,
        Multiaddr.of("example.org", 1).to_bytes(),
        Multiaddr.of("8.8.8.8", 0).to_bytes(),
    ]
    shown = {Multiaddr.of(host, 22).endpoint for host in dialed}
    assert set(usable(told, remote)) == shown


async def test_strangers_beyond_the_rate_cost_no_keys(monkeypatch):
    """Whether there is room is asked before anything is made for them."""
    made = []

    class Counting(Link):
        def __init__(self, *arguments, **more):
            made.append(1)
            super().__init__(*arguments, **more)

    monkeypatch.setattr(connections, "Link", Counting)
    keys = identities(2)
    limits = replace(SLOW, address_handshakes=3, address_handshakes_per_second=0.001)
    async with Host.open(keys[0], peers=[keys[1].public_key], listen=[HERE], limits=limits) as host:
        for _ in range(10):
            _, writer = await asyncio.open_connection(*host.bound[0])
            await asyncio.sleep(0.01)
            writer.close()
        await until(lambda: host._swarm._under_way == 0)
    assert len(made) == 3
