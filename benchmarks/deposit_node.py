"""An execution node that has nothing but the deposits of `benchmarks.deposit_scan`.

python -m benchmarks.deposit_node DIRECTORY

It prints its address, and answers until it is stopped.
"""

from __future__ import annotations

import asyncio
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web

from dvtfast import HOODI
from dvtfast.services.chain.contracts.reads import DEPOSIT_EVENT
from dvtfast.services.chain.encoding import write_address, write_data, write_quantity

CONTRACT = bytes(19) + b"\x01"
PER_BLOCK = 5  # deposits
NOT_FINAL = 64  # blocks


def block(number: int) -> dict[str, Any]:
    """One, whose hash says where it stands."""
    return {
        "number": write_quantity(number),
        "hash": write_data(block_hash(number)),
        "parentHash": write_data(block_hash(number - 1)),
        "timestamp": write_quantity(int(time.time())),
    }


def block_hash(number: int) -> bytes:
    """A hash for a number."""
    return sha256(number.to_bytes(8, "big", signed=True)).digest()


def encoded(columns: dict[str, Any]) -> Any:
    """DepositEvents uint8[n, 576], as the contract logs them."""
    n = len(columns["amounts_gwei"])
    numbers = np.arange(n, dtype="<u8").view(np.uint8).reshape(n, 8)
    amounts = columns["amounts_gwei"].astype("<u8").view(np.uint8).reshape(n, 8)
    cells = [
        columns["public_keys"],
        columns["withdrawal_credentials"],
        amounts,
        columns["signatures"],
        numbers,
    ]
    data = np.zeros((n, 576), np.uint8)
    place = 32 * len(cells)
    for position, cell in enumerate(cells):
        width = cell.shape[1]
        data[:, 32 * position + 30 : 32 * position + 32] = divmod(place, 256)
        data[:, place + 31] = width
        data[:, place + 32 : place + 32 + width] = cell
        place += 32 + -(-width // 32) * 32
    return data


class Node:
    """The chain."""

    def __init__(self, directory: Path) -> None:
        with np.load(directory / "deposits.npz") as file:
            self._data = encoded(dict(file))
        self._head = -(-len(self._data) // PER_BLOCK)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        asked = await request.json()
        result = getattr(self, asked["method"])(*asked["params"])
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": result})

    def eth_chainId(self) -> str:  # noqa: N802 - as the method is called
        return write_quantity(HOODI.chain_id)

    def eth_getBlockByNumber(self, which: str, _: bool) -> Any:  # noqa: N802 - as the method is called
        names = {"latest": self._head, "finalized": self._head - NOT_FINAL}
        return block(names[which] if which in names else int(which, 16))

    def eth_call(self, *_: Any) -> str:
        count = len(self._data).to_bytes(8, "little")
        words = (32).to_bytes(32, "big"), (8).to_bytes(32, "big"), count.ljust(32, b"\x00")
        return write_data(b"".join(words))

    def eth_getLogs(self, wanted: dict[str, str]) -> list[Any]:  # noqa: N802 - as the method is called
        first, last = (int(wanted[name], 16) for name in ("fromBlock", "toBlock"))
        rows = range(first * PER_BLOCK, min((last + 1) * PER_BLOCK, len(self._data)))
        return [
            {
                "address": write_address(CONTRACT),
                "topics": [write_data(DEPOSIT_EVENT)],
                "data": write_data(self._data[row].tobytes()),
                "blockNumber": write_quantity(row // PER_BLOCK),
                "blockHash": write_data(block_hash(row // PER_BLOCK)),
                "logIndex": write_quantity(row % PER_BLOCK),
                "transactionHash": write_data(block_hash(row)),
                "transactionIndex": "0x0",
                "removed": False,
            }
            for row in rows
        ]


async def serve(directory: Path) -> None:
    """Until stopped."""
    app = web.Application()
    app.router.add_post("/", Node(directory).handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
