"""The specification's chain as a process of its own, and its own control."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np

from dvtfast import derive_public_keys
from dvtfast.services.chain.beacon.chain_constants import ExpectedChain
from dvtfast.services.demo.beacon.process import running
from tests.services.patience import ANSWER_SECONDS

GENESIS_TIME = 1_700_000_000
FORK_VERSION = bytes.fromhex("10000910")
TESTNET = ExpectedChain("testnet", FORK_VERSION, genesis_time=GENESIS_TIME, chain_id=560_048)
"""As `--testnet-*` says."""
PATIENT = {"timeout_seconds": ANSWER_SECONDS, "submit_seconds": ANSWER_SECONDS}
PRESET = os.environ.get("DVTFAST_SPEC_PRESET", "minimal")
VALIDATORS = 64


@dataclass
class RunningChain:
    """A chain whose slots go on as the test says."""

    urls: tuple[str, ...]

    async def ask(self, method: str, path: str, body: Any = None, *, node: int = 0) -> Any:
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.urls[node] + path, data=data, headers=headers) as answer,
        ):
            content = await answer.read()
            assert answer.status == 200, content
            return msgspec.json.decode(content) if content else None

    async def go_to(self, slot: int, milliseconds: int = 0) -> None:
        await self.ask("POST", "/dvtfast/clock", {"slot": slot, "milliseconds": milliseconds})

    async def suffer(self, node: int = 0, **adversity: Any) -> None:
        """What is wrong with a node from now on; nothing without any."""
        await self.ask("POST", "/dvtfast/adversity", adversity, node=node)

    async def report(self) -> Any:
        return await self.ask("GET", "/dvtfast/report")


@contextmanager
def running_chain(
    folder: Path, secret_keys: np.ndarray, *, nodes: int = 1, options: Sequence[str] = ("--by-hand",)
) -> Iterator[RunningChain]:
    """A chain of these validators inside the block."""
    keys = [key.tobytes() for key in derive_public_keys(secret_keys)]
    more = ("--preset", PRESET, "--beacon-nodes", str(nodes))
    with running(folder, keys, [*options, *more]) as urls:
        yield RunningChain(urls)
