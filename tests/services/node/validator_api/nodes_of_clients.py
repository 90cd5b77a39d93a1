"""Nodes of one cluster in this process, each with a validator client in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from dvtfast.services.node.running import ClusterNode
from dvtfast.services.node.signing.record import SigningRecord
from dvtfast.services.node.signing.signer import DutySigner
from dvtfast.services.node.validator_api.intake import SignedElsewhere
from dvtfast.services.node.validator_api.offers import Offers
from dvtfast.services.node.validator_api.server import ValidatorApi
from dvtfast.services.process.offload import Workers
from dvtfast.services.web.http import listening
from tests.services.node.cluster_of_nodes import NODES, VALIDATORS, ClusterOfNodes, cluster_of_nodes
from tests.services.node.validator_api.validator_client import ValidatorClient
from tests.services.patience import PATIENCE_SECONDS


@dataclass
class NodesOfClients:
    """A cluster, and the clients of its nodes, by position."""

    cluster: ClusterOfNodes
    clients: dict[int, ValidatorClient]

    async def begin(
        self, position: int, *, ssz: bool = False, seconds: float = PATIENCE_SECONDS, **more: Any
    ) -> None:
        """Let a node run, with a client in front of it."""
        cluster, stack = self.cluster, self.cluster.stacks[position]
        offers = Offers()
        node: ClusterNode = await cluster.begin(position, signer=offers, **more)
        parts = node.parts
        chain = parts.beacon.chain
        workers = Workers("signing", threads=1)
        stack.push_async_callback(workers.close)
        shares = cluster.keys.cluster_keys.key_shares.encoded[:, position]
        record = SigningRecord(None, chain.genesis_validators_root, shares)
        signer = DutySigner(SignedElsewhere(VALIDATORS), record, workers, chain.schedule, preset=chain.preset)
        stack.push_async_callback(signer.close)
        api = await stack.enter_async_context(ValidatorApi.open(node, offers, signer, seconds=seconds))
        port = await stack.enter_async_context(listening(api.application(), "127.0.0.1", 0))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        self.clients[position] = ValidatorClient(
            f"http://127.0.0.1:{port}",
            cluster.keys.shares[:, position],
            chain.schedule,
            chain.preset,
            session,
            ssz=ssz,
        )


@asynccontextmanager
async def nodes_of_clients(
    folder: Path, *, clients: Sequence[int] = range(NODES), running: Sequence[int] = (), **more: Any
) -> AsyncIterator[NodesOfClients]:
    """A cluster before a chain, a second before its genesis.

    Args:
        clients: nodes that have a client in front; those with an odd number speak SSZ.
        running: nodes that sign by themselves.
    """
    async with cluster_of_nodes(folder, running=running) as cluster:
        found = NodesOfClients(cluster, {})
        for position in clients:
            await found.begin(position, ssz=position % 2 == 1, **more)
            await found.clients[position].start()
        yield found
