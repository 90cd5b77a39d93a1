"""Peers that nobody can dial, through a relay of ours."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from aiohttp import web

from dvtfast.services.p2p.circuit import client, lookup
from dvtfast.services.p2p.errors import P2PError, UnreachableError, WireError
from dvtfast.services.p2p.host import Host, IdentityKey, Terms
from dvtfast.services.p2p.relay.hop import RelayLimits
from dvtfast.services.p2p.swarm.exchange import framed
from dvtfast.services.p2p.wire import messages, peers, records
from dvtfast.services.p2p.wire.messages import Hop, HopKind, Status, Stop, StopKind
from dvtfast.services.web import http

from .hosts import ECHO, HERE, PATIENT, SLOW, cluster, echo, identities, relay, swarm, until


async def test_messages_through_a_relay():
    async with relay() as (running, places), cluster(identities(3), relays=places, listens=False) as hosts:
        for host in hosts:
            for other in hosts:
                if other is not host:
                    assert await host.request(other.public_key, ECHO, b"hello", terms=PATIENT) == b"hello"
        assert all(state.is_relayed for host in hosts for state in host.states())
        assert running.service.reservations == 3
        assert running.service.circuits == 3  # one for each pair: who has the smaller key dials
        assert [host.relay_problems() for host in hosts] == [{}, {}, {}]
        message = bytes(2_000_000)
        assert await hosts[2].request(hosts[0].public_key, ECHO, message, terms=PATIENT) == message
        assert running.service.counts.bytes_carried > 2 * len(message)


async def test_who_can_be_dialed_is():
    """A relayed connection tells where its other side listens; then the relay is not needed any more."""
    async with relay() as (_, places), cluster(identities(2), relays=places, listens=False) as (alice, _):
        other = identities(1)[0]
        alice._peers[other.public_key] = type(alice._peers[alice.states()[0].key])(
            alice._swarm, other.public_key, (), alice._relays
        )
        alice._swarm.run(alice._peers[other.public_key].keep())
        opened = Host.open(other, peers=[alice.public_key], listen=[HERE], relays=places, limits=SLOW)
        async with opened as carol:
            carol.handle(ECHO, echo)
            assert await alice.request(carol.public_key, ECHO, b"x", terms=PATIENT) == b"x"
            await until(lambda: not alice.states()[-1].is_relayed and alice.states()[-1].is_connected)


async def test_a_relay_that_is_started_again():
    """Everything comes back by itself, at the same place, with the same key or another."""
    place = {"text": ""}

    async def look(_):
        return web.json_response([place["text"]])

    app = http.application()
    app.router.add_get("/", look)
    async with http.listening(app, "127.0.0.1", 0) as port:
        urls = [f"http://127.0.0.1:{port}/"]
        keys = identities(2)
        async with cluster(keys, relays=urls, listens=False) as (alice, bob):
            for _ in range(2):
                async with relay() as (running, (address,)):
                    place["text"] = address
                    assert await alice.request(bob.public_key, ECHO, b"x", terms=PATIENT) == b"x"
                    await until(lambda: running.service.reservations == 2)
                await until(lambda: not alice.states()[0].is_connected)


async def test_a_circuit_that_has_carried_all_it_may():
    limits = replace(RelayLimits(), circuit_bytes=100_000)
    async with relay(limits=limits) as (running, places):
        async with cluster(identities(2), relays=places, listens=False) as (alice, bob):
            assert await alice.request(bob.public_key, ECHO, bytes(10), terms=PATIENT) == bytes(10)
            with pytest.raises(P2PError):
                await alice.request(bob.public_key, ECHO, bytes(200_000), terms=PATIENT)
            assert await alice.request(bob.public_key, ECHO, bytes(11), terms=PATIENT) == bytes(11)
        await until(lambda: running.service.circuits == 0)
        await until(lambda: running.service.reservations == 0)
        assert running.swarm.held_bytes == 0


async def test_a_circuit_ends_after_its_time():
    limits = replace(RelayLimits(), circuit_seconds=0.3)
    async with (
        relay(limits=limits) as (_, places),
        cluster(identities(2), relays=places, listens=False) as (alice, bob),
    ):
        await alice.request(bob.public_key, ECHO, b"", terms=PATIENT)
        first = alice._swarm.best(bob.public_key)
        await until(lambda: first.is_closed)
        assert await alice.request(bob.public_key, ECHO, b"", terms=PATIENT) == b""


async def test_a_circuit_is_followed_by_another_one_before_its_end(monkeypatch):
    """It is not ended by it: what is under way on it goes on."""
    monkeypatch.setattr(client, "RENEWED_AFTER", 0.0)
    async with (
        relay() as (_, places),
        cluster(identities(2), relays=places, listens=False) as (alice, bob),
    ):
        await alice.request(bob.public_key, ECHO, b"", terms=PATIENT)
        first = alice._swarm.connections(bob.public_key)[0]
        await until(lambda: alice._swarm.best(bob.public_key) not in (None, first))
        monkeypatch.undo()
        assert not first.is_closed
        assert await alice.request(bob.public_key, ECHO, b"x", terms=PATIENT) == b"x"
        assert await bob.request(alice.public_key, ECHO, b"y", terms=PATIENT) == b"y"


async def say(connection, protocol, data):
    """What a relay or its client answers to some bytes."""
    async with connection.open_stream(protocol) as stream:
        await stream.write(framed(data))
        return await stream.read_message(messages.CIRCUIT_MESSAGE_BYTES)


async def test_what_a_relay_answers():
    limits = replace(RelayLimits(), reservations=1, peer_circuits=0)
    alice, bob = identities(2)
    async with relay(limits=limits) as (running, _):
        place, key = running.bound[0], running.swarm.identity.public_key
        async with swarm(alice, listens=False) as (one, _), swarm(bob, listens=False) as (two, _):
            a, b = await one.dial(*place, key), await two.dial(*place, key)

            async def hop(connection, message):
                return Hop.decode(await say(connection, messages.HOP, message.encode()))

            def to(identity):
                return Hop(HopKind.CONNECT, peer=peers.peer_id(identity.public_key))

            assert (await hop(a, to(bob))).status == Status.NO_RESERVATION
            assert (await hop(a, to(alice))).status == Status.DENIED
            answer = await hop(b, Hop(HopKind.RESERVE))
            assert answer.status == Status.OK
            assert answer.limit == messages.Limit(3600, 1 << 25)
            voucher = records.Voucher.open(answer.reservation.voucher)
            assert (voucher.relay, voucher.peer) == (key, bob.public_key)
            assert voucher.expires == answer.reservation.expires
            assert (await hop(b, Hop(HopKind.RESERVE))).status == Status.OK
            assert (await hop(a, Hop(HopKind.RESERVE))).status == Status.RESERVATION_REFUSED
            assert (await hop(a, to(bob))).status == Status.LIMIT_EXCEEDED
            assert (await hop(a, Hop(HopKind.CONNECT, peer=b"nobody"))).status == Status.MALFORMED
            assert (await hop(a, Hop(HopKind.STATUS))).status == Status.UNEXPECTED
            assert Hop.decode(await say(a, messages.HOP, b"\xff")).status == Status.MALFORMED
            running.service._limits = replace(limits, peer_circuits=1)
            assert (await hop(a, to(bob))).status == Status.CONNECTION_FAILED  # bob speaks no stop protocol
            assert running.service.circuits == 0
            assert not running.service._count


async def test_a_relay_that_expires_what_is_not_renewed():
    limits = replace(RelayLimits(), reservation_seconds=-1.0)
    (alice,) = identities(1)
    async with relay(limits=limits) as (running, _), swarm(alice, listens=False) as (one, _):
        connection = await one.dial(*running.bound[0], running.swarm.identity.public_key)
        await say(connection, messages.HOP, Hop(HopKind.RESERVE).encode())
        target = Hop(HopKind.CONNECT, peer=peers.peer_id(alice.public_key))
        await say(connection, messages.HOP, target.encode())
        assert running.service.reservations == 0


async def test_who_may_bring_somebody():
    """A relay of ours may; a peer that is none, and a relay that brings a stranger, may not."""
    alice, bob, stranger = identities(3)
    async with relay() as (running, places), cluster([alice, bob], relays=places) as (one, two):
        await one.request(two.public_key, ECHO, b"", terms=PATIENT)
        connection = one._swarm.best(two.public_key)
        await until(lambda: not one.relay_problems())
        from_relay = running.swarm.best(alice.public_key)

        async def stop(connection, kind, peer):
            data = Stop(kind, peer=peer).encode()
            return Stop.decode(await say(connection, messages.STOP, data)).status

        known = peers.peer_id(alice.public_key)
        unknown = peers.peer_id(stranger.public_key)
        assert await stop(connection, StopKind.CONNECT, known) == Status.DENIED
        assert await stop(from_relay, StopKind.CONNECT, unknown) == Status.DENIED
        assert await stop(from_relay, StopKind.CONNECT, b"\x00") == Status.MALFORMED
        assert await stop(from_relay, StopKind.STATUS, known) == Status.UNEXPECTED


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "expected a JSON list"),
        (b"{}", "expected a JSON list"),
        (b"[1]", "expected a JSON list"),
        (b"[" * 60_000, "expected a JSON list"),
        (b"[]", "expected TCP addresses of one peer"),
        (b'["/ip4/1.2.3.4/tcp/1"]', "expected TCP addresses of one peer"),
        (json.dumps(["/ip4/1.2.3.4/tcp/1"] * 65).encode(), "at most 64"),
        (bytes(70_000), "relay look-up"),
    ],
)
async def test_a_look_up_that_is_of_no_use(body, said):
    async def look(_):
        return web.Response(body=body)

    app = http.application()
    app.router.add_get("/", look)
    async with http.listening(app, "127.0.0.1", 0) as port:
        with pytest.raises(P2PError, match=said):
            await lookup.look_up(f"http://127.0.0.1:{port}/", {})


async def test_a_look_up():
    key = IdentityKey.generate().public_key
    asked = []

    async def look(request):
        asked.append(request.headers["Charon-Cluster"])
        name = peers.peer_text(key)
        texts = ["/ip4/1.2.3.4/tcp/7", "/ip4/1.2.3.4/udp/7/quic-v1", "/dns/relay.example/tcp/8", "/memory/1"]
        return web.json_response([f"{text}/p2p/{name}" for text in texts])

    app = http.application()
    app.router.add_get("/", look)
    async with http.listening(app, "127.0.0.1", 0) as port:
        place = await lookup.look_up(f"http://127.0.0.1:{port}/", {"Charon-Cluster": "abcdef0"})
    assert place == lookup.RelayPlace(key, (("1.2.3.4", 7), ("relay.example", 8)))
    assert asked == ["abcdef0"]
    with pytest.raises(UnreachableError):
        await lookup.look_up(f"http://127.0.0.1:{port}/", {})


def test_addresses_of_two_peers():
    texts = [f"/ip4/1.2.3.4/tcp/7/p2p/{peers.peer_text(k.public_key)}" for k in identities(2)]
    with pytest.raises(WireError, match="one peer"):
        lookup.place_of(texts)
    with pytest.raises(WireError, match="unknown part"):
        lookup.place_of(["/memory/1"])


async def test_no_relay_there():
    (alice, bob) = identities(2)
    name = f"/ip4/127.0.0.1/tcp/1/p2p/{peers.peer_text(bob.public_key)}"
    async with Host.open(alice, peers=[bob.public_key], relays=[name], limits=SLOW) as host:
        await until(lambda: "127.0.0.1:1" in host.relay_problems()[name])
        with pytest.raises(UnreachableError, match="is not connected"):
            await host.request(bob.public_key, ECHO, b"", terms=Terms(seconds=0.2))


async def test_who_dials_waits_for_no_one():
    """With the smaller key through the relay, at once when the other one has reserved."""
    async with (
        relay() as (running, places),
        cluster(identities(2), relays=places, listens=False) as (alice, bob),
    ):
        async with asyncio.timeout(PATIENT.seconds):
            await alice.connect(bob.public_key)
            await bob.connect(alice.public_key)
        assert alice._swarm.best(bob.public_key).is_dialed
        assert not bob._swarm.best(alice.public_key).is_dialed
        assert running.service.counts.answers["connect", Status.OK] == 1
