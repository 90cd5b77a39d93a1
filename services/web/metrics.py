"""What a service counts, for Prometheus: the registry of one process, and its page `/metrics`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from . import http

# Seconds; from what takes no time to what somebody waits for.
SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

Refresh = Callable[[], Awaitable[None]]


class MetricsRegistry:
    """The counters of one process, all of which begin with the same name.

    Labels are taken from what the service was set up with, never as somebody sent them: whatever comes in,
    the number of series stays bounded.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._registry = CollectorRegistry()
        self._refreshes: list[Refresh] = []
        ProcessCollector(prefix, registry=self._registry)

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """What only grows; Prometheus calls it `..._total`."""
        return Counter(f"{self._prefix}_{name}", text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """What goes up and down."""
        return Gauge(f"{self._prefix}_{name}", text, labels, registry=self._registry)

    def histogram(
        self, name: str, text: str, *labels: str, buckets: Sequence[float] = SECONDS_BUCKETS
    ) -> Histogram:
        """How often which size."""
        return Histogram(f"{self._prefix}_{name}", text, labels, registry=self._registry, buckets=buckets)

    def before_each_look(self, refresh: Refresh) -> None:
        """Have gauges set when somebody looks; `refresh` must not raise."""
        self._refreshes.append(refresh)

    def add_to(self, app: web.Application) -> None:
        """Serve `/metrics`."""
        app.router.add_get("/metrics", self._get_metrics)

    async def _get_metrics(self, _: web.Request) -> web.Response:
        for refresh in self._refreshes:
            await refresh()
        body = await asyncio.to_thread(generate_latest, self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


class ServiceMetrics(MetricsRegistry):
    """The counters of a service that serves nothing else: how it does is on two pages."""

    def health(self) -> Mapping[str, Any]:
        """What `/healthz` says beside that the process works."""
        return {}

    def application(self) -> web.Application:
        """A server of both pages."""
        app = http.application()
        self.add_to(app)
        app.router.add_get("/healthz", self._get_health)
        return app

    async def _get_health(self, _: web.Request) -> web.Response:
        """200 as long as the process works: what others do not do is no reason to start it again."""
        return web.json_response({"ok": True, **self.health()})
