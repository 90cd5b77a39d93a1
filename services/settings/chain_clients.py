"""Who is asked, as the settings say it: each client is for an `async with`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from dvtfast.networks import Network

from ..chain.beacon.client import BeaconClient
from ..chain.execution.node import NodeClient
from .deposits import ScanSettings
from .operator import ActionSettings, IndexSettings, RequestSettings
from .relayer.run import RelayerSettings
from .sidecar import SidecarSettings

if TYPE_CHECKING:
    from ..chain.deposits.scan import DepositScan


def node_client(settings: RelayerSettings | SidecarSettings | ActionSettings | ScanSettings) -> NodeClient:
    """The execution nodes."""
    return NodeClient(
        settings.execution_endpoints,
        timeout_seconds=settings.execution_timeout,
        logs_span_blocks=settings.logs_span_blocks,
        chain_id=settings.network.chain_id,
    )


def beacon_client(
    settings: RelayerSettings | SidecarSettings | IndexSettings | RequestSettings | ScanSettings,
    network: Network,
) -> BeaconClient | None:
    """The beacon nodes; None where none is named."""
    if not settings.consensus_endpoints:
        return None
    return BeaconClient(
        settings.consensus_endpoints, timeout_seconds=settings.consensus_timeout, network=network
    )


def deposit_scan(
    settings: RelayerSettings | IndexSettings | ScanSettings, node: NodeClient, network: Network
) -> AbstractAsyncContextManager[DepositScan] | None:
    """All deposits; None where no database is named."""
    if settings.deposits_database is None:
        return None
    from ..chain.deposits.scan import DepositScan  # needs the extra `chain`

    return DepositScan.opened(
        node,
        settings.deposits_database,
        network=network,
        genesis_validators=settings.genesis_validators,
        threads=settings.threads,
    )


@asynccontextmanager
async def index_sources(
    settings: IndexSettings | ScanSettings, node: NodeClient, network: Network
) -> AsyncIterator[tuple[DepositScan | None, BeaconClient | None]]:
    """Who knows the validator indices, inside the block."""
    async with AsyncExitStack() as stack:
        if (beacon := beacon_client(settings, network)) is not None:
            await stack.enter_async_context(beacon)
        opened = deposit_scan(settings, node, network)
        scan = None if opened is None else await stack.enter_async_context(opened)
        yield scan, beacon
