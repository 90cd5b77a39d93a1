"""Connections that are too many, and those whose other end does not read."""

from __future__ import annotations

import asyncio
import resource
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from dvtfast.services import connections, http
from dvtfast.services.connections import Connections
from dvtfast.services.tls import Certificate, client_context, server_context

from .certificates import Authority

pytestmark = pytest.mark.timeout(30)

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
