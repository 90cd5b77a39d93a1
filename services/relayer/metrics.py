"""What a relayer counts, for Prometheus and for its status page."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from time import monotonic, time

from ..process.offload import UnavailableError, Workers
from ..web.metrics import MetricsRegistry
from .activity import Activity
from .clusters.served import ServedClusters
from .judging.judge import Judged
from .store.counts import MessageCounts, count_messages
from .store.engine.database import Database
from .store.judging.verdicts import Verdicts
from .store.tables import MessageStatus

PREFIX = "dvtfast_relayer"
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
ROUND_BUCKETS = (0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
UNNAMED = "others"  # share indices that no cluster file names, once there are too many of them
FRESH_SECONDS = 1.0  # for so long a count of messages holds
DATABASE_SECONDS = 5.0  # within which it has to answer; Prometheus itself waits for ten

STORED, REFUSED = "stored", "refused"
Outcomes = Mapping[tuple[str, bool], int]
"""How many shares of which cluster were stored (True) or refused."""


class RelayerMetrics:
    """The counters of one relayer."""

    def __init__(self, clusters: ServedClusters) -> None:
        self.registry = registry = MetricsRegistry(PREFIX)
        self.seen = Activity(clusters.in_order)
        operator = ("cluster", "share_index")
        self._shares = registry.counter(
            "shares", "Partial signatures that operators handed in.", *operator, "outcome"
        )
        self._bad = registry.counter("bad_shares", "Partial signatures that are proven wrong.", *operator)
        self._last_share = registry.gauge(
            "last_share_timestamp_seconds", "Unix time of an operator's last stored share.", *operator
        )
        self._malformed = registry.counter(
            "malformed_items", "Items of requests that are none, or of validators that are not served."
        )
        self._late = registry.counter("late_shares", "Shares for an earlier validator index.", "cluster")
        self._judged = registry.counter(
            "judged_messages", "Exits and deposits that were judged.", "cluster", "outcome"
        )
        self._closer = registry.counter("closer_looks", "Messages that were searched for bad shares.")
        self._batch = registry.histogram(
            "batch_messages", "Exits and deposits judged at once.", buckets=BATCH_BUCKETS
        )
        self._stages = registry.counter("stage_seconds", "Time spent on messages, by what was done.", "stage")
        self._failures = registry.counter("batch_failures", "Batches that were put off or failed.", "reason")
        self._queue = registry.gauge("queue", "Work under way or waiting for a thread.", "workers")
        self._waited = registry.histogram(
            "database_wait_seconds", "Time until a transaction had its turn.", "kind"
        )
        self._database = registry.histogram("database_seconds", "Time that a transaction took.", "kind")
        self._messages = registry.gauge(
            "messages", "Exits and deposits that are asked for now, by how far they are.", "kind", "status"
        )
        self._oldest = registry.gauge(
            "oldest_waiting_timestamp_seconds", "Unix time since which a message waits; 0 when none does."
        )
        self._database_up = registry.gauge("database_up", "1 when the database answers.")
        self._rounds = registry.histogram(
            "round_seconds", "Rounds that came to their end, and their time.", buckets=ROUND_BUCKETS
        )
        self._round_begin = registry.gauge(
            "round_begin_timestamp_seconds", "Unix time when the round under way began; 0 when there is none."
        )
        for reason in ("unavailable", "error"):
            self._failures.labels(reason)
        for cluster, share_index, _ in self.seen.operators():
            self._bad.labels(cluster, str(share_index))
            self._last_share.labels(cluster, str(share_index))
            for outcome in (STORED, REFUSED):
                self._shares.labels(cluster, str(share_index), outcome)

    def received(self, share_index: int, outcomes: Outcomes, malformed: int) -> None:
        """A request with shares was answered."""
        self._malformed.inc(malformed)
        for (cluster, is_stored), count in outcomes.items():
            operator = self.seen.operator(cluster, share_index)
            label = UNNAMED if operator is None else str(share_index)
            self._shares.labels(cluster, label, STORED if is_stored else REFUSED).inc(count)
            if is_stored:
                self._last_share.labels(cluster, label).set_to_current_time()
                self.seen.note(shares=count)
            if operator is not None and is_stored:
                operator.stored += count
                operator.last_share_at = int(time())
            elif operator is not None:
                operator.refused += count

    def judged(self, cluster: str, n: int, judged: Judged, verdicts: Verdicts) -> None:
        """A batch of n messages was judged, and it is written down."""
        self._batch.observe(n)
        self._closer.inc(judged.closer_looks)
        self._late.labels(cluster).inc(len(verdicts.late))
        outcomes = {"ready": len(verdicts.ready)} | {
            status.name.lower(): len(due) for status, due in verdicts.not_ready.items()
        }
        for outcome, count in outcomes.items():
            self._judged.labels(cluster, outcome).inc(count)
        for stage, seconds in judged.seconds.items():
            self._stages.labels(stage).inc(seconds)
        self.seen.note(ready=len(verdicts.ready))
        for share_index, count in Counter(share.share_index for share in verdicts.rejected).items():
            operator = self.seen.operator(cluster, share_index)
            if operator is not None:
                operator.bad += count
            self._bad.labels(cluster, UNNAMED if operator is None else str(share_index)).inc(count)

    def batch_failed(self, reason: str) -> None:
        """A batch has to be done again."""
        self._failures.labels(reason).inc()

    def transaction(self, kind: str, waited_seconds: float, took_seconds: float) -> None:
        """A transaction is over."""
        self._waited.labels(kind).observe(waited_seconds)
        self._database.labels(kind).observe(took_seconds)

    def watch(self, workers: Workers) -> None:
        """Show how much these have to do."""
        self._queue.labels(workers.name).set_function(lambda: workers.under_way)

    def round_began(self, begin: int) -> None:
        """Validators are asked for, where none was waited for before."""
        self._round_begin.set(begin)

    def round_ended(self, seconds: float) -> None:
        """None is waited for any more."""
        self._round_begin.set(0)
        self._rounds.observe(seconds)

    def count_messages_of(self, database: Database) -> None:
        """Count what is in the database whenever somebody looks, at most once in a second."""
        counted_at = -FRESH_SECONDS

        async def refresh() -> None:
            nonlocal counted_at
            if monotonic() - counted_at < FRESH_SECONDS:
                return
            counted_at = monotonic()
            try:
                async with asyncio.timeout(DATABASE_SECONDS):
                    self._set_counts(await database.read(count_messages))
            except (UnavailableError, TimeoutError):
                self._database_up.set(0)

        self.registry.before_each_look(refresh)

    def _set_counts(self, counted: MessageCounts) -> None:
        self._database_up.set(1)
        self._oldest.set(counted.oldest_waiting_at)
        for kind, status in counted.places():
            count = counted.counts.get((kind, status), 0)
            self._messages.labels(kind.name.lower(), MessageStatus(status).name.lower()).set(count)
