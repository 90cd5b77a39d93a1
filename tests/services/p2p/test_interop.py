"""js-libp2p and go-libp2p, in both directions: directly, through either's relay, again after a restart."""

from __future__ import annotations

import asyncio
import os

import pytest

from dvtfast.services.p2p.errors import UnsupportedProtocolError
from dvtfast.services.p2p.host import Host, IdentityKey, Terms
from dvtfast.services.p2p.wire.messages import Status
from dvtfast.services.p2p.wire.peers import peer_text

from .foreign import foreign
from .hosts import ECHO, HERE, PATIENT, SLOW, echo, relay, until

KINDS = pytest.mark.parametrize("kind", ["js", "go"])


def host(identity, *peers, **more):
    options = {"listen": [HERE], "limits": SLOW} | more
    return Host.open(identity, peers=[peer.public_key for peer in peers], **options)


def place_of(one):
    """Where a host of ours listens."""
    (name, port), key = one.bound[0], one.public_key
    return f"/ip4/{name}/tcp/{port}/p2p/{peer_text(key)}"


@KINDS
async def test_we_dial(kind):
    async with foreign(kind) as other:
        places = {other.public_key: [other.endpoint]}
        async with host(IdentityKey.generate(), other, addresses=places) as ours:
            ours.handle(ECHO, echo, terms=PATIENT)
            for size in (0, 1, 300, 100_000, 3_000_000):
                message = os.urandom(size)
                assert await ours.request(other.public_key, ECHO, message, terms=PATIENT) == message
            with pytest.raises(UnsupportedProtocolError):
                await ours.request(other.public_key, "/unknown/1.0.0", b"", terms=PATIENT)
            with pytest.raises(UnsupportedProtocolError):
                await ours.request(other.public_key, "/unknown/1.0.0", bytes(500_000), terms=PATIENT)
            await until(lambda: ours.states()[0].agent != "")
            await other.ask("ping", peer_text(ours.public_key))
            for size in (0, 1, 300, 100_000, 3_000_000):
                message = os.urandom(size)
                assert await other.request(ours.public_key, ECHO, message) == message
            known = await other.ask("known", peer_text(ours.public_key))
            assert known.startswith("dvtfast 1 ")
            for protocol in (ECHO, "/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"):
                assert protocol in known


@KINDS
async def test_they_dial(kind):
    async with foreign(kind) as other, host(IdentityKey.generate(), other) as ours:
        ours.handle(ECHO, echo, terms=PATIENT)
        await other.ask("connect", place_of(ours))
        assert await other.request(ours.public_key, ECHO, b"hello") == b"hello"
        assert (await other.do("request", peer_text(ours.public_key), "/unknown/1.0.0", "-")).startswith(
            "error"
        )
        requests = [ours.request(other.public_key, ECHO, bytes([n]) * n, terms=PATIENT) for n in range(200)]
        assert await asyncio.gather(*requests) == [bytes([n]) * n for n in range(200)]


@KINDS
async def test_raw_streams(kind):
    async with foreign(kind) as other:
        places = {other.public_key: [other.endpoint]}
        async with host(IdentityKey.generate(), other, addresses=places) as ours:
            stream = await ours.open_stream(other.public_key, "/raw/1.0.0", seconds=PATIENT.seconds)
            async with stream:
                for n in (1, 1000, 400_000):
                    message = os.urandom(n)
                    await stream.write(message)
                    assert await stream.read_exactly(n) == message
                stream.finish()
                assert await stream.read() == b""


@KINDS
async def test_strangers_are_turned_away(kind):
    async with foreign(kind) as other, host(IdentityKey.generate()) as ours:
        await other.do("connect", place_of(ours))
        assert (await other.do("request", peer_text(ours.public_key), ECHO, "-00")).startswith("error")
        assert ours._swarm.connected == []


async def test_another_peer_is_there():
    """go looks at who answers, too."""
    async with foreign("go") as other, host(IdentityKey.generate(), other) as ours:
        wrong = IdentityKey.generate().public_key
        place = place_of(ours).replace(peer_text(ours.public_key), peer_text(wrong))
        assert (await other.do("connect", place)).startswith("error")


@KINDS
async def test_they_are_started_again(kind):
    secret = os.urandom(32)
    other_key = IdentityKey(secret)
    async with host(IdentityKey.generate(), other_key) as ours:
        ours.handle(ECHO, echo, terms=PATIENT)
        for _ in range(2):
            async with foreign(kind, secret=secret) as other:
                ours.add_address(other.public_key, *other.endpoint)
                assert await ours.request(other.public_key, ECHO, b"again", terms=PATIENT) == b"again"
                assert await other.request(ours.public_key, ECHO, b"too") == b"too"
            await until(lambda: not ours.states()[0].is_connected)


@KINDS
async def test_both_dial_at_once(kind):
    async with foreign(kind) as other:
        places = {other.public_key: [other.endpoint]}
        async with host(IdentityKey.generate(), other, addresses=places) as ours:
            ours.handle(ECHO, echo, terms=PATIENT)
            await asyncio.gather(other.ask("connect", place_of(ours)), ours.connect(other.public_key))
            for n in range(20):
                assert await ours.request(other.public_key, ECHO, bytes([n]), terms=PATIENT) == bytes([n])
                assert await other.request(ours.public_key, ECHO, bytes([n])) == bytes([n])


@KINDS
async def test_through_our_relay(kind):
    """Both directions, with circuits dialed by either side."""
    async with relay() as (running, (place,)), foreign(kind, "relayed") as other:
        async with host(IdentityKey.generate(), other, relays=[place], listen=[]) as ours:
            ours.handle(ECHO, echo, terms=PATIENT)
            await until(lambda: not ours.relay_problems())
            await other.ask("connect", f"{place}/p2p-circuit/p2p/{peer_text(ours.public_key)}")
            assert await other.request(ours.public_key, ECHO, b"they dialed") == b"they dialed"
            assert await ours.request(other.public_key, ECHO, b"they dialed", terms=PATIENT) == b"they dialed"
            assert ours.states()[0].is_relayed
            assert running.service.circuits == 1
        await other.ask("reserve", place)
        assert running.service.reservations >= 1
        async with host(IdentityKey.generate(), other, relays=[place], listen=[]) as ours:
            with pytest.raises(UnsupportedProtocolError):
                await ours.request(other.public_key, "/unknown/1.0.0", b"", terms=PATIENT)
            message = os.urandom(1_000_000)
            assert await ours.request(other.public_key, ECHO, message, terms=PATIENT) == message
            assert ours.states()[0].is_relayed
        assert running.service.counts.answers["connect", Status.OK] >= 2


@KINDS
async def test_through_their_relay(kind):
    """Two of ours that cannot be dialed."""
    async with foreign(kind, "relay") as middle:
        if kind == "go":
            await middle.ask("serve-relay")
        keys = sorted((IdentityKey.generate() for _ in range(2)), key=lambda key: key.public_key)
        options = {"relays": [middle.place], "listen": []}
        async with host(keys[0], keys[1], **options) as one, host(keys[1], keys[0], **options) as two:
            for each in (one, two):
                each.handle(ECHO, echo, terms=PATIENT)
            assert await one.request(two.public_key, ECHO, b"hello", terms=PATIENT) == b"hello"
            assert await two.request(one.public_key, ECHO, b"hello", terms=PATIENT) == b"hello"
            assert one.states()[0].is_relayed
            assert one.relay_problems() == {}


@KINDS
async def test_a_sender_that_does_not_wait(kind):
    """One-way messages whose stream is closed at once."""
    async with foreign(kind) as other, host(IdentityKey.generate(), other) as ours:
        heard = asyncio.Queue()

        async def hear(peer, message):
            heard.put_nowait(message)

        ours.handle("/hear/1.0.0", hear, terms=PATIENT)
        await other.ask("connect", place_of(ours))
        assert (await other.do("request", peer_text(ours.public_key), "/hear/1.0.0", "-abcd")).startswith(
            "error"
        )
        assert await heard.get() == b"\xab\xcd"
        await ours.send(other.public_key, ECHO, b"nobody reads the answer", terms=PATIENT)
        assert await ours.request(other.public_key, ECHO, b"x", terms=Terms(seconds=PATIENT.seconds)) == b"x"
