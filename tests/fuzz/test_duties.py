"""Six epochs of all duties of 64 validators, in fair weather and foul, as the specification judges them.

Each takes a minute or two, so they are not of `make test`: see conftest.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from dvtfast.duties.duty_types import DutyType
from dvtfast.services.node.tracker import Step
from tests.services.node.cluster_of_nodes import NODES, VALIDATORS, ClusterOfNodes, Keys, cluster_of_nodes
from tests.simulation.liars import Liar

SLOTS_PER_EPOCH, EPOCHS = 8, 6
SLOTS = EPOCHS * SLOTS_PER_EPOCH
# What begins at which part of a slot.
PARTS = (
    (0.0, (DutyType.PROPOSER,)),
    (0.34, (DutyType.ATTESTER, DutyType.SYNC_MESSAGE)),
    (0.67, (DutyType.AGGREGATOR, DutyType.SYNC_CONTRIBUTION)),
)


async def pass_slot(cluster: ClusterOfNodes, slot: int, nodes: Sequence[int] = range(NODES)) -> None:
    """All of a slot's duties, at these nodes."""
    for part, types in PARTS:
        await cluster.go_to(slot, part)
        for type in types:
            for report in await cluster.done(slot, type, nodes):
                assert set(report.steps.values()) == {Step.SENT}, (slot, type, report.reasons)


async def verdict(cluster: ClusterOfNodes) -> dict[str, Any]:
    """What the chain says in the end: all that was to be done was done, and nothing that may not."""
    await cluster.go_to(SLOTS)
    report: dict[str, Any] = await cluster.chain.report()
    assert report["refused"] == report["slashable"] == []
    assert report["blocks"] == {"proposed": SLOTS - 1, "missed": [], "late": [], "orphaned": []}
    for epoch in report["epochs"][1:]:
        assert epoch["distances"] == {"1": VALIDATORS}
        assert epoch["right_source"] == epoch["right_target"] == epoch["right_head"] == VALIDATORS
    sync = report["sync_participation"]
    assert sync["included"] == sync["possible"] - sync["seats"]
    assert (report["justified_epoch"], report["finalized_epoch"]) == (EPOCHS - 2, EPOCHS - 3)
    values: dict[tuple[int, int, DutyType], set[bytes]] = {}
    for one in cluster.signed:
        if one.duty.type in (DutyType.PROPOSER, DutyType.ATTESTER):
            values.setdefault((one.duty.slot, one.validator, one.duty.type), set()).add(one.root)
    assert values
    assert all(len(roots) == 1 for roots in values.values())
    return report


async def test_fair_weather(tmp_path: Path) -> None:
    async with cluster_of_nodes(tmp_path) as cluster:
        for slot in range(1, SLOTS):
            await pass_slot(cluster, slot)
        await verdict(cluster)


async def test_one_node_is_away_all_the_time(tmp_path: Path) -> None:
    async with cluster_of_nodes(tmp_path, running=[0, 1, 3]) as cluster:
        for slot in range(1, SLOTS):
            await pass_slot(cluster, slot, [0, 1, 3])
        await verdict(cluster)


async def test_in_each_epoch_one_is_ended_and_begun_again(tmp_path: Path) -> None:
    async with cluster_of_nodes(tmp_path) as cluster:
        nodes = list(range(NODES))
        for slot in range(1, SLOTS):
            epoch, place = divmod(slot, SLOTS_PER_EPOCH)
            if place == 1:  # selections for two slots after it began again it has not seen
                nodes = list(range(NODES))
            if place == 2:
                nodes.remove(epoch % NODES)
                await cluster.end(epoch % NODES)
            if place == 6:
                await cluster.begin(epoch % NODES)
            await pass_slot(cluster, slot, nodes)
        await verdict(cluster)


@dataclass
class LyingHost:
    """What a node sends goes through a liar."""

    host: Any
    liar: Liar
    targets: list[bytes]
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.host, name)

    async def send(self, peer: bytes, protocol: str, message: bytes) -> None:
        for each in self.liar.mangle(self.targets.index(peer), protocol, message):
            await self.host.send(peer, protocol, each)


@pytest.mark.parametrize("way", Liar.WAYS)
async def test_one_lies(tmp_path: Path, way: str) -> None:
    """The others do all duties, and say who it is where they can know."""
    keys = Keys()
    honest, operators = [0, 1, 3], [key.public_key for key in keys.identities]
    liar = Liar(Random(way), keys.identities[2], NODES)
    liar.way = way
    async with cluster_of_nodes(tmp_path, keys=keys, running=honest) as cluster:
        await cluster.begin(2, host=LyingHost(cluster.hosts[2], liar, operators))
        for slot in range(1, SLOTS):
            await pass_slot(cluster, slot, honest)
        await verdict(cluster)
        nodes = [cluster.nodes[position] for position in honest]
        trackers = [node.parts.tracker for node in nodes if node is not None]
        assert len(trackers) == len(honest)
        faults = [fault for each in trackers for report in each.reports().values() for fault in report.faults]
        assert {fault.node for fault in faults} <= {2}
        if "shares" in way:
            assert faults


@pytest.mark.parametrize(
    "adversity", [{"lag_slots": 2}, {"lies": ["attestation data", "head"]}, {"is_down": True}], ids=str
)
async def test_the_beacon_node_of_one_is_of_no_use(tmp_path: Path, adversity: dict[str, Any]) -> None:
    async with cluster_of_nodes(tmp_path, beacon_nodes=NODES) as cluster:
        await cluster.chain.suffer(1, **adversity)
        for slot in range(1, SLOTS):
            await pass_slot(cluster, slot, [0, 2, 3])
        await verdict(cluster)


async def test_two_are_away_and_come_back(tmp_path: Path) -> None:
    """Without them nothing is done, nothing wrong is signed; from the next slot on all goes on."""
    async with cluster_of_nodes(tmp_path) as cluster:
        for slot in range(1, SLOTS):
            if 20 <= slot < 24:
                for position in (1, 2):
                    await cluster.end(position)
                for part, _ in PARTS:
                    await cluster.go_to(slot, part)
                continue
            if slot == 24:
                for position in (1, 2):
                    await cluster.begin(position)
                await cluster.go_to(slot)
                continue
            await pass_slot(cluster, slot)
        await cluster.go_to(SLOTS)
        report = await cluster.chain.report()
    assert report["refused"] == report["slashable"] == []
    missed = [each["slot"] for each in report["blocks"]["missed"]]
    assert set(missed) >= {20, 21, 22, 23}
    assert set(missed) <= {20, 21, 22, 23, 24}
    assert report["justified_epoch"] == EPOCHS - 2
