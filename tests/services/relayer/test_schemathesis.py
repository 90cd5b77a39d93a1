"""schemathesis draws requests from the OpenAPI document: no 5xx, no answer that the document does not have.

It looks longer with `DVTFAST_SCHEMATHESIS_EXAMPLES=20000` in the environment, and `pytest --timeout=0`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from ..conftest import Start, make_cluster
from .test_register import VAULTS

EXAMPLES = int(os.environ.get("DVTFAST_SCHEMATHESIS_EXAMPLES", "120"))
# A schema cannot say what is a point of the curve, or that lists are of one length, and a bad item does not
# make a bad request; so neither must what fits be taken, nor what does not be refused as a whole.
CHECKS = [
    checks.not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]


@contextmanager
def serving(start: Start) -> Iterator[str]:
    """A relayer on a thread of its own; its URL."""
    url: Future[str] = Future()
    stopping: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        cluster = make_cluster(2)
        async with start(cluster, vaults=VAULTS, index_window=2, signature_threshold=2) as relayer:
            stopping.set_result((asyncio.get_running_loop(), stop))
            url.set_result(relayer.url)
            await stop.wait()

    thread = Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        yield url.result(30)
    finally:
        loop, stop = stopping.result(30)
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@pytest.mark.timeout(500 if EXAMPLES <= 120 else 0)
def test_no_answer_that_is_not_in_the_document(start: Start) -> None:
    statuses: set[int] = set()
    with serving(start) as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=schema.as_strategy())
        def look(case: schemathesis.Case) -> None:
            if "wait" in case.query:
                case.query["wait"] = "0"
            response = case.call()
            statuses.add(response.status_code)
            case.validate_response(response, checks=CHECKS)

        look()
    assert {200, 422} <= statuses
