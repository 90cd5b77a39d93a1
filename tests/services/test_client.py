"""The client of a relayer: what it tries again, and what it takes as an answer."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from dvtfast.services import client as client_module
from dvtfast.services import wire
from dvtfast.services.client import RelayerClient, RelayerRefusedError, RelayerUnavailableError
from dvtfast.services.http import listening

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "RETRY_FIRST_SECONDS", 0.01)


Answer = Callable[[web.Request], web.Response]


@asynccontextmanager
async def answering(*answers: Answer) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """A server that gives these answers, one per request."""
    seen: list[web.Request] = []
    left = list(answers)

    async def handle(request: web.Request) -> web.Response:
        seen.append(request)
        return left.pop(0)(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with listening(app, "127.0.0.1", 0) as port:
        yield f"127.0.0.1:{port}", seen


def says(status: int, text: str) -> Answer:
    return lambda _: web.Response(status=status, text=text)


async def test_a_relayer_that_comes_back() -> None:
    fine = says(200, '{"network": "hoodi"}')
    async with (
        answering(says(503, ""), says(500, "oops"), says(429, ""), fine) as (address, seen),
        RelayerClient(f"http://{address}", timeout_seconds=5) as client,
    ):
        assert await client.info() == wire.InfoAnswer("hoodi")
        assert len(seen) == 4


async def test_a_refusal_is_not_tried_again() -> None:
    no = says(422, '{"error": "public_keys[0]: no", "field": "public_keys[0]"}')
    async with (
        answering(no) as (address, seen),
        RelayerClient(f"http://{address}", timeout_seconds=5) as client,
    ):
        with pytest.raises(RelayerRefusedError, match=r"public_keys\[0\]: no \(HTTP 422\)") as caught:
            await client.post_validators(wire.ValidatorsRequest([]))
        assert (caught.value.status, caught.value.field, len(seen)) == (422, "public_keys[0]", 1)


async def test_answers_of_somebody_else() -> None:
    async with (
        answering(says(200, "<html>"), says(200, '{"exits": 5}'), says(404, "<html>")) as (address, _),
        RelayerClient(f"http://{address}", timeout_seconds=5) as client,
    ):
        with pytest.raises(RelayerRefusedError, match="not a relayer's answer"):
            await client.exits()
        with pytest.raises(RelayerRefusedError, match="exits: Expected"):
            await client.exits()
        with pytest.raises(RelayerRefusedError, match="<html>"):
            await client.exits()


async def test_nobody_there() -> None:
    async with RelayerClient("http://127.0.0.1:1", timeout_seconds=5, attempts=2) as client:
        with pytest.raises(RelayerUnavailableError) as caught:
            await client.info()
    assert caught.value.status is None


async def test_one_call_with_attempts_of_its_own() -> None:
    post = wire.ExitSignatureRequest(wire.ShareIndex(1), [])
    fine = says(200, '{"network": "hoodi"}')
    async with (
        answering(says(503, ""), says(500, ""), says(502, ""), fine) as (address, seen),
        RelayerClient(f"http://{address}", timeout_seconds=5) as client,
    ):
        with pytest.raises(RelayerUnavailableError, match="HTTP 500") as caught:
            await client.post_exit_shares(post, attempts=2)
        assert (caught.value.status, len(seen)) == (500, 2)
        await client.info()  # the others go on for ever
        assert len(seen) == 4


async def test_a_path_and_a_token_in_the_address() -> None:
    async with (
        answering(says(200, '{"network": "hoodi"}')) as (address, seen),
        RelayerClient(f"http://u:token@{address}/below/", timeout_seconds=5) as client,
    ):
        await client.info()
        assert seen[0].path == "/below/info"
        assert seen[0].headers["Authorization"] == "Basic " + b64encode(b"u:token").decode()
