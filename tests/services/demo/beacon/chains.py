"""The specification's chain as a process of its own, and its own control."""

from __future__ import annotations

import subprocess
import sys
import time
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
from tests.services.patience import ANSWER_SECONDS, PATIENCE_SECONDS

GENESIS_TIME = 1_700_000_000
FORK_VERSION = bytes.fromhex("10000910")
TESTNET = ExpectedChain("testnet", FORK_VERSION, genesis_time=GENESIS_TIME, chain_id=560_048)
"""As `--testnet-*` says."""
PATIENT = {"timeout_seconds": ANSWER_SECONDS, "submit_seconds": ANSWER_SECONDS}
VALIDATORS = 64
LOOK_SECONDS = 0.05


@dataclass
class RunningChain:
    """A chain whose slots go on as the test says."""

    urls: list[str]

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

    async def go_to(self, slot: int) -> None:
        await self.ask("POST", "/dvtfast/clock", {"slot": slot})

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
    validators, log = folder / "validators.txt", folder / "chain.log"
    validators.write_text("".join(f"0x{key.tobytes().hex()}\n" for key in derive_public_keys(secret_keys)))
    command = [
        sys.executable, "-m", "dvtfast.services.demo.beacon", "--log-format", "json",
        "--validators", str(validators), "--beacon-nodes", str(nodes), *options,
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        yield RunningChain([f"http://127.0.0.1:{port}" for port in _ports(process, log)])
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _ports(process: subprocess.Popen[bytes], log: Path) -> list[int]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        for line in log.read_bytes().splitlines():
            if b'"listening"' in line:
                return list(msgspec.json.decode(line)["ports"])
        time.sleep(LOOK_SECONDS)
    raise AssertionError(log.read_text())
