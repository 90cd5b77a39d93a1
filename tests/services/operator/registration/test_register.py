"""Registrations from the vault's ETH to DepositEvents: real relayer, oracles, node and contracts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from dvtfast import HOODI
from dvtfast.deposit_data_tree import DepositDataTree
from dvtfast.deposits import DepositData, sign_deposits, write_deposit_data
from dvtfast.services import wire
from dvtfast.services.chain.contracts import reads
from dvtfast.services.chain.deposits import scan
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.chain.index import by_beacon
from dvtfast.services.cli import main
from dvtfast.services.demo.world.deployed_contracts import ETH
from dvtfast.services.demo.world.oracles import RunningOracle
from dvtfast.services.operator import chain as operator_chain
from dvtfast.services.operator.commands import consent, executor, exit_codes, results
from dvtfast.services.operator.commands.register import registration_task
from dvtfast.services.operator.commands.run import Registrar
from dvtfast.services.operator.oracles import approvals
from dvtfast.services.operator.registration import by_manager, planner
from dvtfast.services.operator.sending.action import Outcome
from dvtfast.services.settings import RegisterSettings
from tests.services.operator.scenes import (
    GWEI,
    MANAGER,
    Scene,
    command,
    done,
    performed,
    registered,
    registering,
)
from tests.services.patience import PATIENCE_SECONDS

# As they are outside of tests, which do not wait for so long.
INDEX_AGE_SECONDS = planner.INDEX_AGE_SECONDS
SEEN_SECONDS = max(scan.FRESH_SECONDS, by_beacon.FRESH_SECONDS)


async def test_the_relayers_validators(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    entry = done(await registered(scene))
    keys = await scene.deposited()
    assert keys == list(entry.action.public_keys)
    assert len(keys) == 3
    assert scene.ours(keys) == keys
    # The rest is too little for one more.
    again = await registered(scene)
    assert again.code == exit_codes.NOTHING_TO_DO
    assert "4" in again.problem
    assert await scene.deposited() == keys


async def test_rewards_are_taken_first(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    """From its first validator on a vault has rewards, without which it may not go on."""
    assert (await registered(scene, max_batch="1")).code == exit_codes.DONE
    await scene.world.vote_rewards(10 * ETH, unlocked_mev=30 * ETH, times=2)
    ended = await registered(scene)
    done(ended)
    assert len(await scene.deposited()) == 1 + 3  # of 98 ETH, as the other 10 are on the beacon chain
    assert ended.entry is not None
    assert ended.entry.action.details["harvests"] is True


async def test_compounding_validators(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    entry = done(await registered(scene, validator_type="0x02", max_validator_balance_gwei=str(60 * 10**9)))
    assert entry.action.details["amount_gwei"] == 100 * 10**9
    assert len(await scene.deposited()) == 2


async def test_a_dry_run_signs_nothing(
    scene: Scene, running_oracles: list[RunningOracle], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(scene.chosen(), dry_run=True)
    async with registering(settings) as registrar:
        ended = await performed(registrar)
        assert await registrar.parts.journal.entries() == []
    capsys.readouterr()
    results.print_result(ended, is_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["would_send"]["validators"] == 3
    assert int(said["most_wei"]) > 0
    results.print_result(ended, is_json=False)
    assert "nothing was sent" in capsys.readouterr().out
    assert await scene.deposited() == []


@pytest.fixture
async def deposit_data(scene: Scene) -> DepositData:
    """The way of v3: all validators of the cluster in a file, its root in the registry."""
    credentials = b"\x01" + bytes(11) + scene.world.vault.address
    n = len(scene.cluster.keys)
    deposits = sign_deposits(scene.cluster.secret_keys, [credentials] * n, [GWEI] * n, HOODI)
    write_deposit_data(scene.folder / "deposit_data.json", deposits)
    scene.settings["deposit_data"] = str(scene.folder / "deposit_data.json")
    await scene.world.use_registry(DepositDataTree(deposits).root)
    return deposits


async def test_deposit_data_in_its_order(
    scene: Scene, deposit_data: DepositData, running_oracles: list[RunningOracle]
) -> None:
    first = await registered(scene, max_batch="1")
    assert (first.code, first.problem) == (exit_codes.DONE, "")
    await scene.world.vote_rewards(10 * ETH, unlocked_mev=30 * ETH, times=2)
    second = await registered(scene)
    assert (second.code, second.problem) == (exit_codes.DONE, "")
    assert second.entry is not None
    assert second.entry.action.details["harvests"] is True
    keys = await scene.deposited()
    assert keys == [row.tobytes() for row in deposit_data.public_keys[:4]]


async def test_another_file_than_the_vaults(scene: Scene, deposit_data: DepositData) -> None:
    await scene.world.use_registry(bytes(32))
    ended = await registered(scene)
    assert ended.code == exit_codes.NOT_READY
    assert "not the file whose root" in ended.problem
    assert "nothing was sent" in ended.problem


async def test_oracles_that_are_out(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    """One of three may be away, two may not; when they are back it goes on."""
    running_oracles[0].stop()
    running_oracles[1].stop()
    try:
        ended = await registered(scene)
        assert ended.code == exit_codes.NOT_READY
        assert "oracles" in ended.problem
        assert await scene.deposited() == []
        running_oracles[1].start()
        running_oracles[1].wait()
        assert (await registered(scene)).code == exit_codes.DONE
    finally:
        for oracle in running_oracles[:2]:
            oracle.stop()
            oracle.start()
            oracle.wait()
    assert len(await scene.deposited()) == 3


async def nothing() -> None:
    pass


def others_deposit(scene: Scene, *, times: int = 1) -> Callable[[], Awaitable[None]]:
    """Somebody does, the first few times."""
    left = iter(range(times))

    async def work() -> None:
        if next(left, None) is not None:
            await scene.world.foreign_deposits(1)

    return work


def around_approvals(
    registrar: Registrar,
    monkeypatch: pytest.MonkeyPatch,
    *,
    before: Callable[[], Awaitable[None]] = nothing,
    after: Callable[[], Awaitable[None]] = nothing,
) -> None:
    """What happens each time that the oracles are asked."""
    approval = registrar.planner._approval

    async def work(*arguments: Any) -> Any:
        await before()
        given = await approval(*arguments)
        await after()
        return given

    monkeypatch.setattr(registrar.planner, "_approval", work)


async def test_somebody_deposits_meanwhile(
    scene: Scene, running_oracles: list[RunningOracle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While oracles are asked: all of it begins again, at the relayer."""
    async with registering(scene.chosen()) as registrar:
        around_approvals(registrar, monkeypatch, after=others_deposit(scene, times=2))
        ended = await performed(registrar)
    assert done(ended).action.details["start_index"] == 2
    assert len(scene.ours(await scene.deposited())) == 3


async def test_somebody_deposits_before_the_oracles_look(
    scene: Scene, running_oracles: list[RunningOracle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They refuse the root of before, which is nobody's fault: it begins again, and ends well."""
    async with registering(scene.chosen()) as registrar:
        around_approvals(registrar, monkeypatch, before=others_deposit(scene, times=2))
        ended = await performed(registrar)
    done(ended)
    assert len(scene.ours(await scene.deposited())) == 3


async def test_a_node_that_is_behind_tells_no_index(
    scene: Scene, running_oracles: list[RunningOracle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be that of a validator before: it is asked for again until the node has the root's block."""
    settings, looks = scene.chosen(), 0
    async with registering(settings) as registrar:
        index: Any = registrar.planner.index
        look = index._look

        async def late(progress: Any) -> None:
            nonlocal looks
            await look(progress)
            looks += 1
            if looks <= 2:
                index._pending = replace(index._pending, head=index._pending.head - 1)

        monkeypatch.setattr(index, "_look", late)
        ended = await performed(registrar)
    done(ended)
    assert looks > 2
    assert len(await scene.deposited()) == 3


async def test_an_index_that_was_given_is_right_once(
    scene: Scene, running_oracles: list[RunningOracle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else has it when they deposit meanwhile, and exits for it would be theirs."""
    settings = replace(scene.chosen(), start_index=0)
    async with registering(settings) as registrar:
        around_approvals(registrar, monkeypatch, after=others_deposit(scene))
        ended = await performed(registrar)
    assert ended.code == exit_codes.NOT_READY
    assert "--start-index 0 was before somebody deposited" in ended.problem
    assert scene.ours(await scene.deposited()) == []


async def test_a_deposit_after_it_was_sent(
    scene: Scene, running_oracles: list[RunningOracle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can only revert by then: its nonce is used up by a cancellation, and nothing is registered."""
    settings = scene.chosen()
    async with registering(settings) as registrar:
        begin = registrar.parts.sender.begin

        async def begin_and_deposit(action: Any) -> Any:
            entry = await begin(action)
            await scene.world.foreign_deposits(1)
            return entry

        monkeypatch.setattr(registrar.parts.sender, "begin", begin_and_deposit)
        ended = await performed(registrar)
        monkeypatch.undo()
    assert ended.entry is not None
    assert ended.entry.conclusion is not None
    assert ended.entry.conclusion.outcome is Outcome.CANCELLED
    assert ended.code == exit_codes.NOT_DONE
    assert scene.ours(await scene.deposited()) == []


async def test_it_is_watched_until_stopped(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    """Each look registers what there is; what others fail to do ends nothing."""
    settings = scene.chosen()
    async with registering(settings) as registrar:
        assert (await registrar.look()).code == exit_codes.DONE
        assert (await registrar.look()).code == exit_codes.NOTHING_TO_DO
        await scene.world.stake(40 * ETH)
        broken = replace(registrar.planner.chain, node=NodeClient(["http://127.0.0.1:1"], timeout_seconds=1))
        async with broken.node:
            registrar.planner.chain, whole = broken, registrar.planner.chain
            assert (await registrar.look()).code == exit_codes.NOT_READY
            registrar.planner.chain = whole
    assert len(await scene.deposited()) == 3


async def test_other_deposits_than_it_should_make_end_it(
    scene: Scene, running_oracles: list[RunningOracle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever made them would make more; but a node that has lost a receipt says nothing of deposits."""
    settings = scene.chosen(max_batch="1", interval="0.1")
    async with registering(settings) as registrar:
        with monkeypatch.context() as patch:
            patch.setattr(operator_chain, "find_receipt", no_receipt)
            assert (await registrar.look()).code == exit_codes.DONE
        with monkeypatch.context() as patch:
            patch.setattr(operator_chain, "decode_deposits", lambda _: reads.decode_deposits([]))
            async with asyncio.timeout(PATIENCE_SECONDS):
                ended = await registrar.watch()
    assert ended.code == exit_codes.NOT_DONE
    assert "other deposits than it should" in ended.problem
    assert len(await scene.deposited()) == 2


async def no_receipt(*_: object) -> Any:
    return None


async def test_a_manager_that_is_not_the_vaults(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    await scene.world.set_manager(bytes(19) + b"\x01")
    ended = await registered(scene)
    assert ended.code == exit_codes.NOT_READY
    assert f"it signs as {MANAGER.address}" in ended.problem
    assert await scene.deposited() == []


def wrong_answers() -> Iterator[tuple[str, Callable[[wire.RegisterAnswer], None], str]]:
    def repeat(answer: wire.RegisterAnswer) -> None:
        answer.validators[1] = answer.validators[0]

    def amount(answer: wire.RegisterAnswer) -> None:
        answer.validators[0].amount = wire.UInt64(GWEI + 1)

    def signature(answer: wire.RegisterAnswer) -> None:
        first, second, *_ = answer.validators
        first.deposit_signature = second.deposit_signature

    def no_signature(answer: wire.RegisterAnswer) -> None:
        answer.validators[2].deposit_signature = None

    def no_shares(answer: wire.RegisterAnswer) -> None:
        answer.validators[0].oracles_exit_signature_shares = None

    def others_shares(answer: wire.RegisterAnswer) -> None:
        first, second, *_ = answer.validators
        first.oracles_exit_signature_shares = second.oracles_exit_signature_shares

    def no_point(answer: wire.RegisterAnswer) -> None:
        answer.validators[0].public_key = wire.PublicKey(b"\xff" * 48)

    yield "repeat", repeat, "twice"
    yield "amount", amount, "other amounts"
    yield "signature", signature, "deposit signatures are wrong"
    yield "no signature", no_signature, "no deposit signature"
    yield "no shares", no_shares, "no oracle shares"
    yield "others' shares", others_shares, "interpolate"
    yield "no point", no_point, "no public keys"


@pytest.mark.parametrize(("spoil", "says"), [pytest.param(*rest, id=name) for name, *rest in wrong_answers()])
async def test_a_relayer_that_lies(
    spoil: Callable[[wire.RegisterAnswer], None], says: str, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = scene.chosen()
    async with registering(settings) as registrar:
        relayer: Any = registrar.planner.method.relayer  # type: ignore[attr-defined] # it is v4
        ask = relayer.post_register

        async def spoiled(request: wire.RegisterRequest) -> wire.RegisterAnswer:
            answer: wire.RegisterAnswer = await ask(request)
            if answer.validators:
                spoil(answer)
            return answer

        monkeypatch.setattr(relayer, "post_register", spoiled)
        ended = await performed(registrar)
    assert ended.code == exit_codes.NOT_READY
    assert says in ended.problem
    assert await scene.deposited() == []


async def test_a_relayer_that_gives_as_many_as_no_vault_can_read(
    scene: Scene, running_oracles: list[RunningOracle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has fewer than were asked for, and vaults refuse just that number: one less is asked for."""
    settings = scene.chosen()
    for at in (approvals, by_manager):
        monkeypatch.setattr(at, "is_ambiguous", lambda count, _type: count == 2)
    async with registering(settings) as registrar:
        relayer: Any = registrar.planner.method.relayer  # type: ignore[attr-defined] # it is v4
        ask = relayer.post_register

        async def two(request: wire.RegisterRequest) -> Any:
            return await ask(msgspec.structs.replace(request, amounts=request.amounts[:2]))

        monkeypatch.setattr(relayer, "post_register", two)
        ended = await performed(registrar)
    done(ended)
    assert len(await scene.deposited()) == 1


async def test_as_processes(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    """The commands themselves: what they print, and how they end."""
    sources = RegisterSettings.sources()
    told = ["--json"]
    for name, value in scene.settings.items():
        for each in value if isinstance(value, list) else [value]:
            told += [sources[name].flag] + ([] if name == "yes" else [each])
    code, output = await command("register", *told, chain=scene.world.chain)
    assert code == exit_codes.DONE, output
    done = json.loads(output)
    assert done["action"]["outcome"] == "done"
    assert len(await scene.deposited()) == done["action"]["details"]["validators"] == 3

    code, output = await command("register", *told, chain=scene.world.chain)
    assert code == exit_codes.NOTHING_TO_DO
    assert json.loads(output)["problem"].endswith("nothing was sent")

    code, output = await command("status", "--journal", scene.settings["journal"], "--json")
    assert (code, [each["outcome"] for each in json.loads(output)]) == (exit_codes.DONE, ["done"])
    code, output = await command("status", "--journal", scene.settings["journal"])
    assert code == exit_codes.DONE
    assert done["action"]["transaction"] in output


def test_a_journal_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["operator", "status", "--journal", str(tmp_path / "none.db")])
    assert result.exit_code == exit_codes.WRONG_SETTINGS
    assert "no such file" in result.output


async def test_a_process_that_ends_after_signing(
    scene: Scene, running_oracles: list[RunningOracle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one goes on with what the journal has, and registers nothing else in its turn."""
    async with registering(scene.chosen()) as registrar:
        entry = await executor.begin_next(registration_task(registrar.parts, registrar.planner))
        assert entry is not None
    ended = await registered(scene)
    assert ended.code == exit_codes.DONE
    assert ended.entry is not None
    assert ended.entry.id == entry.id
    assert await scene.deposited() == list(entry.action.public_keys)


async def test_a_person_is_asked_once(
    scene: Scene, running_oracles: list[RunningOracle], monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []

    def confirm(question: str, **_: object) -> bool:
        questions.append(question)
        return False

    monkeypatch.setattr(consent.click, "confirm", confirm)
    settings = replace(scene.chosen(), yes=False)
    async with registering(settings) as registrar:
        ended = await performed(registrar)
        assert await registrar.parts.journal.entries() == []
    assert ended.code == exit_codes.STOPPED
    assert len(questions) == 1
    assert "Register 3 validators with 96 ETH" in questions[0]


def test_the_index_is_newer_than_the_root() -> None:
    """What sources of the index remember is forgotten while a registration waits for it."""
    assert INDEX_AGE_SECONDS > SEEN_SECONDS
