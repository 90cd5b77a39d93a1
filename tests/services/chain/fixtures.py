"""Anvil, and our contracts on its chain: fixtures of all tests of services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from dvtfast.services.chain import clock
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.demo.world import anvil, oracles
from dvtfast.services.demo.world.compiler import compiled
from dvtfast.services.demo.world.deployed_contracts import World
from dvtfast.services.demo.world.oracles import OracleSet, RunningOracle, make_oracles
from tests.services.chain.anvil import CHAIN_ID, Chain, ChainClock
from tests.services.patience import ANSWER_SECONDS

ORACLES, THRESHOLD = 3, 2


@pytest.fixture(scope="session")
def bytecodes() -> Mapping[str, bytes]:
    """The tests' own contracts, compiled."""
    return compiled(Path(__file__).parent / "contracts")


@pytest.fixture(scope="module")
def anvil_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with anvil.running(tmp_path_factory.mktemp("anvil")) as url:
        yield url


@pytest.fixture
def chain_clock(anvil_url: str, monkeypatch: pytest.MonkeyPatch) -> ChainClock:
    """What time it is for whoever looks at the chain in this process."""
    now = ChainClock(anvil_url)
    monkeypatch.setattr(clock, "now_seconds", now)
    return now


@pytest.fixture
async def chain(
    anvil_url: str, bytecodes: Mapping[str, bytes], chain_clock: ChainClock
) -> AsyncIterator[Chain]:
    """A chain that is as it was before the test when the test is over."""
    async with aiohttp.ClientSession() as session:
        chain = Chain(anvil_url, session, bytecodes)
        before = await chain.rpc("evm_snapshot")
        yield chain
        assert await chain.rpc("evm_revert", before)


@pytest.fixture
async def node(chain: Chain) -> AsyncIterator[NodeClient]:
    async with NodeClient([chain.url], timeout_seconds=ANSWER_SECONDS, chain_id=CHAIN_ID) as node:
        yield node


@pytest.fixture(scope="module")
def oracle_set(tmp_path_factory: pytest.TempPathFactory) -> OracleSet:
    """Three oracles, two of whom recover an exit; whether they run is up to `running_oracles`."""
    return make_oracles(tmp_path_factory.mktemp("oracles"), ORACLES, threshold=THRESHOLD)


@pytest.fixture(scope="module")
def deployed(anvil_url: str, oracle_set: OracleSet) -> World:
    """The demo's contracts, deployed once for the tests of a file, with `oracle_set` in the Keeper."""

    async def deploy() -> World:
        async with aiohttp.ClientSession() as session:
            world = await World.deploy(Chain(anvil_url, session, {}))
            await world.set_oracles(oracle_set.addresses, min_oracles=THRESHOLD)
            await world.announce(oracle_set.config.read_bytes())
            return world

    return asyncio.run(deploy())


@pytest.fixture
async def world(deployed: World, chain: Chain) -> World:
    """The demo's contracts; what a test does to them is undone."""
    return deployed.on(chain)


@pytest.fixture(scope="module")
def running_oracles(deployed: World, oracle_set: OracleSet) -> Iterator[list[RunningOracle]]:
    """A process for each oracle; a test that stops one starts it again."""
    with oracles.running(deployed, oracle_set) as processes:
        yield processes
