"""What is passed on to beacon nodes, and how their answers come back: in pieces, and as they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from dvtfast.services.chain.beacon.client import BeaconError
from dvtfast.services.node.validator_api import passing
from dvtfast.services.node.validator_api.bodies import BODIES, Bodies
from dvtfast.services.node.validator_api.errors import api_errors
from dvtfast.services.node.validator_api.passing import PassedOn
from dvtfast.services.web import http, outgoing
from dvtfast.services.web.http import listening
from tests.services.chain.beacon.test_duties_client import CONSTANTS, asking

PIECE = b"x" * 300_000
HEAD_ROOT = {"data": {"root": "0x" + 32 * "11"}, "execution_optimistic": False}
KEYWORDS = dict(outgoing.Session.__init__.__kwdefaults__)


@asynccontextmanager
async def passed_on(*nodes: dict[str, Any]) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """An address that passes on to these nodes."""
    async with asking(*nodes, timeout_seconds=10.0, submit_seconds=10.0) as beacon:
        app = http.application()
        app[BODIES] = Bodies()
        app.middlewares.append(api_errors)
        passed = PassedOn(beacon, seconds=20.0)
        app.router.add_route("GET", "/{path:.*}", passed.get)
        app.router.add_route("POST", "/{path:.*}", passed.post)
        async with listening(app, "127.0.0.1", 0) as port, aiohttp.ClientSession() as session:
            yield f"http://127.0.0.1:{port}", session


async def echo(request: web.Request) -> web.Response:
    """What came."""
    headers = {
        name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")
    }
    told = {"query": request.query_string, "headers": headers, "body": (await request.read()).decode()}
    return web.json_response(told, headers={"Eth-Consensus-Version": "fulu", "Set-Cookie": "a=b"})


async def test_a_request_and_its_answer() -> None:
    headers = {"Accept": "application/octet-stream", "Authorization": "Basic x", "Cookie": "a=b"}
    async with passed_on({"/eth/v1/config/deposit_contract": echo}) as (url, session):
        path = url + "/eth/v1/config/deposit_contract?a=1&b=%2F"
        for method in ("GET", "POST"):
            more = {"data": b"{}"} if method == "POST" else {}
            async with session.request(method, path, headers=headers, **more) as answer:
                told = await answer.json()
                assert answer.status == 200
                assert answer.headers["Eth-Consensus-Version"] == "fulu"
                assert "Set-Cookie" not in answer.headers
            assert told["query"] == "a=1&b=/"
            assert told["headers"]["Accept"] == "application/octet-stream"
            assert not told["headers"].keys() & {"Authorization", "Cookie"}
            assert told["body"] == ("{}" if method == "POST" else "")


async def test_a_large_answer_comes_in_pieces() -> None:
    first, more = asyncio.Event(), asyncio.Event()

    async def pieces(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(PIECE)
        first.set()
        await more.wait()
        for _ in range(9):
            await response.write(PIECE)
        return response

    async with (
        passed_on({"/eth/v2/debug/beacon/states/head": pieces}) as (url, session),
        session.get(url + "/eth/v2/debug/beacon/states/head") as answer,
    ):
        assert await answer.content.readexactly(len(PIECE)) == PIECE
        await first.wait()
        more.set()
        assert await answer.read() == PIECE * 9


async def test_what_breaks_off_is_not_taken_for_all() -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport is not None
        request.transport.close()
        return response

    async with passed_on({"/eth/v1/x": broken}) as (url, session), session.get(url + "/eth/v1/x") as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientError):
            await answer.read()


async def test_events_come_as_they_happen_and_end_with_their_reader() -> None:
    ended = asyncio.Event()

    async def events(request: web.Request) -> web.StreamResponse:
        assert request.query["topics"] == "head"
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b"event: head\ndata: {}\n\n")
                await asyncio.sleep(0.02)
        finally:
            ended.set()

    async with passed_on({"/eth/v1/events": events}) as (url, session):
        async with session.get(url + "/eth/v1/events?topics=head") as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            for _ in range(3):
                assert await answer.content.readuntil(b"\n\n") == b"event: head\ndata: {}\n\n"
        await ended.wait()


async def test_the_next_node_is_asked_where_one_fails_or_lacks_it() -> None:
    path = "/eth/v1/beacon/headers/head"

    async def fail(_: web.Request) -> web.Response:
        return web.Response(status=500)

    async with passed_on({path: fail}, {}, {path: {"data": 1}}) as (url, session):
        async with session.get(url + path) as answer:
            assert await answer.json() == {"data": 1}
        async with session.post(url + path, json=[]) as answer:
            assert await answer.json() == {"data": 1}
    async with passed_on({}, {}) as (url, session), session.get(url + path) as answer:
        assert answer.status == 404
        assert (await answer.json())["code"] == 404


async def test_what_a_node_refuses_of_a_list_is_passed_on() -> None:
    refusal = {"code": 400, "message": "no", "failures": [{"index": 1, "message": "it is known"}]}
    path = "/eth/v1/beacon/pool/bls_to_execution_changes"

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response(refusal, status=400)

    async with passed_on({path: refuse}) as (url, session), session.post(url + path, json=[]) as answer:
        told = await answer.json()
        assert (answer.status, told["code"]) == (400, 400)
        assert told["failures"] == refusal["failures"]


async def test_a_refusal_of_one_node_is_the_answer_where_another_has_none() -> None:
    """Clients tell an empty slot from nodes that are not there."""

    async def refuse(_: web.Request) -> web.Response:
        told = {"code": 404, "message": "no", "failures": [{"index": 1, "message": "it is known"}]}
        return web.json_response(told, status=404)

    async def fail(_: web.Request) -> web.Response:
        return web.Response(status=500)

    path = "/eth/v1/beacon/headers"
    for nodes in ((refuse, fail), (fail, refuse)):
        async with passed_on(*({path: each} for each in nodes)) as (url, session):
            for method in ("GET", "POST"):
                async with session.request(method, url + path, json=[]) as answer:
                    assert answer.status == 404
                    assert (await answer.json())["failures"] == [{"index": 1, "message": "it is known"}]
    async with passed_on({path: fail}, {path: fail}) as (url, session), session.get(url + path) as answer:
        assert answer.status == 503


async def test_so_many_streams_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are counted apart, so that those who keep them open keep nobody else out."""
    monkeypatch.setattr(passing, "MOST_EVENTS", 1)

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await asyncio.sleep(60)
        return response

    async with (
        passed_on({"/eth/v1/events": events, "/eth/v1/x": {}}) as (url, session),
        session.get(url + "/eth/v1/events"),
        session.get(url + "/eth/v1/events") as answer,
    ):
        assert answer.status == 503
        async with session.get(url + "/eth/v1/x") as other:
            assert other.status == 200


async def test_open_answers_take_no_connection_of_the_nodes_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, duties are asked for as before."""
    monkeypatch.setattr(outgoing.Session.__init__, "__kwdefaults__", KEYWORDS | {"connections": 2})

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await asyncio.sleep(60)
        return response

    answers = {"/eth/v1/events": events, "/eth/v1/beacon/blocks/head/root": HEAD_ROOT}
    async with asking(answers, timeout_seconds=10.0) as beacon:
        app = http.application()
        app[BODIES] = Bodies()
        app.middlewares.append(api_errors)
        app.router.add_route("GET", "/{path:.*}", PassedOn(beacon, seconds=20.0).get)
        async with (
            listening(app, "127.0.0.1", 0) as port,
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/eth/v1/events"),
            session.get(f"http://127.0.0.1:{port}/eth/v1/events"),
        ):
            assert await beacon.head_root()


async def test_what_is_passed_on_says_nothing_of_a_nodes_health() -> None:
    """Nor is the chain of a node looked at again after it."""
    asked = 0

    async def spec(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response(CONSTANTS["/eth/v1/config/spec"])

    async def fail(_: web.Request) -> web.Response:
        return web.Response(status=500)

    answers = {
        "/eth/v1/config/spec": spec,
        "/eth/v1/fails": fail,
        "/eth/v1/beacon/blocks/head/root": HEAD_ROOT,
    }
    async with asking(answers, timeout_seconds=10.0, submit_seconds=10.0) as beacon:
        await beacon.head_root()
        before = asked
        for _ in range(3):
            with pytest.raises(BeaconError):
                await beacon.open("eth/v1/fails", "", {}, silence_seconds=10.0)
            with pytest.raises(BeaconError):
                await beacon.post("eth/v1/fails", "", b"{}", {})
            await beacon.head_root()
        assert asked == before
        assert [each.failures for each in beacon._nodes()] == [0]


@pytest.mark.parametrize(
    "path",
    [
        "/eth/../secret",
        "/eth/%2e%2e/secret",
        "/./secret",
        "/eth/..%5csecret",
        "/secret",
        "/lighthouse/health",
        "/eth/v1/validator/prepare_beacon_proposer/",
        "//eth/v1/validator/prepare_beacon_proposer",
        "/eth//v1/validator/prepare_beacon_proposer",
        "/eth/v1/validator/prepare_beacon_proposer;a=b",
        "/eth/v1/validator%2fprepare_beacon_proposer",
        "/eth/v1/validator/prepare_beacon_proposer%20",
    ],
)
async def test_nothing_but_the_beacon_api_as_it_is_written(path: str) -> None:
    """What the node answers itself is not to reach a beacon node by another spelling."""
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    spellings = dict.fromkeys((path, "/secret", "/eth/v1/validator/prepare_beacon_proposer"), note)
    async with passed_on(spellings) as (url, session):
        raw = aiohttp.client.URL(url + path, encoded=True)
        for method in ("GET", "POST"):
            async with session.request(method, raw) as answer:
                assert answer.status == 404
    assert not asked
