"""Four nodes attest, before the chain that judges."""

from __future__ import annotations

from pathlib import Path

from dvtfast.duties.duty_types import DutyType
from dvtfast.services.node.tracker import Step
from tests.services.node.cluster_of_nodes import NODES, VALIDATORS, cluster_of_nodes

SLOTS_PER_EPOCH = 8


async def test_four_nodes_attest(tmp_path: Path) -> None:
    """Each validator votes once an epoch, and the specification takes all of the votes."""
    async with cluster_of_nodes(tmp_path) as cluster:
        for slot in range(2 * SLOTS_PER_EPOCH):
            await cluster.go_to(slot)
            await cluster.go_to(slot, 0.34)
            for report in await cluster.done(slot, DutyType.ATTESTER):
                assert set(report.steps.values()) == {Step.SENT}
                assert not report.faults
                assert not report.reasons
        report = await cluster.chain.report()
        signed = cluster.signed()
    assert report["refused"] == report["slashable"] == []
    votes = report["verdicts"]["attestation"]
    assert votes["accepted"] == 2 * VALIDATORS
    assert len(signed) == 2 * VALIDATORS * NODES
    # Whatever its nodes signed for a validator in an epoch is one thing.
    assert (
        len({(each.validator, each.duty.slot // SLOTS_PER_EPOCH, each.root) for each in signed})
        == 2 * VALIDATORS
    )
