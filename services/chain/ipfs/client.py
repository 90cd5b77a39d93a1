"""Files on IPFS through public gateways that need not be trusted: each block is checked against its hash.

Gateways may send on to others, as https://ipfs.io does.

Source: IPFS HTTP gateway specification (trustless gateway, `application/vnd.ipld.raw`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ...web.outgoing import joined
from ..endpoints import Endpoint, EndpointError, Endpoints
from .redirects import Following
from .unixfs import Cid, FilePart, read_part

RAW_BLOCK = "application/vnd.ipld.raw"
BLOCK_LIMIT_BYTES = 2 * 1024**2  # what IPFS nodes exchange at most
DEPTH_LIMIT = 16  # links from the first block to a leaf; a balanced file of 1 TiB has four
BLOCKS_LIMIT = 16_384  # of one file, also where they are empty
AT_ONCE = 8  # blocks asked for at the same time
ABSENT_STATUSES = frozenset({404, 410, 451})  # the gateway works, but does not give this block


class IpfsError(EndpointError):
    """No gateway gives a block; the message has the reason of each, without secrets."""


class IpfsContentError(Exception):
    """What a CID identifies is not a file, or one that is too large; no other gateway has another."""


class IpfsClient:
    """Gateways that stand in for each other; an async context manager.

    Args:
        gateways: addresses below which `/ipfs/CID` is, in the order of preference. They may hold secrets:
            only scheme, host and port are ever logged.
        timeout_seconds: of one block from one gateway.
    """

    def __init__(self, gateways: Sequence[str], *, timeout_seconds: float) -> None:
        self._gateways = Endpoints(gateways)
        self._timeout_seconds = timeout_seconds
        self._last: dict[str, bytes] = {}  # what never changes is not fetched look after look

    async def __aenter__(self) -> Self:
        self._following = Following(self._timeout_seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._following.close()

    async def fetch(self, cid: str, *, limit_bytes: int) -> bytes:
        """The file that `cid` identifies, and no other: every block of it has been hashed.

        The last one is kept in memory.

        Raises:
            IpfsError: no gateway gives a block of it.
            IpfsContentError: `cid` is none, or what it identifies is no file of at most `limit_bytes`.
        """
        if (kept := self._last.get(cid)) is not None and len(kept) <= limit_bytes:
            return kept
        try:
            file = _File(limit_bytes, BLOCKS_LIMIT)
            await self._add([Cid.parse(cid)], file, depth=0)
        except ValueError as error:
            raise IpfsContentError(f"{cid}: {error}") from None
        content = b"".join(file.pieces)
        self._last = {cid: content}
        return content

    async def _add(self, cids: Sequence[Cid], file: _File, *, depth: int) -> None:
        if depth > DEPTH_LIMIT:
            raise ValueError(f"expected blocks at most {DEPTH_LIMIT} links deep, got more")
        for begin in range(0, len(cids), AT_ONCE):
            some = cids[begin : begin + AT_ONCE]
            file.count_blocks(len(some))
            for part in await self._parts(some):
                file.append(part.data)
                await self._add(part.links, file, depth=depth + 1)

    async def _parts(self, cids: Sequence[Cid]) -> list[FilePart]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._part(cid)) for cid in cids]
        except ExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _part(self, cid: Cid) -> FilePart:
        async def ask(gateway: Endpoint) -> bytes:
            url = joined(gateway.url, f"ipfs/{cid}", "format=raw")
            answer = await self._following.get(gateway, url, limit_bytes=BLOCK_LIMIT_BYTES, accept=RAW_BLOCK)
            if answer.status != 200:
                raise gateway.error(f"HTTP {answer.status}", refused=answer.status in ABSENT_STATUSES)
            if not cid.identifies(answer.content):
                raise gateway.error("gives another block than asked for")
            return answer.content

        try:
            block = await self._gateways.first_able(ask)
        except EndpointError as error:
            raise IpfsError(f"{cid}: {error}", refused=error.refused) from None
        return read_part(cid, block)


@dataclass
class _File:
    """What there is of a file, and what it may still become."""

    bytes_left: int
    blocks_left: int
    pieces: list[bytes] = field(default_factory=list)

    def count_blocks(self, blocks: int) -> None:
        self.blocks_left -= blocks
        if self.blocks_left < 0:
            raise ValueError(f"expected at most {BLOCKS_LIMIT} blocks, got more")

    def append(self, piece: bytes) -> None:
        self.bytes_left -= len(piece)
        if self.bytes_left < 0:
            raise ValueError("expected a smaller file")
        self.pieces.append(piece)
