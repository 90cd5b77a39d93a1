"""What a sidecar counts, and the two pages that show it: `/metrics` for Prometheus, `/healthz`."""

from __future__ import annotations

from time import monotonic, time

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from .. import http

PREFIX = "dvtfast_sidecar"


class Metrics:
    """The counters of one process.

    Args:
        relayers: their names.
    """

    def __init__(self, relayers: tuple[str, ...] = ()) -> None:
        self._registry = CollectorRegistry()
        self.keys = self._gauge("keys", "Validators that can be signed for.", "share_index")
        self.recorded = self._counter(
            "recorded", "Messages that went on record to be signed.", "relayer", "kind"
        )
        self.sign_seconds = self._counter("sign_seconds", "Time spent in signing.", "kind")
        self.posted = self._counter("posted", "Shares that a relayer took.", "relayer", "kind")
        self.rejected = self._counter("rejected", "Shares that a relayer rejected.", "relayer", "kind")
        self.refused = self._counter("refused", "What a relayer wanted and did not get.", "relayer")
        self.failures = self._counter("failures", "Answers that did not come, or were none.", "relayer")
        self.reloads = self._counter("reloads", "Times that the keys were read anew.", "outcome")
        self._answered_at = self._gauge("last_answer_seconds", "Unix time of the last answer.", "relayer")
        self._last_answers: dict[str, float | None] = dict.fromkeys(relayers)

    def answered(self, relayer: str) -> None:
        """A relayer gave an answer that it could be asked for."""
        self._last_answers[relayer] = monotonic()
        self._answered_at.labels(relayer).set(time())

    def add_to(self, app: web.Application) -> None:
        """Serve both pages."""
        app.router.add_get("/metrics", self._get_metrics)
        app.router.add_get("/healthz", self._get_health)

    async def _get_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), content_type="text/plain", charset="utf-8")

    async def _get_health(self, _: web.Request) -> web.Response:
        """200 as long as the process works: a relayer that is away is no reason to start it again."""
        now = monotonic()
        seconds = {
            name: None if at is None else round(now - at, 1) for name, at in self._last_answers.items()
        }
        return web.json_response({"ok": True, "seconds_since_answer": seconds})

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", text, labels, registry=self._registry)


def application(metrics: Metrics) -> web.Application:
    """A server of both pages."""
    app = http.application()
    metrics.add_to(app)
    return app
