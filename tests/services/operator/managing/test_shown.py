"""Until the beacon chain shows what a vault asked for, whatever beacon nodes have seen."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import pytest

from dvtfast import HOODI
from dvtfast.services.demo.world.deployed_contracts import CONSOLIDATIONS, WITHDRAWALS
from dvtfast.services.demo.world.oracles import RunningOracle
from dvtfast.services.operator.commands import executor, exit_codes
from dvtfast.services.operator.commands.manager_actions import withdraw_task
from dvtfast.services.operator.commands.results import print_result
from dvtfast.services.operator.managing import beacon_judge, outcomes
from dvtfast.services.operator.progress import no_report
from dvtfast.services.operator.sending.action import JournalEntry, Outcome
from dvtfast.services.operator.sending.journal import Journal
from dvtfast.services.settings import ConsolidateSettings, FundSettings, WithdrawSettings
from tests.services.operator.managing.beacon_chain import BeaconChain, beacon_beside
from tests.services.operator.managing.manager_commands import (
    nonce_of,
    performed,
    told,
    with_a_rest,
    withdrawals,
    young,
)
from tests.services.operator.scenes import Scene, done

pytestmark = pytest.mark.usefixtures("beacon")


async def test_what_is_taken_is_submitted_until_it_shows(
    scene: Scene,
    beacon: BeaconChain,
    running_oracles: list[RunningOracle],
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, *_ = await with_a_rest(scene)
    settings = told(scene, WithdrawSettings, validators=[first], exit="true")
    beacon.passes_over = True
    ended = await performed(settings)
    assert ended.code == exit_codes.SUBMITTED
    assert ended.entry is not None
    assert ended.entry.outcome is Outcome.SUBMITTED
    capsys.readouterr()
    print_result(ended, is_json=True)
    assert json.loads(capsys.readouterr().out)["action"]["outcome"] == "submitted"
    ended = await performed(settings)
    assert ended.code == exit_codes.NOTHING_TO_DO
    assert "submitted already, and the beacon chain does not show it" in ended.problem
    beacon[first].exit_epoch = beacon.epoch + 5
    ended = await performed(settings)
    assert ended.code == exit_codes.NOTHING_TO_DO
    assert "done already" in ended.problem
    async with Journal(scene.folder / "operator.db") as journal:
        assert [each.outcome for each in await journal.entries()] == [Outcome.DONE, Outcome.DONE]
    assert await withdrawals(scene) == [(first, 0)]


async def test_a_beacon_node_that_has_not_seen_the_block(
    scene: Scene,
    beacon: BeaconChain,
    running_oracles: list[RunningOracle],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is waited for, since it knows nothing of it; not for ever."""
    first, second, _ = await with_a_rest(scene)
    seen, until, head = 0, 5, beacon._head

    async def late() -> Any:
        nonlocal seen
        seen += 1
        answer = await head()
        beacon.behind = 0 if seen >= until else 1_000
        return answer

    monkeypatch.setattr(beacon, "_head", late)
    assert (await performed(told(scene, WithdrawSettings, validators=[f"{first}=0.5eth"]))).code == 0
    assert seen > 5
    seen, until, beacon.behind = 0, 1_000, 0
    monkeypatch.setattr(outcomes, "PATIENCE_SLOTS", 0)
    ended = await performed(told(scene, WithdrawSettings, validators=[f"{second}=0.5eth"]))
    assert ended.code == exit_codes.SUBMITTED


async def test_a_beacon_node_that_is_behind(
    scene: Scene,
    beacon: BeaconChain,
    running_oracles: list[RunningOracle],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It does not know of what was done a moment ago: that the validator exits."""
    first, *_ = await with_a_rest(scene)
    monkeypatch.setattr(beacon_judge, "LOOKS_PER_SLOT", 1_000)
    monkeypatch.setattr(beacon_judge, "BEHIND_LOOKS", 2)
    await beacon.follow()
    await scene.world.chain.mine()
    beacon.behind = 1
    ended = await performed(told(scene, WithdrawSettings, validators=[first], exit="true"))
    assert ended.code == exit_codes.NOT_READY
    assert "the beacon chain has seen block" in ended.problem
    assert await nonce_of(scene) == 1


async def test_another_beacon_node_that_is_not_behind(
    scene: Scene,
    beacon: BeaconChain,
    running_oracles: list[RunningOracle],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is asked instead, though the first one is not so far behind that it is never heard."""
    first, *_ = await with_a_rest(scene)
    monkeypatch.setattr(beacon_judge, "LOOKS_PER_SLOT", 1_000)
    await beacon.follow()
    await scene.world.chain.rpc("evm_increaseTime", 2 * HOODI.seconds_per_slot)
    await scene.world.chain.mine()
    slot = (await scene.world.chain.timestamp() - HOODI.genesis_time) // HOODI.seconds_per_slot
    beacon.behind, beacon.stopped_at = 1, slot - 1
    async with beacon_beside(scene.world) as (other, url):
        scene.beacon.append(url)
        await other.follow()
        other[first].exit_epoch = other.epoch + 5
        ended = await performed(told(scene, WithdrawSettings, validators=[first], exit="true"))
    assert ended.code == exit_codes.NOT_READY
    assert "it exits already" in ended.problem


async def test_beacon_nodes_that_say_different_things(
    scene: Scene, beacon: BeaconChain, running_oracles: list[RunningOracle]
) -> None:
    """One that knows of a reason is enough; one that does not answer, or is behind, is none."""
    first, second, third = await with_a_rest(scene)
    async with beacon_beside(scene.world) as (other, url):
        scene.beacon.append(url)
        await other.follow()
        other[first].exit_epoch = other.epoch + 5
        young(other, second)
        for kind, asked, reason in (
            (WithdrawSettings, {"validators": [first], "exit": "true"}, "it exits already"),
            (WithdrawSettings, {"validators": [f"{second}=0.5eth"]}, "can be withdrawn from or exit from"),
            (FundSettings, {"validators": [f"{first}=1eth"]}, "it exits already"),
            (ConsolidateSettings, {"pairs": [f"{second}={third}"]}, "can be withdrawn from or exit from"),
        ):
            ended = await performed(told(scene, kind, **asked))
            assert ended.code == exit_codes.NOT_READY
            assert reason in ended.problem
            assert f"as {url} says, and others do not" in ended.problem
        assert await nonce_of(scene) == 1
        other.is_optimistic = True
        done(await performed(told(scene, WithdrawSettings, validators=[first], exit="true")))
    done(await performed(told(scene, WithdrawSettings, validators=[f"{second}=0.5eth"])))


async def test_requests_that_wait_in_line(
    scene: Scene,
    beacon: BeaconChain,
    running_oracles: list[RunningOracle],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A block hands over 16 withdrawals, 2 consolidations: what waits for a later one is not passed over."""
    first, second, third = await with_a_rest(scene)
    await beacon.follow()
    other = bytes(20 + 2 * 48)
    head, looks = beacon._head, 0

    async def seldom() -> Any:
        nonlocal looks
        waiting = [each for queue in beacon.waiting.values() for each in queue]
        is_waiting = any(each[:20] == scene.world.vault.address for each in waiting)
        looks += is_waiting
        if is_waiting and looks == 5:
            await scene.world.chain.mine(120)
        return await head()

    monkeypatch.setattr(beacon, "_head", seldom)
    for kind, asked, others in (
        (ConsolidateSettings, {"pairs": [f"{first}={second}"]}, {CONSOLIDATIONS: [other] * 200}),
        (WithdrawSettings, {"validators": [third], "exit": "true"}, {WITHDRAWALS: [other[:76]] * 1600}),
    ):
        looks = 0
        beacon.waiting.update(others)
        done(await performed(told(scene, kind, **asked)))
        assert looks >= 5


async def test_stopping_while_the_beacon_chain_is_looked_at(
    scene: Scene, beacon: BeaconChain, running_oracles: list[RunningOracle]
) -> None:
    """What is done is told of, not that nothing was sent."""
    first, *_ = await with_a_rest(scene)
    await beacon.follow()
    settings = told(scene, WithdrawSettings, validators=[first], exit="true")
    async with withdraw_task(settings, no_report) as task:
        stop = asyncio.Event()

        async def look(entry: JournalEntry) -> JournalEntry:
            stop.set()
            await asyncio.sleep(60)
            return entry

        work = executor.perform(dataclasses.replace(task, look=look), dry_run=False, yes=True, seconds=30)
        ended = await executor.unless_stopped(work, task.sender, stop)
    assert ended.code == exit_codes.SUBMITTED
    assert ended.entry is not None
