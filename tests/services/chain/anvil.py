"""A real EVM node on loopback, and what tests do to its chain."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

import aiohttp

from dvtfast.services.demo.world import chain
from dvtfast.services.demo.world.anvil import CHAIN_ID
from dvtfast.services.demo.world.chain import Contract
from tests.services.patience import PATIENCE_SECONDS

__all__ = ["CHAIN_ID", "Chain", "ChainClock", "Contract"]


class Chain(chain.AnvilChain):
    """The chain of a running anvil; whoever changes it reverts it."""

    def __init__(self, url: str, session: aiohttp.ClientSession, bytecodes: Mapping[str, bytes]) -> None:
        super().__init__(url, session)
        self._bytecodes = bytecodes

    async def deploy(self, code: bytes | str, *arguments: Any) -> Contract:
        """Also one of the tests' own contracts, by its name."""
        return await super().deploy(self._bytecodes[code] if isinstance(code, str) else code, *arguments)

    async def catch_up(self) -> None:
        """Mine a block of now: a chain that was taken back goes on from the time that it had then."""
        now = max(int(time.time()), await self.timestamp() + 1)
        await self.rpc("evm_setNextBlockTimestamp", now)
        await self.mine()


class ChainClock:
    """The time of the chain's latest block: however slow the machine, the chain is of now.

    Attributes:
        stopped_at: the time that it shows instead, in Unix seconds.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._seen = 0
        self.stopped_at: int | None = None

    def stop(self) -> int:
        """Time goes on in the chain alone; returns what the clock shows from now on."""
        self.stopped_at = int(self())
        return self.stopped_at

    def __call__(self) -> float:
        if self.stopped_at is not None:
            return self.stopped_at
        question = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["latest", False]}
        asked = urllib.request.Request(
            self._url, json.dumps(question).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=PATIENCE_SECONDS) as answer:
                self._seen = int(json.load(answer)["result"]["timestamp"], 16)
        except OSError:  # the test stopped the node
            pass
        return self._seen
