"""Charon ceremonies of four nodes of ours over libp2p: to their end, and to every other one."""

from __future__ import annotations

import asyncio
import math
import threading
from contextlib import AsyncExitStack

import pytest

from dvtfast.dkg.frost.ceremony import Ceremony
from dvtfast.dkg.frost.dialects import PARTIALS, SHARES, SYNC, V1_10, V1_11
from dvtfast.dkg.frost.order import CONNECTING
from dvtfast.dkg.frost.partials import REGISTRATION, PartialsMessage
from dvtfast.dkg.outputs import Phase, Send
from dvtfast.secp256k1 import IdentityKey
from dvtfast.services.ceremony import charon_node
from dvtfast.services.ceremony.charon_node import CharonNode
from dvtfast.services.ceremony.errors import CeremonyFailedError
from dvtfast.services.ceremony.running.driver import Patience
from dvtfast.services.p2p.errors import P2PError
from dvtfast.services.p2p.host import IdentityKey as HostKey
from tests.frost_nodes import lock_hash_of, terms_of
from tests.services.p2p.hosts import cluster, relay, until
from tests.services.patience import PATIENCE_SECONDS

N = 4
SECRETS = [bytes([i + 1]) * 32 for i in range(N)]


class Nodes:
    """Four of them, and what they came to."""

    def __init__(self, dialect=V1_10):
        self.dialect = dialect
        self.patience = Patience(math.inf, math.inf)
        self.sealed, self.published, self.phases = {}, [], {}
        self.ceremonies, self.wanted, self.nodes = {}, {}, []

    def patience_of(self, position):
        return self.patience

    async def keep(self, position, keys):
        pass

    async def lock(self, position, wanted):
        self.wanted[position] = wanted
        return lock_hash_of(wanted)

    async def store(self, position, sealed):
        self.sealed[position] = sealed

    async def publish(self, position):
        assert len(self.sealed) == N
        self.published.append(position)

    def show(self, position, phase):
        self.phases[position] = phase

    def a_ceremony(self, position, terms, key):
        return Ceremony(terms, key)

    def add(self, position, host):
        keys = [IdentityKey(secret) for secret in SECRETS]
        nodes = tuple(key.public_key for key in keys)
        terms = terms_of(position, n=N, m=2, dialect=self.dialect, nodes=nodes)
        self.ceremonies[position] = self.a_ceremony(position, terms, keys[position])
        node = CharonNode(
            host,
            self.ceremonies[position],
            terms,
            keep=lambda keys: self.keep(position, keys),
            make_lock=lambda wanted: self.lock(position, wanted),
            store=lambda sealed: self.store(position, sealed),
            publish=lambda: self.publish(position),
            patience=self.patience_of(position),
            show=lambda phase: self.show(position, phase),
        )
        self.nodes.append(node)

    async def run(self, way="directly"):
        async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE_SECONDS):
            relays = None
            if way != "directly":
                _, relays = await stack.enter_async_context(relay())
            keys = [HostKey(secret) for secret in SECRETS]
            hosts = await stack.enter_async_context(cluster(keys, relays=relays, listens=relays is None))
            for position, host in enumerate(hosts):
                self.add(position, host)
            tasks = [asyncio.create_task(node.run()) for node in self.nodes]
            await self.meanwhile(tasks)
            return await asyncio.gather(*tasks, return_exceptions=True)

    async def meanwhile(self, tasks):
        """Something that happens while they run."""


def assert_all_is_well(nodes, ends):
    assert ends == [None] * N
    assert sorted(nodes.published) == list(range(N))
    assert len({each.signature_aggregate for each in nodes.sealed.values()}) == 1
    assert len({each.lock_hash for each in nodes.sealed.values()}) == 1
    for each in nodes.sealed.values():
        assert not each.keys.secret_shares.any()


@pytest.mark.parametrize("dialect", [V1_10, V1_11], ids=lambda dialect: dialect.version)
@pytest.mark.parametrize("way", ["directly", "through a relay"])
async def test_four_nodes_come_to_one_lock(dialect, way):
    nodes = Nodes(dialect)
    assert_all_is_well(nodes, await nodes.run(way))


@pytest.mark.parametrize("lost", [SHARES, PARTIALS, V1_10.message_protocol])
async def test_a_message_that_is_lost_is_sent_again(lost):
    """Its stream ends before anybody took it, of which only who waits for its end hears."""

    class Deaf(Ceremony):
        heard = frozenset()

        def receive(self, peer, protocol, message):
            if protocol == lost and (peer, message) not in self.heard:
                self.heard |= {(peer, message)}
                raise P2PError("the connection was cut")
            return super().receive(peer, protocol, message)

    class WithOneDeaf(Nodes):
        def a_ceremony(self, position, terms, key):
            return (Deaf if position == 2 else Ceremony)(terms, key)

    nodes = WithOneDeaf()
    assert_all_is_well(nodes, await nodes.run())
    assert {peer for peer, _ in nodes.ceremonies[2].heard} == {0, 1, 3}


async def test_a_node_that_makes_another_lock_is_named_by_all_others():
    class OneDiffers(Nodes):
        async def lock(self, position, wanted):
            return bytes(32) if position == 2 else lock_hash_of(wanted)

    nodes = OneDiffers()
    ends = await nodes.run()
    assert all(isinstance(end, CeremonyFailedError) for end in ends)
    for position in (0, 1, 3):
        assert "node 2" in str(ends[position])
    assert not nodes.sealed


@pytest.mark.parametrize("is_there", [True, False], ids=["it goes on reporting", "it is gone"])
async def test_a_node_that_is_silent_is_named_with_the_step(monkeypatch, is_there):
    class Mute(Ceremony):
        def advance(self):
            outputs = super().advance()
            return [each for each in outputs if not (isinstance(each, Send) and is_registration(each))]

    class Unheard(list):
        def __getitem__(self, position):
            return -math.inf if position == 3 else super().__getitem__(position)

    class OneIsMute(Nodes):
        def a_ceremony(self, position, terms, key):
            return (Mute if position == 3 else Ceremony)(terms, key)

        async def meanwhile(self, tasks):
            waits = Phase("signatures for registration", (3,))
            await until(lambda: all(self.phases.get(i) == waits for i in range(3)))
            self.patience.silence_seconds = 1e9
            if is_there:
                monkeypatch.setattr(charon_node, "ALIVE_FACTOR", 0.0)
                return
            tasks[3].cancel()
            await asyncio.wait([tasks[3]])
            for node in self.nodes[:3]:
                node._heard = Unheard(node._heard)  # also when something of its is still on the way

    def is_registration(sent):
        return sent.kind == PARTIALS and PartialsMessage.decode(sent.payload).slot == REGISTRATION

    nodes = OneIsMute()
    ends = await nodes.run()
    who = "node 3" if is_there else "a word of node 3"
    assert_named(ends[:3], f"waited too long for {who}: signatures for registration")
    assert not nodes.sealed
    assert_wiped(nodes)


async def test_a_node_that_never_comes_is_named():
    class OneIsAway(Nodes):
        async def meanwhile(self, tasks):
            tasks[3].cancel()
            waits = Phase(CONNECTING, (3,))
            await until(lambda: all(self.phases.get(i) == waits for i in range(3)))
            self.patience.join_seconds = 0.1

    ends = await OneIsAway().run()
    assert_named(ends[:3], "waited too long for node 3: connecting")


async def test_who_comes_and_goes_does_not_keep_others_waiting(monkeypatch):
    """Node 3 is away, and the stream of node 2 ends again and again: the others wait no longer for that."""
    monkeypatch.setattr(charon_node, "LOOK_SECONDS", 0.05)

    class OneComesAndGoes(Nodes):
        def patience_of(self, position):
            return Patience(math.inf, math.inf) if position == 2 else self.patience

        async def meanwhile(self, tasks):
            tasks[3].cancel()
            waits = Phase(CONNECTING, (3,))
            await until(lambda: all(self.phases.get(i) == waits for i in range(2)))
            self.patience.join_seconds = 2.0
            while not (tasks[0].done() and tasks[1].done()):
                for i in (0, 1):
                    self.ceremonies[i].lost(2)
                    self.nodes[i]._something_came.set()
                await asyncio.sleep(0.5)

    ends = await OneComesAndGoes().run()
    assert all("waited too long for" in str(end) and "node 3: connecting" in str(end) for end in ends[:2])


async def test_what_comes_is_not_read_on_the_loop():
    """Of each peer one at a time: a flood of large messages stops neither streams nor the others."""

    class Watched(Ceremony):
        reading, threads = set(), set()

        def receive(self, peer, protocol, message):
            if protocol == SYNC:
                return super().receive(peer, protocol, message)
            self.threads.add(threading.current_thread().name.rpartition("_")[0])
            assert (id(self), peer) not in self.reading
            self.reading.add((id(self), peer))
            try:
                return super().receive(peer, protocol, message)
            finally:
                self.reading.discard((id(self), peer))

    class AllWatched(Nodes):
        def a_ceremony(self, position, terms, key):
            return Watched(terms, key)

    nodes = AllWatched()
    assert_all_is_well(nodes, await nodes.run())
    assert Watched.threads == {"reading"}


def assert_named(ends, reason):
    """By who was the first to give up, and by those who did at the same time; the others are told."""
    assert all(str(end).endswith(reason) for end in ends)
    assert {tuple(end.culprits) for end in ends} <= {(3,), ()}
    assert any(end.culprits for end in ends)


async def test_a_node_that_is_stopped_keeps_no_secrets():
    """What it was making is waited for, since that has them."""

    class Stopped(Nodes):
        async def lock(self, position, wanted):
            self.wanted[position] = wanted
            await self.is_made.wait()
            return lock_hash_of(wanted)

        async def meanwhile(self, tasks):
            await until(lambda: len(self.wanted) == N)
            for task in tasks:
                task.cancel()
            self.is_made.set()

    nodes = Stopped()
    nodes.is_made = asyncio.Event()
    ends = await nodes.run()
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    assert_wiped(nodes)


async def test_a_machine_that_fails_keeps_no_secrets_and_tells_the_others():
    class Faulty(Ceremony):
        def sign_lock(self, lock_hash):
            super().sign_lock(lock_hash)
            self.advance = self.broken

        def broken(self):
            raise RuntimeError("out of memory")

    class OneFails(Nodes):
        def a_ceremony(self, position, terms, key):
            return (Faulty if position == 1 else Ceremony)(terms, key)

    nodes = OneFails()
    ends = await nodes.run()
    assert str(ends[1]) == "out of memory"
    for position in (0, 2, 3):
        assert "node 1" in str(ends[position])
        assert "a fault of its own" in str(ends[position])
    assert_wiped(nodes)


async def test_what_is_stored_when_others_fail_is_not_confirmed():
    """Whoever has the whole lock may have finished; so nothing is thrown away."""

    class OneCannotStore(Nodes):
        async def store(self, position, sealed):
            self.sealed[position] = sealed
            if position == 3:
                raise OSError("no space left")

    nodes = OneCannotStore()
    ends = await nodes.run()
    assert str(ends[3]) == "no space left"
    assert all(end.is_unconfirmed for end in ends[:3])
    assert not nodes.published
    assert_wiped(nodes)


def assert_wiped(nodes):
    """What was seen of keys, and what the machines have."""
    assert not any(wanted.keys.secret_shares.any() for wanted in nodes.wanted.values())
    for ceremony in nodes.ceremonies.values():
        order = ceremony._order
        assert order._keys is None or not order._keys.secret_shares.any()
        assert not any(shares.values.any() for shares in order._inbox.shares.values())
