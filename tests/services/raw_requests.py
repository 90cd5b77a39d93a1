"""What is hardly HTTP: broken heads and bodies, pipelined requests, connections that crawl or break off."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

PATHS = [
    "/",
    "/info",
    "/exits",
    "/validators",
    "/exit-signature",
    "/signatures",
    "/register",
    "/rotate",
    "/fund",
    "/withdraw",
    "/consolidate",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/%ff",
    "/..",
    "//",
    "/" + "a" * 9000,
    "*",
    "http://x/info",
    "/exits?share_index=" + "9" * 400,
    "/status.json",
]
METHODS = [
    "GET",
    "POST",
    "HEAD",
    "PUT",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PRI",
    "get",
    "G\x00T",
    "",
]
VERSIONS = [
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/0.9",
    "HTTP/2.0",
    "HTTP/9.9",
    "",
    "junk",
]
HEADERS = [
    "Host: localhost",
    "Host:",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "Expect: 100-continue",
    "Expect: junk",
    "Content-Type: text/xml",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: identity",
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length: -1",
    "Content-Length: 5, 5",
    "Content-Length: 99999999999999999999",
    "Content-Length: 0x10",
    "Content-Encoding: gzip",
    "Accept-Encoding: gzip",
    "If-None-Match: *",
    'If-None-Match: "',
    "X-Request-ID: a\x7fb",
    "X-Request-ID: " + "a" * 5000,
    "Authorization: Basic !!!",
    "Authorization: Bearer \xff",
    "Cookie: " + "a=b;" * 500,
    "junk",
    ": junk",
    " folded",
    "A" * 9000 + ": b",
    "Range: bytes=0-",
    "Origin: null",
    "Referer: x",
]
QUIET_SECONDS = 0.1  # then nothing more is expected
BODIES = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"hello",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"zz\r\n",
    b"ffffffffffffffff\r\n",
    b'{"public_keys":[]}',
    b'{"share_index":1,"shares":[]}',
    b'{"share_index":1,"shares":[{}]}',
    b"[" * 5000,
    b'{"a":' * 5000,
    b"\x00" * 100,
    b"\xff\xfe",
    b'{"public_keys":["' + b"00" * 48 + b'"]}',
    b'{"share_index":1,"shares":[' + b",".join([b'{"public_key":"x"}'] * 50) + b"]}",
]


def raw_request(source: random.Random) -> bytes:
    """One request; some are right, most are wrong in one place, some in several."""
    if source.random() < 0.3:
        return b"GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n"
    if source.random() < 0.05:
        return source.randbytes(source.randrange(400))
    usual = source.random() < 0.5
    method = source.choice(METHODS[:2]) if usual else source.choice(METHODS)
    version = VERSIONS[0] if usual else source.choice(VERSIONS)
    headers = ["Host: localhost", *source.sample(HEADERS, source.randrange(4))]
    body = source.choice(BODIES)
    if source.random() < 0.6:
        headers.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([f"{method} {source.choice(PATHS)} {version}", *headers]).encode("latin-1")
    request = head + b"\r\n\r\n" + body
    if source.random() < 0.1:
        cut = source.randrange(len(request))
        request = request[:cut] + source.randbytes(source.randrange(4)) + request[cut:]
    return request


async def send_all(port: int, requests: Sequence[bytes], source: random.Random) -> Counter[int]:
    """Send these on a connection, at once or one behind the other, some in small pieces; statuses that came.

    Answers are read until the server closes, or has nothing more to say.
    """
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        raise AssertionError(f"nobody listens: {error}") from error
    is_slow = source.random() < 0.02
    sent = b"".join(requests)
    received = b""
    with suppress(OSError):
        for begin in range(0, len(sent), 300 if is_slow else len(sent) or 1):
            writer.write(sent[begin : begin + 300] if is_slow else sent)
            await writer.drain()
            await asyncio.sleep(0.02 if is_slow else 0)
        if source.random() < 0.1:
            writer.write_eof()
        if source.random() < 0.9:  # others hang up at once
            with suppress(TimeoutError):
                while piece := await asyncio.wait_for(reader.read(1 << 16), QUIET_SECONDS):
                    received += piece
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return Counter(int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received))


async def send_many(port: int, count: int, *, seed: int, connections: int = 16) -> Counter[int]:
    """Send so many raw requests over several connections at a time; statuses that came."""
    statuses: Counter[int] = Counter()
    left = count

    async def work(number: int) -> None:
        nonlocal left
        source = random.Random(seed * 1000 + number)
        while left > 0:
            batch = [raw_request(source) for _ in range(source.choice([1, 1, 2, 5, 20]))]
            left -= len(batch)
            statuses.update(await send_all(port, batch, source))

    await asyncio.gather(*map(work, range(connections)))
    return statuses
