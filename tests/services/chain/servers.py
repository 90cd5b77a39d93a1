"""Servers on loopback that answer whatever a test wants: nodes that lie, gateways that lie."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from dvtfast.services.web.http import listening

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Change = Callable[[str, list[Any], Any], Any]

DEAD = "http://127.0.0.1:1"  # nobody listens on port 1


@asynccontextmanager
async def serving(handle: Handler, *, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """A server that answers every request with `handle`; yields its address."""
    app = web.Application(client_max_size=2**20)
    app.router.add_route("*", "/{path:.*}", handle)
    async with listening(app, host, 0) as port:
        yield f"http://{host}:{port}"


@asynccontextmanager
async def node_saying(*bodies: str | bytes, status: int = 200) -> AsyncIterator[tuple[str, list[str]]]:
    """A node that gives these bodies in turn, the last one for ever; `ID` is that of the request."""
    methods: list[str] = []
    left = list(bodies)

    async def handle(request: web.Request) -> web.Response:
        asked = await request.json()
        methods.append(asked["method"])
        body = left.pop(0) if len(left) > 1 else left[0]
        body = body if isinstance(body, bytes) else body.replace("ID", str(asked["id"])).encode()
        return web.Response(body=body, status=status, content_type="application/json")

    async with serving(handle) as url:
        yield url, methods


@asynccontextmanager
async def node_between(
    url: str, change: Change, refuse: Callable[[str, list[Any]], None] = lambda *_: None
) -> AsyncIterator[tuple[str, list[Any]]]:
    """The node at `url` with its answers changed; an exception's JSON is the error it answers with.

    Args:
        refuse: called before; what it raises for, the node does not get.
    """
    calls: list[Any] = []
    async with aiohttp.ClientSession() as session:

        async def handle(request: web.Request) -> web.Response:
            asked = await request.json()
            calls.append((asked["method"], asked["params"]))
            content = {"jsonrpc": "2.0", "id": asked["id"]}
            try:
                refuse(asked["method"], asked["params"])
                async with session.post(url, json=asked) as answer:
                    content = await answer.json()
                content["result"] = change(asked["method"], asked["params"], content.get("result"))
            except RpcError as error:
                content = {"jsonrpc": "2.0", "id": asked["id"], "error": error.args[0]}
            return web.Response(text=json.dumps(content), content_type="application/json")

        async with serving(handle) as between:
            yield between, calls


@asynccontextmanager
async def node_finalizing(url: str, behind: Callable[[], int]) -> AsyncIterator[str]:
    """The node at `url`, with so many blocks on top of its finalized one."""
    async with aiohttp.ClientSession() as session:

        async def ask(asked: Any) -> Any:
            async with session.post(url, json=asked) as answer:
                return await answer.json()

        async def handle(request: web.Request) -> web.Response:
            asked = await request.json()
            if asked["method"] == "eth_getBlockByNumber" and asked["params"][0] == "finalized":
                latest = await ask(asked | {"params": ["latest", False]})
                number = max(int(latest["result"]["number"], 16) - behind(), 0)
                asked["params"] = [hex(number), False]
            return web.json_response(await ask(asked))

        async with serving(handle) as between:
            yield between


@asynccontextmanager
async def nodes_between(url: str, *changes: Change) -> AsyncIterator[list[str]]:
    """As many nodes that see the chain of the node at `url`, each with its answers changed."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node_between(url, change)) for change in changes]
        yield [between for between, _ in nodes]


@dataclass
class Behind:
    """A node that is at a block, and does not know of later ones.

    Attributes:
        at: None when it is as far as the chain.
    """

    url: str
    at: int | None


@asynccontextmanager
async def node_behind(url: str, at: int) -> AsyncIterator[Behind]:
    """A node that has fallen behind the one at `url`."""
    behind = Behind("", at)
    async with aiohttp.ClientSession() as session:

        async def ask(method: str, *params: Any) -> Any:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            async with session.post(url, json=body) as answer:
                return await answer.json()

        async def number_of(block: Any) -> int:
            if isinstance(block, dict):
                found = await ask("eth_getBlockByHash", block["blockHash"], False)
                return int(found["result"]["number"], 16)
            return int(block, 16) if str(block).startswith("0x") else 0

        async def handle(request: web.Request) -> web.Response:
            asked = await request.json()
            method, params, at = asked["method"], asked["params"], behind.at
            if at is not None:
                params = [hex(at) if each in ("latest", "pending") else each for each in params]
                named = [each for each in params if isinstance(each, dict) and "blockHash" in each]
                if method == "eth_getBlockByNumber":
                    named = params[:1]
                if any([await number_of(each) > at for each in named]):
                    error = {"code": -32001, "message": "header not found"}
                    return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "error": error})
            content = await ask(method, *params) | {"id": asked["id"]}
            is_receipt = method == "eth_getTransactionReceipt" and content["result"] is not None
            if at is not None and is_receipt and int(content["result"]["blockNumber"], 16) > at:
                content["result"] = None
            return web.json_response(content)

        async with serving(handle) as behind.url:
            yield behind


class RpcError(Exception):
    """What a node between answers instead."""


def without_finality(method: str, params: list[Any], value: Any) -> Any:
    """A node that knows of no finalized block."""
    if method == "eth_getBlockByNumber" and params[0] == "finalized":
        raise RpcError({"code": -39001, "message": "finalized block not found"})
    return value


def leaving_out(*numbers: int) -> Change:
    """A node that has no logs of these deposits, and knows of no finality."""

    def change(method: str, params: list[Any], value: Any) -> Any:
        if method == "eth_getLogs":
            return [log for log in value if int(log["data"][-64:-62], 16) not in numbers]
        return without_finality(method, params, value)

    return change


class Rewriting:
    """A node that gives other hashes for old blocks while it lies.

    Args:
        finality: whether it knows of finalized blocks.
    """

    def __init__(self, *, finality: bool = False) -> None:
        self.lies = False
        self._finality = finality

    def __call__(self, method: str, params: list[Any], value: Any) -> Any:
        if not self._finality:
            value = without_finality(method, params, value)
        if self.lies and method == "eth_getBlockByNumber" and params[0].startswith("0x"):
            return value | {"hash": "0x" + bytes.fromhex(value["hash"][2:])[::-1].hex()}
        return value
