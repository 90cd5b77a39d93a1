"""Series of Prometheus all of which have the labels of one node, as charon's have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

M = TypeVar("M", bound=MetricWrapperBase)

# Seconds after the start of a slot, or of a request.
BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30)


class Family(Generic[M]):
    """A metric; each series of it has the labels of the node before its own."""

    def __init__(self, metric: M, constant: Sequence[str]) -> None:
        self._metric, self._constant = metric, constant

    def of(self, *values: str) -> M:
        """The series with these labels."""
        child: M = self._metric.labels(*self._constant, *values)
        return child

    def clear(self) -> None:
        """Forget all series, before those of now are set."""
        self._metric.clear()


class NodeSeries:
    """The registry of one node.

    Args:
        constant: labels that all series have.

    Attributes:
        registry: Prometheus's.
    """

    def __init__(self, constant: Mapping[str, str]) -> None:
        self.registry = CollectorRegistry()
        self._names, self._values = tuple(constant), tuple(constant.values())
        ProcessCollector(registry=self.registry)

    def counter(self, name: str, text: str, *labels: str) -> Family[Counter]:
        """What only grows; Prometheus calls it `..._total`."""
        return Family(Counter(name, text, (*self._names, *labels), registry=self.registry), self._values)

    def gauge(self, name: str, text: str, *labels: str) -> Family[Gauge]:
        """What goes up and down."""
        return Family(Gauge(name, text, (*self._names, *labels), registry=self.registry), self._values)

    def histogram(self, name: str, text: str, *labels: str) -> Family[Histogram]:
        """How often which size."""
        made = Histogram(name, text, (*self._names, *labels), registry=self.registry, buckets=BUCKETS)
        return Family(made, self._values)
