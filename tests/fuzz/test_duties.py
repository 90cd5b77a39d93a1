"""Six epochs of all duties of 64 validators, in fair weather and foul, as the specification judges them.

Each takes a minute or two, so they are not of `make test`: see conftest.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.slashing import SAFE, Bounds, SignedAttestation, why_not_attestation
from dvtfast.duties.wrappers import Versioned
from dvtfast.services.node.exchange import LATE_SECONDS
from dvtfast.services.node.partial_signatures import Fault
from dvtfast.services.node.tracker import Step
from tests.services.node.cluster_of_nodes import NODES, VALIDATORS, ClusterOfNodes, Keys, cluster_of_nodes
from tests.simulation.liars import Liar

SLOTS_PER_EPOCH, EPOCHS = 8, 6
SLOTS = EPOCHS * SLOTS_PER_EPOCH
# Of what a peer sends that cannot be used.
JUNK: Final = ("message not used", "partial signatures of no use")
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


async def verdict(cluster: ClusterOfNodes, late: int | None = None) -> None:
    """What the chain says in the end: all that was to be done was done, and nothing that may not.

    Args:
        late: what comes through this beacon node may come when its slot is over.
    """
    await cluster.go_to(SLOTS)
    report: dict[str, Any] = await cluster.chain.report()
    nothing_wrong(cluster, report, late)
    assert report["blocks"] == {"proposed": SLOTS - 1, "missed": [], "late": [], "orphaned": []}
    for epoch in report["epochs"][1:]:
        assert epoch["distances"] == {"1": VALIDATORS}
        assert epoch["right_source"] == epoch["right_target"] == epoch["right_head"] == VALIDATORS
    sync = report["sync_participation"]
    assert sync["included"] == sync["possible"] - sync["seats"]
    assert (report["justified_epoch"], report["finalized_epoch"]) == (EPOCHS - 2, EPOCHS - 3)
    print(f"{SLOTS - 1} of {SLOTS - 1} blocks, {len(report['epochs'][1:]) * VALIDATORS} votes, all of them")
    print(f"in the next slot, {sync['included']} of as many sync messages: {report['verdicts']}")


def nothing_wrong(cluster: ClusterOfNodes, report: dict[str, Any], late: int | None = None) -> None:
    """Nothing was refused, and of all that nodes signed nothing is slashable, whether or not it was sent."""
    refused = [
        each
        for each in report["refused"]
        if late is None or each["node"] != f"node{late}" or each["at_slot"] == each["slot"]
    ]
    assert refused == report["slashable"] == []
    blocks: dict[tuple[int, int], set[bytes]] = {}
    votes: dict[int, set[SignedAttestation]] = {}
    for each in cluster.signed:
        if each.duty.type is DutyType.PROPOSER:
            blocks.setdefault((each.validator, each.duty.slot), set()).add(each.root)
        elif each.duty.type is DutyType.ATTESTER:
            assert isinstance(each.value, Versioned)
            data = each.value.message.data
            vote = SignedAttestation(data.source.epoch, data.target.epoch, each.root)
            votes.setdefault(each.validator, set()).add(vote)
    assert blocks
    assert votes
    assert all(len(roots) == 1 for roots in blocks.values())
    for of_one in votes.values():
        for vote, other in combinations(of_one, 2):
            assert why_not_attestation(vote, [other], Bounds()) == SAFE


def faults(cluster: ClusterOfNodes, by: Sequence[int]) -> list[Fault]:
    """What these nodes say that others did wrong."""
    nodes = [node for position in by if (node := cluster.nodes[position]) is not None]
    assert len(nodes) == len(by)
    reports = [report for node in nodes for report in node.parts.tracker.reports().values()]
    return [fault for report in reports for fault in report.faults]


def heard(cluster: ClusterOfNodes, by: int) -> set[int]:
    """Whose partial signatures came to a node in the last epochs."""
    node = cluster.nodes[by]
    assert node is not None
    return {each for report in node.parts.tracker.reports().values() for each in report.heard}


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
    """The others do all duties, and it shows who it is."""
    keys = Keys()
    honest, operators = [0, 1, 3], [key.public_key for key in keys.identities]
    liar = Liar(Random(way), keys.identities[2], NODES)
    liar.way = way
    with capture_logs() as lines:
        async with cluster_of_nodes(tmp_path, keys=keys, running=honest) as cluster:
            await cluster.begin(2, host=LyingHost(cluster.hosts[2], liar, operators))
            for slot in range(1, SLOTS):
                await pass_slot(cluster, slot, honest)
            await verdict(cluster)
            found = faults(cluster, honest)
            assert heard(cluster, 0) == ({0, 1, 3} if way == "silent" else {0, 1, 2, 3})
    print(Counter((fault.node, fault.reason) for fault in found))
    assert {fault.node for fault in found} <= {2}
    if way == "flood":
        assert {line.get("node", line.get("peer")) for line in lines if line["event"] in JUNK} == {2}
    elif way != "silent":
        assert found


@pytest.mark.parametrize(
    ("adversity", "is_named", "problem"),
    [
        ({"lag_slots": 2}, True, ""),
        ({"lies": ["attestation data", "head"]}, True, ""),
        ({"is_down": True}, False, "503"),
        ({"delay_seconds": 5.0}, False, ""),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
async def test_the_beacon_node_of_one_is_of_no_use(
    tmp_path: Path, adversity: dict[str, Any], is_named: bool, problem: str
) -> None:
    """What its node proposes of it costs a round and is named; a beacon node that is down its node names."""
    others = [0, 2, 3]
    async with cluster_of_nodes(tmp_path, beacon_nodes=NODES) as cluster:
        await cluster.chain.suffer(1, **adversity)
        for slot in range(1, SLOTS):
            await pass_slot(cluster, slot, others)
        await verdict(cluster, late=1 if "delay_seconds" in adversity else None)
        found = faults(cluster, others)
        print(Counter((fault.node, fault.reason) for fault in found))
        assert {fault.node for fault in found} == ({1} if is_named else set())
        node = cluster.nodes[1]
        assert node is not None
        [health] = await node.parts.beacon.health()
        assert problem in health.problem


async def test_two_are_away_and_come_back(tmp_path: Path) -> None:
    """Without them nothing is done, nothing wrong is signed; in the second slot after it all goes on."""
    away, back = range(20, 24), 24
    async with cluster_of_nodes(tmp_path) as cluster:
        for slot in range(1, SLOTS):
            if slot == away.start:
                await cluster.end(1)
                await cluster.end(2)
            if slot in away:
                for part, _ in PARTS:
                    await cluster.go_to(slot, part)
                    await asyncio.sleep(LATE_SECONDS / 4)
                continue
            if slot == back:
                await cluster.begin(1)
                await cluster.begin(2)
                await cluster.go_to(slot)
                await cluster.go_to(slot, PARTS[1][0])
                await cluster.done(slot, DutyType.ATTESTER)
                continue
            await pass_slot(cluster, slot)
        await cluster.go_to(SLOTS)
        report = await cluster.chain.report()
    nothing_wrong(cluster, report)
    missed = {each["slot"] for each in report["blocks"]["missed"]}
    assert missed - {back} == set(away)
    epochs = report["epochs"]
    print(f"missed {sorted(missed)}, votes {[(each['epoch'], each['distances']) for each in epochs]}")
    assert epochs[2]["included"] == VALIDATORS // 2
    assert epochs[3]["included"] >= VALIDATORS - VALIDATORS // SLOTS_PER_EPOCH
    assert epochs[4]["distances"] == {"1": VALIDATORS}
    assert (report["justified_epoch"], report["finalized_epoch"]) == (EPOCHS - 2, EPOCHS - 3)
