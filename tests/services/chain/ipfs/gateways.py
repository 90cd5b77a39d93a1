"""IPFS for tests: blocks in memory, honest and lying gateways in front of them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from aiohttp import web

from dvtfast.services.chain.ipfs.unixfs import DAG_PB, RAW, Cid
from tests.services.chain.servers import serving

Answer = Callable[[Cid, bytes | None], web.Response]


class Blocks:
    """Blocks by their hash."""

    def __init__(self, blocks: Iterable[bytes] = ()) -> None:
        self._blocks: dict[bytes, bytes] = {}
        for block in blocks:
            self.add(block)

    def add(self, block: bytes, codec: int = RAW) -> Cid:
        digest = hashlib.sha256(block).digest()
        self._blocks[digest] = block
        return Cid(codec, digest)

    def add_node(self, data: bytes = b"", links: Iterable[Cid] = (), kind: int = 2) -> Cid:
        """A DAG-PB node with UnixFS data, as `ipfs add` writes it."""
        node = b"".join(field(2, field(1, binary(link)) + field(2, b"")) for link in links)
        return self.add(node + field(1, number(1, kind) + field(2, data)), DAG_PB)

    def get(self, cid: Cid) -> bytes | None:
        return self._blocks.get(cid.digest)


def binary(cid: Cid) -> bytes:
    return bytes([1, cid.codec, 0x12, 0x20]) + cid.digest


def varint(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def number(field_number: int, value: int) -> bytes:
    return varint(field_number << 3) + varint(value)


def field(field_number: int, value: bytes) -> bytes:
    return varint(field_number << 3 | 2) + varint(len(value)) + value


def honest(_cid: Cid, block: bytes | None) -> web.Response:
    return web.Response(status=404) if block is None else web.Response(body=block)


@asynccontextmanager
async def gateway(blocks: Blocks, answer: Answer = honest) -> AsyncIterator[tuple[str, list[str]]]:
    """A gateway; yields its address and what it is asked for."""
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        assert request.headers["Accept"] == "application/vnd.ipld.raw"
        assert request.query["format"] == "raw"
        asked.append(request.path_qs)
        cid = Cid.parse(request.path.rpartition("/ipfs/")[2])
        return answer(cid, blocks.get(cid))

    async with serving(handle) as url:
        yield url, asked
