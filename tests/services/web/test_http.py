"""What our HTTP servers answer to bodies that never become one, and what they log of them."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import structlog
from aiohttp import http_parser, web, web_protocol

from dvtfast.services import wire
from dvtfast.services.process.offload import Workers
from dvtfast.services.web import http

from ..conftest import Start, make_cluster
from ..patience import PATIENCE_SECONDS

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    """A server whose answer is how long the body was; its port."""

    async def handle(request: web.Request) -> web.Response:
        return http.json_answer(wire.ErrorAnswer(str(len(await http.read_body(request)))), status=200)

    app = http.application()
    app.router.add_post("/", handle)
    async with http.listening(app, "127.0.0.1", 0) as port:
        yield port


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "gzip, identity", "none"])
@pytest.mark.parametrize("body", [b"junk", gzip.compress(b"[]", mtime=0), zlib.compress(b"[]")])
async def test_encoded_bodies_are_refused(encoding: str, body: bytes) -> None:
    async with echoing() as port, aiohttp.ClientSession() as session:
        sent = session.post(f"http://127.0.0.1:{port}/", data=body, headers={"Content-Encoding": encoding})
        async with sent as answer:
            assert answer.status == 415
            assert await answer.json() == {"error": "Content-Encoding: expected none"}


async def test_identity_is_no_encoding() -> None:
    async with echoing() as port, aiohttp.ClientSession() as session:
        sent = session.post(
            f"http://127.0.0.1:{port}/", data=b"12345", headers={"Content-Encoding": "Identity"}
        )
        async with sent as answer:
            assert (answer.status, await answer.json()) == (200, {"error": "5"})


async def test_a_body_in_broken_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the parser in Python tells its reader; with the one in C the body ends at the time limit."""
    monkeypatch.setattr(web_protocol, "HttpRequestParser", http_parser.HttpRequestParserPy)
    async with echoing() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await asyncio.sleep(0.1)  # the handler waits for the next piece
        writer.write(b"junk\r\n")
        answer = await reader.read(1000)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b'{"error":"the body came broken"}')


@pytest.mark.parametrize(
    "junk",
    [
        b"junk\r\n",
        HEAD + b"junk\r\n\r\n",
        HEAD + b"Authorization: Bearer secret\x00\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\njunk\r\n",
    ],
    ids=["request", "header", "token", "piece"],
)
async def test_what_is_no_http_is_answered_and_not_logged(
    junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with echoing() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(junk)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    assert b" 400 Bad Request" in head
    assert b"X-Request-ID: " in head
    assert json.loads(body) == {"error": http.NOT_HTTP}
    assert caplog.records == []


@pytest.mark.parametrize(
    ("path", "expect", "status"),
    [("/", b"100-continue", 200), ("/", b"\xff", 417), ("/nothing", b"\xff", 417), ("/", b"200-ok", 417)],
)
async def test_expectations(path: str, expect: bytes, status: int, caplog: pytest.LogCaptureFixture) -> None:
    async with echoing() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = HEAD.replace(b"/ ", path.encode() + b" ", 1)
        writer.write(head + b"Expect: " + expect + b"\r\nContent-Length: 2\r\n\r\n{}")
        answer = await reader.read()
        writer.close()
    assert f"HTTP/1.1 {status} ".encode() in answer
    assert answer.startswith(b"HTTP/1.1 100 ") == (status == 200)
    assert caplog.records == []


async def test_a_client_that_hangs_up_is_no_error_of_ours() -> None:
    with structlog.testing.capture_logs() as lines:
        async with echoing() as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + b"Content-Length: 100\r\n\r\n{")
            await asyncio.sleep(0.1)
            writer.close()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(lines) < 2:  # noqa: ASYNC110 - the server makes it true
                    await asyncio.sleep(0.01)
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("body broken off", "debug"),
        ("answered", "debug"),
    ]


async def test_millions_of_junk_items_have_a_short_answer(start: Start) -> None:
    async with start(signature_threshold=3) as relayer:
        junk = b",".join([b"0"] * 1_000_000)
        for path, body in (
            ("/exit-signature", b'{"share_index":1,"shares":[%s]}' % junk),
            ("/validators", b'{"public_keys":[[%s]]}' % junk),
        ):
            answer = await relayer.raw("POST", path, io.BytesIO(body))
            assert answer == (422, {"error": "body: expected at most 50000 items"})


@pytest.mark.parametrize("count", [http.REJECTED_SHOWN, http.REJECTED_SHOWN + 7])
async def test_what_is_refused_is_named_up_to_a_limit(start: Start, count: int) -> None:
    keys = [wire.PublicKey(number.to_bytes(48, "big")) for number in range(count)]
    items = [{"public_key": key.to_wire()} for key in keys]
    async with start(make_cluster(1)) as relayer:
        for path, body in (
            ("/validators", wire.encode(wire.ValidatorsRequest(keys))),
            ("/exit-signature", json.dumps({"share_index": 1, "shares": items}).encode()),
        ):
            status, answer = await relayer.raw("POST", path, body)
            assert status == 422
            assert [rejected["public_key"] for rejected in answer["rejected"]] == [
                key.to_wire() for key in keys[: http.REJECTED_SHOWN]
            ]
            assert ("7 more rejected items" in answer["error"]) == (count > http.REJECTED_SHOWN)


async def test_an_answer_that_cannot_be_finished_is_cut_off() -> None:
    workers = Workers("test", threads=1)

    def late() -> bytes:
        raise TimeoutError("late")

    async def handle(request: web.Request) -> web.StreamResponse:
        return await http.send_pieces(request, [lambda: b"[1", late], workers, gzips=False)

    app = http.application()
    app.router.add_get("/", handle)
    async with (
        http.listening(app, "127.0.0.1", 0) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/") as answer,
    ):
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    await workers.close()


async def test_who_hangs_up_while_it_is_answered_is_no_error_of_ours() -> None:
    workers = Workers("test", threads=1)
    done = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await http.send_pieces(request, [lambda: bytes(1_000_000)] * 50, workers, gzips=False)
        finally:
            done.set()

    app = http.application()
    app.router.add_post("/", handle)
    with structlog.testing.capture_logs() as lines:
        async with http.listening(app, "127.0.0.1", 0) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readexactly(100)
            writer.transport.abort()
            await asyncio.wait_for(done.wait(), PATIENCE_SECONDS)
    assert {line["log_level"] for line in lines} == {"debug"}
    await workers.close()


@pytest.mark.parametrize(("method", "ends"), [("GET", "given up"), ("HEAD", "given up"), ("POST", "done")])
async def test_what_comes_of_a_request_whose_client_hangs_up(method: str, ends: str) -> None:
    """A wait is given up; what may change something is done."""
    begun, ended = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def handle(_: web.Request) -> web.Response:
        begun.set()
        try:
            await asyncio.sleep(0.5 if ends == "done" else 2 * PATIENCE_SECONDS)
        except asyncio.CancelledError:
            ended.set_result("given up")
            raise
        ended.set_result("done")
        return http.json_answer(b"{}")

    app = http.application()
    app.router.add_route(method, "/", handle)
    async with http.listening(app, "127.0.0.1", 0) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{method} / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.wait_for(begun.wait(), PATIENCE_SECONDS)
        writer.transport.abort()
        if ends == "given up":
            assert await asyncio.wait_for(ended, PATIENCE_SECONDS) == ends
        await asyncio.sleep(0.1)  # POST: it is under way when the server ends
    assert ended.done()
    assert ended.result() == ends
