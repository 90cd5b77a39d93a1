"""What a sidecar counts, and what its `/healthz` says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from time import monotonic, time
from typing import Any

from ..web.metrics import ServiceMetrics
from .journal.tables import DEPOSIT, EXIT


class SidecarMetrics(ServiceMetrics):
    """The counters of one process.

    Args:
        relayers: their names.
    """

    def __init__(self, relayers: tuple[str, ...] = ()) -> None:
        super().__init__("dvtfast_sidecar")
        self.keys = self.gauge("keys", "Validators that can be signed for.", "share_index")
        self.recorded = self.counter(
            "recorded", "Messages that went on record to be signed.", "relayer", "kind"
        )
        self.sign_seconds = self.counter("sign_seconds", "Time spent in signing.", "kind")
        self.posted = self.counter("posted", "Shares that a relayer took.", "relayer", "kind")
        self.rejected = self.counter("rejected", "Shares that a relayer rejected.", "relayer", "kind")
        self.refused = self.counter("refused", "What a relayer wanted and did not get.", "relayer")
        self.failures = self.counter("failures", "Answers that did not come, or were none.", "relayer")
        self.reloads = self.counter("reloads", "Times that the keys were read anew.", "outcome")
        self._answered_at = self.gauge(
            "last_answer_seconds", "Unix time of the last answer; 0 before.", "relayer"
        )
        self._last_answers: dict[str, float | None] = dict.fromkeys(relayers)
        self._begin_at_zero(relayers)

    def _begin_at_zero(self, relayers: Collection[str]) -> None:
        """Prometheus does not see the first time of what was not there before, nor what never was."""
        for outcome in ("done", "failed"):
            self.reloads.labels(outcome)
        for relayer in relayers:
            self._answered_at.labels(relayer)
            for kind in (EXIT, DEPOSIT):
                self.rejected.labels(relayer, kind)

    def answered(self, relayer: str) -> None:
        """A relayer gave an answer that it could be asked for."""
        self._last_answers[relayer] = monotonic()
        self._answered_at.labels(relayer).set(time())

    def health(self) -> Mapping[str, Any]:
        """How long each relayer has been silent; None where it has not answered yet."""
        now = monotonic()
        seconds = {
            name: None if at is None else round(now - at, 1) for name, at in self._last_answers.items()
        }
        return {"seconds_since_answer": seconds}
