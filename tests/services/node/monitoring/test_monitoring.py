"""What a node tells of itself: whether it is ready, what it counts, what its page says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from playwright.async_api import expect
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkEpoch
from dvtfast.services.chain.beacon.health import NodeHealth
from dvtfast.services.node.deadlines import Deadlines
from dvtfast.services.node.exchange import Gathered
from dvtfast.services.node.monitoring.metrics import NodeMetrics
from dvtfast.services.node.monitoring.overview import status_of
from dvtfast.services.node.monitoring.readiness import Readiness, readiness
from dvtfast.services.node.monitoring.server import NodeServer
from dvtfast.services.node.monitoring.watched import POOR_LOOKS
from dvtfast.services.node.partial_signatures import Fault
from dvtfast.services.node.peer_infos import PeerReport
from dvtfast.services.node.tracker import Step
from dvtfast.services.process.offload import Workers
from dvtfast.services.web.http import listening
from tests.house.sources import ROOT

from ...browser import axe, browsing
from .monitored import HEALTHY, NODES, VALIDATORS, Monitored, labels


@pytest.fixture
def node() -> Monitored:
    return Monitored()


AWAY = NodeHealth("http://away", "no answer", answers=False)


@pytest.mark.parametrize(
    ("health", "number"),
    [
        ([HEALTHY], Readiness.READY),
        ([HEALTHY, AWAY], Readiness.READY),
        ([], Readiness.NO_BEACON_NODE),
        ([AWAY], Readiness.NO_BEACON_NODE),
        ([replace(HEALTHY, problem="it is syncing", sync_distance=5)], Readiness.SYNCING),
        ([replace(HEALTHY, problem="it is syncing", sync_distance=321), AWAY], Readiness.FAR_BEHIND),
        ([replace(HEALTHY, peers=0)], Readiness.NO_BEACON_PEERS),
        ([replace(HEALTHY, peers=None)], Readiness.READY),
        ([replace(HEALTHY, peers=0), HEALTHY], Readiness.READY),
    ],
)
def test_readiness_by_its_beacon_nodes(node: Monitored, health: list[NodeHealth], number: Readiness) -> None:
    node.watched.health = health
    assert readiness(node.watched) is number


async def test_readiness_by_its_peers(node: Monitored) -> None:
    """Two of three others may be away for a minute, as when all are started anew."""
    node.peers.away = {1, 2}
    for _ in range(POOR_LOOKS - 1):
        await node.watched.look()
    assert readiness(node.watched) is Readiness.READY
    await node.watched.look()
    assert readiness(node.watched) is Readiness.TOO_FEW_PEERS
    node.peers.away = {1}
    await node.watched.look()
    assert readiness(node.watched) is Readiness.READY


def test_readiness_by_what_it_signs(node: Monitored) -> None:
    node.perform(13, until=Step.AGREED)
    assert readiness(node.watched) is Readiness.SIGNS_NOTHING
    node.perform(14)
    assert readiness(node.watched) is Readiness.READY


def test_readiness_by_its_clock(node: Monitored) -> None:
    parts, scheduler = cast(Any, node.watched.node).parts, cast(Any, node.watched.node).scheduler
    for seen, number in ((18, Readiness.READY), (17, 9), (22, Readiness.READY), (7000, 9), (None, 1)):
        scheduler.seen = seen
        assert readiness(node.watched) == number
    scheduler.seen = 20
    parts.deadlines = Deadlines(node.slots, began=node.now + 60.0)
    assert readiness(node.watched) is Readiness.CLOCK_WAS_WRONG


def test_readiness_by_the_fork_that_the_chain_is_in(node: Monitored) -> None:
    """What was announced while the node ran counts as soon as it begins."""
    schedule = cast(Any, node.watched.node).parts.schedule
    schedule.forks = [*schedule.forks, ForkEpoch(3, b"next")]
    assert readiness(node.watched) is Readiness.READY
    schedule.forks = [*schedule.forks[:-1], ForkEpoch(2, b"next")]
    assert readiness(node.watched) is Readiness.FORK_UNKNOWN


def test_readiness_by_duties_that_are_known(node: Monitored) -> None:
    cast(Any, node.watched.node).scheduler.known = {1: None}
    assert readiness(node.watched) is Readiness.DUTIES_UNKNOWN
    cast(Any, node.watched.node).scheduler.known = {2: SimpleNamespace(is_whole=False)}
    assert readiness(node.watched) is Readiness.DUTIES_UNKNOWN


def read(metrics: NodeMetrics) -> Any:
    metrics.refresh()
    return list(text_string_to_metric_families(generate_latest(metrics.series.registry).decode()))


def test_duties_are_counted_once(node: Monitored) -> None:
    metrics = NodeMetrics(node.watched)
    node.perform(3, validators=range(3))
    node.perform(4, until=Step.SIGNED, validators=range(2), nodes=(0, 2))
    node.perform(20, until=Step.FETCHED, is_over=False)
    for _ in range(3):
        found = read(metrics)
    of_attester = {"duty": "attester"}
    assert labels(found, "core_tracker_expect_duties_total", **of_attester) == [2]
    assert labels(found, "core_tracker_success_duties_total", **of_attester) == [1]
    assert labels(found, "core_tracker_failed_duties_total", **of_attester) == [1]
    assert labels(found, "core_bcast_broadcast_total", **of_attester) == [3]
    assert labels(found, "core_scheduler_duty_total", **of_attester) == [3]
    reason = "insufficient_peer_signatures"
    assert labels(found, "core_tracker_failed_duty_reasons_total", reason=reason, **of_attester) == [2]
    for peer, took_part in (("node-0", 2), ("node-1", 1), ("node-2", 2), ("node-3", 1)):
        name = "core_tracker_participation_{}_total"
        assert labels(found, name.format("success"), peer=peer, **of_attester) == [took_part]
        assert labels(found, name.format("expected"), peer=peer, **of_attester) == [2]
    assert labels(found, "core_consensus_decided_rounds", **of_attester) == [1]
    assert labels(found, "core_consensus_duration_seconds_sum", **of_attester)[0] == pytest.approx(0.6)
    assert labels(found, "core_bcast_broadcast_delay_seconds_sum", **of_attester)[0] == pytest.approx(4.6)
    assert labels(found, "core_parsigdb_store_count", peer_idx="1", **of_attester) == [1]


def test_what_is_signed_for_the_cluster_alone_is_done_when_it_is_recovered(node: Monitored) -> None:
    metrics = NodeMetrics(node.watched)
    node.perform(3, DutyType.RANDAO, until=Step.RECOVERED)
    assert labels(read(metrics), "core_tracker_success_duties_total", duty="randao") == [1]


def test_all_series_are_of_the_node(node: Monitored) -> None:
    own = {
        "cluster_hash": "0001020",
        "cluster_name": "test",
        "cluster_network": "devnet",
        "cluster_peer": "node-0",
        "nickname": "north",
        "charon_version": "v1.11.0",
    }
    node.perform(3)
    for family in read(NodeMetrics(node.watched)):
        if not family.name.startswith("process_"):
            assert all(own.items() <= sample.labels.items() for sample in family.samples), family.name


def test_peers_and_relays_are_counted(node: Monitored) -> None:
    node.peers.away, node.peers.relayed = {3}, {2}
    node.peers.problems = {node.watched.relays[1]: "no answer"}
    node.reports[node.peers.keys[1]] = PeerReport("v1.10.3", "charon", "south", 0.25)
    found = read(NodeMetrics(node.watched))
    assert [labels(found, "p2p_ping_success", peer=f"node-{each}") for each in (1, 2, 3)] == [[1], [1], [0]]
    assert labels(found, "p2p_peer_connection_types", peer="node-2", type="relay") == [1]
    assert labels(found, "p2p_peer_connection_types", peer="node-3") == []
    assert labels(found, "p2p_relay_connections", peer="https://relay.example") == [1]
    assert labels(found, "p2p_relay_connections", peer=node.watched.relays[1]) == [0]
    assert labels(found, "app_peerinfo_version", peer="node-1", version="v1.10.3") == [1]
    assert labels(found, "app_peerinfo_clock_offset_seconds", peer="node-1") == [0.25]


def test_what_the_page_says_of_duties(node: Monitored) -> None:
    node.perform(5, validators=range(3))
    duty = node.perform(6, until=Step.AGREED, why="its signer is away")
    node.tracker.blame(Gathered(duty), Fault(2, (0, 1), "a wrong partial signature"))
    node.tracker.doubt(duty, Fault(3, (), "it may be behind"))
    status = status_of(node.watched)
    missed, done = status.duties
    assert (done.slot, done.type, done.done, done.missed, done.round) == (5, "attester", 3, 0, 1)
    assert done.leader == (5 + DutyType.ATTESTER + 1) % 4
    assert done.steps["sent"] == pytest.approx(0.6, abs=0.01)
    assert [signer.node for signer in done.signers] == [0, 1, 2, 3]
    assert (missed.done, missed.missed, missed.validators) == (0, 2, 2)
    assert [(reason.text, reason.validators) for reason in missed.reasons] == [("its signer is away", 2)]
    assert [(fault.node, fault.validators) for fault in missed.faults] == [(2, 2)]
    assert [(doubt.node, doubt.text) for doubt in missed.doubts] == [(3, "it may be behind")]
    assert [node.faults for node in status.nodes] == [0, 0, 1, 0]
    assert (status.active, status.validators, status.threshold) == (VALIDATORS, VALIDATORS, 3)
    assert "secret" not in repr(status)


def advice_of(node: Monitored) -> list[tuple[str, str]]:
    return [(advice.level, advice.text) for advice in status_of(node.watched).advice]


def test_what_to_do(node: Monitored) -> None:
    for slot in range(5):
        node.perform(slot)
    assert advice_of(node) == [("fine", "All is well.")]
    node.peers.away = {3}
    assert advice_of(node) == [("watch", "Node 3 is not connected. No other may be away.")]
    node.peers.away = {2, 3}
    assert [level for level, _ in advice_of(node)] == ["act", "act"]
    node.peers.away = set()
    node.perform(6, until=Step.FETCHED)
    assert advice_of(node) == [
        ("act", "2 of 12 duties of validators were missed; 2 of them since the nodes did not agree in time.")
    ]
    node.watched.health = [AWAY]
    assert advice_of(node)[0] == ("act", "No beacon node answers.")


def test_who_takes_no_part_is_named(node: Monitored) -> None:
    for slot in range(5):
        node.perform(slot, nodes=(0, 1, 2))
    assert advice_of(node) == [("watch", "Node 3 is connected, and has signed nothing in 5 duties.")]


def test_every_advice_is_in_the_runbook(node: Monitored) -> None:
    headings = {line[4:].lower() for line in (ROOT / "docs" / "runbook.md").read_text().splitlines() if line}
    node.peers.away = {1, 2}
    duty = node.perform(6, until=Step.FETCHED)
    node.tracker.blame(Gathered(duty), Fault(2, (0,), "another node's share index"))
    node.watched.health = []
    advice = status_of(node.watched).advice
    assert {each.runbook for each in advice} == {
        "dvtfastnodenotready",
        "a-node-is-not-connected",
        "a-node-misses-duties",
        "a-node-does-what-it-should-not",
    }
    assert {each.runbook for each in advice} <= headings


@pytest.fixture
async def address(node: Monitored) -> AsyncIterator[str]:
    workers = Workers("test", threads=1)
    server = NodeServer(node.watched, NodeMetrics(node.watched), workers)
    async with listening(server.application(), "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"
    await workers.close()


async def get(url: str, **headers: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.text(), answer.headers.get("ETag", "")


async def test_what_is_served(node: Monitored, address: str) -> None:
    assert (await get(f"{address}/livez"))[:2] == (200, "ok")
    assert (await get(f"{address}/readyz"))[:2] == (200, "ok")
    node.watched.health = [AWAY]
    assert (await get(f"{address}/readyz"))[:2] == (500, "no beacon node answers")
    assert (await get(f"{address}/livez"))[0] == 200
    assert "app_monitoring_readyz" in (await get(f"{address}/metrics"))[1]
    assert "<title>dvtfast node</title>" in (await get(address))[1]
    assert "follow(" in (await get(f"{address}/status.js"))[1]
    assert (await get(f"{address}/nothing"))[0] == 404


async def test_who_knows_the_status_waits_for_another(node: Monitored, address: str) -> None:
    _, _, etag = await get(f"{address}/status.json")
    assert (await get(f"{address}/status.json", **{"If-None-Match": etag}))[0] == 304
    node.perform(7)
    status, body, new = await get(f"{address}/status.json?wait=20", **{"If-None-Match": etag})
    assert status == 200
    assert new != etag
    assert '"slot":7' in body


async def test_the_page_in_a_browser(node: Monitored, address: str) -> None:
    """Read, filtered, and looked at by axe-core; it changes by itself."""
    for slot in range(4, 18):
        node.perform(slot)
    duty = node.perform(18, until=Step.SIGNED, nodes=(0, 1))
    node.tracker.blame(Gathered(duty), Fault(2, (0, 1), "a wrong partial signature"))
    node.peers.away = {3}
    problems: list[str] = []
    async with browsing() as browser:
        page = await (await browser.new_context()).new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
        page.on("request", lambda a: None if a.url.startswith((address, "data:")) else problems.append(a.url))
        await page.goto(address)
        await expect(page.get_by_role("status").first).to_contain_text("Live")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("north on devnet")
        await expect(page.locator("#todo")).to_contain_text("Node 3 is not connected")
        await expect(page.locator("#clock")).to_contain_text("8 of 8 validators are active")
        rows = page.locator("#nodes tbody tr")
        await expect(rows).to_have_count(NODES)
        await expect(rows.nth(3)).to_contain_text("connection refused")
        await expect(page.locator("#beacon tbody tr")).to_contain_text("Beacon/v1")
        await expect(page.locator("#relays tbody tr")).to_have_count(2)
        await expect(page.locator("#epochs tbody tr").first).to_contain_text("2")
        duties = page.locator("#duties tbody tr")
        await expect(duties).to_have_count(15)
        await page.get_by_label("Show").select_option("missed")
        await expect(duties).to_have_count(1)
        await expect(duties).to_contain_text("2: too few partial signatures came in time")
        await expect(duties).to_contain_text("node 2: a wrong partial signature (2)")
        node.perform(19, DutyType.PROPOSER, validators=range(1))
        await page.get_by_label("Show").select_option("")
        await expect(page.get_by_label("of type").locator("option")).to_have_count(3)
        await page.get_by_label("of type").select_option("proposer")
        await expect(duties).to_have_count(1)
        await page.evaluate(axe())
        found = await page.evaluate("axe.run()")
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
    assert problems == []
