"""What the tests of the sidecar share: signing beside a relayer, with a cluster made on the spot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np

from dvtfast import HOODI, Network
from dvtfast.services.keys.key_shares import NodeKeys, public_key_shares_of
from dvtfast.services.process.offload import Workers
from dvtfast.services.relayer_client.client import RelayerClient, WrongNetworkError
from dvtfast.services.sidecar.app import ANSWER_LIMIT_BYTES
from dvtfast.services.sidecar.journal.signing_journal import SigningJournal
from dvtfast.services.sidecar.metrics import SidecarMetrics
from dvtfast.services.sidecar.nodes.local import local_node
from dvtfast.services.sidecar.nodes.node import Node
from dvtfast.services.sidecar.polling.loop import Sidecar
from dvtfast.services.sidecar.signing.deposit_policy import DepositPolicy
from dvtfast.services.sidecar.signing.live_validators import LiveValidators
from dvtfast.services.sidecar.signing.signing import Signing
from tests.services.patience import ANSWER_SECONDS

from .conftest import Cluster
from .patience import PATIENCE_SECONDS


def keys_of(cluster: Cluster, share_index: int) -> NodeKeys:
    """One node's key shares of all validators."""
    place = cluster.shares.share_indices.tolist().index(share_index)
    keys = np.ascontiguousarray(cluster.key_shares[:, place])
    shares = public_key_shares_of(cluster.shares, np.arange(len(keys)))
    return NodeKeys("test", share_index, cluster.shares.public_keys.encoded, keys, shares)


@asynccontextmanager
async def signing_node(
    cluster: Cluster,
    share_index: int = 1,
    *,
    journal: Path | None = None,
    policy: DepositPolicy | None = None,
    network: Network = HOODI,
    exits_per_day: int = 10**6,
    live: LiveValidators | None = None,
) -> AsyncIterator[tuple[Node, Signing]]:
    """A node with keys in this process, and what it signs with."""
    workers, book = Workers("signing", threads=1), SigningJournal(journal)
    signing = Signing(
        network,
        book,
        SidecarMetrics(),
        policy=policy or DepositPolicy(),
        exits_per_day=exits_per_day,
        live=live,
    )
    try:
        yield local_node(keys_of(cluster, share_index), workers, threads=1), signing
    finally:
        await workers.close()
        await book.close()


@asynccontextmanager
async def looping(url: str, node: Node, signing: Signing) -> AsyncIterator[asyncio.Task[None]]:
    """Serve one relayer in the background."""
    async with RelayerClient(
        url, timeout_seconds=ANSWER_SECONDS, answer_limit_bytes=ANSWER_LIMIT_BYTES
    ) as client:
        running = Sidecar(client, node, signing, relayer="test", poll_seconds=0.02, wait_seconds=1)
        task = asyncio.create_task(running.run())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, WrongNetworkError):
                await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - the sidecar makes it true
            await asyncio.sleep(0.01)
