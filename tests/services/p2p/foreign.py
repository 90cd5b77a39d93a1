"""Peers of other libp2p implementations, as processes: js-libp2p from npm, and go-libp2p where Go is.

js's packages are what `make build/libp2p/made` brings, go's peer is what `make build/go-libp2p/peer` builds;
where they are not these tests are skipped.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dvtfast.services.p2p.host import IdentityKey
from dvtfast.services.p2p.wire.addresses import Multiaddr
from dvtfast.services.p2p.wire.peers import peer_text
from tests.go_peer import BUILD, GO_PEER, NO_GO
from tests.services.patience import PATIENCE_SECONDS

HERE = Path(__file__).parent
JS = BUILD / "libp2p"
NO_JS = "js-libp2p is not there: make build/libp2p/made"


@dataclass
class Foreign:
    """A peer of another implementation."""

    public_key: bytes
    address: str
    process: asyncio.subprocess.Process

    @property
    def name(self) -> str:
        return peer_text(self.public_key)

    @property
    def place(self) -> str:
        """Its address with its id."""
        return f"{self.address}/p2p/{self.name}"

    @property
    def endpoint(self) -> tuple[str, int]:
        endpoint = Multiaddr.from_text(self.address).endpoint
        assert endpoint is not None
        return endpoint

    async def do(self, *words: str) -> str:
        """What it says of a command; that it failed, too."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(" ".join(words).encode() + b"\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await self.process.stdout.readline()).decode().strip()

    async def ask(self, *words: str) -> str:
        """What it says of a command that works."""
        said = await self.do(*words)
        assert said.partition(" ")[0] == "ok", said
        return said.partition(" ")[2]

    async def request(self, peer: bytes, protocol: str, message: bytes) -> bytes:
        """The answer to a message of it."""
        return bytes.fromhex(await self.ask("request", peer_text(peer), protocol, "-" + message.hex()))


def command(kind: str) -> list[str]:
    """How a peer is started; skips where it cannot be."""
    if kind == "go":
        if not GO_PEER.exists():
            pytest.skip(NO_GO)
        return [str(GO_PEER)]
    node = shutil.which("node")
    if node is None or not (JS / "node_modules" / "libp2p").exists():
        pytest.skip(NO_JS)
    return [node, "--input-type=module", "--eval", (HERE / "peer.mjs").read_text(), "--"]


@asynccontextmanager
async def foreign(kind: str, role: str = "", *, secret: bytes | None = None) -> AsyncIterator[Foreign]:
    """A peer that runs; the same one again with the same secret."""
    secret = secret or os.urandom(32)
    process = await asyncio.create_subprocess_exec(
        *command(kind),
        secret.hex(),
        role,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 26,
        cwd=JS if kind == "js" else None,
    )
    try:
        assert process.stdout
        async with asyncio.timeout(PATIENCE_SECONDS):
            said = (await process.stdout.readline()).decode().split()
        key = IdentityKey(secret).public_key
        assert said[:2] == ["ready", peer_text(key)]
        yield Foreign(key, said[2], process)
    finally:
        process.kill()
        await process.wait()
