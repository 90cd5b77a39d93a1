"""Beacon nodes, honest ones and others, and what a relayer makes of what they say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from dvtfast import GNOSIS, HOODI, MAINNET, Network
from dvtfast.services.chain.beacon.client import KEYS_AT_ONCE, BeaconClient, BeaconError, BeaconValidator
from dvtfast.services.relayer.watches import beacon_watch
from tests.services.chain.beacon.beacon_nodes import BeaconState, beacon_with, of_network
from tests.services.chain.servers import serving
from tests.services.conftest import START_INDEX, Start, make_cluster
from tests.services.patience import ANSWER_SECONDS, PATIENCE_SECONDS

KEYS = [bytes([0x80]) + number.to_bytes(47, "big") for number in range(2 * KEYS_AT_ONCE + 1)]
PATH = "/eth/v1/beacon/states/head/validators"


def item(key: bytes, index: int, status: str = "active_ongoing") -> dict[str, Any]:
    return {
        "index": str(index),
        "balance": "32000000000",
        "status": status,
        "validator": {"pubkey": "0x" + key.hex(), "slashed": False},
    }


@asynccontextmanager
async def beacon_node(known: dict[bytes, dict[str, Any]]) -> AsyncIterator[tuple[str, list[int]]]:
    """A node with these validators; yields its address and how many keys each request had."""
    asked: list[int] = []

    async def handle(request: web.Request) -> web.Response:
        assert (request.method, request.path) == ("POST", PATH)
        ids = [bytes.fromhex(text[2:]) for text in (await request.json())["ids"]]
        asked.append(len(ids))
        data = [known[key] for key in ids if key in known]
        return web.json_response({"execution_optimistic": False, "finalized": False, "data": data})

    async with serving(of_network(handle)) as url:
        yield url, asked


async def test_validators_in_parts() -> None:
    known = {key: item(key, number) for number, key in enumerate(KEYS) if number % 2 == 0}
    known[KEYS[0]]["status"] = "withdrawal_done"
    async with (
        beacon_node(known) as (url, asked),
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as client,
    ):
        found = await client.validators(KEYS)
        assert await client.validators([]) == {}
    assert asked == [KEYS_AT_ONCE, KEYS_AT_ONCE, 1]
    assert found == {key: BeaconValidator(2 * i, i == 0) for i, key in enumerate(KEYS[::2])}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"[" * 100_000,
        b'{"data": null}',
        b'{"data": [1]}',
        json.dumps({"data": [item(KEYS[1], 5)]}).encode(),
        json.dumps({"data": [item(KEYS[0], -1)]}).encode(),
        json.dumps({"data": [item(KEYS[0], 2**64)]}).encode(),
        json.dumps({"data": [item(KEYS[0], 10**30)]}).encode(),
        json.dumps({"data": [item(KEYS[0][1:], 5)]}).encode(),
        b" " * 10_000,
    ],
)
async def test_nonsense_of_one_node_and_sense_of_another(content: bytes) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=content)

    async with (
        serving(of_network(handle)) as liar,
        beacon_node({KEYS[0]: item(KEYS[0], 7)}) as (honest, _),
        BeaconClient([liar], timeout_seconds=ANSWER_SECONDS, network=HOODI) as alone,
        BeaconClient([liar, honest], timeout_seconds=ANSWER_SECONDS, network=HOODI) as both,
    ):
        with pytest.raises(BeaconError, match=r"beacon: http://127\.0\.0\.1"):
            await alone.validators(KEYS[:1])
        assert await both.validators(KEYS[:1]) == {KEYS[0]: BeaconValidator(7, False)}


async def test_the_relayer_gives_no_validator_of_the_beacon_chain(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beacon_watch, "LOOK_SECONDS", 0.1)
    cluster, vault = make_cluster(3), bytes([7]) * 20
    wanted = [key.to_wire() for key in cluster.keys]
    known = {bytes(cluster.keys[0]): item(cluster.keys[0], 5, "pending_queued")}
    body = json.dumps(
        {
            "vault": "0x" + vault.hex(),
            "validators_start_index": 9,
            "amounts": [32_000_000_000],
            "validator_type": "0x01",
        }
    )
    async with (
        beacon_node(known) as (url, _),
        start(cluster, vaults=(vault,), consensus_endpoints=(url,)) as relayer,
    ):

        async def reserved() -> Sequence[str]:
            assert (await relayer.raw("POST", "/register", body))[0] == 200
            _, answer = await relayer.raw("GET", "/validators")
            return [v["public_key"] for v in answer["validators"]]

        await until(reserved, lambda keys: keys == wanted[1:2])
        known[cluster.keys[1]] = item(cluster.keys[1], 9)
        await until(reserved, lambda keys: keys == wanted[2:])


async def test_the_relayer_forgets_who_has_exited(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beacon_watch, "LOOK_SECONDS", 0.1)
    cluster = make_cluster(2)
    known: dict[bytes, Any] = {}
    async with beacon_node(known) as (url, _), start(cluster, consensus_endpoints=(url,)) as relayer:
        await relayer.ask(cluster)
        await relayer.fill(cluster, range(START_INDEX, START_INDEX + 2), 1, 2, 3)
        await relayer.until_ready(cluster)
        known[cluster.keys[0]] = item(cluster.keys[0], START_INDEX, "active_exiting")
        await asyncio.sleep(0.3)
        assert len(await relayer.exits()) == 2
        known[cluster.keys[0]] = item(cluster.keys[0], START_INDEX, "exited_unslashed")

        async def listed() -> Sequence[str]:
            return [wire_key.to_wire() for wire_key in map(type(cluster.keys[0]), await relayer.exits())]

        await until(listed, lambda keys: keys == [cluster.keys[1].to_wire()])


async def until(look: Callable[[], Any], wanted: Callable[[Any], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not wanted(await look()):  # noqa: ASYNC110 - a relayer elsewhere
            await asyncio.sleep(0.05)


# Which chain a node is on, and what it does not know.


def routes(*without: str, **changes: Any) -> BeaconState:
    return BeaconState(100, {KEYS[0]: 7}, without=frozenset(without), **changes)


@asynccontextmanager
async def asking(state: BeaconState) -> AsyncIterator[BeaconClient]:
    async with (
        beacon_with(state) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as client,
    ):
        yield client


@pytest.mark.parametrize("network", [MAINNET, GNOSIS, replace(HOODI, genesis_fork_version=b"abcd")])
async def test_a_node_of_another_network_is_not_believed(network: Network) -> None:
    """Its validators have other indices: one of mainnet's told 2,100,000 on hoodi."""
    async with beacon_with(routes(network=network)) as other, beacon_with(routes()) as url:
        with capture_logs() as lines:
            async with BeaconClient([other, url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as client:
                assert (await client.validators(KEYS[:1]))[KEYS[0]].index == 7
                assert await client.validator_count("head") == 100
        assert [line["event"] for line in lines] == ["endpoint left out"]
        async with BeaconClient([other], timeout_seconds=ANSWER_SECONDS, network=HOODI) as client:
            for ask in (client.head(), client.validators(KEYS[:1]), client.pending_deposits("head")):
                with pytest.raises(BeaconError, match=f"{other}: expected a beacon node of hoodi, got"):
                    await ask


@pytest.mark.parametrize("change", [{"chain_id": 5}, {"deposit_contract": "0x" + "11" * 20}])
@pytest.mark.parametrize("without", [(), ("config/deposit_contract",)])
async def test_a_node_with_another_deposit_contract(without: Sequence[str], change: dict[str, Any]) -> None:
    async with asking(routes(*without, network=replace(HOODI, **change))) as client:
        with pytest.raises(BeaconError, match=r"expected the deposit contract 0x0.* of chain 560048, got"):
            await client.validators(KEYS[:1])


async def test_a_node_that_does_not_tell_its_deposit_contract() -> None:
    """The genesis tells the chain."""
    async with asking(routes("/config/")) as client:
        assert (await client.validators(KEYS[:1]))[KEYS[0]].index == 7
    async with asking(routes("/genesis")) as client:
        with pytest.raises(BeaconError, match="beacon/genesis: HTTP 404: NOT_FOUND"):
            await client.validators(KEYS[:1])


async def test_another_node_behind_the_same_address() -> None:
    """As after a restart with other settings: the connection is a new one."""
    state = routes()
    closing = [False]

    async def handle(request: web.Request) -> web.StreamResponse:
        answer = await state.handle(request)
        if closing[0]:
            answer.force_close()
        return answer

    async with (
        serving(handle) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as client,
    ):
        await client.validators(KEYS[:1])
        closing[0] = True
        await client.validators(KEYS[:1])
        state.network = MAINNET
        with pytest.raises(BeaconError, match="expected a beacon node of hoodi, got one of mainnet"):
            await client.validators(KEYS[:1])


async def test_a_node_that_takes_no_post() -> None:
    keys = {key: index for index, key in enumerate(KEYS)}
    state = BeaconState(len(KEYS), keys, without_post=True)
    async with (
        beacon_with(state) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as client,
    ):
        for _ in range(2):
            found = await client.validators(KEYS)
            assert {key: each.index for key, each in found.items()} == keys
            assert await client.validator_count("head") == len(KEYS)
        assert await client.public_keys(range(3)) == {n: n.to_bytes(48, "big") for n in range(3)}


async def test_a_node_without_blinded_blocks() -> None:
    state = routes("blinded_blocks", block_number=5)
    async with (
        beacon_with(state) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as client,
    ):
        for _ in range(2):
            assert (await client.head()).block_number == 5
    assert state.requests == ["/eth/v2/beacon/blocks/head"] * 2
    async with asking(routes("blocks/head")) as client:
        with pytest.raises(BeaconError, match="blinded_blocks/head: HTTP 404: NOT_FOUND"):
            await client.head()


async def test_a_node_that_knows_no_pending_deposits() -> None:
    async with asking(routes("pending_deposits")) as client:
        with pytest.raises(BeaconError, match=r"HTTP 404: .* since Electra; update it, or name another"):
            await client.pending_deposits("head")


async def test_a_node_that_lacks_a_state() -> None:
    """It is not told apart by its status, so what it says is shown."""
    state = routes()

    async def handle(request: web.Request) -> web.StreamResponse:
        if "pending" in request.path:
            return web.json_response({"code": 404, "message": "State not found"}, status=404)
        return await state.handle(request)

    async with (
        serving(handle) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as client,
    ):
        with pytest.raises(BeaconError, match="HTTP 404: State not found: it lacks that state, or knows no"):
            await client.pending_withdrawals("0x" + "11" * 32)


async def test_a_query_of_the_address_stays_at_its_end() -> None:
    asked: list[str] = []
    state = routes()

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(request.path_qs)
        request = request.clone(rel_url=request.rel_url.path.removeprefix("/below"))
        return await state.handle(request)

    async with serving(handle) as url:
        address = f"{url}/below/?key=a%2Fb"
        async with BeaconClient([address], timeout_seconds=ANSWER_SECONDS, network=HOODI) as client:
            await client.head()
    assert [path.partition("?")[2] for path in asked] == ["key=a/b"] * len(asked)
    assert all(path.startswith("/below/eth/v") for path in asked)
