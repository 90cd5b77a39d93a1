"""Four nodes, each behind a validator client of its own, do all duties, as the specification judges them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from dvtfast.duties.duty_types import DutyType
from dvtfast.services.node.tracker import Step
from tests.services.node.cluster_of_nodes import NODES, VALIDATORS
from tests.services.node.validator_api.nodes_of_clients import NodesOfClients, nodes_of_clients
from tests.services.node.validator_api.validator_client import ValidatorClient

SLOTS_PER_EPOCH = 8
SLOTS = SLOTS_PER_EPOCH + 3


async def test_clients_do_all_duties(tmp_path: Path) -> None:
    """In the minimal preset, in which everybody aggregates; two clients speak JSON, two SSZ."""
    async with nodes_of_clients(tmp_path) as nodes:
        for slot in range(1, SLOTS):
            await _do(nodes, slot)
        await nodes.cluster.go_to(SLOTS)
        report = await nodes.cluster.chain.report()
    assert report["refused"] == report["slashable"] == []
    assert report["blocks"] == {"proposed": SLOTS - 1, "missed": [], "late": [], "orphaned": []}
    sync = report["sync_participation"]
    assert sync["included"] == sync["possible"] - sync["seats"]  # there is no slot before the first
    sent = {kind: sum(judged.values()) for kind, judged in report["verdicts"].items()}
    attested = (SLOTS - 1) * VALIDATORS // SLOTS_PER_EPOCH
    assert sent["block"] == NODES * (SLOTS - 1)
    assert sent["attestation"] == sent["aggregate"] == NODES * attested
    assert report["verdicts"]["attestation"]["accepted"] == attested


async def _do(nodes: NodesOfClients, slot: int) -> None:
    """All duties of a slot."""
    cluster, clients = nodes.cluster, list(nodes.clients.values())

    async def each(work: Callable[[ValidatorClient], Awaitable[object]]) -> None:
        await asyncio.gather(*(work(client) for client in clients))

    await cluster.go_to(slot)
    if slot % SLOTS_PER_EPOCH == 0 or slot == 1:
        epoch = slot // SLOTS_PER_EPOCH
        await each(lambda client: client.learn(epoch))
        slots = range(slot, (epoch + 1) * SLOTS_PER_EPOCH)
        await each(lambda client: client.select(slots))
    await each(lambda client: client.propose(slot))
    await _go_well(nodes, slot, DutyType.PROPOSER)
    await cluster.go_to(slot, 0.34)
    root = await clients[0].head()
    await each(lambda client: client.attest(slot))
    await each(lambda client: client.send_sync_messages(slot, root))
    await each(lambda client: client.select_contributors(slot))
    await _go_well(nodes, slot, DutyType.ATTESTER, DutyType.SYNC_MESSAGE)
    data = [(await client.votes(slot))[0].data for client in clients]
    assert len(set(data)) == 1
    await cluster.go_to(slot, 0.67)
    await each(lambda client: client.aggregate(slot, data[0]))
    await each(lambda client: client.contribute(slot, root))
    await _go_well(nodes, slot, DutyType.AGGREGATOR, DutyType.SYNC_CONTRIBUTION)


async def _go_well(nodes: NodesOfClients, slot: int, *types: DutyType) -> None:
    for type in types:
        for report in await nodes.cluster.done(slot, type):
            assert set(report.steps.values()) == {Step.SENT}
            assert not report.faults
            assert not report.reasons


async def test_a_client_among_nodes_that_sign_themselves(tmp_path: Path) -> None:
    """Two nodes sign themselves, one has a client, one is away: nothing comes about without the client."""
    async with nodes_of_clients(tmp_path, running=(0, 1), clients=(2,)) as nodes:
        cluster, client = nodes.cluster, nodes.clients[2]
        for slot in range(1, SLOTS):
            await _do(nodes, slot)
            if slot == SLOTS_PER_EPOCH - 1:
                # All proofs of the next epoch, as clients ask for them when it begins.
                await cluster.go_to(slot, 0.9)
                await client.learn(1)
                await client.select(range(SLOTS_PER_EPOCH, 2 * SLOTS_PER_EPOCH))
        await cluster.go_to(SLOTS)
        report = await cluster.chain.report()
    assert report["refused"] == report["slashable"] == []
    assert report["blocks"] == {"proposed": SLOTS - 1, "missed": [], "late": [], "orphaned": []}
    attested = (SLOTS - 1) * VALIDATORS // SLOTS_PER_EPOCH
    assert report["verdicts"]["attestation"]["accepted"] == attested
