"""Ways to a peer: where it is known to listen, without any relay; several relays; relays by multiaddr."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from dvtfast.obol import make_enr
from dvtfast.secp256k1 import IdentityKey, new_secret_key
from dvtfast.services.p2p.errors import WireError
from dvtfast.services.p2p.host import Host
from dvtfast.services.p2p.wire.peers import key_of_name, peer_text

from .hosts import ECHO, HERE, PATIENT, SLOW, cluster, echo, identities, relay, until


async def all_reach_all(hosts):
    for host in hosts:
        for other in hosts:
            if other is not host:
                message = host.public_key + other.public_key
                assert await host.request(other.public_key, ECHO, message, terms=PATIENT) == message


async def test_peers_where_they_are_known_to_listen():
    """Named by record or id, at a number or a name; who listens nowhere is reached, too, since it dials."""
    secrets = [new_secret_key() for _ in range(3)]
    keys = [IdentityKey(secret) for secret in secrets]
    names = [make_enr(secrets[0]), peer_text(keys[1].public_key)]
    peers = [key.public_key for key in keys]
    async with AsyncExitStack() as stack:
        hosts = []
        for key, machine in zip(keys, ("", "127.0.0.1", "localhost"), strict=True):
            known = {
                key_of_name(name): [(machine, host.bound[0][1])]
                for name, host in zip(names, hosts, strict=False)
            }
            listen = [HERE] if len(hosts) < len(names) else []
            opened = Host.open(key, peers=peers, listen=listen, addresses=known, limits=SLOW)
            host = await stack.enter_async_context(opened)
            host.handle(ECHO, echo, terms=PATIENT)
            hosts.append(host)
        await all_reach_all(hosts)
        assert not any(state.is_relayed for host in hosts for state in host.states())
        assert [host.relay_problems() for host in hosts] == [{}, {}, {}]


async def test_several_relays():
    """One of them is enough; when it ends the next one is."""
    nobody = f"/ip4/127.0.0.1/tcp/1/p2p/{peer_text(IdentityKey.generate().public_key)}"
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(AsyncExitStack())
        one, place = await first.enter_async_context(relay())
        other, other_place = await stack.enter_async_context(relay())
        places = [nobody, *place, *other_place]
        hosts = await stack.enter_async_context(cluster(identities(3), relays=places, listens=False))
        await all_reach_all(hosts)
        await until(lambda: one.service.reservations == other.service.reservations == 3)
        assert all(list(host.relay_problems()) == [nobody] for host in hosts)
        await first.aclose()
        await all_reach_all(hosts)
        assert other.service.circuits == 3


async def test_a_relay_by_a_multiaddr_with_a_name():
    async with relay() as (running, _):
        name = peer_text(running.swarm.identity.public_key)
        place = f"/dns/localhost/tcp/{running.bound[0][1]}/p2p/{name}"
        async with cluster(identities(2), relays=[place], listens=False) as hosts:
            await all_reach_all(hosts)


@pytest.mark.parametrize("name", ["", "enr:", "enr:-IS4QA", "16Uiu2HA", "nobody", "enr:" + "A" * 300])
def test_names_of_nobody(name):
    with pytest.raises(WireError):
        key_of_name(name)
