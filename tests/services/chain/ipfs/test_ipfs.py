"""IPFS: files as its own tools write them, and gateways that lie."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from dvtfast.services.chain.ipfs import client as ipfs_module
from dvtfast.services.chain.ipfs.client import IpfsClient, IpfsContentError, IpfsError
from dvtfast.services.chain.ipfs.unixfs import DAG_PB, RAW, Cid, read_part
from tests.services.chain.ipfs.gateways import Blocks, binary, field, gateway, number
from tests.services.chain.servers import DEAD, serving
from tests.services.patience import ANSWER_SECONDS, PATIENCE_SECONDS

FILES: dict[str, Any] = json.loads(Path(__file__).with_name("ipfs_files.json").read_text())["files"]
LIMIT = 1_000_000
HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"  # raw: hello world
EMPTY_FOLDER = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"


def client(*urls: str, timeout_seconds: float = ANSWER_SECONDS) -> IpfsClient:
    return IpfsClient(urls, timeout_seconds=timeout_seconds)


@pytest.mark.parametrize("name", FILES)
async def test_files_of_its_own_tools(name: str) -> None:
    blocks = Blocks(bytes.fromhex(block) for block in FILES[name]["blocks"])
    async with gateway(blocks) as (url, asked), client(url) as ipfs:
        content = await ipfs.fetch(FILES[name]["cid"], limit_bytes=LIMIT)
        assert content.hex() == FILES[name]["content"]
        assert len(asked) == len(FILES[name]["blocks"])


async def test_the_last_file_is_kept() -> None:
    blocks = Blocks()
    first, second = (str(blocks.add(content)) for content in (b"first", b"second"))
    async with gateway(blocks) as (url, asked), client(url) as ipfs:
        for cid, content in ((first, b"first"), (first, b"first"), (second, b"second"), (second, b"second")):
            assert await ipfs.fetch(cid, limit_bytes=LIMIT) == content
        assert len(asked) == 2
        with pytest.raises(IpfsContentError, match="smaller"):
            await ipfs.fetch(second, limit_bytes=2)
        assert await ipfs.fetch(first, limit_bytes=LIMIT) == b"first"


async def test_an_empty_file() -> None:
    blocks = Blocks()
    blocks.add(bytes.fromhex("0a0408021800"))
    async with gateway(blocks) as (url, _), client(url) as ipfs:
        assert await ipfs.fetch("QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH", limit_bytes=0) == b""


def test_content_identifiers() -> None:
    digest = hashlib.sha256(b"hello world").digest()
    assert Cid.parse(HELLO) == Cid(RAW, digest)
    assert str(Cid.parse(HELLO)) == HELLO
    assert Cid.parse(HELLO).identifies(b"hello world")
    assert not Cid.parse(HELLO).identifies(b"hello World")
    folder = Cid.parse(EMPTY_FOLDER)
    assert folder.codec == DAG_PB
    assert folder.identifies(bytes.fromhex("0a020801"))
    # The same in version 1, as `ipfs cid base32` prints it.
    assert str(folder) == "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
    assert Cid.parse("zb2rhj7crUKTQYRGCRATFaQ6YFLTde2YzdqbbhAASkL9uRDXn").codec == RAW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Qm",
        "bafy",
        "Qm/../../passwd",
        HELLO.upper(),
        HELLO[:-1],
        HELLO + "a",
        HELLO + "aaaaaaaa",
        HELLO.replace("5", "0"),
        EMPTY_FOLDER[:-1],
        EMPTY_FOLDER.replace("L", "0"),
        EMPTY_FOLDER + "1",
        "Qm" + "1" * 10_000,
        "k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8",
        "bafkqaaa",  # the identity of nothing
        "bafyrgqhai26anf3i7pips7q22coa4sz2fr4gk4q4sqdtymvvjyginfzaqewveaeqdh524nsktaq43j65v22xxrybrtertmcfxufdam3da3hbk",
        "é" * 46,
    ],
)
async def test_what_is_no_content_identifier(text: str) -> None:
    with pytest.raises(ValueError, match="expected a CID"):
        Cid.parse(text)
    async with client(DEAD) as ipfs:
        with pytest.raises(IpfsContentError, match="expected a CID"):
            await ipfs.fetch(text, limit_bytes=LIMIT)


# Gateways.


async def test_gateways_stand_in_for_each_other() -> None:
    blocks = Blocks([b"hello world"])
    lies = {
        "other content": lambda _cid, _block: web.Response(body=b"hello wurld"),
        "the file itself": lambda _cid, _block: web.Response(text="<html>hello world"),
        "nothing": lambda _cid, _block: web.Response(),
        "absent": lambda _cid, _block: web.Response(status=404),
        "broken": lambda _cid, _block: web.Response(status=502, text="bad gateway"),
        "elsewhere": lambda _cid, _block: web.Response(status=302, headers={"Location": "/x"}),
        "too long": lambda _cid, _block: web.Response(body=bytes(2**21 + 1)),
    }
    for lie, answer in lies.items():
        async with (
            gateway(blocks) as (good, _),
            gateway(blocks, answer) as (bad, asked),
            client(DEAD, bad, good) as ipfs,
        ):
            assert await ipfs.fetch(HELLO, limit_bytes=LIMIT) == b"hello world", lie
            assert len(asked) == 1
        async with gateway(blocks, answer) as (bad, _), client(bad) as ipfs:
            with pytest.raises(IpfsError, match=f"^{HELLO}: {bad}: "):
                await ipfs.fetch(HELLO, limit_bytes=LIMIT)


async def test_a_lie_deep_in_a_file() -> None:
    """One leaf of many is another one."""
    file = FILES["v1_trickle"]
    blocks = Blocks(bytes.fromhex(block) for block in file["blocks"])
    leaf = Cid(RAW, hashlib.sha256(bytes(range(42, 48))).digest())

    def lie(cid: Cid, block: bytes | None) -> web.Response:
        return web.Response(body=bytes(6) if cid == leaf else block)

    async with gateway(blocks, lie) as (bad, _), gateway(blocks) as (good, asked):
        async with client(bad, good) as ipfs:
            with capture_logs() as lines:
                content = await ipfs.fetch(file["cid"], limit_bytes=LIMIT)
            assert content == bytes(range(50))
            assert str(leaf) in asked[0]
            assert lines[0]["event"] == "endpoint fails"
            assert f"{bad}: gives another block than asked for" in lines[0]["error"]
        async with client(bad) as ipfs:
            with pytest.raises(IpfsError, match="gives another block"):
                await ipfs.fetch(file["cid"], limit_bytes=LIMIT)


async def test_a_slow_gateway() -> None:
    async def sleep(_request: web.Request) -> web.Response:
        await asyncio.sleep(PATIENCE_SECONDS)
        return web.Response()

    async with (
        serving(sleep) as slow,
        gateway(Blocks([b"hello world"])) as (good, _),
        client(slow, good, timeout_seconds=5) as ipfs,
    ):
        assert await ipfs.fetch(HELLO, limit_bytes=LIMIT) == b"hello world"


async def test_the_path_and_token_of_a_gateway() -> None:
    async with gateway(Blocks([b"hello world"])) as (url, asked):
        async with client(f"{url}/below/?token=secret-token") as ipfs:
            await ipfs.fetch(HELLO, limit_bytes=LIMIT)
            with pytest.raises(IpfsError) as caught:
                await ipfs.fetch(EMPTY_FOLDER, limit_bytes=LIMIT)
        assert asked[0] == f"/below/ipfs/{HELLO}?token=secret-token&format=raw"
    assert caught.value.refused
    assert "secret-token" not in str(caught.value)


# Content.


async def fails(blocks: Blocks, cid: Cid, match: str, *, limit_bytes: int = LIMIT) -> None:
    async with gateway(blocks) as (url, _), client(url) as ipfs:
        with pytest.raises(IpfsContentError, match=match):
            await ipfs.fetch(str(cid), limit_bytes=limit_bytes)


async def test_folders_are_no_files() -> None:
    blocks = Blocks()
    await fails(blocks, blocks.add_node(kind=1), "expected a file, got UnixFS type 1")


async def test_files_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = Blocks()
    leaf = blocks.add(b"12345")
    await fails(blocks, leaf, "expected a smaller file", limit_bytes=4)
    tree = blocks.add_node(b"0", [leaf] * 3)
    async with gateway(blocks) as (url, _), client(url) as ipfs:
        assert await ipfs.fetch(str(tree), limit_bytes=16) == b"0123451234512345"
    await fails(blocks, tree, "expected a smaller file", limit_bytes=15)

    deep = blocks.add_node(b"bottom")
    for _ in range(ipfs_module.DEPTH_LIMIT + 1):
        deep = blocks.add_node(b"", [deep])
    await fails(blocks, deep, "links deep")

    wide = blocks.add_node(b"")
    for _ in range(6):  # 10^6 blocks without a byte
        wide = blocks.add_node(b"", [wide] * 10)
    monkeypatch.setattr(ipfs_module, "BLOCKS_LIMIT", 200)
    await fails(blocks, wide, "expected at most 200 blocks")


LINK = field(2, field(1, binary(Cid(RAW, bytes(32)))))
HOSTILE_BLOCKS = {
    "empty": b"",
    "text": b"hello world",
    "half a field": b"\x0a\x10\x08\x02",
    "half a key": b"\xff",
    "long varint": b"\x0a" + b"\xff" * 11,
    "fixed": b"\x0d\x01\x02\x03\x04",
    "no type": field(1, field(2, b"data")),
    "type in bytes": field(1, field(1, b"\x02")),
    "no unixfs": field(1, b"\xff\xff"),
    "metadata": field(1, number(1, 3)),
    "symlink": field(1, number(1, 4) + field(2, b"/etc/passwd")),
    "shard": field(1, number(1, 5)),
    "link without cid": field(2, field(2, b"name")) + field(1, number(1, 2)),
    "link to nowhere": LINK.replace(bytes(32), bytes(31)) + field(1, number(1, 2)),
    "link with md5": field(2, field(1, b"\x01\x55\xd5\x01\x10" + bytes(16))) + field(1, number(1, 2)),
    "number as data": number(1, 5),
}


@pytest.mark.parametrize("block", HOSTILE_BLOCKS.values(), ids=HOSTILE_BLOCKS)
async def test_blocks_that_are_no_files(block: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected|cannot be read|is not SHA-256"):
        read_part(Cid(DAG_PB, bytes(32)), block)
    blocks = Blocks()
    await fails(blocks, blocks.add(block, DAG_PB), ": ")


def test_a_block_of_many_small_fields_is_read_in_linear_time() -> None:
    with pytest.raises(ValueError, match="expected a file"):
        read_part(Cid(DAG_PB, bytes(32)), number(15, 1) * 500_000)
