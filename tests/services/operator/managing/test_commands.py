"""A command that manages: asked twice, broken off, without sending, by a person, from a file."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from dvtfast.services.chain.contracts.manager_messages import nonce_bytes, withdraw_bytes
from dvtfast.services.demo.world.oracles import RunningOracle
from dvtfast.services.operator.commands import consent, executor, exit_codes
from dvtfast.services.operator.commands.manager_actions import withdraw_task
from dvtfast.services.operator.commands.results import print_result
from dvtfast.services.operator.progress import no_report
from dvtfast.services.operator.sending.journal import Journal
from dvtfast.services.settings import ConsolidateSettings, FundSettings, SettingsError, WithdrawSettings
from dvtfast.services.wire import PublicKey
from tests.services.demo.world.registrations import manager_signature
from tests.services.operator.managing.manager_commands import (
    GWEI,
    nonce_of,
    ordinary,
    performed,
    told,
    with_a_rest,
    withdrawals,
)
from tests.services.operator.scenes import Scene, command, done

pytestmark = pytest.mark.usefixtures("beacon")


async def withdrawn_by_others(scene: Scene, key: str) -> None:
    """Five gwei, with the nonce after the registration's."""
    validators = withdraw_bytes([bytes(PublicKey.from_wire(key))], [5])
    signature = manager_signature(scene.world, nonce_bytes(1), validators)
    await scene.world.vault.send("withdrawValidators(bytes,bytes)", validators, signature, value=1)


async def test_a_nonce_that_somebody_uses(
    scene: Scene,
    running_oracles: list[RunningOracle],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It begins again at the relayer, and is done once."""
    first, second, _ = await with_a_rest(scene)
    settings = told(scene, WithdrawSettings, validators=[f"{first}=0.1eth"])
    async with withdraw_task(settings, no_report) as task:
        begin, nonces = task.sender.begin, []

        async def begin_late(action: Any) -> Any:
            nonces.append(action.details["nonce"])
            if len(nonces) == 1:
                await withdrawn_by_others(scene, second)
            return await begin(action)

        monkeypatch.setattr(task.sender, "begin", begin_late)
        ended = await executor.perform(task, dry_run=False, yes=True, seconds=30)
    done(ended)
    assert nonces == [1, 2]
    assert await withdrawals(scene) == [(second, 5), (first, GWEI // 10)]


async def test_a_nonce_that_is_used_after_it_was_sent(
    scene: Scene,
    running_oracles: list[RunningOracle],
) -> None:
    """It can only revert by then: it is cancelled."""
    first, second, _ = await with_a_rest(scene)
    settings = told(scene, WithdrawSettings, validators=[f"{first}=0.1eth"])
    async with withdraw_task(settings, no_report) as task:
        entry = await executor.begin_next(task)
        assert entry is not None
        await withdrawn_by_others(scene, second)
        ended = await executor.perform(task, dry_run=False, yes=True, seconds=30)
    assert ended.code == exit_codes.NOT_DONE
    assert await withdrawals(scene) == [(second, 5)]


async def test_a_process_that_ends_after_signing(
    scene: Scene,
    running_oracles: list[RunningOracle],
) -> None:
    """The next command, whichever it is, goes on with it; then with its own part, if that is another."""
    first, second, _ = await with_a_rest(scene)
    settings = told(scene, WithdrawSettings, validators=[f"{first}=0.1eth"])
    async with withdraw_task(settings, no_report) as task:
        entry = await executor.begin_next(task)
        assert entry is not None
    assert done(await performed(settings)).id == entry.id
    assert await withdrawals(scene) == [(first, GWEI // 10)]
    async with withdraw_task(dataclasses.replace(settings, again=True), no_report) as task:
        assert await executor.begin_next(task) is not None
    done(await performed(told(scene, WithdrawSettings, validators=[second], exit="true")))
    assert await withdrawals(scene) == [(first, GWEI // 10), (first, GWEI // 10), (second, 0)]


async def test_the_same_again(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    first, *_ = await with_a_rest(scene)
    asked = {"validators": [f"{first}=0.1eth"]}
    assert (await performed(told(scene, WithdrawSettings, **asked))).code == exit_codes.DONE
    ended = await performed(told(scene, WithdrawSettings, **asked))
    assert ended.code == exit_codes.NOTHING_TO_DO
    assert "--again" in ended.problem
    assert (await performed(told(scene, WithdrawSettings, **asked, again="true"))).code == exit_codes.DONE
    assert len(await withdrawals(scene)) == 2


async def test_a_dry_run(
    scene: Scene,
    running_oracles: list[RunningOracle],
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, *_ = await ordinary(scene)
    async with Journal(scene.folder / "operator.db") as journal:
        before = await journal.entries()
    ended = await performed(told(scene, WithdrawSettings, validators=[first], exit="true", dry_run="true"))
    assert ended.code == exit_codes.DONE
    capsys.readouterr()
    print_result(ended, is_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["would_send"]["amounts"] == [[first, 0]]
    assert said["would_send"]["exits"] == 1
    async with Journal(scene.folder / "operator.db") as journal:
        assert await journal.entries() == before
    assert await nonce_of(scene) == 1


@pytest.mark.parametrize("limits", [("withdraw.exits=1", "withdraw.items=1")])
async def test_a_dry_run_and_the_action_count_once(
    scene: Scene, running_oracles: list[RunningOracle]
) -> None:
    """They are for the same nonce, which the registration before them raised, and get the same signature."""
    first, second, _ = await with_a_rest(scene)
    asked = {"validators": [first], "exit": "true"}
    for _ in range(2):
        ended = await performed(told(scene, WithdrawSettings, **asked, dry_run="true"))
        done(ended)
    assert ended.plan is not None
    assert ended.plan.action.details["nonce"] == 1
    done(await performed(told(scene, WithdrawSettings, **asked)))
    ended = await performed(told(scene, WithdrawSettings, validators=[second], exit="true"))
    assert ended.code == exit_codes.NOT_READY
    assert "the limit of withdraw is 1 items a day (UTC); 1 are used, 1 more asked" in ended.problem


async def test_a_person_is_asked_twice_before_an_exit(
    scene: Scene,
    running_oracles: list[RunningOracle],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, *_ = await ordinary(scene)
    questions: list[str] = []

    def confirm(question: str, **_: object) -> bool:
        questions.append(question)
        return len(questions) == 1

    monkeypatch.setattr(consent.click, "confirm", confirm)
    ended = await performed(told(scene, WithdrawSettings, validators=[first], exit="true", yes="false"))
    assert ended.code == exit_codes.STOPPED
    assert ["FOR GOOD" in questions[0], "Really?" in questions[1], len(questions)] == [True, True, 2]
    assert f"{first} EVERYTHING" in capsys.readouterr().err
    assert await withdrawals(scene) == []


async def test_a_file_with_wrong_lines(scene: Scene) -> None:
    """All of them are named, and nothing of the file is done."""
    key = scene.cluster.keys[0].to_wire()
    file = scene.folder / "amounts.csv"
    file.write_text(f"public_key,amount_gwei\n{key},1\nkey,1\n{key},1.5\n{key}\n")
    with pytest.raises(SettingsError) as caught:
        await performed(told(scene, FundSettings, validators_file=str(file)))
    assert [problem.split(": ")[1] for problem in caught.value.problems] == ["line 3", "line 4", "line 5"]


async def test_without_a_beacon_node(scene: Scene) -> None:
    key = scene.cluster.keys[0].to_wire()
    for kind, asked in (
        (FundSettings, {"validators": [f"{key}=1eth"]}),
        (WithdrawSettings, {"validators": [key], "exit": "true"}),
        (ConsolidateSettings, {"pairs": [f"{key}={key}"]}),
    ):
        with pytest.raises(SettingsError, match="not set: without a beacon node nobody can say"):
            told(scene, kind, **asked, consensus_endpoints=[])


async def test_as_a_process(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    first, *_ = await with_a_rest(scene)
    sources = WithdrawSettings.sources()
    flags = ["--validator", f"{first}=0.1eth", "--json"]
    for name, value in {**scene.settings, "consensus_endpoints": scene.beacon}.items():
        if name in sources:
            for each in value if isinstance(value, list) else [value]:
                flags += [sources[name].flag] + ([] if name == "yes" else [each])
    code, output = await command("withdraw", *flags, chain=scene.world.chain)
    assert code == exit_codes.DONE, output
    assert json.loads(output)["action"]["kind"] == "withdraw"
    assert await withdrawals(scene) == [(first, GWEI // 10)]
