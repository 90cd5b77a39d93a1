"""Four nodes do all duties of all validators of a chain, as the specification judges them."""

from __future__ import annotations

from pathlib import Path

from dvtfast.duties.duty_types import DutyType
from dvtfast.services.node.tracker import Step
from tests.services.node.cluster_of_nodes import NODES, VALIDATORS, ClusterOfNodes, cluster_of_nodes

SLOTS_PER_EPOCH, EPOCHS = 8, 3
SLOTS = EPOCHS * SLOTS_PER_EPOCH


async def test_four_nodes_do_all_duties(tmp_path: Path) -> None:
    """In the minimal preset, in which everybody aggregates."""
    async with cluster_of_nodes(tmp_path) as cluster:
        for slot in range(1, SLOTS):
            await cluster.go_to(slot)
            await _go_well(cluster, slot, DutyType.PROPOSER)
            await cluster.go_to(slot, 0.34)
            await _go_well(cluster, slot, DutyType.ATTESTER, DutyType.SYNC_MESSAGE)
            await cluster.go_to(slot, 0.67)
            await _go_well(cluster, slot, DutyType.AGGREGATOR, DutyType.SYNC_CONTRIBUTION)
        await cluster.go_to(SLOTS)
        report = await cluster.chain.report()
        blocks = [await cluster.chain.ask("GET", f"/eth/v2/beacon/blocks/{slot}") for slot in range(1, SLOTS)]
        for node in cluster.nodes:  # which is to see forks that are announced while it runs
            assert node is not None
            assert node.parts.schedule is node.parts.beacon.schedule
        plural = [node.parts.plural_contributions(SLOTS) for node in cluster.nodes if node is not None]
    assert report["refused"] == report["slashable"] == []
    assert report["blocks"] == {"proposed": SLOTS - 1, "missed": [], "late": [], "orphaned": []}
    sync = report["sync_participation"]
    assert sync["included"] == sync["possible"] - sync["seats"]  # there is no slot before the first
    assert plural == [True] * NODES
    # Each node sends everything; what is there is known.
    sent = {kind: sum(judged.values()) for kind, judged in report["verdicts"].items()}
    attested = (SLOTS - 1) * VALIDATORS // SLOTS_PER_EPOCH
    assert sent["block"] == NODES * (SLOTS - 1)
    assert sent["attestation"] == sent["aggregate"] == NODES * attested
    assert report["verdicts"]["attestation"]["accepted"] == attested
    for block in blocks:
        message = block["data"]["message"]
        payload = message["body"]["execution_payload"]
        assert int(payload["fee_recipient"], 16) == int(message["proposer_index"])


async def _go_well(cluster: ClusterOfNodes, slot: int, *types: DutyType) -> None:
    for type in types:
        for report in await cluster.done(slot, type):
            assert set(report.steps.values()) == {Step.SENT}
            assert not report.faults
            assert not report.reasons
