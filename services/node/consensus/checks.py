"""Messages of others, looked at on a thread: as many at once as wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dvtfast.errors import DvtfastError
from dvtfast.qbft import wire
from dvtfast.qbft.messages import Duty, Message
from dvtfast.secp256k1 import recovered_signer

from ...process.offload import OverloadedError, Workers

MOST_WAITING = 256
MOST_AT_ONCE = 32


@dataclass(frozen=True)
class Checked:
    """A message that its node signed, as those did who justify it.

    Attributes:
        values: the contents of all values that it speaks of, by their hashes.
    """

    message: Message
    values: dict[bytes, wire.Value]


class Checks:
    """The checks of one cluster's messages.

    Args:
        nodes: the keys of all nodes, in their order.
        is_open: whether a duty is agreed on now.
        workers: on which it is done.
    """

    def __init__(self, nodes: Sequence[bytes], is_open: Callable[[Duty], bool], workers: Workers) -> None:
        self._nodes, self._is_open, self._workers = tuple(nodes), is_open, workers
        self._waiting: list[tuple[bytes, asyncio.Future[Checked]]] = []
        self._task: asyncio.Task[None] | None = None

    async def check(self, data: bytes) -> Checked:
        """A message as it came.

        Raises:
            DvtfastError: it is none that its node may send.
            UnavailableError: there is too much to do.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise OverloadedError("too many messages")
        future: asyncio.Future[Checked] = asyncio.get_running_loop().create_future()
        self._waiting.append((data, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await future

    async def close(self) -> None:
        """Check nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            batch = [(data, future) for data, future in batch if not future.done()]
            try:
                found = await self._workers.run(self._check_all, [data for data, _ in batch])
            except Exception as error:  # of the thread, not of a message
                found = [error] * len(batch)
            for (_, future), outcome in zip(batch, found, strict=True):
                if future.done():
                    continue
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

    def _check_all(self, batch: Sequence[bytes]) -> list[Checked | Exception]:
        found: list[Checked | Exception] = []
        for data in batch:
            try:
                found.append(self._check(data))
            except DvtfastError as error:
                found.append(error)
        return found

    def _check(self, data: bytes) -> Checked:
        envelope = wire.decode_envelope(data, len(self._nodes))
        if not self._is_open(envelope.message.duty):
            raise wire.BadMessageError("a duty that nobody agrees on now")
        for claim in envelope.claims:
            if recovered_signer(claim.digest, claim.signature) != self._nodes[claim.peer]:
                raise wire.BadMessageError(f"not signed by node {claim.peer}")
        return Checked(envelope.message, wire.checked_values(envelope))
