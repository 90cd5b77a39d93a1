"""What a node serves over HTTP: /livez, /readyz, /metrics, and the status page with its JSON."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from hashlib import blake2b
from pathlib import Path
from time import monotonic
from typing import Final

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from ... import wire
from ...process.offload import Workers
from ...web import http
from ...web.http import SharedAnswer
from ...web.pages import add_status_page
from .metrics import NodeMetrics
from .overview import status_of
from .readiness import TEXTS, Readiness, readiness
from .watched import Watched

PAGES: Final = Path(__file__).parent / "pages"
FRESH_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 30.0
ETAG_BYTES: Final = 18


class NodeServer:
    """Answers for a node.

    Args:
        workers: for what is slow.
    """

    def __init__(self, watched: Watched, metrics: NodeMetrics, workers: Workers) -> None:
        self._watched, self._metrics, self._workers = watched, metrics, workers
        self._answer: SharedAnswer | None = None
        self._fresh_until = 0.0
        self._stopping = False

    def application(self) -> web.Application:
        """All routes."""
        app = http.application()
        get = app.router.add_get
        get("/livez", self._get_livez)
        get("/readyz", self._get_readyz)
        get("/metrics", self._get_metrics)
        get("/status.json", self._get_status)
        add_status_page(app, PAGES, "node")
        app.on_shutdown.append(self._stop)
        return app

    async def _get_livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _get_readyz(self, _: web.Request) -> web.Response:
        found = readiness(self._watched)
        return web.Response(text=TEXTS[found], status=200 if found is Readiness.READY else 500)

    async def _get_metrics(self, _: web.Request) -> web.Response:
        self._metrics.refresh()
        body = await asyncio.to_thread(generate_latest, self._metrics.series.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    async def _get_status(self, request: web.Request) -> web.Response:
        text = request.query.get("wait", "0")
        until = monotonic() + wire.read_seconds(text, "wait", most=LONGEST_WAIT_SECONDS)
        answer = self._fresh()
        while answer.is_known_to(request) and monotonic() < until and not self._stopping:
            await asyncio.sleep(min(FRESH_SECONDS, until - monotonic()))
            answer = self._fresh()
        return await answer.respond(request, self._workers, gzips=True)

    def _fresh(self) -> SharedAnswer:
        """What all see, as it was a second ago at most; the same when nothing is new, so compressed once."""
        if self._answer is None or monotonic() >= self._fresh_until:
            body = wire.encode(status_of(self._watched))
            self._fresh_until = monotonic() + FRESH_SECONDS
            if self._answer is None or self._answer.body != body:
                digest = blake2b(body, digest_size=ETAG_BYTES).digest()
                self._answer = SharedAnswer(body, urlsafe_b64encode(digest).decode())
        return self._answer

    async def _stop(self, _: web.Application) -> None:
        self._stopping = True
