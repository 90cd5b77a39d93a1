"""IPFS, as far as the world needs it: small files in memory, and a gateway to them.

Source: IPFS HTTP gateway specifications (trustless and path gateway).
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from ...chain.ipfs.unixfs import RAW, Cid
from ...web.http import listening

RAW_BLOCK = "application/vnd.ipld.raw"


class Files:
    """Files by their CID."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}

    def add(self, content: bytes) -> str:
        """Keep a file; returns its CID."""
        cid = cid_of(content)
        self._contents[cid] = content
        return cid

    def get(self, cid: str) -> bytes | None:
        """A file; None where it is not here."""
        return self._contents.get(cid)


def cid_of(content: bytes) -> str:
    """The CID (version 1) of a file that is one raw block."""
    return str(Cid(RAW, hashlib.sha256(content).digest()))


@asynccontextmanager
async def gateway(files: Files) -> AsyncIterator[str]:
    """Serve the files inside the block; yields the address below which `/ipfs/CID` is."""

    async def handle(request: web.Request) -> web.Response:
        content = files.get(request.match_info["cid"])
        if content is None:
            return web.Response(status=404)
        return web.Response(body=content, content_type=_content_type(request, content))

    app = web.Application()
    app.router.add_get("/ipfs/{cid}", handle)
    async with listening(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


def _content_type(request: web.Request, content: bytes) -> str:
    """A block for who asks for one; else what a file is, since readers of JSON take nothing else for it."""
    if request.query.get("format") == "raw" or request.headers.get("Accept") == RAW_BLOCK:
        return RAW_BLOCK
    try:
        msgspec.json.decode(content)
    except msgspec.DecodeError:
        return "application/octet-stream"
    return "application/json"
