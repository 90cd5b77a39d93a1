"""Four `dvtfast node` processes without a relay do the duties of an epoch; one of them is killed then."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from ...patience import PATIENCE_SECONDS
from .processes import (
    NODES,
    SECONDS_PER_SLOT,
    SLOTS_PER_EPOCH,
    VALIDATORS,
    Nodes,
    before_a_chain,
    ready,
    run,
    started,
    status_of,
    stop,
    told,
)

KILLED = 3
MOST_EPOCHS = 6


async def until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.time()))


async def metrics_of(nodes: Nodes, position: int) -> dict[tuple[str, str], float]:
    """By name and duty, of whichever other labels the largest."""
    _, text = await nodes.get(position, "/metrics")
    found: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, sample.labels.get("duty", "")
            found[key] = max(sample.value, found.get(key, sample.value))
    return found


async def report_of(nodes: Nodes) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{nodes.urls[0]}/dvtfast/report") as answer:
        return await answer.json()


async def whole_epoch(nodes: Nodes) -> Any:
    """Wait for one in which all have voted, on a machine that may be busy in the first."""
    async with asyncio.timeout(MOST_EPOCHS * SLOTS_PER_EPOCH * SECONDS_PER_SLOT):
        while True:
            report = await report_of(nodes)
            if any(epoch["included"] == VALIDATORS for epoch in report["epochs"]):
                return report
            await asyncio.sleep(SECONDS_PER_SLOT)


async def test_an_epoch_of_four_processes(tmp_path: Path) -> None:
    with before_a_chain(tmp_path) as (nodes, genesis), started(nodes) as processes:
        await asyncio.gather(*(ready(nodes, position) for position in range(NODES)))
        await until(genesis + 3 * SECONDS_PER_SLOT)
        processes[KILLED].kill()
        await until(genesis + 4.5 * SECONDS_PER_SLOT)
        processes[KILLED].start()
        await ready(nodes, KILLED)
        report = await whole_epoch(nodes)
        assert report["slashable"] == []
        await look_at_what_is_told(nodes)
        await end_a_validator(nodes)
        assert [stop(process) for process in processes] == [0] * NODES
        assert all("Traceback" not in process.said for process in processes)
        look_at_another_network(nodes)


async def look_at_what_is_told(nodes: Nodes) -> None:
    for position in range(NODES):
        assert await nodes.get(position, "/livez") == (200, "ok")
        await ready(nodes, position)  # on a busy machine it may be late for a slot
        metrics = await metrics_of(nodes, position)
        while metrics["app_monitoring_readyz", ""] != 1:
            metrics = await metrics_of(nodes, position)
        assert metrics["core_scheduler_validators_active", ""] == VALIDATORS
        assert metrics["core_tracker_success_duties_total", "attester"] > 0
        assert metrics["core_bcast_broadcast_total", "attester"] > 0
        assert metrics["core_consensus_decided_rounds", "attester"] >= 1
        status = await status_of(nodes, position)
        assert [node["connected"] for node in status["nodes"]] == [True] * NODES
        assert [node["own"] for node in status["nodes"]] == [each == position for each in range(NODES)]
        assert (status["network"], status["nickname"]) == ("devnet", f"number {position}")
        attester = next(d for d in status["duties"] if d["type"] == "attester" and d["steps"].get("sent"))
        assert len(attester["signers"]) >= 3
        assert (
            attester["done"] + attester["missed"] == attester["validators"] == VALIDATORS // SLOTS_PER_EPOCH
        )
        assert set(attester["steps"]) >= {"expected", "agreed", "signed", "recovered", "sent"}


async def end_a_validator(nodes: Nodes) -> None:
    """Three operators order it while their nodes run; one of these sends what comes of it."""
    key = "0x" + nodes.dealt.lock.public_keys[0].tobytes().hex()
    for position, more in enumerate([["--publish"], [], []]):
        folder = str(nodes.folders[position])
        sign = ["exit", "sign", "--data-dir", folder, "--validator-public-key", key, "--yes", *more]
        done = await asyncio.to_thread(run, *sign)
        assert done.returncode == 0, done.stderr
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            report = await report_of(nodes)
            if report["verdicts"].get("exit", {}).get("accepted"):
                return
            await asyncio.sleep(SECONDS_PER_SLOT)


def look_at_another_network(nodes: Nodes) -> None:
    """A beacon node that is on none of the lock's, as far as everybody knows."""
    arguments = ["--data-dir", str(nodes.folders[0]), "--beacon-node", nodes.urls[0]]
    done = run("node", *arguments, "--monitoring-address", "127.0.0.1:0")
    assert done.returncode == 2
    assert "expected a beacon node of hoodi, of genesis validators root 0x212f" in told(done)
