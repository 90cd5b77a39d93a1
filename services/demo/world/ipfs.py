"""IPFS, as far as the world needs it: small files in memory, and a gateway to them.

Source: IPFS HTTP gateway specification (trustless gateway).
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from ...chain.unixfs import RAW, Cid
from ...http import listening


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
        return web.Response(status=404) if content is None else web.Response(body=content)

    app = web.Application()
    app.router.add_get("/ipfs/{cid}", handle)
    async with listening(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"
