"""Charon ceremonies of four nodes of ours over libp2p, directly and through a relay."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from dvtfast.dkg.frost.ceremony import Ceremony
from dvtfast.dkg.frost.dialects import V1_10, V1_11
from dvtfast.secp256k1 import IdentityKey
from dvtfast.services.ceremony.charon_node import CeremonyAbortedError, CharonNode
from dvtfast.services.p2p.host import IdentityKey as HostKey
from tests.frost_nodes import lock_hash_of, terms_of
from tests.services.p2p.hosts import cluster, relay
from tests.services.patience import PATIENCE_SECONDS

N = 4
SECRETS = [bytes([i + 1]) * 32 for i in range(N)]


async def lock_of(wanted):
    return lock_hash_of(wanted)


def node_of(position, host, dialect, sealed, *, lock=lock_of, phases=None):
    keys = [IdentityKey(secret) for secret in SECRETS]
    terms = terms_of(position, n=N, m=2, dialect=dialect, nodes=tuple(key.public_key for key in keys))

    async def store(output):
        sealed[position] = output

    show = (lambda phase: phases.append(phase)) if phases is not None else (lambda phase: None)
    return CharonNode(host, Ceremony(terms, keys[position]), terms, make_lock=lock, store=store, show=show)


@pytest.mark.parametrize("dialect", [V1_10, V1_11], ids=lambda dialect: dialect.version)
@pytest.mark.parametrize("way", ["directly", "through a relay"])
async def test_four_nodes_come_to_one_lock(dialect, way):
    sealed = {}
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE_SECONDS):
        relays = None
        if way != "directly":
            _, relays = await stack.enter_async_context(relay())
        hosts = await stack.enter_async_context(
            cluster([HostKey(secret) for secret in SECRETS], relays=relays, listens=relays is None)
        )
        nodes = [node_of(i, host, dialect, sealed) for i, host in enumerate(hosts)]
        ends = await asyncio.gather(*(node.run() for node in nodes))
    assert len(ends) == len(sealed) == N
    assert len({each.signature_aggregate for each in sealed.values()}) == 1
    assert len({each.lock_hash for each in sealed.values()}) == 1


async def test_a_node_that_makes_another_lock_is_named_by_all_others():
    async def other(wanted):
        return bytes(32)

    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE_SECONDS):
        hosts = await stack.enter_async_context(cluster([HostKey(secret) for secret in SECRETS]))
        nodes = [
            node_of(i, host, V1_10, {}, lock=other if i == 2 else lock_of) for i, host in enumerate(hosts)
        ]
        ends = await asyncio.gather(*(node.run() for node in nodes), return_exceptions=True)
    assert all(isinstance(end, CeremonyAbortedError) for end in ends)
    for position in (0, 1, 3):
        assert "node 2" in ends[position].end.reason
