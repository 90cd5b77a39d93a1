"""Deposits without a gap: what a node leaves out is noticed before anything that follows it is kept.

Deposits are numbered, and the contract counts them. So the logs of a range of blocks are whole when their
numbers go from what the contract counted before it to what it counted after it. Which number comes before an
old block is told by the contract, where a node still has the state of that block, or else by the deposit
before it: too low a number cannot be got in this way without one that is missing later.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from ..contracts import (
    DEPOSIT_EVENT,
    SEARCH_SPAN_BLOCKS,
    ContractError,
    decode_deposits,
    deposit_count,
    latest_log,
)
from ..node import Block, CallRevertedError, Log, NodeClient, NodeError
from ..scanner import Batch, FinalLogs, PendingLogs, Rewound

SEARCHED_BLOCKS = 20 * SEARCH_SPAN_BLOCKS  # for the deposit before a block, months
PRUNED = "it lacks logs; name one that keeps all logs of the deposit contract (docs/deposits.md, Nodes)"

NumberBefore = Callable[[int], Awaitable[int]]
"""The number of the first deposit in or after a block."""


async def whole(
    batches: AsyncGenerator[Batch], node: NodeClient, contract: bytes, number_before: NumberBefore
) -> AsyncGenerator[Batch]:
    """The same batches of one look, each as soon as it is proven that no deposit is missing in it.

    Logs at the end of one may be missing until those of the next one follow, or the contract's count agrees.

    Args:
        number_before: asked once, when a `Rewound` was dealt with.

    Raises:
        ContractError: a deposit is missing.
    """
    number: int | None = None
    held: list[FinalLogs] = []
    async for batch in batches:
        if isinstance(batch, Rewound):
            yield batch
            continue
        if number is None:
            number = await number_before(batch.first)
        if batch.logs:
            number = await asyncio.to_thread(_number_after, batch.logs, number)
        if isinstance(batch, PendingLogs):
            await require_count(node, contract, number, block=batch.last)
        if batch.logs or isinstance(batch, PendingLogs):
            for proven in held:
                yield proven
            held.clear()
        if isinstance(batch, FinalLogs):
            held.append(batch)
        else:
            yield batch


async def require_count(node: NodeClient, contract: bytes, number: int, *, block: Block | int) -> None:
    """Raise ContractError unless the contract counts so many deposits at a block."""
    count = await deposit_count(node, contract, block=block)
    if count != number:
        at = block if isinstance(block, int) else block.number
        raise ContractError(
            f"expected {count} deposits up to block {at}, got {number}: the chain has just changed, or the"
            f" node does not tell all: {PRUNED}"
        )


async def number_before(node: NodeClient, contract: bytes, first: int, *, born: int) -> int:
    """The number of the first deposit in or after block `first`.

    Args:
        born: a block before the contract's first deposit.

    Raises:
        ContractError: it cannot be told: the node has neither that state nor any log before it.
        NodeError: no node answers.
    """
    if first <= born:
        return 0
    before = await node.block(first - 1)
    try:
        return await deposit_count(node, contract, block=before)
    except (NodeError, ContractError, CallRevertedError):
        pass  # most nodes keep no old states
    search_from = max(born, first - SEARCHED_BLOCKS)
    log = await latest_log(node, contract, DEPOSIT_EVENT, first=search_from, last=before)
    if log is not None:
        return int(decode_deposits([log]).indices[0]) + 1
    if search_from > born:
        raise ContractError(
            f"no deposit in the blocks {search_from} to {first - 1}, by the node's logs: {PRUNED}"
        )
    return 0


def _number_after(logs: Sequence[Log], number: int) -> int:
    """The number of the deposit after these, of which the first one must have that number."""
    indices = decode_deposits(logs).indices
    first, last = int(indices[0]), int(indices[-1])
    if first != number:
        raise ContractError(
            f"expected deposit {number}, got {first} in block {logs[0].block_number}: a log is missing:"
            f" {PRUNED}"
        )
    return last + 1
