"""The client of a relayer: what it tries again, and what it takes as an answer."""

from __future__ import annotations

import asyncio
import gzip
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import structlog
from aiohttp import web

from dvtfast.services import wire
from dvtfast.services.relayer_client import client as client_module
from dvtfast.services.relayer_client.client import RelayerClient, RelayerRefusedError, RelayerUnavailableError
from dvtfast.services.web.http import listening
from tests.services.patience import ANSWER_SECONDS, PATIENCE_SECONDS


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
        RelayerClient(f"http://{address}", timeout_seconds=ANSWER_SECONDS) as client,
    ):
        assert await client.info() == wire.InfoAnswer("hoodi")
        assert len(seen) == 4


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("0.1", 0),
        ("", 0),
        ("2", 2),
        ("9" * 400, client_module.LONGEST_PAUSE_SECONDS),
        ("\N{SUPERSCRIPT TWO}", 0),
    ],
)
async def test_a_relayer_that_asks_for_a_pause_gets_it(retry_after: str, seconds: float) -> None:
    def put_off(_: web.Request) -> web.Response:
        text = '{"error": "public_keys: at most 5"}'
        return web.Response(status=429, text=text, headers={"Retry-After": retry_after})

    with structlog.testing.capture_logs() as lines:
        async with (
            answering(put_off, says(200, '{"network": "hoodi"}')) as (address, seen),
            RelayerClient(f"http://{address}", timeout_seconds=ANSWER_SECONDS) as client,
        ):
            asking = asyncio.create_task(client.info())
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not lines or not (seconds or asking.done()):  # noqa: ASYNC110 - the client sleeps
                    await asyncio.sleep(0.01)
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking
    (told,) = lines
    assert told["error"] == "GET /info: public_keys: at most 5 (HTTP 429)"
    assert told["retry_in_seconds"] == seconds
    assert len(seen) == (1 if seconds else 2)


async def test_a_refusal_is_not_tried_again() -> None:
    no = says(422, '{"error": "public_keys[0]: no", "field": "public_keys[0]"}')
    async with (
        answering(no) as (address, seen),
        RelayerClient(f"http://{address}", timeout_seconds=ANSWER_SECONDS) as client,
    ):
        with pytest.raises(RelayerRefusedError, match=r"public_keys\[0\]: no \(HTTP 422\)") as caught:
            await client.post_validators(wire.ValidatorsRequest([]))
        assert (caught.value.status, caught.value.field, len(seen)) == (422, "public_keys[0]", 1)


async def test_answers_of_somebody_else() -> None:
    async with (
        answering(says(200, "<html>"), says(200, '{"exits": 5}'), says(404, "<html>")) as (address, _),
        RelayerClient(f"http://{address}", timeout_seconds=ANSWER_SECONDS) as client,
    ):
        with pytest.raises(RelayerRefusedError, match="not a relayer's answer"):
            await client.exits()
        with pytest.raises(RelayerRefusedError, match="exits: Expected"):
            await client.exits()
        with pytest.raises(RelayerRefusedError, match="<html>"):
            await client.exits()


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("<!doctype html><title>nginx</title>", "a web page"),
        ('{"jsonrpc": "2.0", "id": null, "error": {"code": -32600}}', "the answer of an execution node"),
        ('{"data": {}}', "other JSON"),
        ("OK", "text"),
        ("", "an empty answer"),
    ],
)
async def test_the_address_of_another_program(answer: str, what: str) -> None:
    async with (
        answering(says(200, answer), says(404, '{"code": 404, "message": "NOT_FOUND"}')) as (address, _),
        RelayerClient(f"http://user:secret@{address}", timeout_seconds=ANSWER_SECONDS) as client,
    ):
        with pytest.raises(RelayerRefusedError, match=f"not a relayer's answer, but {what} of {address}: "):
            await client.info()
        with pytest.raises(RelayerRefusedError) as caught:
            await client.info()
    words = "no relayer is there, which would know GET /info; is it another program's address? (HTTP 404)"
    assert str(caught.value) == f"{address}: {words}"


async def test_nobody_there() -> None:
    async with RelayerClient("http://127.0.0.1:1", timeout_seconds=ANSWER_SECONDS, attempts=2) as client:
        with pytest.raises(RelayerUnavailableError) as caught:
            await client.info()
    assert caught.value.status is None


async def test_one_call_with_attempts_of_its_own() -> None:
    post = wire.ExitSignatureRequest(wire.ShareIndex(1), [])
    fine = says(200, '{"network": "hoodi"}')
    async with (
        answering(says(503, ""), says(500, ""), says(502, ""), fine) as (address, seen),
        RelayerClient(f"http://{address}", timeout_seconds=ANSWER_SECONDS) as client,
    ):
        with pytest.raises(RelayerUnavailableError, match="HTTP 500") as caught:
            await client.post_exit_shares(post, attempts=2)
        assert (caught.value.status, len(seen)) == (500, 2)
        await client.info()  # the others go on for ever
        assert len(seen) == 4


async def test_a_path_and_a_token_in_the_address() -> None:
    async with (
        answering(says(200, '{"network": "hoodi"}')) as (address, seen),
        RelayerClient(f"http://u:token@{address}/below/", timeout_seconds=ANSWER_SECONDS) as client,
    ):
        await client.info()
        assert seen[0].path == "/below/info"
        assert seen[0].headers["Authorization"] == "Basic " + b64encode(b"u:token").decode()


async def refused(address: str, reason: str, **options: int) -> None:
    async with RelayerClient(address, timeout_seconds=ANSWER_SECONDS, **options) as client:
        with pytest.raises(RelayerRefusedError, match=reason):
            await client.exits()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_nobody_is_followed_elsewhere(status: int) -> None:
    async with answering() as (elsewhere, seen):
        there = {"Location": f"http://{elsewhere}/exits"}
        async with answering(lambda _: web.Response(status=status, headers=there)) as (address, _):
            await refused(f"http://{address}", "sends elsewhere")
        assert seen == []


def encoded(body: bytes, coding: str) -> Answer:
    return lambda _: web.Response(body=body, headers={"Content-Encoding": coding})


async def test_compressed_answers() -> None:
    """In one part or several; a bomb is left off where it exceeds the limit."""
    first, second = gzip.compress(b'{"exits"'), gzip.compress(b": []}")
    bomb = gzip.compress(bytes(50_000_000)) * 20
    answers = [
        encoded(first + second, "gzip"), encoded(bomb, "gzip"), encoded(first[:-9], "gzip"),
        encoded(b"none", "gzip"), encoded(b"{}", "br"),
    ]  # fmt: skip
    async with answering(*answers) as (address, seen):
        url = f"http://{address}"
        async with RelayerClient(url, timeout_seconds=ANSWER_SECONDS) as client:
            assert await client.exits() == wire.ExitsAnswer([])
        await refused(url, "at most 1000000 bytes", answer_limit_bytes=1_000_000)
        await refused(url, "broken off")
        await refused(url, "no gzip")
        await refused(url, "expected gzip or none")
        assert all(request.headers["Accept-Encoding"] == "identity" for request in seen)  # on loopback


async def test_answers_that_are_too_long() -> None:
    item = b'{"public_key": "0x%s", "validator_index": 1, "share_indexes_ready": [%s]}'
    many = b'{"exits": [' + item % (b"ab" * 48, b"1," * 1_000_000 + b"1") + b"]}"
    plain = lambda _: web.Response(body=many)  # noqa: E731
    async with answering(plain, plain) as (address, _):
        await refused(f"http://{address}", "at most 1000 bytes", answer_limit_bytes=1_000)
        await refused(f"http://{address}", "at most 50000 items", answer_limit_bytes=10_000_000)


@pytest.mark.parametrize("etag", ["x" * 300, "\x80", "a\tb"])
async def test_an_etag_that_cannot_be_sent_back(etag: str) -> None:
    answer = lambda _: web.Response(text='{"exits": []}', headers={"ETag": etag})  # noqa: E731
    async with (
        answering(answer) as (address, _),
        RelayerClient(f"http://{address}", timeout_seconds=ANSWER_SECONDS) as client,
    ):
        assert (await client.poll_exits(1, etag=None, wait_seconds=0)).etag is None


async def test_what_a_relayer_says_at_length_is_cut() -> None:
    for text in ('{"error": "' + "no" * 100_000 + '"}', "no" * 1_000_000):
        async with answering(says(422, text)) as (address, _):
            async with RelayerClient(f"http://{address}", timeout_seconds=ANSWER_SECONDS) as client:
                with pytest.raises(RelayerRefusedError) as caught:
                    await client.exits()
            assert len(str(caught.value)) < 3_000


async def test_failures_are_told_ever_more_rarely(capfd: pytest.CaptureFixture[str]) -> None:
    fine = says(200, '{"network": "hoodi"}')
    async with (
        answering(*[says(503, "")] * 9, fine) as (address, seen),
        RelayerClient(f"http://u:secret@{address}/token", timeout_seconds=ANSWER_SECONDS) as client,
    ):
        await client.info()
        assert len(seen) == 10
    output = "".join(capfd.readouterr())
    assert output.count("relayer unavailable") == 4  # the 1st, 2nd, 4th and 8th
    assert "secret" not in output
    assert "token" not in output


async def test_a_query_in_the_address_stays_at_its_end() -> None:
    fine = says(200, '{"exits": []}')
    async with (
        answering(fine, fine) as (address, seen),
        RelayerClient(f"http://{address}/below/?key=1", timeout_seconds=ANSWER_SECONDS) as client,
    ):
        await client.exits()
        await client.exits(ahead=True)
    assert [request.path_qs for request in seen] == ["/below/exits?key=1", "/below/exits?key=1&window=1"]


async def test_what_stands_before_a_relayer_is_told_without_its_key() -> None:
    no = says(403, "<h1>Forbidden</h1> key 0123456789 is not known")
    async with (
        answering(no) as (address, _),
        RelayerClient(f"http://{address}/?key=0123456789", timeout_seconds=ANSWER_SECONDS) as client,
    ):
        with pytest.raises(RelayerRefusedError, match=r"^Forbidden key \*\*\* is not known \(HTTP 403\)$"):
            await client.exits()
