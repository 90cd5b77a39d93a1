"""Deposits without a gap: what a node leaves out is noticed before anything that follows it is kept.

Deposits are numbered, and the contract counts them. So the logs of a range of blocks are whole when their
numbers go from what the contract counted before it to what it counted after it. Which number comes before an
old block is told by the contract, where a node still has the state of that block, or else by the deposit
before it: too low a number cannot be got in this way without one that is missing later.

Where all deposits from the first one on were read, the contract's root proves what is in them, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from ..calls import ContractError
from ..contracts.reads import (
    DEPOSIT_EVENT,
    SEARCH_SPAN_BLOCKS,
    decode_deposits,
    deposit_count,
    deposit_root,
    latest_log,
)
from ..execution.node import Block, CallRevertedError, Log, NodeClient, NodeError
from ..execution.scanner import Batch, FinalLogs, PendingLogs, Rewound
from .contract_tree import DepositsSoFar

SEARCHED_BLOCKS = 20 * SEARCH_SPAN_BLOCKS  # for the deposit before a block, months
HELD_LOGS = 20_000  # of one look, some 20 MB
PRUNED = "it lacks logs; name one that keeps all logs of the deposit contract (docs/deposits.md, Nodes)"

Before = Callable[[int], Awaitable[DepositsSoFar]]
"""The deposits before a block."""


async def prove_complete(
    batches: AsyncGenerator[Batch], node: NodeClient, contract: bytes, before: Before
) -> AsyncGenerator[Batch]:
    """The same batches of one look, each as soon as it is proven that no deposit is missing in it.

    Logs at the end of one may be missing until those of the next one follow, or the contract's count agrees.
    Where the root can be compared, too, all of a look waits for it, unless that is more than is kept in
    memory, as in the first look of all.

    Args:
        before: asked once, when a `Rewound` was dealt with.

    Raises:
        ContractError: a deposit is missing, or is another one.
    """
    so_far: DepositsSoFar | None = None
    held: list[FinalLogs] = []
    async for batch in batches:
        if isinstance(batch, Rewound):
            yield batch
            continue
        if so_far is None:
            so_far = await before(batch.first)
        if batch.logs:
            so_far = await asyncio.to_thread(_after, batch.logs, so_far)
        if isinstance(batch, PendingLogs):
            await require_count(node, contract, so_far.count, block=batch.last)
            await _require_root(node, contract, so_far, block=batch.last)
        waits = so_far.nodes is not None and sum(len(each.logs) for each in held) <= HELD_LOGS
        if isinstance(batch, PendingLogs) or (batch.logs and not waits):
            for proven in held:
                yield proven
            held.clear()
        if isinstance(batch, FinalLogs):
            held.append(batch)
        else:
            yield batch


async def require_count(node: NodeClient, contract: bytes, number: int, *, block: Block | int) -> None:
    """Raise ContractError unless each node that has a block says that there are so many deposits by then."""
    counts, errors = await node.each(lambda one: deposit_count(one, contract, block=block))
    if not counts:
        raise NodeError("; ".join(map(str, errors)))
    at = block if isinstance(block, int) else block.number
    if len({count for _, count in counts}) > 1:
        told = ", ".join(f"{count} by {name}" for name, count in counts)
        raise ContractError(
            f"the deposits up to block {at} are {told}: the chain has just changed, or one of these nodes is"
            " wrong"
        )
    ((_, count), *_) = counts
    if count != number:
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


async def _require_root(node: NodeClient, contract: bytes, so_far: DepositsSoFar, *, block: int) -> None:
    wanted = await asyncio.to_thread(lambda: so_far.root)
    if wanted is None:
        return
    if await deposit_root(node, contract, block=block) != wanted:
        raise ContractError(
            f"the deposits up to block {block} are not those that the contract has by its root: the chain has"
            " just changed, or the node tells others. If that stays with another node, too, remove the"
            " database: what was read first was wrong"
        )


def _after(logs: Sequence[Log], so_far: DepositsSoFar) -> DepositsSoFar:
    """With these, of which the first one must be the next."""
    deposits = decode_deposits(logs)
    first = int(deposits.indices[0])
    if first != so_far.count:
        raise ContractError(
            f"expected deposit {so_far.count}, got {first} in block {logs[0].block_number}: a log is missing:"
            f" {PRUNED}"
        )
    return so_far.after(deposits)
