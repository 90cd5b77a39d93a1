"""A real EVM node on loopback, and what tests do to its chain."""

from __future__ import annotations

import asyncio
import itertools
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from eth_abi import encode

from dvtfast.services.chain.encoding import keccak256, read_address, write_address, write_data
from tests.house.sources import ROOT

BINARIES = ROOT / "build" / "anvil" / "node_modules" / "@foundry-rs"
CHAIN_ID = 560048
START_SECONDS = 20.0
STOP_SECONDS = 5.0
REQUEST_SECONDS = 20.0


def binary() -> Path | None:
    """The program itself, not npm's wrapper; None where `make build/anvil/made` has not run."""
    return next(BINARIES.glob("anvil-*/bin/anvil*"), None)


@contextmanager
def running(program: Path, folder: Path) -> Iterator[str]:
    """Run anvil inside the block; yields its address."""
    output = folder / "anvil.log"
    options = [
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--chain-id",
        str(CHAIN_ID),
        "--threads",
        "1",
        "--no-mining",
    ]
    with output.open("wb") as log:
        process = subprocess.Popen([program, *options], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield _address_in(output, process)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address_in(output: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"Listening on (127\.0\.0\.1:\d+)", output.read_text()):
            return f"http://{found[1]}"
        time.sleep(0.02)
    raise AssertionError(f"anvil did not start:\n{output.read_text()}")


@dataclass(frozen=True)
class Contract:
    """A deployed contract of ours."""

    chain: Chain
    address: bytes

    async def send(self, signature: str, *arguments: Any) -> int:
        """Call a function in a block of its own; returns the block's number."""
        types = signature[signature.index("(") + 1 : -1]
        data = keccak256(signature.encode())[:4] + encode(types.split(",") if types else [], arguments)
        return int((await self.chain.transact(data, to=self.address))["blockNumber"], 16)


class Chain:
    """The chain of a running anvil; whoever changes it reverts it."""

    def __init__(self, url: str, session: aiohttp.ClientSession, bytecodes: dict[str, str]) -> None:
        self.url = url
        self._session = session
        self._bytecodes = bytecodes
        self._ids = itertools.count(1)

    async def rpc(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        async with asyncio.timeout(REQUEST_SECONDS), self._session.post(self.url, json=body) as answer:
            content = await answer.json()
        assert "error" not in content, content
        return content["result"]

    async def transact(self, data: bytes, *, to: bytes | None = None) -> Any:
        """Send from the first account, which anvil has the key of, and mine a block; returns the receipt."""
        (sender, *_) = await self.rpc("eth_accounts")
        transaction = {"from": sender, "data": write_data(data), "gas": hex(25_000_000)}
        if to is not None:
            transaction["to"] = write_address(to)
        transaction_hash = await self.rpc("eth_sendTransaction", transaction)
        await self.mine()
        receipt = await self.rpc("eth_getTransactionReceipt", transaction_hash)
        assert receipt["status"] == "0x1", receipt
        return receipt

    async def deploy(self, name: str) -> Contract:
        receipt = await self.transact(bytes.fromhex(self._bytecodes[name][2:]))
        return Contract(self, read_address(receipt["contractAddress"]))

    async def mine(self, blocks: int = 1) -> None:
        await self.rpc("anvil_mine", hex(blocks))

    async def reorg(self, depth: int, kept: Sequence[Any] = ()) -> None:
        """Replace the last blocks by as many empty ones."""
        await self.rpc("anvil_reorg", depth, list(kept))

    async def height(self) -> int:
        return int(await self.rpc("eth_blockNumber"), 16)
