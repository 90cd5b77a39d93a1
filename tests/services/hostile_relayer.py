"""A relayer that does everything wrong, one thing after the other."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from dvtfast.services.web import http

MIB = 1024 * 1024
ETH = 10**9

Act = Callable[[web.Request], Awaitable[web.StreamResponse]]


def says(body: bytes, **headers: str) -> Act:
    async def act(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Type": "application/json", **headers})

    return act


def status(number: int, **headers: str) -> Act:
    async def act(_: web.Request) -> web.Response:
        return web.Response(status=number, headers=headers, body=b'{"error": "' + b"x" * MIB + b'"}')

    return act


def streams(pieces: Callable[[], Iterator[bytes]], seconds: float = 0.0, **headers: str) -> Act:
    async def act(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for piece in pieces():
            await response.write(piece)
            await asyncio.sleep(seconds)
        return response

    return act


async def breaks_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000000"})
    await response.prepare(request)
    await response.write(b'{"exits": [')
    assert request.transport is not None
    request.transport.abort()
    return response


class HostileRelayer:
    """Answers /exits and /validators with one act after the other; between two of them it is good.

    Args:
        keys: of a cluster's validators, as JSON has them.
        strangers: other keys.
        elsewhere: an address that nobody should be sent to.

    Attributes:
        posts: what was handed in, with its path.
        rounds: how often all acts were played.
    """

    def __init__(
        self, keys: Sequence[str], strangers: Sequence[str], elsewhere: str, vaults: Sequence[str]
    ) -> None:
        self.posts: list[tuple[str, Any]] = []
        self.rounds = 0
        self._keys, self._strangers, self._vaults = keys, strangers, vaults
        self._acts = {
            "exits": self._all("exits", elsewhere),
            "validators": self._all("validators", elsewhere),
        }
        self._turns = {name: itertools.count() for name in self._acts}
        self._post_acts = itertools.cycle(
            [
                says(b"{}"),
                says(b"<html>"),
                says(
                    b'{"rejected": ['
                    + b",".join([b'{"public_key":"","reason":"%s"}' % (b"y" * 500)] * 5_000)
                    + b"]}"
                ),
                status(307, Location=elsewhere),
                status(422),
            ]
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        app = web.Application(client_max_size=64 * MIB)
        app.router.add_get("/info", says(b'{"network": "hoodi", "more": "' + b"z" * MIB + b'"}'))
        app.router.add_get("/{name:exits|validators}", self._list)
        app.router.add_post("/{name:exit-signature|signatures}", self._take)
        async with http.listening(app, "127.0.0.1", 0) as port:
            yield f"http://127.0.0.1:{port}"

    async def _list(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        turn, acts = next(self._turns[name]), self._acts[name]
        if turn % 2:
            return await says(b'{"%s": []}' % name.encode())(request)
        if name == "exits":
            self.rounds = turn // 2 // len(acts)
        return await acts[turn // 2 % len(acts)](request)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.posts.append((request.path, json.loads(await request.read())))
        return await next(self._post_acts)(request)

    def _item(self, key: str, index: Any = 7, **others: Any) -> dict[str, Any]:
        deposit = {"vault": self._vaults[0], "amount": 32 * ETH, "validator_type": "0x01"}
        return {"public_key": key, "validator_index": index, **deposit, **others}

    def _all(self, name: str, elsewhere: str) -> list[Act]:
        def listing(*items: Any) -> Act:
            return says(json.dumps({name: items}).encode())

        key, head = self._keys[0], b'{"%s":[' % name.encode()
        bomb = gzip.compress(bytes(64 * MIB), 6) * 100
        return [
            says(b""), says(b"null"), says(b"{"), says(b"\xff\xfe"), says(b"[" * MIB), says(b'{"a":' * MIB),
            listing({}), listing(None), listing(7), listing(self._item("0x00")), listing(self._item("")),
            listing(*(self._item(key, index) for index in (2**63, 2**64 - 1))),
            *(listing(self._item(key, index)) for index in (2**64, 2**200, -1, 1.5, "7", None, True)),
            listing(*(self._item(each) for each in self._strangers)),
            *(listing(*(self._item(each, place) for each in self._keys)) for place in range(10)),
            listing(*(self._item(key, index) for index in range(3_000))),
            listing(*(self._item(key, vault=vault) for vault in self._vaults)),
            listing(*(self._item(key, amount=amount) for amount in (0, 1, 2**63, 2**64 - 1))),
            listing(self._item(key, validator_type="0x00")),
            listing(self._item(key, share_indexes_ready=[0])),
            says(head + b",".join([json.dumps(self._item(self._strangers[0])).encode()] * 60_000) + b"]}"),
            says(head + b'{"public_key":"%s","validator_index":1,"share_indexes_ready":[' % key.encode()
                 + b"1," * (8 * MIB) + b"1]}]}"),
            says(head + b"{}," * (8 * MIB) + b"{}]}"),
            streams(lambda: itertools.repeat(b'{"x": "' + b"a" * MIB)),  # never ends
            streams(lambda: itertools.repeat(b" "), 0.2),  # nor does this, slowly
            says(bomb, **{"Content-Encoding": "gzip"}), says(b"no gzip", **{"Content-Encoding": "gzip"}),
            says(bomb[:1000], **{"Content-Encoding": "gzip"}), says(b"x", **{"Content-Encoding": "br"}),
            *(status(number, Location=elsewhere) for number in (301, 302, 303, 307, 308)),
            status(200), status(304), status(400), status(403), status(418), breaks_off,
            says(head + b"]}", ETag="x" * 4_000), says(head + b"]}", **{"X-More": "y" * 20_000}),
        ]  # fmt: skip
