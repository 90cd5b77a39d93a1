"""How much one caller may send, that others do not feel it, and what it is told."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from dvtfast.services.relayer.access import limits
from dvtfast.services.relayer.access.limits import Rates, UnderWay, units_of
from dvtfast.services.relayer.routes import LISTINGS_AT_ONCE, REFUSED_AT_ONCE
from dvtfast.services.relayer.store.engine.database import Database
from dvtfast.services.relayer.store.manager_journal import entries
from dvtfast.services.web import http
from dvtfast.services.web.addresses import network_of
from dvtfast.services.wire import TooManyError

from ...access import EVERYTHING, READ_ONLY, bearer, status_of, tokens_of
from ...conftest import START_INDEX, Relayer, Start, each_database, make_cluster
from ...patience import PATIENCE_SECONDS
from ..test_register import ETH, VAULT, body_of
from .test_access import send

__all__ = ["each_database"]


async def refused(relayer: Relayer, path: str, headers: dict[str, str], body: Any = None) -> Any:
    """The answer to what is too much; when to come again stands in its headers."""
    method = "GET" if body is None else "POST"
    status, answer, response = await send(relayer, method, path, body, headers)
    assert status == 429, answer
    assert int(response.headers["Retry-After"]) >= 1
    return answer


async def test_requests_of_one_token_at_once(start: Start, database_url: str) -> None:
    async with tokens_of(database_url) as tokens:
        mine, others = bearer(await tokens.make(READ_ONLY)), bearer(await tokens.make(READ_ONLY))
        asks = bearer(await tokens.make(EVERYTHING))
        async with start(cluster := make_cluster(1), requests_at_once=2) as relayer:
            _, _, response = await send(relayer, "GET", "/exits", None, mine)
            waits = mine | {"If-None-Match": response.headers["ETag"]}
            url = f"{relayer.url}/exits?wait=20"
            waiting = [asyncio.create_task(status_of(url, waits)) for _ in range(2)]
            while await status_of(relayer.url + "/info", mine) == 200:  # until both have come
                pass
            answer = await refused(relayer, "/info", mine)
            assert answer["error"] == "request: at most 2 of yours at the same time"
            assert await status_of(relayer.url + "/info", others) == 200
            body = {"public_keys": [key.to_wire() for key in cluster.keys]}
            assert (await send(relayer, "POST", "/validators", body, asks))[0] == 200  # they wait for it
            assert await asyncio.gather(*waiting) == [200, 200]
            assert await status_of(relayer.url + "/info", mine) == 200


async def test_polls_of_who_hangs_up_take_no_place(start: Start, database_url: str) -> None:
    """As behind a network that breaks off again and again."""
    async with tokens_of(database_url) as tokens:
        mine = bearer(await tokens.make(READ_ONLY))
        async with start(make_cluster(1), requests_at_once=2) as relayer:
            waits = mine | {"If-None-Match": "*"}
            for path in ("/exits?wait=30", "/status.json?wait=30"):
                for _ in range(3):
                    with suppress(TimeoutError):  # or it is refused, while the ones before are not missed yet
                        await asyncio.wait_for(status_of(relayer.url + path, waits), 0.2)
                async with asyncio.timeout(25):  # less than the polls would take
                    while await status_of(relayer.url + "/info", mine) != 200:  # noqa: ASYNC110 - it notices
                        await asyncio.sleep(0.05)


async def test_one_share_index_after_the_other(start: Start, database_url: str) -> None:
    """Where no file names the share indices; each is a look at all validators, which all others wait for."""
    async with tokens_of(database_url) as tokens:
        mine, others = bearer(await tokens.make(READ_ONLY)), bearer(await tokens.make(READ_ONLY))
        async with start(signature_threshold=3) as relayer:
            urls = [f"{relayer.url}/exits?share_index={index}" for index in range(1, LISTINGS_AT_ONCE + 2)]
            assert [await status_of(url, mine) for url in urls[:-1]] == [200] * LISTINGS_AT_ONCE
            answer = await refused(relayer, f"/exits?share_index={2**40}", mine)
            assert answer["field"] == "share_index"
            assert await status_of(urls[-2], mine) == 200  # which is there
            assert await status_of(urls[-1], others) == 200


async def test_requests_of_one_token_a_second(start: Start, database_url: str) -> None:
    async with tokens_of(database_url) as tokens:
        mine, others = bearer(await tokens.make(READ_ONLY)), bearer(await tokens.make(READ_ONLY))
        async with start(make_cluster(1), requests_per_second=1) as relayer:
            statuses = [await status_of(relayer.url + "/info", mine) for _ in range(30)]
            assert set(statuses) == {200, 429}
            assert statuses.index(429) >= limits.FULL_SECONDS
            await refused(relayer, "/info", mine)
            assert await status_of(relayer.url + "/info", others) == 200


async def test_junk_of_an_address_takes_nothing_from_its_tokens(start: Start, database_url: str) -> None:
    async with tokens_of(database_url) as tokens:
        mine = bearer(await tokens.make(READ_ONLY))
        async with start(make_cluster(1)) as relayer:
            statuses = [await status_of(relayer.url + "/info", {}) for _ in range(100)]
            assert set(statuses) == {401, 429}
            while await status_of(relayer.url + "/info", {}) != 429:  # a slow machine lets it rest meanwhile
                pass
            assert await status_of(relayer.url + "/info", mine) == 200


async def test_validators_that_one_token_waits_for(start: Start, each_database: str) -> None:
    cluster = make_cluster(5)
    keys = [key.to_wire() for key in cluster.keys]
    async with tokens_of(each_database) as tokens:
        mine, others = bearer(await tokens.make(EVERYTHING)), bearer(await tokens.make(EVERYTHING))
        async with start(cluster, database=each_database, pending_validators=2, vaults=(VAULT,)) as relayer:
            answer = await refused(relayer, "/validators", mine, {"public_keys": keys[:3]})
            assert answer["field"] == "public_keys"
            assert "at most 2 validators" in answer["error"]
            for _ in range(2):
                body = {"public_keys": keys[:2]}
                assert (await send(relayer, "POST", "/validators", body, mine))[0] == 200
            await refused(relayer, "/validators", mine, {"public_keys": keys[:3]})
            body = body_of(index=START_INDEX + 9, amounts=[32 * ETH])
            assert (await refused(relayer, "/register", mine, body))["field"] == "amounts"
            assert (await send(relayer, "POST", "/register", body, others))[0] == 200


async def test_manager_requests_that_are_refused(start: Start, manager_key: Any, database_url: str) -> None:
    """Each is on record for ever, so there are only so many."""
    cluster = make_cluster(1)
    body = {"vault": VAULT.to_wire(), "public_keys": [cluster.keys[0].to_wire()], "amounts": [0]}
    others = {"execution_endpoints": ("http://127.0.0.1:9",), "vaults": (VAULT,)}
    async with start(cluster, manager_key=manager_key, **others) as relayer:
        for _ in range(REFUSED_AT_ONCE):
            status, answer, _ = await send(relayer, "POST", "/withdraw", body, {})
            assert (status, "does not sign" in answer["error"]) == (422, True)
        for _ in range(5):
            await refused(relayer, "/withdraw", {}, body)
        await refused(relayer, "/fund", {}, body | {"amounts": [1]})
    database = await Database.open(database_url)
    assert len(await database.read(entries)) == REFUSED_AT_ONCE
    await database.close()


async def test_a_body_that_is_too_long_is_not_read(start: Start) -> None:
    async with start(make_cluster(1)) as relayer:
        port = int(relayer.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        length = http.BODY_LIMIT_BYTES + 1
        writer.write(
            f"POST /validators HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()
        )
        head, _, body = (await reader.readuntil(b"}")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413 ")
        assert json.loads(body)["error"] == f"body: expected at most {http.BODY_LIMIT_BYTES} bytes"
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET /info HTTP/1.1\r\nHost: localhost\r\nX: "])
async def test_headers_that_come_slowly(start: Start, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(http, "SILENCE_SECONDS", 0.5)
    async with start(make_cluster(1)) as relayer:
        port = int(relayer.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        async with asyncio.timeout(PATIENCE_SECONDS):
            with suppress(ConnectionResetError):  # it was closed while more was sent
                while sent and not reader.at_eof():
                    writer.write(b"a")
                    await asyncio.sleep(0.1)
                assert await reader.read() == b""
        writer.close()


def test_a_bucket_fills_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(limits, "monotonic", lambda: now)
    rates = Rates(2.0)
    for _ in range(20):
        assert rates.seconds_until("a") == 0
        rates.take("a")
    assert rates.seconds_until("a") == 0.5
    assert rates.seconds_until("b") == 0
    now = 0.25
    assert rates.seconds_until("a") == 0.25
    now = 1000.0
    rates.take("a", 30)
    assert rates.seconds_until("a") == 5.5
    assert Rates(None).seconds_until("a") == 0


def test_callers_that_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CALLERS_KEPT", 3)
    rates = Rates(0.001, at_once=1)
    for name in "abcd":
        rates.take(name)
    assert rates.seconds_until("d") > 0
    assert rates.seconds_until("a") == 0


def test_bytes_at_once() -> None:
    under_way = UnderWay(10)
    with under_way.counted("a", limits.BYTES_UNDER_WAY + 1):  # alone, whatever it is
        with pytest.raises(TooManyError, match="bytes"), under_way.counted("a", 1):
            pytest.fail("it is counted")
        with under_way.counted("b", 1):
            pass
    with under_way.counted("a", 1), under_way.counted("a", 1):
        pass


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("203.0.113.7", "203.0.113.7"),
        ("::1", "::1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, "unknown"),
    ],
)
def test_whom_an_address_stands_for(address: str | None, network: str) -> None:
    assert network_of(address) == network


def test_what_a_body_counts_for() -> None:
    assert [units_of(size) for size in (0, 1, 65_536, 2_000_000)] == [1, 1, 2, 31]
