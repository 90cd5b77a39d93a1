"""Requests that nobody honest sends: each gets an answer in JSON, and the relayer goes on."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import pytest

from dvtfast.services import wire
from dvtfast.services.web import http

from ..conftest import START_INDEX, Relayer, Start, make_cluster
from .test_shares import off_subgroup

KEY = "0x" + "ab" * 48
SIGNATURE = "0x" + "cd" * 96
DEEP = b"[" * 200_000


async def still_works(relayer: Relayer) -> None:
    cluster = make_cluster(1)
    await relayer.ask(cluster)
    index = (await relayer.exits())[cluster.keys[0]].validator_index
    await relayer.fill(cluster, [index], 1, 2, 3)
    await relayer.until_ready(cluster)


@pytest.mark.parametrize("path", ["/validators", "/exit-signature"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"nonsense",
        b'{"public_keys": [',
        b'{"a":' + DEEP,
        b'{"public_keys":["\xff"],"share_index":"\xff"}',
    ],
    ids=["empty", "cut", "not utf-8", "words", "cut list", "deep", "bad string"],
)
async def test_what_is_not_json(start: Start, path: str, body: bytes) -> None:
    async with start(signature_threshold=3) as relayer:
        status, answer = await relayer.raw("POST", path, body)
        assert status == 400
        assert answer["error"].startswith("body: not JSON")
        await still_works(relayer)


VALIDATORS: dict[str, tuple[Any, str]] = {
    "a list": ([], ""),
    "lists in lists": (DEEP.decode(), ""),
    "null": (None, ""),
    "no keys": ({}, ""),
    "null keys": ({"public_keys": None}, "public_keys"),
    "empty": ({"public_keys": []}, "public_keys"),
    "a number": ({"public_keys": [1]}, "public_keys[0]"),
    "short": ({"public_keys": [KEY, KEY[:-2]]}, "public_keys[1]"),
    "odd": ({"public_keys": [KEY[:-1]]}, "public_keys[0]"),
    "long": ({"public_keys": [KEY + "00"]}, "public_keys[0]"),
    "not hex": ({"public_keys": ["0x" + "zz" * 48]}, "public_keys[0]"),
    "spaces": ({"public_keys": ["0x" + "a b " * 24]}, "public_keys[0]"),
    "not ascii": ({"public_keys": ["é" * 96]}, "public_keys[0]"),
    "text index": ({"public_keys": [KEY], "validators_start_index": "5"}, "validators_start_index"),
    "negative index": ({"public_keys": [KEY], "validators_start_index": -1}, "validators_start_index"),
    "2^64": ({"public_keys": [KEY], "validators_start_index": 2**64}, "validators_start_index"),
    "huge": ({"public_keys": [KEY], "validators_start_index": 10**4000}, "validators_start_index"),
    "fraction": ({"public_keys": [KEY], "validators_start_index": 1.5}, "validators_start_index"),
    "true": ({"public_keys": [KEY], "validators_start_index": True}, "validators_start_index"),
}


@pytest.mark.parametrize("case", VALIDATORS)
async def test_validators_of_the_wrong_shape(start: Start, case: str) -> None:
    body, field = VALIDATORS[case]
    async with start(signature_threshold=3) as relayer:
        status, answer = await relayer.raw("POST", "/validators", json.dumps(body))
        assert (status, answer.get("field", "")) == (422, field)
        assert await relayer.exits() == {}


ITEM = {"public_key": KEY, "exit_signature": SIGNATURE}
SHARES: dict[str, tuple[Any, str]] = {
    "a list": ([], ""),
    "no index": ({"shares": [ITEM]}, ""),
    "index 0": ({"share_index": 0, "shares": [ITEM]}, "share_index"),
    "index -1": ({"share_index": -1, "shares": [ITEM]}, "share_index"),
    "index 2^64": ({"share_index": 2**64, "shares": [ITEM]}, "share_index"),
    "huge index": ({"share_index": 10**4000, "shares": [ITEM]}, "share_index"),
    "text index": ({"share_index": "1", "shares": [ITEM]}, "share_index"),
    "no shares": ({"share_index": 1}, ""),
    "null shares": ({"share_index": 1, "shares": None}, "shares"),
    "empty": ({"share_index": 1, "shares": []}, "shares"),
    "numbers": ({"share_index": 1, "shares": [1, 2]}, "shares"),
    "no signature": ({"share_index": 1, "shares": [{"public_key": KEY}]}, "shares"),
    "short": ({"share_index": 1, "shares": [{**ITEM, "exit_signature": SIGNATURE[:-2]}]}, "shares"),
    "bad validator index": ({"share_index": 1, "shares": [{**ITEM, "validator_index": 2**64}]}, "shares"),
    "no point": ({"share_index": 1, "shares": [ITEM]}, "shares"),
}


@pytest.mark.parametrize("case", SHARES)
async def test_shares_of_the_wrong_shape(start: Start, case: str) -> None:
    body, field = SHARES[case]
    async with start(signature_threshold=3) as relayer:
        status, answer = await relayer.raw("POST", "/exit-signature", json.dumps(body))
        assert (status, answer.get("field", "")) == (422, field)
        if field == "shares" and body["shares"]:
            assert all(r["reason"].startswith("shares[") for r in answer["rejected"])
            assert len(answer["rejected"]) == len(body["shares"])


async def test_malformed_items_are_rejected_and_the_rest_is_stored(start: Start) -> None:
    cluster = make_cluster(2)
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        good = json.loads(wire.encode(cluster.exit_shares(1, [START_INDEX])[0]))
        junk: list[Any] = [
            None,
            [],
            {"public_key": 5, "exit_signature": SIGNATURE},
            {"public_key": "x" * 5000, "exit_signature": SIGNATURE},
            {"public_key": good["public_key"], "exit_signature": "0x"},
            {**good, "exit_signature": SIGNATURE},
        ]
        body = json.dumps({"share_index": 1, "shares": [*junk, good]})
        status, answer = await relayer.raw("POST", "/exit-signature", body)
        assert status == 200
        assert len(answer["rejected"]) == len(junk)
        assert {r["reason"].partition("]")[0] for r in answer["rejected"]} == {
            f"shares[{i}" for i in range(6)
        }
        assert answer["rejected"][4]["public_key"] == good["public_key"]
        assert all(len(r["public_key"]) <= 100 for r in answer["rejected"])
        assert (await relayer.exits())[cluster.keys[0]].share_indexes_ready == [1]


@pytest.mark.parametrize("path", ["/validators", "/exit-signature"])
async def test_20_mb_of_junk(start: Start, path: str) -> None:
    async with start(signature_threshold=3) as relayer:
        status, answer = await relayer.raw("POST", path, io.BytesIO(b"x" * 20_000_000))
        assert status == 413
        assert answer["error"].startswith("body")
        await still_works(relayer)


async def test_thousands_of_items_for_unknown_validators(start: Start) -> None:
    cluster, strangers = make_cluster(1), make_cluster(1)
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        point = strangers.exit_shares(1, [5])[0].exit_signature
        junk = [wire.ExitShare(wire.PublicKey(number.to_bytes(48, "big")), point) for number in range(3000)]
        rejected = await relayer.post(1, [*junk, *cluster.exit_shares(1, [START_INDEX])])
        assert len(rejected) == 3000
        assert (await relayer.exits())[cluster.keys[0]].share_indexes_ready == [1]


async def test_routes_that_are_none(start: Start) -> None:
    async with start(signature_threshold=3) as relayer:
        assert await relayer.raw("GET", "/nothing") == (404, {"error": "Not Found"})
        assert await relayer.raw("GET", "/exit-signature") == (405, {"error": "Method Not Allowed"})
        assert (await relayer.raw("POST", "/exits", b"{}"))[0] == 405


async def test_bodies_that_come_too_slowly(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_TIMEOUT_SECONDS", 0.2)

    async def slowly() -> Any:
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    async with start(signature_threshold=3) as relayer:
        status, answer = await relayer.raw("POST", "/validators", slowly())
        assert (status, answer) == (408, {"error": "the body came too slowly"})
        await still_works(relayer)


async def test_connections_that_break(start: Start) -> None:
    async with start(signature_threshold=3) as relayer:
        port = int(relayer.url.rpartition(":")[2])
        for text in (
            b"POST /validators HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
            b"\x00\x01\x02\r\n\r\n",
            b"GET /exits HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
            b"GET / " + b"x" * 100_000,
        ):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(text)
            await writer.drain()
            writer.close()
        await still_works(relayer)


async def test_a_share_outside_the_subgroup(start: Start) -> None:
    """It decodes, so it is stored; judged, it is bad, and the others go on."""
    cluster = make_cluster(1)
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        await relayer.post(2, [wire.ExitShare(cluster.keys[0], off_subgroup())])
        await relayer.fill(cluster, [START_INDEX], 1, 3)
        await relayer.until(lambda e: e[cluster.keys[0]].share_indexes_rejected == [2])
        await relayer.fill(cluster, [START_INDEX], 4)
        await relayer.until_ready(cluster)
