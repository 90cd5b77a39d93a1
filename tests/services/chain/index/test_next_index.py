"""The next validator index from a beacon node, from both sources, or given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web

from dvtfast import HOODI
from dvtfast.services.chain.beacon.client import BeaconClient, BeaconError
from dvtfast.services.chain.deposits import scan
from dvtfast.services.chain.encoding import write_address
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.chain.index import agreed_index, by_beacon
from dvtfast.services.chain.index.agreed_index import AgreedIndex
from dvtfast.services.chain.index.choice import GivenIndex
from dvtfast.services.chain.index_source import IndexUnknownError, NextIndex
from dvtfast.services.process.offload import UnavailableError
from tests.services.chain.anvil import Chain, Contract
from tests.services.chain.beacon.beacon_nodes import BeaconState, beacon_with, of_network
from tests.services.chain.deposits.deposit_events import Deposit, bad, signed
from tests.services.chain.index.index_sources import source
from tests.services.chain.servers import DEAD, leaving_out, node_between, nodes_between, serving
from tests.services.patience import ANSWER_SECONDS

STATE = "head"
WAITING = [signed(1), bad(2, 3), signed(3), bad(4, 0), signed(2), signed(1), bad(3, 1)]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_beacon, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(agreed_index, "AGAIN_SECONDS", 0.0)


@asynccontextmanager
async def index_of(state: BeaconState, **options: Any) -> AsyncIterator[NextIndex]:
    """What a beacon node in this state comes to."""
    network = options.get("network", HOODI)
    state.network = network
    async with (
        beacon_with(state) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=network) as beacon,
        source(**{"network": HOODI, "beacon": beacon, "threads": 1} | options) as found,
    ):
        assert found is not None
        yield found


@pytest.mark.parametrize("count", [0, 1, 2, 3, 63, 64, 65, 1000, 2**20, 2_345_678, 2**31 - 1, 2**31])
async def test_how_many_validators_there_are(count: int) -> None:
    """Without a list of all of them."""
    state = BeaconState(count)
    async with (
        beacon_with(state) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as client,
    ):
        assert await client.validator_count(STATE) == count
    assert len(state.requests) <= 7
    assert state.largest_answer <= 64


async def test_validators_with_gaps_are_no_count() -> None:
    """A node that has the last validators, but not all before them."""
    random = Random(1)

    async def handle(request: web.Request) -> web.Response:
        ids = [int(text) for text in (await request.json())["ids"] if random.random() < 0.5]
        data = [
            {"index": str(i), "status": "", "validator": {"pubkey": "0x" + i.to_bytes(48).hex()}} for i in ids
        ]
        return web.json_response({"data": data})

    async with (
        serving(of_network(handle)) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as client,
    ):
        with pytest.raises(BeaconError, match="without gaps"):
            await client.validator_count(STATE)


async def test_deposits_that_wait_are_counted_in() -> None:
    top_up = signed(50)
    state = BeaconState(1000, {top_up.public_key: 17, signed(60).public_key: 999})
    async with index_of(state) as index:
        assert await index.next_index() == 1000
        state.pending = [top_up, bad(60, 0), *WAITING, top_up]
        assert await index.next_index() == 1003
        asked = {deposit.public_key for deposit in [*state.pending, signed(60), signed(70)]}
        made = {signed(n).public_key for n in (1, 2, 3)}
        assert await index.used(asked) == made | {top_up.public_key, signed(60).public_key}
        # The first of them is applied; another deposit of it still waits.
        state.count, state.keys[signed(1).public_key] = 1001, 1000
        state.pending = state.pending[3:]
        assert await index.next_index() == 1003
        state.pending = []
        assert await index.next_index() == 1001


async def test_a_state_is_looked_at_once() -> None:
    state = BeaconState(1000, pending=WAITING)
    async with index_of(state) as index:
        assert await index.next_index() == 1003
        state.requests.clear()
        assert await index.next_index() == 1003
        assert state.requests == ["/eth/v1/beacon/blinded_blocks/head"]


async def deposit_on(chain: Chain, contract: Contract, *deposits: Deposit) -> None:
    for each in deposits:
        values = each.public_key, each.withdrawal_credentials, each.amount_gwei, each.signature
        await contract.send("deposit(bytes,bytes,uint256,bytes)", *values)


async def test_deposits_that_the_beacon_node_has_not_seen(chain: Chain, node: NodeClient) -> None:
    contract = await chain.deploy("deposit")
    network = replace(HOODI, deposit_contract=write_address(contract.address))
    await deposit_on(chain, contract, *WAITING[:3])
    block = await node.block("latest")
    state = BeaconState(1000, pending=WAITING[:3], block_number=block.number, block_hash=block.hash)
    async with index_of(state, network=network, node=node) as index:
        assert await index.next_index() == 1002
        await deposit_on(chain, contract, *WAITING[3:])
        assert await index.next_index() == 1003
        state.block_number += 100  # the execution node is behind, and knows nothing new
        assert await index.next_index() == 1002
        state.block_number, state.block_hash = block.number, bytes(32)
        with pytest.raises(UnavailableError, match=f"different blocks {block.number}"):
            await index.next_index()


@pytest.mark.parametrize("left_out", [3, 6])
async def test_an_execution_node_that_leaves_out_what_the_beacon_node_has_not_seen(
    chain: Chain, node: NodeClient, left_out: int
) -> None:
    """The first one, or the last one, which only the contract's count betrays."""
    contract = await chain.deploy("deposit")
    network = replace(HOODI, deposit_contract=write_address(contract.address))
    await deposit_on(chain, contract, *WAITING[:3])
    block = await node.block("latest")
    state = BeaconState(1000, pending=WAITING[:3], block_number=block.number, block_hash=block.hash)
    await deposit_on(chain, contract, *WAITING[3:])
    async with (
        nodes_between(chain.url, leaving_out(left_out)) as urls,
        NodeClient(urls, timeout_seconds=ANSWER_SECONDS) as lacking,
        index_of(state, network=network, node=lacking) as index,
    ):
        with pytest.raises(UnavailableError, match="deposits: expected 7 deposits up to block"):
            await index.next_index()


async def test_no_index_from_before_the_block_that_it_is_for(
    chain: Chain, node: NodeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that is behind would tell the index of the validator before."""
    contract = await chain.deploy("deposit")
    network = replace(
        HOODI, deposit_contract=write_address(contract.address), has_validators_without_deposit=False
    )
    await deposit_on(chain, contract, *WAITING[:3])
    block = await node.block("latest")
    state = BeaconState(0, pending=WAITING[:3], block_number=block.number, block_hash=block.hash)
    for at in (by_beacon, scan):
        monkeypatch.setattr(at, "FRESH_SECONDS", 60.0)
    with_beacon = index_of(state, network=network, node=node)
    with_scan = source(network=network, node=node, deposits_database=tmp_path / "deposits.db")
    async with with_beacon as beacon, with_scan as deposits:
        assert deposits is not None
        for index in (beacon, deposits):
            assert await index.next_index(since=block.number) == 2
            with pytest.raises(UnavailableError, match=f"up to block {block.number + 1}, got them up to"):
                await index.next_index(since=block.number + 1)
        await deposit_on(chain, contract, *WAITING[3:])
        last = (await node.block("latest")).number
        for index in (beacon, deposits):
            assert await index.next_index(since=last) == 3
            assert await index.used([WAITING[2].public_key], since=last) == {WAITING[2].public_key}
            with pytest.raises(UnavailableError, match="behind"):
                await index.used([WAITING[2].public_key], since=last + 1)


async def test_another_beacon_node_is_not_behind() -> None:
    async with (
        beacon_with(BeaconState(999, age_slots=20)) as old,
        beacon_with(BeaconState(1000)) as new,
        BeaconClient([old, new], timeout_seconds=ANSWER_SECONDS, network=HOODI) as beacon,
        source(network=HOODI, beacon=beacon, threads=1) as index,
    ):
        assert index is not None
        assert await index.next_index() == 1000


async def test_a_beacon_node_that_is_behind() -> None:
    async with index_of(BeaconState(1000, age_slots=20)) as index:
        with pytest.raises(UnavailableError, match=r"expected a head of now, .* got slot"):
            await index.next_index()
    async with index_of(BeaconState(1000, is_optimistic=True)) as index:
        with pytest.raises(BeaconError, match="execution node is behind"):
            await index.next_index()


@pytest.mark.parametrize(
    "changes",
    [
        {"pubkey": "0x1234"},
        {"pubkey": None},
        {"withdrawal_credentials": "0x"},
        {"amount": "-1"},
        {"amount": str(2**64)},
        {"signature": "0x" + "00" * 95},
        {"signature": 5},
    ],
)
async def test_nonsense_for_deposits(changes: dict[str, Any]) -> None:
    good = BeaconState._deposit(signed(1))

    async def handle(_: web.Request) -> web.Response:
        return web.json_response({"data": [good, good | changes]})

    async with (
        serving(of_network(handle)) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as client,
    ):
        with pytest.raises(BeaconError, match="pending_deposits: "):
            await client.pending_deposits(STATE)


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b'{"data": {"message": {"slot": "1"}}}'])
async def test_nonsense_for_a_head(content: bytes) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=content)

    async with (
        serving(of_network(handle)) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as client,
    ):
        with pytest.raises(BeaconError, match="blinded_blocks/head: "):
            await client.head()


class Saying:
    """A source that says these indices one after the other."""

    def __init__(self, *indices: int, keys: Collection[bytes] = ()) -> None:
        self._indices = list(indices)
        self._keys = set(keys)

    async def next_index(self, *, since: int = 0) -> int:
        return self._indices.pop(0) if len(self._indices) > 1 else self._indices[0]

    async def used(self, public_keys: Collection[bytes], *, since: int = 0) -> set[bytes]:
        return self._keys & set(public_keys)


async def test_two_sources_must_agree() -> None:
    both = AgreedIndex(Saying(7, keys=[b"a"]), Saying(7, keys=[b"b"]))
    assert await both.next_index() == 7
    assert await both.used([b"a", b"b", b"c"]) == {b"a", b"b"}
    assert await AgreedIndex(Saying(7, 8), Saying(8)).next_index() == 8
    with pytest.raises(IndexUnknownError, match="7 by the deposits, 9 by the beacon node"):
        await AgreedIndex(Saying(7), Saying(9)).next_index()


async def test_a_given_index_goes_before_all_others() -> None:
    async with source(network=HOODI) as found:
        assert found is None
    async with source(network=HOODI, start_index=5) as given:
        assert isinstance(given, GivenIndex)
        assert await given.next_index() == 5
        assert await given.used([b"a"]) == set()
    known = {signed(1).public_key: 3}
    async with index_of(BeaconState(1000, known), start_index=5) as given:
        assert await given.next_index() == 5
        assert await given.used(known) == set(known)


async def test_scan_and_beacon_node(chain: Chain, node: NodeClient, tmp_path: Path) -> None:
    """They are compared where deposits tell the index; otherwise the beacon node alone tells it."""
    contract = await chain.deploy("deposit")
    await deposit_on(chain, contract, *WAITING)
    block = await node.block("latest")
    state = BeaconState(0, pending=WAITING, block_number=block.number, block_hash=block.hash)
    hoodi = replace(HOODI, deposit_contract=write_address(contract.address))
    network = replace(hoodi, has_validators_without_deposit=False)
    options: dict[str, Any] = {"node": node, "deposits_database": tmp_path / "deposits.db"}
    async with index_of(state, network=network, **options) as index:
        assert await index.next_index() == 3
        state.count = 1
        with pytest.raises(IndexUnknownError, match="3 by the deposits, 4 by the beacon node"):
            await index.next_index()
    async with index_of(state, network=hoodi, **options) as index:
        assert await index.next_index() == 4


async def test_beacon_nodes_are_compared() -> None:
    """Each that answers; one that differs is named, one that is away or behind is not waited for."""
    state, other = BeaconState(1000), BeaconState(1000)
    async with (
        beacon_with(state) as url,
        beacon_with(other) as second,
        BeaconClient([url, second, DEAD], timeout_seconds=ANSWER_SECONDS, network=HOODI) as beacon,
        source(network=HOODI, beacon=beacon, threads=1) as index,
    ):
        assert index is not None
        assert await index.next_index() == 1000
        other.count, other.keys = 1001, {b"k" * 48: 5}
        with pytest.raises(IndexUnknownError, match=f"index is 1000 by {url}, 1001 by {second}; find out"):
            await index.next_index()
        assert await index.used([b"k" * 48]) == {b"k" * 48}
        other.age_slots = 100
        assert await index.next_index() == 1000


async def test_execution_nodes_are_compared(chain: Chain, tmp_path: Path) -> None:
    """One that leaves out deposits, and counts without them, is named."""
    contract = await chain.deploy("deposit")
    await deposit_on(chain, contract, *WAITING)
    network = replace(
        HOODI, deposit_contract=write_address(contract.address), has_validators_without_deposit=False
    )

    def fewer(method: str, params: list[Any], value: Any) -> Any:
        if method == "eth_getLogs":
            return value[:-1]
        is_count = method == "eth_call" and params[0]["data"].startswith("0x621fd130")
        if is_count:  # get_deposit_count() has it little-endian, in a bytes
            return value[:130] + (len(WAITING) - 1).to_bytes(8, "little").hex() + value[146:]
        return value

    async with (
        node_between(chain.url, fewer) as (liar, _),
        NodeClient([liar, chain.url], timeout_seconds=ANSWER_SECONDS) as node,
        source(network=network, node=node, deposits_database=tmp_path / "deposits.db") as index,
    ):
        assert index is not None
        with pytest.raises(UnavailableError, match=f"are {len(WAITING) - 1} by {liar}, {len(WAITING)} by "):
            await index.next_index()
