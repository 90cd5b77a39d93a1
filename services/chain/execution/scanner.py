"""The logs of one contract from a block on, each once, whatever the chain and the nodes do.

What was final stays, on whatever one node says later: a node that has another block there is passed over,
and when there is no other one, nothing is read. Only two nodes that agree take back what was final without
being finalized, as blocks are where nodes know of no finality.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from ..encoding import write_data
from .node import Block, Log, NodeClient, NodeError, TooManyLogsError

SPAN_BLOCKS = 10_000  # in one batch; a public node rarely gives more at once
CONFIRMATIONS = 96  # blocks, three epochs of mainnet: more than finality takes when all is well
AGREEING = 2  # nodes, before what counted as final is taken back


@dataclass(frozen=True)
class Checkpoint:
    """A final block; the logs up to it are known."""

    number: int
    hash: bytes


@dataclass(frozen=True)
class FinalLogs:
    """The logs of blocks that stay, handed over once.

    Their owner keeps `checkpoint` in the transaction that keeps what it learns from `logs`.
    """

    first: int
    last: int
    logs: list[Log]
    checkpoint: Checkpoint


@dataclass(frozen=True)
class PendingLogs:
    """The logs of all blocks above the last checkpoint; they replace those of the look before."""

    first: int
    last: int
    logs: list[Log]


@dataclass(frozen=True)
class Rewound:
    """Several nodes agree that the chain no longer has the checkpoint `lost`, which no node has finalized:
    what was learned above `back_to` is void.

    All of it is when `back_to` is None. The logs that take its place follow.
    """

    lost: Checkpoint
    back_to: Checkpoint | None


Batch: TypeAlias = FinalLogs | PendingLogs | Rewound


class NotFinalError(NodeError):
    """The nodes have another block than one that was final before."""


async def final_block(node: NodeClient, head: Block, *, confirmations: int = CONFIRMATIONS) -> Block:
    """The `finalized` block, or the one with so many on top of it where a node knows of none.

    Raises:
        NodeError: no node answers.
    """
    try:
        return await node.block("finalized")
    except NodeError as error:
        if not error.refused:
            raise
    return await node.block(max(head.number - confirmations, 0))


async def ahead(batches: AsyncGenerator[Batch]) -> AsyncGenerator[Batch]:
    """The same batches; while one is worked on, the next one is read. To be closed, as by `aclosing`."""

    async def following() -> Batch | None:
        return await anext(batches, None)

    task = asyncio.create_task(following())
    try:
        while (batch := await task) is not None:
            task = asyncio.create_task(following())
            yield batch
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):  # of what nobody waits for any more
            await task
        await batches.aclose()


class LogScanner:
    """Reads the logs of one contract; it remembers no place in the chain, its owner does.

    Final are the blocks up to the node's `finalized` one, or those with `confirmations` blocks on top
    where a node knows of none. A batch is smaller after one that failed, so that a next look gets on.

    Args:
        topics: the first topics wanted; all when empty.
        first: the first block that is looked at, such as that of the contract's birth.
        max_age_seconds: nodes whose latest block is older are passed over; each node will do when not given.
    """

    def __init__(
        self,
        node: NodeClient,
        address: bytes,
        topics: Sequence[bytes] = (),
        *,
        first: int,
        confirmations: int = CONFIRMATIONS,
        span_blocks: int = SPAN_BLOCKS,
        max_age_seconds: float | None = None,
    ) -> None:
        self._node = node
        self._address = address
        self._topics = tuple(topics)
        self._first = first
        self._confirmations = confirmations
        self._max_age_seconds = max_age_seconds
        self._span_limit = self._span = span_blocks

    async def batches(self, checkpoints: Sequence[Checkpoint] = ()) -> AsyncGenerator[Batch]:
        """One look at the chain: a `Rewound` if need be, final blocks in batches, then what is pending.

        A look that fails may simply be repeated, with the checkpoints that were kept until then.

        Args:
            checkpoints: the last few that were kept, in any order; a reorganisation that is deeper than
                the earliest begins again at the first block.

        Raises:
            NotFinalError: no node has the last checkpoint, and too few agree on what came in its place, or
                one has finalized it.
            NodeError: no node answers, or the chain moved meanwhile.
            TooManyLogsError: one block, or what is pending, has more logs than memory is meant for.
        """
        begin, held = self._first, None
        newest_first = sorted(checkpoints, key=lambda checkpoint: checkpoint.number, reverse=True)
        if newest_first:
            held = await self._newest_held(newest_first)
            if held != newest_first[0]:
                yield Rewound(newest_first[0], held)
            if held is not None:
                begin = held.number + 1
        head = await self._head()
        final = await final_block(self._node, head, confirmations=self._confirmations)
        if final.number > head.number:
            raise NodeError(f"expected a final block up to {head.number}, got {final.number}")
        while begin <= final.number:
            batch = await self._final_batch(begin, final, held)
            begin, held = batch.last + 1, batch.checkpoint
            yield batch
        logs = await self._logs(begin, head, held)
        yield PendingLogs(begin, max(head.number, begin - 1), logs)

    async def _head(self) -> Block:
        if self._max_age_seconds is None:
            return await self._node.block("latest")
        return await self._node.require_fresh(self._max_age_seconds)

    async def _newest_held(self, newest_first: Sequence[Checkpoint]) -> Checkpoint | None:
        """The newest checkpoint that the chain still has."""
        newest = newest_first[0]
        try:
            await self._node.require_block(newest.number, newest.hash)
        except NodeError:
            head = await self._head()
            if newest.number > head.number:
                raise NodeError(
                    f"expected a block after {newest.number}, got {head.number}: behind?"
                ) from None
        else:
            return newest
        for checkpoint in newest_first:
            if await self._is_held_by_any(checkpoint):
                return checkpoint
        return None

    async def _is_held_by_any(self, checkpoint: Checkpoint) -> bool:
        """Whether a node has it; that none does is believed if two say so, and no node has finalized it."""
        number = checkpoint.number
        blocks = await self._node.blocks(number)
        if any(block.hash == checkpoint.hash for block in blocks.values()):
            return True
        said = f"block {number} was final as {write_data(checkpoint.hash)}, and is another one for"
        if len(blocks) < AGREEING or len({block.hash for block in blocks.values()}) > 1:
            raise NotFinalError(
                f"{said} {', '.join(blocks) or 'no node'}: what was final is not undone on one node's word;"
                " name another node beside it, or remove the database if the chain was begun anew"
            )
        finalized = await self._node.blocks("finalized")
        if wrong := [name for name, block in finalized.items() if block.number >= number]:
            raise NotFinalError(
                f"{said} {', '.join(wrong)}, where it is finalized: is that the right chain? remove the"
                " database if it was begun anew"
            )
        return False

    async def _logs(self, first: int, last: Block, held: Checkpoint | None) -> list[Log]:
        known = None if held is None else (held.number, held.hash)
        return await self._node.logs(self._address, self._topics, first=first, last=last, known=known)

    async def _final_batch(self, begin: int, final: Block, held: Checkpoint | None) -> FinalLogs:
        while True:
            end = min(begin + self._span - 1, final.number)
            last = final if end == final.number else await self._node.block(end)
            try:
                logs = await self._logs(begin, last, held)
            except (NodeError, TooManyLogsError) as error:
                self._span = max(self._span // 2, 1)
                if isinstance(error, NodeError) or begin == end:
                    raise
                continue
            self._span = min(2 * self._span, self._span_limit)
            return FinalLogs(begin, end, logs, Checkpoint(last.number, last.hash))
