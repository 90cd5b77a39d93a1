"""What four whole nodes sign among themselves the chain that judges takes for an exit, and shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from dvtfast.duties.duty_types import DutyType
from dvtfast.services.node.exits import exits as module
from dvtfast.services.node.exits.store import ExitStore
from tests.services.node.cluster_of_nodes import LOCK_HASH, NODES, ClusterOfNodes, cluster_of_nodes
from tests.services.p2p.hosts import until

SLOTS_PER_EPOCH = 8
LEAVING = (5, 11)


async def statuses(cluster: ClusterOfNodes) -> list[str]:
    found = await cluster.chain.ask(
        "POST", "/eth/v1/beacon/states/head/validators", {"ids": [str(each) for each in LEAVING]}
    )
    return [each["status"] for each in found["data"]]


async def test_the_chain_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the wish of three; one was restarted after it had signed, and one never wanted it."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.2)
    async with cluster_of_nodes(tmp_path, running=()) as cluster:
        stores = [ExitStore(tmp_path / f"exits-{node}.db", LOCK_HASH) for node in range(NODES)]
        for node in range(NODES):
            await cluster.begin(node, exits=stores[node])
        keys = list(cluster.nodes[0].parts.cluster.validators)  # type: ignore[union-attr]
        leaving = [keys[each] for each in LEAVING]
        await cluster.go_to(SLOTS_PER_EPOCH)  # when they have been active long enough
        stores[0].order(leaving, 0, is_wanted=True)
        stores[1].order(leaving, 0)
        await until(lambda: all(len(store.partials()) == 2 * len(leaving) for store in stores))
        assert not any(store.whole() for store in stores)
        assert await statuses(cluster) == ["active_ongoing"] * 2
        await cluster.end(1)
        await cluster.begin(1, exits=stores[1])
        stores[2].order(leaving, 0)
        await until(lambda: all(len(store.whole()) == len(leaving) for store in stores))
        await until(lambda: all(each.sent_at is not None for each in stores[0].whole()))
        exits = [each for each in cluster.signed if each.duty.type is DutyType.EXIT]
        assert sorted(each.validator for each in exits) == sorted(3 * LEAVING)  # each of three, once
        for slot in range(SLOTS_PER_EPOCH + 1, SLOTS_PER_EPOCH + 3):
            await cluster.go_to(slot)
            await cluster.done(slot, DutyType.PROPOSER)
        await cluster.go_to(slot + 1)
        assert await statuses(cluster) == ["active_exiting"] * 2
        report = await cluster.chain.report()
    assert report["verdicts"]["exit"]["accepted"] == len(leaving)
    assert report["refused"] == report["slashable"] == []
    for store in stores:
        store.close()
