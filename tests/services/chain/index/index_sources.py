"""Sources of the next index, as services make them of their settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from dvtfast import Network
from dvtfast.services.chain.deposits.scan import DepositScan
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.chain.index.choice import choose_index_source
from dvtfast.services.chain.index_source import NextIndex


@asynccontextmanager
async def source(
    *,
    network: Network,
    node: NodeClient | None = None,
    deposits_database: Path | None = None,
    genesis_validators: Path | None = None,
    threads: int | None = None,
    **others: Any,
) -> AsyncIterator[NextIndex | None]:
    """What `choose_index_source` makes of these, inside the block; a scan, where there are a database and a
    node."""
    async with AsyncExitStack() as stack:
        scan = None
        if deposits_database is not None and node is not None:
            opened = DepositScan.opened(
                node,
                deposits_database,
                network=network,
                genesis_validators=genesis_validators,
                threads=threads,
            )
            scan = await stack.enter_async_context(opened)
        yield choose_index_source(network=network, scan=scan, node=node, threads=threads, **others)
