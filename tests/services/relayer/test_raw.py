"""Raw bytes on the relayer's port; `make fuzz-relayer` sends a hundred thousand and looks at the memory."""

from __future__ import annotations

import asyncio
import logging

import pytest
import structlog

from dvtfast.services.web.openapi import STATUSES

from ..conftest import START_INDEX, Start, make_cluster
from ..patience import PATIENCE_SECONDS
from ..raw_requests import send_many

# Of aiohttp itself, before any of our code, or to what is no route.
OF_HTTP = {100, 404, 405}


async def test_raw_bytes_do_no_harm(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    cluster = make_cluster(2)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    with structlog.testing.capture_logs() as lines, caplog.at_level(logging.INFO):
        async with start(cluster) as relayer:
            await relayer.ask(cluster)
            port = int(relayer.url.rpartition(":")[2])
            statuses = await send_many(port, 6000, seed=1)
            assert {200, 400, 404, 405, 422} <= set(statuses)
            assert not {status for status in statuses if status >= 500}
            assert set(statuses) <= OF_HTTP | set(STATUSES)
            for index in (1, 2, 3):
                await relayer.fill(cluster, [START_INDEX, START_INDEX + 1], index)
            assert (await relayer.until_ready(cluster)).ready
    assert not [line for line in lines if line["log_level"] in ("error", "critical")]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_connections_that_say_nothing_keep_nobody_waiting(start: Start) -> None:
    async with start(make_cluster(1)) as relayer:
        port = int(relayer.url.rpartition(":")[2])
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        for number, (_, writer) in enumerate(idle):
            writer.write(
                b"POST /validators HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"[: number % 60]
            )
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await relayer.raw("GET", "/info"))[0] == 200
        for _, writer in idle:
            writer.close()
