"""How late a service's event loop wakes up and how long its requests take; for benchmarks."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

import msgspec
from aiohttp import web

from .background import in_background

SAMPLE_SECONDS = 0.01


class Timings:
    """Samples of one service; written to a file at its end."""

    def __init__(self) -> None:
        self._lags = array("d")
        self._slowest: dict[str, tuple[float, str]] = {}

    @asynccontextmanager
    async def kept(self, path: Path) -> AsyncIterator[None]:
        """Sample the event loop inside the block, then write everything down as JSON."""
        async with in_background(self._sample()):
            yield
        lags = sorted(self._lags) or [0.0]
        figures: dict[str, float | str] = {
            "lag_samples": len(self._lags),
            "lag_p99_seconds": lags[len(lags) * 99 // 100],
            "lag_p999_seconds": lags[len(lags) * 999 // 1000],
            "lag_largest_seconds": lags[-1],
        }
        for kind, (seconds, request) in self._slowest.items():
            figures[f"slowest_{kind}_seconds"] = seconds
            figures[f"slowest_{kind}"] = request
        await asyncio.to_thread(path.write_bytes, msgspec.json.encode(figures))

    def add_to(self, app: web.Application) -> None:
        """Time the requests, of which those that were told to wait stand for themselves."""
        app.middlewares.insert(0, self._timed)

    @web.middleware
    async def _timed(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        begin = perf_counter()
        try:
            return await handler(request)
        finally:
            kind = "waiting_request" if "wait" in request.query else "request"
            took = perf_counter() - begin, f"{request.method} {request.path}"
            self._slowest[kind] = max(took, self._slowest.get(kind, took))

    async def _sample(self) -> None:
        while True:
            begin = perf_counter()
            await asyncio.sleep(SAMPLE_SECONDS)
            self._lags.append(perf_counter() - begin - SAMPLE_SECONDS)
