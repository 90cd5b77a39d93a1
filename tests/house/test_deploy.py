"""What Prometheus and Grafana are given asks for series that there are, with labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import promql_parser
import pytest
import yaml
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from dvtfast.services.node.monitoring.metrics import NodeMetrics
from dvtfast.services.node.monitoring.watched import Watched
from dvtfast.services.relayer.clusters.served import ServedClusters
from dvtfast.services.relayer.metrics import RelayerMetrics
from dvtfast.services.sidecar.metrics import SidecarMetrics
from dvtfast.services.web.timings import Timings
from tests.services.node.cluster_of_nodes import Keys

from .sources import ROOT

ALERTS = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARDS = [json.loads(file.read_text()) for file in sorted((ROOT / "deploy" / "grafana").glob("*.json"))]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
OF_PROMETHEUS = {"instance", "job", "le"}
NAMES = r"(?:dvtfast|app|cluster|core|p2p)_\w+"  # as charon's, too


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in ALERTS)
    for panel in (panel for dashboard in DASHBOARDS for panel in dashboard["panels"]):
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m")


def labels_by_series() -> dict[str, set[str]]:
    """All series of a relayer, a sidecar and a node, and `up`, which Prometheus makes."""
    relayer = RelayerMetrics(ServedClusters([], signature_threshold=1))
    Timings(relayer.registry)
    found: dict[str, set[str]] = {"up": set()}
    node = NodeMetrics(Watched(Keys(validators=2).cluster(0), "hoodi")).series.registry
    for registry in (relayer.registry._registry, SidecarMetrics()._registry, node):
        collectors = registry._collector_to_names
        for collector, names in collectors.items():
            found |= {name: set(getattr(collector, "_labelnames", ())) for name in names}
        text = generate_latest(registry).decode()  # only there the process's have names
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, set(sample.labels))
    return found


SERIES = labels_by_series()


def selectors(expression: str) -> Iterator[tuple[str, list[str]]]:
    """Series and the labels that are asked for."""
    for name, matchers in re.findall(r"\b(up|" + NAMES + r")(?:\{([^}]*)\})?", expression):
        yield name, re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)


@pytest.mark.parametrize("expression", list(expressions()))
def test_every_expression(expression: str) -> None:
    promql_parser.parse(expression)
    asked = list(selectors(expression))
    assert asked
    labels = set(OF_PROMETHEUS)
    for name, matched in asked:
        assert name in SERIES, name
        labels |= SERIES[name]
        assert set(matched) <= SERIES[name] | OF_PROMETHEUS
    for grouped in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        assert {each.strip() for each in grouped.split(",")} <= labels


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_is_in_the_runbook(rule: dict[str, object]) -> None:
    name = str(rule["alert"])
    assert f"\n### {name}\n" in RUNBOOK
    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
    assert rule["labels"]["severity"] in ("page", "ticket")
    labels = set().union(*(SERIES[series] for series, _ in selectors(str(rule["expr"]))), OF_PROMETHEUS)
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels


def test_the_runbook_has_no_alert_that_is_none() -> None:
    assert re.findall(r"\n### (Dvtfast\w+)\n", RUNBOOK) == [rule["alert"] for rule in ALERTS]


def test_what_is_counted_is_shown() -> None:
    """Each family of the relayer is in the dashboard or in an alert."""
    used = {name for expression in expressions() for name, _ in selectors(expression)}
    prefix = "dvtfast_relayer_"
    families = {
        re.sub(r"_(total|bucket|sum|count|created)$", "", name) for name in SERIES if name.startswith(prefix)
    }
    shown = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in used}
    of_the_process = {f for f in families if f.startswith(f"{prefix}process_")}
    assert families - shown - of_the_process == set()
