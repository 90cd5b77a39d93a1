"""Connections that are too many, and those whose other end does not read."""

from __future__ import annotations

import asyncio
import resource
import ssl
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from dvtfast.services.web import connections, heads, http
from dvtfast.services.web.connections import Connections
from dvtfast.services.web.tls import Certificate, client_context, server_context

from ..certificates import Authority
from ..patience import PATIENCE_SECONDS

LONG = b"a" * 50_000_000


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def handle(_: web.Request) -> web.Response:
        return http.json_answer(LONG)

    app = http.application()
    app.router.add_get("/", handle)
    async with http.listening(app, "127.0.0.1", 0, tls=tls) as port:
        yield port


async def test_who_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.3)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(1)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(len(LONG))
        writer.close()
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as answer:
            assert await answer.read() == LONG  # who reads is waited for


def test_connections_of_one_address() -> None:
    counted = Connections(of_one_address=2)
    assert [counted.open("203.0.113.7") for _ in range(3)] == [True, True, False]
    assert counted.open("203.0.113.8")
    counted.close("203.0.113.7")
    assert counted.open("203.0.113.7")
    assert all(counted.open("127.0.0.1") for _ in range(10))


def test_connections_of_one_network() -> None:
    """Who has one address of IPv6 has 2^64."""
    counted = Connections(of_one_address=2)
    assert [counted.open(f"2001:db8::{i}") for i in range(3)] == [True, True, False]
    assert counted.open("2001:db8:0:1::")
    counted.close("2001:db8::1")
    assert counted.open("2001:db8::ffff")
    assert all(counted.open("::ffff:127.0.0.1") for _ in range(10))


@pytest.mark.parametrize("limits", [(1024, 1024), (1024, 4096), (200, resource.RLIM_INFINITY)])
def test_a_few_addresses_are_not_all_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int]
) -> None:
    soft, hard = limits
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    raised: list[int] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: raised.append(wanted[0]))
    counted = Connections()
    most = connections.MOST + connections.SPARE_FILES
    assert raised == ([] if soft == hard else [most if hard == resource.RLIM_INFINITY else hard])
    for i in range(connections.SENDERS - 1):
        while counted.open(f"203.0.113.{i}"):
            pass
    assert counted.open("198.51.100.1")


def test_connections_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SPARE_FILES", 2)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (5, 5))
    counted = Connections()
    assert [counted.open(f"203.0.113.{i}") for i in range(5)] == [True] * 3 + [False] * 2


async def test_a_connection_too_many_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SPARE_FILES", 1)
    monkeypatch.setattr(connections, "MOST", 1)
    async with serving() as port:
        first, mine = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.05)
        second, others = await asyncio.open_connection("127.0.0.1", port)
        others.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await second.readexactly(1)
        mine.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await first.readline()).startswith(b"HTTP/1.1 404")
        mine.close()
        others.close()


async def test_a_connection_counts_while_tls_shakes_hands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(connections, "SPARE_FILES", 1)
    monkeypatch.setattr(connections, "MOST", 1)
    monkeypatch.setattr(connections, "HANDSHAKE_SECONDS", 1)
    authority = Authority(tmp_path)
    context = client_context(authority.file, None)
    async with serving(server_context(Certificate(*authority.issue("server")), None)) as port:
        silent, first = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.05)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError, ssl.SSLError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=context)
        assert await silent.read() == b""  # its time is over
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 404")
        for each in (first, writer):
            each.close()
            await each.wait_closed()


async def test_what_comes_in_pieces_of_several_connections_stays_apart() -> None:
    """They receive in one place, one after the other."""
    sizes = [1, 1000, connections.RECEIVED_BYTES, 3 * connections.RECEIVED_BYTES + 7]

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=await http.read_body(request))

    async def send(port: int, number: int, size: int) -> None:
        body = bytes([number]) * size

        async def pieces() -> AsyncIterator[bytes]:
            for begin in range(0, size, size // 5 + 1):
                yield body[begin : begin + size // 5 + 1]
                await asyncio.sleep(0.001 * (number % 3))

        async with session.post(f"http://127.0.0.1:{port}/", data=pieces()) as answer:
            assert await answer.read() == body

    app = http.application()
    app.router.add_post("/", handle)
    async with http.listening(app, "127.0.0.1", 0) as port, aiohttp.ClientSession() as session:
        await asyncio.gather(*(send(port, number, sizes[number % 4]) for number in range(40)))


def a_request(*headers: str) -> bytes:
    return "".join(("GET /nothing HTTP/1.1\r\nHost: x\r\n", *(f"{h}\r\n" for h in headers))).encode()


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("is_finished", [True, False])
@pytest.mark.parametrize("before", [0, 3])
async def test_headers_are_bounded_in_all(at_once: bool, is_finished: bool, before: int) -> None:
    """Each is short enough, and there are not too many; most of them come while the head is not whole."""
    headers = [f"X-{i}: {'a' * 8000}" for i in range(40)]
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(before):
            writer.write(a_request() + b"\r\n")
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 404")
        request = a_request(*headers) + (b"\r\n" if is_finished else b"")
        size = len(request) if at_once else 3000
        for begin in range(0, len(request), size):
            writer.write(request[begin : begin + size])
            await asyncio.sleep(0)
        try:
            answer = await reader.readuntil(b"}")
            assert answer.split()[1] == b"400"
            assert http.NOT_HTTP.encode() in answer
            assert await reader.read() == b""
        except ConnectionResetError:  # it was closed before all of it was sent
            pass
        writer.close()


async def test_what_is_kept_of_heads_that_are_not_finished() -> None:
    """Of who sends on for as long as anything is read; both ends are measured."""
    count, headers = 20, 40
    connected: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    async with serving() as port:
        tracemalloc.start()
        try:
            for _ in range(count):
                connected.append(await asyncio.open_connection("127.0.0.1", port))
                connected[-1][1].write(a_request())
            for i in range(headers):
                for reader, writer in connected:
                    if not reader.at_eof() and not writer.is_closing():
                        writer.write(f"X-{i}: {'a' * 8000}\r\n".encode())
                await asyncio.sleep(0.02)
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            for _, writer in connected:
                writer.close()
    assert kept < count * headers * 8000 / 2


async def test_long_bodies_and_many_requests_are_no_heads() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await http.read_body(request))))

    app = http.application()
    app.router.add_post("/", handle)
    async with http.listening(app, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sizes = [0, 5, 200_000, 1, heads.HEAD_BYTES, 3_000_000, 7] + 20 * [900]
        for size in sizes:  # one behind the other, before any answer is read
            writer.write(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
            writer.write(b"a" * size)
        for size in sizes:
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split()[0])
            assert int(await reader.readexactly(length)) == size
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
@pytest.mark.parametrize("before", [0, 1])
async def test_heads_have_their_time(monkeypatch: pytest.MonkeyPatch, sent: bytes, before: int) -> None:
    """From the connection on, and later from a head's first byte on; between two requests there is more."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(before):
            writer.write(a_request() + b"\r\n")
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 404")
            await asyncio.sleep(0.8)
        writer.write(sent)
        if before and not sent:
            writer.write(a_request() + b"\r\n")
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 404")
        else:
            async with asyncio.timeout(PATIENCE_SECONDS):
                with suppress(ConnectionResetError):  # it was closed while more was sent
                    while sent and not reader.at_eof():
                        writer.write(b"a")
                        await asyncio.sleep(0.1)
                    assert await reader.read() == b""
        writer.close()


class Newcomer(connections._Counted):
    """A connection that only notes that it was closed."""

    def __init__(self, counted: Connections) -> None:
        super().__init__(asyncio.BufferedProtocol, counted)
        self.handler = object()
        counted._by_handler[self.handler] = self
        self.is_open = True

    def let_go(self) -> None:
        self.is_open = False


def test_new_connections_of_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "NEW_OF_ONE_ADDRESS", 2)
    counted = Connections()
    some = [Newcomer(counted) for _ in range(6)]
    assert [counted.begin(each, "203.0.113.7") for each in some[:3]] == [True, True, False]
    assert counted.begin(some[3], "203.0.113.8")
    counted.let_in(some[0].handler)  # it counts as new no more
    assert counted.begin(some[2], "203.0.113.7")
    assert not counted.begin(some[4], "203.0.113.7")
    counted.end(some[1])
    assert counted.begin(some[4], "203.0.113.7")
    assert all(counted.begin(Newcomer(counted), "127.0.0.1") for _ in range(10))
    assert all(each.is_open for each in some)


def test_of_new_connections_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_NEW", 3)
    counted = Connections()
    some = [Newcomer(counted) for _ in range(8)]
    for each in some[:3]:
        assert counted.begin(each, "127.0.0.1")
    counted.let_in(some[0].handler)
    for each in some[3:]:
        assert counted.begin(each, "127.0.0.1")
    assert [each.is_open for each in some] == [True, False, False, False, False, True, True, True]


async def test_who_is_let_in_is_not_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that only try to be let in push each other out, and nobody else."""
    monkeypatch.setattr(connections, "MOST_NEW", 1)

    async def handle(request: web.Request) -> web.Response:
        if "Authorization" in request.headers:
            http.let_in(request)
        return web.Response()

    app = http.application()
    app.router.add_get("/nothing", handle)
    async with http.listening(app, "127.0.0.1", 0) as port:
        known, mine = await asyncio.open_connection("127.0.0.1", port)
        mine.write(a_request("Authorization: x") + b"\r\n")
        assert (await known.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(a_request() + b"\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            last, others = await asyncio.open_connection("127.0.0.1", port)
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.close()
            others.close()
            assert not last.at_eof()
        mine.write(a_request() + b"\r\n")
        assert (await known.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        mine.close()
