"""Anvil, and our contracts on its chain."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from dvtfast.services.chain.node import NodeClient
from tests.services.chain import anvil
from tests.services.chain.anvil import CHAIN_ID, Chain

CONTRACTS = sorted((Path(__file__).parent / "contracts").glob("*.vy"))
COMPILE_SECONDS = 120.0


@pytest.fixture(scope="session")
def bytecodes() -> dict[str, str]:
    """Our contracts, compiled."""
    command = [sys.executable, "-m", "vyper", "-f", "bytecode", *map(str, CONTRACTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip([file.stem for file in CONTRACTS], done.stdout.split(), strict=True))


@pytest.fixture(scope="module")
def anvil_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = anvil.binary()
    assert program, "no anvil: make build/anvil/made"
    with anvil.running(program, tmp_path_factory.mktemp("anvil")) as url:
        yield url


@pytest.fixture
async def chain(anvil_url: str, bytecodes: dict[str, str]) -> AsyncIterator[Chain]:
    """A chain that is as it was before the test when the test is over."""
    async with aiohttp.ClientSession() as session:
        chain = Chain(anvil_url, session, bytecodes)
        before = await chain.rpc("evm_snapshot")
        yield chain
        assert await chain.rpc("evm_revert", before)


@pytest.fixture
async def node(chain: Chain) -> AsyncIterator[NodeClient]:
    async with NodeClient([chain.url], timeout_seconds=5, chain_id=CHAIN_ID) as node:
        yield node
