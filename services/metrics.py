"""What every service that counts has: a registry, and `/metrics` for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from . import http


class ServiceMetrics:
    """The counters of one process, and the two pages that show how it does.

    Args:
        prefix: of all names, such as `dvtfast_sidecar`.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._registry = CollectorRegistry()

    def health(self) -> Mapping[str, Any]:
        """What `/healthz` says beside that the process works."""
        return {}

    def application(self) -> web.Application:
        """A server of both pages."""
        app = http.application()
        app.router.add_get("/metrics", self._get_metrics)
        app.router.add_get("/healthz", self._get_health)
        return app

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """A new counter."""
        return Counter(f"{self._prefix}_{name}", text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """A new gauge."""
        return Gauge(f"{self._prefix}_{name}", text, labels, registry=self._registry)

    async def _get_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), content_type="text/plain", charset="utf-8")

    async def _get_health(self, _: web.Request) -> web.Response:
        """200 as long as the process works: what others do not do is no reason to start it again."""
        return web.json_response({"ok": True, **self.health()})
