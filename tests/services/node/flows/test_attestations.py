"""Four nodes attest, before the chain that judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dvtfast.duties.duty_types import DutyType
from dvtfast.qbft.leaders import leader
from dvtfast.qbft.messages import Duty
from dvtfast.services.chain.beacon.duties import DutiesClient
from dvtfast.services.chain.beacon.duty_answers import AttesterDuty, Duties
from dvtfast.services.node.deadlines import Deadlines
from dvtfast.services.node.flows import attestations, votes
from dvtfast.services.node.flows.agreeing import LEFT_OUT
from dvtfast.services.node.flows.heads import OLD_BLOCK, UNKNOWN_BLOCK
from dvtfast.services.node.flows.insisting import ExpectedValidators
from dvtfast.services.node.partial_signatures import Fault
from dvtfast.services.node.tracker import DutyReport, Step
from tests.services.node.cluster_of_nodes import NODES, VALIDATORS, ClusterOfNodes, cluster_of_nodes
from tests.services.p2p.hosts import until
from tests.services.patience import PATIENCE_SECONDS

SLOTS_PER_EPOCH = 8


async def test_four_nodes_attest(tmp_path: Path) -> None:
    """Each validator votes once an epoch, and the specification takes all of the votes."""
    async with cluster_of_nodes(tmp_path) as cluster:
        for slot in range(2 * SLOTS_PER_EPOCH):
            for report in await attested(cluster, slot):
                assert set(report.steps.values()) == {Step.SENT}
                assert not report.faults
                assert not report.reasons
        report = await cluster.chain.report()
        signed = [each for each in cluster.signed if each.duty.type is DutyType.ATTESTER]
    assert report["refused"] == report["slashable"] == []
    votes = report["verdicts"]["attestation"]
    assert votes["accepted"] == 2 * VALIDATORS
    assert len(signed) == 2 * VALIDATORS * NODES
    # Whatever its nodes signed for a validator in an epoch is one thing.
    assert (
        len({(each.validator, each.duty.slot // SLOTS_PER_EPOCH, each.root) for each in signed})
        == 2 * VALIDATORS
    )


def led_by(node: int, first: int = 1) -> int:
    """The first slot from there on in whose attestations a node leads."""
    return next(slot for slot in range(first, 64) if leader(Duty(slot, DutyType.ATTESTER), 1, NODES) == node)


async def attested(
    cluster: ClusterOfNodes, slot: int, nodes: Sequence[int] = range(NODES)
) -> list[DutyReport]:
    await cluster.go_to(slot)
    if slot:  # with the block, so that nothing else keeps the nodes busy
        await cluster.done(slot, DutyType.PROPOSER, nodes)
    await cluster.go_to(slot, 0.34)
    return await cluster.done(slot, DutyType.ATTESTER, nodes)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds last until the test ends them, and beacon nodes are waited for: no machine is too slow."""
    round_end = Deadlines.round_end

    def later(deadlines: Deadlines, duty: Duty, round: int, *, extended: bool) -> float:
        return round_end(deadlines, duty, round, extended=extended) + 10 * PATIENCE_SECONDS

    monkeypatch.setattr(Deadlines, "round_end", later)
    monkeypatch.setattr(Deadlines, "present_round", lambda deadlines, duty: 1)
    monkeypatch.setattr(votes, "PATIENCE_SECONDS", PATIENCE_SECONDS)


async def refused(cluster: ClusterOfNodes, slot: int, nodes: Sequence[int]) -> list[DutyReport]:
    """A slot's votes, where these nodes refuse what the first leader proposes; then the round ends."""
    await cluster.go_to(slot)
    await cluster.done(slot, DutyType.PROPOSER, nodes)
    await cluster.go_to(slot, 0.34)
    duty = Duty(slot, DutyType.ATTESTER)
    running = [node.parts for position in nodes if (node := cluster.nodes[position]) is not None]

    def all_refuse() -> bool:
        reports = [each.tracker.reports().get(duty) for each in running]
        return all(each is not None and each.faults + each.doubts for each in reports)

    await until(all_refuse)
    for parts in running:
        parts.consensus._instances[duty]._ring(1)
    return await cluster.done(slot, DutyType.ATTESTER, nodes)


@pytest.mark.usefixtures("unhurried")
async def test_a_leader_whose_beacon_node_lies_costs_a_round(tmp_path: Path) -> None:
    """Nobody votes for a head that there is not; the next leader's is signed, it is said whose was not."""
    async with cluster_of_nodes(tmp_path, beacon_nodes=NODES) as cluster:
        await cluster.chain.suffer(0, lies=["attestation data"])
        for each in await refused(cluster, led_by(0), [1, 2, 3]):
            assert set(each.steps.values()) == {Step.SENT}
            assert each.round > 1
            assert each.doubts == [Fault(0, (), UNKNOWN_BLOCK)]
            assert each.faults == []  # as our beacon node may be behind
        report = await cluster.chain.report()
    assert report["refused"] == []


@pytest.mark.usefixtures("unhurried")
async def test_a_leader_whose_beacon_node_is_behind_costs_a_round(tmp_path: Path) -> None:
    """A vote for the head of some slots ago is worth less: the next leader's is cast."""
    async with cluster_of_nodes(tmp_path, beacon_nodes=NODES) as cluster:
        slot = led_by(0, 4)
        for before in range(1, slot):
            await attested(cluster, before)
        await cluster.chain.suffer(0, lag_slots=3)
        duty = Duty(slot, DutyType.ATTESTER)
        for each in await refused(cluster, slot, [1, 2, 3]):
            assert set(each.steps.values()) == {Step.SENT}
            assert each.round > 1
            assert each.faults == [Fault(0, (), OLD_BLOCK)]
        [*_, block] = (one.value.message.data for one in cluster.signed if one.duty == duty)
        head = await cluster.chain.ask("GET", f"/eth/v1/beacon/headers/{slot}", node=1)
        assert "0x" + block.beacon_block_root.hex() == head["data"]["root"]
        report = await cluster.chain.report()
    assert report["refused"] == []


async def test_one_node_is_away(tmp_path: Path) -> None:
    """Three of four are enough, also where the one that is away would lead."""
    async with cluster_of_nodes(tmp_path, running=[0, 2, 3]) as cluster:
        for slot in (led_by(2), led_by(1, 4)):
            for each in await attested(cluster, slot):
                assert set(each.steps.values()) == {Step.SENT}
        report = await cluster.chain.report()
    assert report["refused"] == report["slashable"] == []


async def test_two_nodes_are_away_and_come_back(tmp_path: Path) -> None:
    """Without them nothing is signed, whatever is agreed on; with them the next slot's duties are done."""
    async with cluster_of_nodes(tmp_path) as cluster:
        assert all(set(each.steps.values()) == {Step.SENT} for each in await attested(cluster, 1))
        for position in (1, 3):
            await cluster.end(position)
        await cluster.go_to(2)
        await cluster.go_to(2, 0.34)
        duty = Duty(2, DutyType.ATTESTER)
        trackers = [node.parts.tracker for node in cluster.nodes if node is not None]
        await until(
            lambda: all(
                duty in tracker.reports() and Step.FETCHED in tracker.reports()[duty].moments
                for tracker in trackers
            )
        )
        for position in (1, 3):
            await cluster.begin(position)
        for each in await attested(cluster, 3):
            assert set(each.steps.values()) == {Step.SENT}
        assert not any(one.duty == duty for one in cluster.signed)
        report = await cluster.chain.report()
    assert report["refused"] == report["slashable"] == []


async def test_a_node_whose_beacon_node_is_down_goes_along(tmp_path: Path) -> None:
    """What the others agree on it signs, and counts where another one is away; it sends later."""
    async with cluster_of_nodes(tmp_path, beacon_nodes=NODES, running=[0, 1, 2]) as cluster:
        assert all(set(each.steps.values()) == {Step.SENT} for each in await attested(cluster, 1))
        await cluster.chain.suffer(2, is_down=True)
        slot = led_by(0, 2)
        for each in await attested(cluster, slot, [0, 1]):
            assert set(each.steps.values()) == {Step.SENT}
        await cluster.chain.suffer(2)
        [each] = await cluster.done(slot, DutyType.ATTESTER, [2])
        assert set(each.steps.values()) == {Step.SENT}


class LeavesOut(DutiesClient):
    """It says nothing of some of the validators of a slot, by their order."""

    hides: Sequence[int] = ()

    async def attester_duties(self, epoch: int, indices: Sequence[int]) -> Duties[AttesterDuty]:
        told = await super().attester_duties(epoch, indices)
        by_slot: dict[int, list[AttesterDuty]] = {}
        for duty in sorted(told.duties, key=lambda each: each.validator_index):
            by_slot.setdefault(duty.slot, []).append(duty)
        kept = [each for of in by_slot.values() for place, each in enumerate(of) if place not in self.hides]
        return Duties(told.dependent_root, tuple(kept))


class LeavesOutHalf(LeavesOut):
    hides = range(1, 64, 2)


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("looks", [True, False], ids=["looked at", "as charon does"])
async def test_a_leader_that_leaves_out_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: bool
) -> None:
    """It is not voted for. Where it is agreed on all the same it is said who did it, to whom."""
    if not looks:
        monkeypatch.setattr(ExpectedValidators, "missing", lambda *_: [])
    async with cluster_of_nodes(tmp_path, running=[]) as cluster:
        await cluster.begin(0, client=LeavesOutHalf)
        for position in range(1, NODES):
            await cluster.begin(position)
        reports = await (refused if looks else attested)(cluster, led_by(0), range(1, NODES))
        verdict = await cluster.chain.report()
    assert verdict["refused"] == verdict["slashable"] == []
    for report in reports:
        missing = tuple(sorted(report.steps)[1::2])
        assert report.reasons == ({} if looks else dict.fromkeys(missing, LEFT_OUT.why))
        assert (report.round > 1) is looks
        sent = {each for each, step in report.steps.items() if step is Step.SENT}
        assert sent == report.steps.keys() - report.reasons.keys()
        assert report.faults == [Fault(0, missing, LEFT_OUT.why)]


@pytest.mark.usefixtures("unhurried")
async def test_nodes_that_each_know_of_other_validators_agree_all_the_same(tmp_path: Path) -> None:
    """No proposal has all that the others know of, and no round is for ever."""
    async with cluster_of_nodes(tmp_path, running=[]) as cluster:
        for position in range(NODES):
            client = type("LeavesOutOne", (LeavesOut,), {"hides": (position,)})
            await cluster.begin(position, client=client)
        assert led_by(0) == 1
        for report in await refused(cluster, 1, range(1, NODES)):
            assert report.round == 2  # as some have seen two leaders leave out somebody
            assert len(report.reasons) <= 2  # whom the leader left out, and of whom this node does not know
            assert {each for each, step in report.steps.items() if step is not Step.SENT} == set(
                report.reasons
            )
        report = await cluster.chain.report()
    assert report["refused"] == report["slashable"] == []


class WrongCommittee(DutiesClient):
    """What it says of the first validator of a slot is wrong."""

    async def attester_duties(self, epoch: int, indices: Sequence[int]) -> Duties[AttesterDuty]:
        told = await super().attester_duties(epoch, indices)
        seen: set[int] = set()
        duties = []
        for duty in told.duties:
            if duty.slot not in seen:
                place = (duty.validator_committee_index + 1) % duty.committee_length
                duty = replace(duty, validator_committee_index=place)
            seen.add(duty.slot)
            duties.append(duty)
        return Duties(told.dependent_root, tuple(duties))


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("looks", [True, False], ids=["looked at", "as charon does"])
async def test_a_wrong_committee(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: bool) -> None:
    """Nodes that look do not vote for it. Where it is agreed on all the same, it costs that validator."""

    async def does_not_look(*arguments: object) -> None:
        return None

    if not looks:
        monkeypatch.setattr(attestations, "why_not_proposed", does_not_look)
    async with cluster_of_nodes(tmp_path, running=[]) as cluster:
        await cluster.begin(0, client=WrongCommittee)
        for position in range(1, NODES):
            await cluster.begin(position)
        reports = await (refused if looks else attested)(cluster, led_by(0), range(1, NODES))
    if looks:
        assert all(set(report.steps.values()) == {Step.SENT} for report in reports)
        assert all(report.round > 1 for report in reports)
        return
    for report in reports:
        [(lost, why)] = report.reasons.items()
        assert why == "it has another committee for a validator"
        assert {each for each, step in report.steps.items() if step is not Step.SENT} == {lost}
        assert [(fault.node, fault.validators) for fault in report.faults] == [(0, (lost,))]
