"""How late a service's event loop wakes up and how long its requests take: for Prometheus and benchmarks."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

import msgspec
from aiohttp import web

from ..process.background import in_background
from .metrics import MetricsRegistry

SAMPLE_SECONDS = 0.1
KEPT_SAMPLE_SECONDS = 0.01  # when all samples are kept
LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
UNKNOWN_ROUTE = "unknown"  # of a path that is none of ours

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Timings:
    """Times the event loop and the requests of one service.

    Args:
        file: where every sample is summed up at the end, as JSON.
    """

    def __init__(self, registry: MetricsRegistry, *, file: Path | None = None) -> None:
        self._lag = registry.histogram(
            "event_loop_lag_seconds", "How late the event loop woke up.", buckets=LAG_BUCKETS
        )
        self._requests = registry.counter("http_requests", "Requests that were answered.", "route", "status")
        self._seconds = registry.histogram(
            "http_request_seconds", "Time to an answer, where the request did not ask to wait.", "route"
        )
        self._file = file
        self._kept = array("d")
        self._slowest: dict[str, tuple[float, str]] = {}

    @asynccontextmanager
    async def sampled(self) -> AsyncIterator[None]:
        """Sample the event loop inside the block, then write the file."""
        async with in_background(self._sample()):
            yield
        if self._file is not None:
            await asyncio.to_thread(self._file.write_bytes, msgspec.json.encode(self._figures()))

    def add_to(self, app: web.Application) -> None:
        """Time the requests, of which those that were told to wait stand for themselves."""
        app.middlewares.insert(0, self._timed)
        app.on_startup.append(self._begin_at_zero)

    async def _begin_at_zero(self, app: web.Application) -> None:
        """Prometheus does not see the first time of what was not there before."""
        for resource in app.router.resources():
            self._requests.labels(resource.canonical, "500")

    @web.middleware
    async def _timed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        begin = perf_counter()
        status = "none"  # nobody was there to be answered
        try:
            response = await handler(request)
            status = str(response.status)
            return response
        finally:
            seconds = perf_counter() - begin
            waits = "wait" in request.query
            resource = request.match_info.route.resource
            route = UNKNOWN_ROUTE if resource is None else resource.canonical
            self._requests.labels(route, status).inc()
            if not waits:
                self._seconds.labels(route).observe(seconds)
            if self._file is not None:
                kind = "waiting_request" if waits else "request"
                took = seconds, f"{request.method} {request.path}"
                self._slowest[kind] = max(took, self._slowest.get(kind, took))

    async def _sample(self) -> None:
        pause = SAMPLE_SECONDS if self._file is None else KEPT_SAMPLE_SECONDS
        while True:
            begin = perf_counter()
            await asyncio.sleep(pause)
            lag = perf_counter() - begin - pause
            self._lag.observe(lag)
            if self._file is not None:
                self._kept.append(lag)

    def _figures(self) -> dict[str, float | str]:
        lags = sorted(self._kept) or [0.0]
        figures: dict[str, float | str] = {
            "lag_samples": len(self._kept),
            "lag_p99_seconds": lags[len(lags) * 99 // 100],
            "lag_p999_seconds": lags[len(lags) * 999 // 1000],
            "lag_largest_seconds": lags[-1],
        }
        for kind, (seconds, request) in self._slowest.items():
            figures[f"slowest_{kind}_seconds"] = seconds
            figures[f"slowest_{kind}"] = request
        return figures
