"""The node client against a real node, and against what no node should say."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from dvtfast.services.chain import endpoints as endpoints_module
from dvtfast.services.chain.encoding import keccak256
from dvtfast.services.chain.execution import node as node_module
from dvtfast.services.chain.execution.node import (
    CallRevertedError,
    NodeClient,
    NodeError,
    StaleNodeError,
    TooManyLogsError,
)
from dvtfast.services.process.offload import UnavailableError
from tests.services.chain.anvil import CHAIN_ID, Chain, ChainClock
from tests.services.chain.servers import DEAD, Handler, RpcError, node_between, node_saying, serving
from tests.services.patience import ANSWER_SECONDS, PATIENCE_SECONDS

ZERO = "0x" + "00" * 32
BLOCK = f'{{"number":"0x5","hash":"{ZERO}","parentHash":"{ZERO}","timestamp":"0x1"}}'
NO_CODE = bytes(19) + b"\x99"


def result(value: str) -> str:
    return f'{{"jsonrpc":"2.0","id":ID,"result":{value}}}'


def client(*urls: str, timeout_seconds: float = ANSWER_SECONDS, chain_id: int | None = None) -> NodeClient:
    return NodeClient(urls, timeout_seconds=timeout_seconds, chain_id=chain_id)


def unchanged(_method: str, _params: list[Any], value: Any) -> Any:
    return value


# A real node.


async def test_blocks(chain: Chain, node: NodeClient) -> None:
    await chain.mine(2)
    assert await node.chain_id() == CHAIN_ID
    latest = await node.block("latest")
    before = await node.block(latest.number - 1)
    assert latest.number == await chain.height()
    assert latest.parent_hash == before.hash
    assert before.timestamp <= latest.timestamp
    assert await node.block(latest.number) == latest
    assert (await node.block("earliest")).number == 0


async def test_a_block_that_is_not_there(node: NodeClient) -> None:
    with pytest.raises(NodeError, match="no block 1000000") as caught:
        await node.block(1_000_000)
    assert caught.value.refused


async def test_calls_at_one_block(chain: Chain, node: NodeClient) -> None:
    """What a call returns belongs to the block that it names, whatever came later."""
    vault = await chain.deploy("vault")
    nonce = keccak256(b"validatorsManagerNonce()")[:4]
    before = await node.block("latest")
    await vault.send("use_nonce()")
    for block, expected in [(before, 0), (before.number, 0), ("latest", 1)]:
        assert int.from_bytes(await node.call(vault.address, nonce, block=block), "big") == expected
    await chain.reorg(2)
    with pytest.raises(NodeError) as caught:  # that very block is in no chain any more
        await node.call(vault.address, nonce, block=before)
    assert caught.value.refused


async def test_a_call_that_reverts_is_not_asked_elsewhere(chain: Chain) -> None:
    vault = await chain.deploy("vault")
    async with node_between(chain.url, unchanged) as (other, calls), client(chain.url, other) as node:
        with pytest.raises(CallRevertedError, match="never") as caught:
            await node.call(vault.address, keccak256(b"refuse()")[:4], block="latest")
        assert calls == []
    assert caught.value.data[:4] == keccak256(b"Error(string)")[:4]
    assert not isinstance(caught.value, UnavailableError)


async def test_a_call_to_nobody(node: NodeClient) -> None:
    assert await node.call(NO_CODE, b"1234", block="latest") == b""


async def test_logs(chain: Chain, node: NodeClient) -> None:
    keeper = await chain.deploy("keeper")
    other = await chain.deploy("keeper")
    blocks = [await keeper.send("update_config(string)", f"Qm{n}") for n in range(3)]
    await other.send("update_config(string)", "other")
    last = await node.block("latest")
    topic = keccak256(b"ConfigUpdated(string)")
    for topics in [(), (topic,), (bytes(32), topic)]:
        logs = await node.logs(keeper.address, topics, first=0, last=last)
        assert [log.block_number for log in logs] == blocks
        assert {log.topics for log in logs} == {(topic,)}
    assert [b"Qm1" in log.data for log in logs] == [False, True, False]
    assert await node.logs(keeper.address, [bytes(32)], first=0, last=last) == []
    assert len(await node.logs(keeper.address, first=blocks[1], last=await node.block(blocks[1]))) == 1
    assert await node.logs(keeper.address, first=last.number + 1, last=last) == []


async def test_logs_of_a_block_that_is_gone(chain: Chain, node: NodeClient) -> None:
    await chain.mine(3)
    last = await node.block("latest")
    await chain.reorg(2)
    with pytest.raises(NodeError, match="is another one now"):
        await node.logs(NO_CODE, first=0, last=last)


async def test_a_node_that_is_behind_gives_no_logs(chain: Chain) -> None:
    """It would say that there are none."""
    keeper = await chain.deploy("keeper")
    await keeper.send("update_config(string)", "Qm")
    height = await chain.height()

    def lag(method: str, params: list[Any], value: Any) -> Any:
        if method == "eth_getBlockByNumber" and params[0] == hex(height):
            return None
        return [] if method == "eth_getLogs" else value

    async with node_between(chain.url, lag) as (behind, _), client(behind, chain.url) as node:
        last = await node.block(height)
        assert len(await node.logs(keeper.address, first=0, last=last)) == 1


@pytest.mark.parametrize(
    "error",
    [
        {"code": -32005, "message": "query returned more than 10000 results"},
        {"code": -32602, "message": "block range is too wide"},
        {"code": -32000, "message": "exceeds the range"},
    ],
)
async def test_a_range_that_is_refused_is_halved(chain: Chain, error: dict[str, Any]) -> None:
    keeper = await chain.deploy("keeper")
    for n in range(20):
        await keeper.send("update_config(string)", f"Qm{n}")

    def narrow(method: str, params: list[Any], value: Any) -> Any:
        if method == "eth_getLogs" and int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) > 3:
            raise RpcError(error)
        return value

    async with node_between(chain.url, narrow) as (narrow_url, calls), client(narrow_url) as node:
        last = await node.block("latest")
        expected = list(range(last.number - 19, last.number + 1))
        for _ in range(2):
            logs = await node.logs(keeper.address, first=0, last=last)
            assert [log.block_number for log in logs] == expected
        asked = [call for call in calls if call[0] == "eth_getLogs"]
        assert len(asked) < 30  # it remembers: the second time one request is refused


async def test_a_node_that_refuses_every_range(chain: Chain) -> None:
    def never(method: str, _params: list[Any], value: Any) -> Any:
        if method == "eth_getLogs":
            raise RpcError({"code": -32000, "message": "no logs here"})
        return value

    async with node_between(chain.url, never) as (url, calls), client(url) as node:
        await chain.mine(100)
        with pytest.raises(NodeError, match="no logs here") as caught:
            await node.logs(NO_CODE, first=0, last=await node.block("latest"))
        assert caught.value.refused
        assert sum(call[0] == "eth_getLogs" for call in calls) < 10


async def test_more_logs_than_memory_is_for(
    chain: Chain, node: NodeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    deposits = await chain.deploy("deposit")
    await deposits.send("deposit_many(uint256)", 200)
    last = await node.block("latest")
    assert len(await node.logs(deposits.address, first=0, last=last)) == 200  # read on a thread
    monkeypatch.setattr(node_module, "LOGS_LIMIT", 199)
    with pytest.raises(TooManyLogsError, match="expected at most 199 logs"):
        await node.logs(deposits.address, first=0, last=last)


async def test_an_old_chain_is_not_relied_on(chain: Chain, node: NodeClient, chain_clock: ChainClock) -> None:
    await chain.mine()
    fresh = await node.require_fresh(30)
    assert fresh == await node.block("latest")
    await chain.rpc("evm_setNextBlockTimestamp", chain_clock.stop() + 1000)
    await chain.mine()
    with pytest.raises(
        StaleNodeError,
        match=r"of the last 30 s, got \d+, -1000 s old: the clock of this machine is behind",
    ):
        await node.require_fresh(30)


async def test_a_stale_node_is_passed_over(chain: Chain, chain_clock: ChainClock) -> None:
    await chain.mine()
    past = {"timestamp": hex(chain_clock.stop() - 100)}

    def old(method: str, _params: list[Any], value: Any) -> Any:
        return value | past if method == "eth_getBlockByNumber" else value

    async with node_between(chain.url, old) as (stale, _):
        async with client(stale, chain.url) as node:
            assert (await node.require_fresh(60)).number == await chain.height()
        async with client(stale, DEAD) as node:
            with pytest.raises(StaleNodeError, match=r"100 s old.*cannot connect"):
                await node.require_fresh(60)
        async with client(DEAD) as node:
            with pytest.raises(NodeError) as caught:
                await node.require_fresh(60)
            assert not isinstance(caught.value, StaleNodeError)


# Several nodes.


async def test_a_dead_node(chain: Chain) -> None:
    async with client(DEAD, chain.url) as node:
        assert (await node.block("latest")).number == await chain.height()
    async with client(DEAD) as node:
        with pytest.raises(NodeError, match=r"^http://127\.0\.0\.1:1: cannot connect: ") as caught:
            await node.block("latest")
    assert not caught.value.refused


async def test_a_slow_node(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints_module, "REST_FIRST_SECONDS", 60.0)
    asked = []

    async def sleep(request: web.Request) -> web.Response:
        asked.append(request.path)
        await asyncio.sleep(PATIENCE_SECONDS)
        return web.Response()

    async with serving(sleep) as slow, client(slow, chain.url, timeout_seconds=5) as node:
        for _ in range(3):
            await node.block("latest")
    assert len(asked) == 1  # only the first call waited for it


async def test_a_node_on_another_chain(chain: Chain) -> None:
    def other(method: str, _params: list[Any], value: Any) -> Any:
        return "0x1" if method == "eth_chainId" else value

    async with node_between(chain.url, other) as (mainnet, calls):
        with capture_logs() as lines:
            async with client(mainnet, chain.url, chain_id=CHAIN_ID) as node:
                for _ in range(3):
                    await node.block("latest")
        assert calls == [("eth_chainId", [])]
        assert [line["event"] for line in lines] == ["endpoint left out"]
        async with client(mainnet, chain_id=CHAIN_ID) as node:
            for _ in range(2):
                with pytest.raises(NodeError, match=f"^{mainnet}: expected chain {CHAIN_ID}, got 1$"):
                    await node.block("latest")
        async with client(chain.url, mainnet) as node:  # the first that answers decides
            assert await node.chain_id() == CHAIN_ID


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_an_http_error(chain: Chain, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints_module, "PAUSE_FIRST_SECONDS", 0.001)
    body = '{"jsonrpc":"2.0","id":ID,"error":{"code":1,"message":"x"}}' if status in (401, 429) else "<html>"
    async with node_saying(body, status=status) as (url, _), client(url, chain.url) as node:
        await node.block("latest")
        async with client(url) as alone:
            with pytest.raises(NodeError, match=f"HTTP {status}"):
                await alone.block("latest")


async def test_a_server_error_in_json(chain: Chain) -> None:
    body = '{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal\\nerror","data":[1]}}'
    async with node_saying(body) as (url, _), client(url, chain.url) as node:
        await node.block("latest")
        async with client(url) as alone:
            with pytest.raises(NodeError, match=r"eth_chainId: internal error \(-32603\)"):
                await alone.block("latest")


# What no node should say.

CHAIN_ANSWER = result('"0x1"')
HOSTILE_BLOCKS = {
    "empty": "",
    "no json": "<html>hello",
    "half": '{"jsonrpc":"2.0","id":ID,"result":{"num',
    "not utf-8": b'{"id":1,"result":"\xff\xfe"}',
    "deep": '{"id":ID,"result":' + "[" * 50_000 + "]" * 50_000 + "}",
    "a list": "[]",
    "a number": "5",
    "no result": '{"jsonrpc":"2.0","id":ID}',
    "wrong id": '{"jsonrpc":"2.0","id":77,"result":' + BLOCK + "}",
    "id in text": '{"jsonrpc":"2.0","id":"ID","result":' + BLOCK + "}",
    "no id": '{"jsonrpc":"2.0","result":' + BLOCK + "}",
    "id object": '{"jsonrpc":"2.0","id":{},"result":' + BLOCK + "}",
    "error text": '{"jsonrpc":"2.0","id":ID,"error":"oops"}',
    "error code": '{"jsonrpc":"2.0","id":ID,"error":{"code":"x","message":1}}',
    "another block": result(BLOCK.replace("0x5", "0x6")),
    "number": result(BLOCK.replace('"0x5"', "5")),
    "no hex": result(BLOCK.replace("0x5", "five")),
    "zeros": result(BLOCK.replace("0x5", "0x05")),
    "negative": result(BLOCK.replace("0x5", "-0x5")),
    "huge": result(BLOCK.replace("0x5", "0x" + "5" * 17)),
    "endless number": result(BLOCK.replace("0x5", "0x" + "5" * 1_000_000)),
    "short hash": result(BLOCK.replace(ZERO, "0x00")),
    "null hash": result(BLOCK.replace(f'"{ZERO}"', "null")),
    "text": result('"0x"'),
    "true": result("true"),
}


@pytest.mark.parametrize("body", HOSTILE_BLOCKS.values(), ids=HOSTILE_BLOCKS)
async def test_hostile_blocks(body: str | bytes) -> None:
    async with node_saying(CHAIN_ANSWER, body) as (url, _):
        async with client(url) as node:
            with pytest.raises(NodeError, match=f"^{url}: ") as caught:
                await node.block(5)
            assert len(str(caught.value)) < 300
        async with (
            node_saying(CHAIN_ANSWER, result(BLOCK)) as (honest, _),
            node_saying(CHAIN_ANSWER, body) as (liar, _),
            client(liar, honest) as node,
        ):
            assert (await node.block(5)).number == 5


LOG = {
    "address": "0x" + NO_CODE.hex(),
    "topics": [ZERO],
    "data": "0x",
    "blockNumber": "0x3",
    "blockHash": ZERO,
    "logIndex": "0x0",
}
HOSTILE_LOGS: dict[str, Any] = {
    "null": None,
    "object": {},
    "items": [1],
    "another contract": [LOG | {"address": "0x" + "11" * 20}],
    "another block": [LOG | {"blockNumber": "0x6"}],
    "another topic": [LOG | {"topics": ["0x" + "11" * 32]}],
    "no topic": [LOG | {"topics": []}],
    "five topics": [LOG | {"topics": [ZERO] * 5}],
    "twice": [LOG, LOG],
    "removed": [LOG | {"removed": True}],
    "odd data": [LOG | {"data": "0x0"}],
    "short address": [LOG | {"address": "0x99"}],
    "no index": [{name: value for name, value in LOG.items() if name != "logIndex"}],
}


@pytest.mark.parametrize("logs", HOSTILE_LOGS.values(), ids=HOSTILE_LOGS)
async def test_hostile_logs(logs: Any) -> None:
    for answer, fine in [([LOG], True), (logs, False)]:
        bodies = [CHAIN_ANSWER, result(BLOCK), result(BLOCK), result(json.dumps(answer)), result(BLOCK)]
        async with node_saying(*bodies) as (url, _), client(url) as node:
            last = await node.block(5)
            if fine:
                assert len(await node.logs(NO_CODE, [bytes(32)], first=3, last=last)) == 1
            else:
                with pytest.raises(NodeError, match=f"^{url}: eth_getLogs: "):
                    await node.logs(NO_CODE, [bytes(32)], first=3, last=last)


async def test_a_refusal_that_takes_hours_to_understand() -> None:
    """Its beginning is looked at; a pattern would be searched for in the whole of it for hours."""
    refusal = '{"id":ID,"error":{"code":-32000,"message":"' + "history " * 300_000 + '"}}'
    async with (
        node_saying(CHAIN_ANSWER, result(BLOCK), result(BLOCK), refusal) as (url, _),
        client(url) as node,
    ):
        last = await node.block(5)
        with pytest.raises(NodeError, match="eth_getLogs: history history"):
            await node.logs(NO_CODE, [bytes(32)], first=5, last=last)


@pytest.mark.parametrize("value", ["null", "1", "[]", '"00"', '"0x0"', '"0xzz"'])
async def test_hostile_calls(value: str) -> None:
    async with node_saying(CHAIN_ANSWER, result(value)) as (url, _), client(url) as node:
        with pytest.raises(NodeError, match="eth_call: "):
            await node.call(NO_CODE, b"", block="latest")


@pytest.mark.parametrize("data", ["null", '"Reverted 0x"', "{}", '"0x' + "00" * 100_000 + '"'])
async def test_hostile_reverts(data: str) -> None:
    body = '{"id":ID,"error":{"code":3,"message":"execution reverted","data":' + data + "}}"
    async with node_saying(CHAIN_ANSWER, body) as (url, _), client(url) as node:
        with pytest.raises(CallRevertedError) as caught:
            await node.call(NO_CODE, b"", block="latest")
        assert caught.value.data == b""


async def test_an_endless_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "ANSWER_LIMIT_BYTES", 100_000)
    sent = [0]

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 50_000)
            sent[0] += 50_000

    async with serving(flood) as url, client(url, timeout_seconds=20) as node:
        with pytest.raises(NodeError, match="expected at most"):
            await node.block("latest")
        assert sent[0] < 40_000_000


async def test_a_body_that_never_ends() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    async with serving(drip) as url, client(url, timeout_seconds=0.4) as node:
        with pytest.raises(NodeError, match="no answer in time"):
            await node.block("latest")


async def test_a_redirect_is_not_followed(chain: Chain) -> None:
    async def elsewhere(_request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": chain.url})

    async with serving(elsewhere) as url, client(url) as node:
        with pytest.raises(NodeError, match="HTTP 307"):
            await node.block("latest")


async def test_a_compressed_body_is_refused() -> None:
    async def packed(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    async with serving(packed) as url, client(url) as node:
        with pytest.raises(NodeError, match="not compressed"):
            await node.block("latest")


async def test_no_secret_of_an_address_is_told() -> None:
    secret = "0123456789abcdef"

    async def quote(request: web.Request) -> web.Response:
        return web.Response(text=f'{{"error":{{"code":1,"message":"bad key {request.path_qs} {secret}"}}}}')

    async with serving(quote) as url:
        host = url.removeprefix("http://")
        address = f"http://user:password-{secret}@{host}/v3/{secret}?key={secret}-query"
        for each in (
            address,
            address.replace(host, "127.0.0.1:1"),
            f"http://{secret}@[/{secret}",
            f"ftp://x/{secret}",
        ):
            with capture_logs() as lines, pytest.raises((NodeError, ValueError)) as caught:
                async with client(each) as node:
                    await node.block("latest")
            assert secret not in f"{caught.value!r} {lines}"


# Nodes that do not give all logs at once.


def in_ranges(most: int, status: int, body: str) -> tuple[Handler, list[int]]:
    """A node with an empty chain of 1,000 blocks, that answers ranges of more blocks with an error."""
    asked: list[int] = []

    async def handle(request: web.Request) -> web.Response:
        wanted = await request.json()
        answer: Any = "0x1"
        if wanted["method"] == "eth_getBlockByNumber":
            answer = json.loads(BLOCK) | {"number": hex(1000)}
        elif wanted["method"] == "eth_getLogs":
            (span,) = wanted["params"]
            asked.append(int(span["toBlock"], 16) - int(span["fromBlock"], 16) + 1)
            answer = []
            if asked[-1] > most:
                return web.Response(text=body.replace("ID", str(wanted["id"])), status=status)
        return web.json_response({"jsonrpc": "2.0", "id": wanted["id"], "result": answer})

    return handle, asked


TOO_MUCH = '{"jsonrpc":"2.0","id":ID,"error":{"code":-32005,"message":"query returned more than 10 results"}}'


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, "Bad Request"),
        (500, "<html>Internal Server Error</html>"),
        (500, TOO_MUCH),
        (502, ""),
        (504, "upstream timed out"),
        (413, ""),
        (200, TOO_MUCH),
        (400, TOO_MUCH),
    ],
)
async def test_ranges_that_are_refused_in_any_way_are_smaller(status: int, body: str) -> None:
    """Also later, until it may be that more is given again."""
    handle, asked = in_ranges(100, status, body)
    async with serving(handle) as url, client(url) as node:
        last = await node.block(1000)
        for _ in range(3):
            assert await node.logs(NO_CODE, first=1, last=last) == []
    assert sum(each > 100 for each in asked) <= 6  # 1000, 500, 250, 125; again after many that were given


async def test_a_range_that_takes_too_long_is_smaller() -> None:
    handle, asked = in_ranges(100, 200, TOO_MUCH)

    async def slow(request: web.Request) -> web.StreamResponse:
        answer = await handle(request)
        if isinstance(answer, web.Response) and b"returned" in (answer.body or b""):  # type: ignore[operator]  # bytes here
            await asyncio.sleep(30)
        return answer

    async with serving(slow) as url, client(url, timeout_seconds=0.3) as node:
        last = await node.block(1000)
        assert await node.logs(NO_CODE, first=1, last=last) == []
    assert asked[:3] == [1000, 250, 62]


async def test_the_largest_range_can_be_told() -> None:
    handle, asked = in_ranges(10, 200, TOO_MUCH)
    async with (
        serving(handle) as url,
        NodeClient([url], timeout_seconds=ANSWER_SECONDS, logs_span_blocks=10) as node,
    ):
        last = await node.block(1000)
        assert await node.logs(NO_CODE, first=1, last=last) == []
    assert asked == [10] * 100


@pytest.mark.parametrize(
    "error",
    [
        {"code": 429, "message": "Your app has exceeded its compute units per second capacity"},
        {"code": -32005, "message": "limit exceeded"},
        {"code": -32007, "message": "50/second request limit reached"},
        {"code": -32000, "message": "Too Many Requests"},
    ],
)
async def test_a_rate_limit_with_http_200_is_waited_for(
    error: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing about the range."""
    monkeypatch.setattr(endpoints_module, "PAUSE_FIRST_SECONDS", 0.001)
    monkeypatch.setattr(node_module, "PAUSE_LONGEST_SECONDS", 0.001)
    handle, asked = in_ranges(1000, 200, "")
    left = [3]

    async def limited(request: web.Request) -> web.StreamResponse:
        wanted = await request.json()
        if wanted["method"] != "eth_chainId" and left[0]:
            left[0] -= 1
            return web.json_response({"jsonrpc": "2.0", "id": wanted["id"], "error": error})
        left[0] = 2 if wanted["method"] == "eth_getBlockByNumber" else 0
        return await handle(request)

    async with serving(limited) as url, client(url) as node:
        last = await node.block(1000)
        left[0] = 0
        assert await node.logs(NO_CODE, first=1, last=last) == []
    assert asked == [1000]


@pytest.mark.parametrize(
    "error",
    [
        {"code": 4444, "message": "gone"},
        {"code": -32000, "message": "history has been pruned for this block"},
        {"code": -32701, "message": "History has been pruned for this block. To remove this limit, ..."},
    ],
)
async def test_a_node_that_pruned_its_logs_is_named_as_such(chain: Chain, error: dict[str, Any]) -> None:
    def pruned(method: str, _params: list[Any], value: Any) -> Any:
        if method == "eth_getLogs":
            raise RpcError(error)
        return value

    async with node_between(chain.url, pruned) as (url, calls), client(url) as node:
        await chain.mine(20)
        with pytest.raises(NodeError, match="it has pruned logs this old; name a node that keeps them"):
            await node.logs(NO_CODE, first=0, last=await node.block("latest"))
        assert sum(method == "eth_getLogs" for method, _ in calls) == 1
        async with client(url, chain.url) as both:
            assert await both.logs(NO_CODE, first=0, last=await both.block("latest")) == []


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, '{"error": {"message": "this plan has no archive"}}', "HTTP 403: this plan has no archive"),
        (401, "<html><h1>401 Unauthorized</h1></html>", "HTTP 401: 401 Unauthorized"),
        (400, "Client sent an HTTP request to an HTTPS server.", "HTTP 400: Client sent an HTTP request"),
    ],
)
async def test_what_a_node_says_when_it_refuses_is_told(status: int, body: str, said: str) -> None:
    async with node_saying(body, status=status) as (url, _), client(url) as node:
        with pytest.raises(NodeError, match=said):
            await node.block("latest")
