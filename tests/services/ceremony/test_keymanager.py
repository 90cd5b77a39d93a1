"""Keystores into a validator client, which may be slow, rude or forgetful."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from dvtfast import generate_secret_keys
from dvtfast.keystores import PBKDF2_INSECURE, decrypt, parse_keystore, write_keystores
from dvtfast.services.ceremony import keymanager
from dvtfast.services.ceremony.errors import CeremonyError

TOKEN = "api-token-0x11"
KEYS = generate_secret_keys(7)
Answers = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_keystores(tmp_path, KEYS, kdf=PBKDF2_INSECURE, threads=1)
    return tmp_path


class Client:
    """A validator client."""

    def __init__(self) -> None:
        self.secrets: list[bytes] = []
        self.bodies: list[dict[str, list[str]]] = []
        self.status = "imported"

    async def get(self, request: web.Request) -> web.Response:
        self._require(request)
        return web.json_response({"data": []})

    async def post(self, request: web.Request) -> web.Response:
        self._require(request)
        body = await request.json()
        self.bodies.append(body)
        for text, password in zip(body["keystores"], body["passwords"], strict=True):
            self.secrets.append(decrypt(parse_keystore(json.loads(text)), password))
        return web.json_response(
            {"data": [{"status": self.status, "message": ""} for _ in body["keystores"]]}
        )

    def _require(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise web.HTTPUnauthorized


def with_client(get: Answers, post: Answers, work: Callable[[str], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        app = web.Application(client_max_size=64 * 1024**2)
        app.router.add_get(keymanager.PATH, get)
        app.router.add_post(keymanager.PATH, post)
        async with TestServer(app) as server:
            return await work(str(server.make_url("/")))

    return asyncio.run(run())


def test_all_are_taken(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keymanager, "KEYSTORES_PER_REQUEST", 3)
    client = Client()

    async def work(address: str) -> int:
        await keymanager.check_keymanager(address, TOKEN)
        return await keymanager.push_keystores(address, TOKEN, directory)

    assert with_client(client.get, client.post, work) == 7
    assert [len(body["keystores"]) for body in client.bodies] == [3, 3, 1]
    np.testing.assert_array_equal(np.frombuffer(b"".join(client.secrets), np.uint8).reshape(7, 32), KEYS)


def test_those_it_has_count_as_taken(directory: Path) -> None:
    client = Client()
    client.status = "duplicate"

    async def work(address: str) -> int:
        return await keymanager.push_keystores(address, TOKEN, directory)

    assert with_client(client.get, client.post, work) == 7


def test_what_is_asked_before_there_are_keys() -> None:
    client = Client()

    async def wrong(address: str) -> None:
        await keymanager.check_keymanager(address, "other")

    with pytest.raises(CeremonyError, match="refuses the token: HTTP 401"):
        with_client(client.get, client.post, wrong)

    async def nobody() -> None:
        await keymanager.check_keymanager("http://127.0.0.1:1", TOKEN)

    with pytest.raises(CeremonyError, match="the keymanager: cannot connect"):
        asyncio.run(nobody())


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"data": [{"status": "imported"}] * 6}, "answered for 6 keystores of 7"),
        (
            {"data": [{"status": "imported"}] * 6 + [{"status": "error", "message": "full\x1b"}]},
            "did not take ",
        ),
        ({"data": None}, "did not say what became of each keystore"),
        ([], "did not say what became of each keystore"),
    ],
)
def test_what_it_did_not_take(
    directory: Path, monkeypatch: pytest.MonkeyPatch, answer: object, says: str
) -> None:
    async def post(_: web.Request) -> web.Response:
        return web.json_response(answer)

    async def work(address: str) -> int:
        return await keymanager.push_keystores(address, TOKEN, directory)

    with pytest.raises(CeremonyError, match=says) as caught:
        with_client(post, post, work)
    assert "\x1b" not in str(caught.value)


def test_it_is_asked_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keymanager, "PAUSE_SECONDS", 0)
    client, left = Client(), [2]

    async def post(request: web.Request) -> web.Response:
        if left[0]:
            left[0] -= 1
            return web.Response(status=503)
        return await client.post(request)

    async def work(address: str) -> int:
        return await keymanager.push_keystores(address, TOKEN, directory)

    assert with_client(client.get, post, work) == 7
    left[0] = 3
    with pytest.raises(CeremonyError, match="the keymanager: HTTP 503"):
        with_client(client.get, post, work)
