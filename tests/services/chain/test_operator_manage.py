"""Top-ups, withdrawals and consolidations: real relayer, oracles, node and contracts."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import pytest
from eth_abi.abi import decode

from dvtfast import HOODI
from dvtfast.services.chain.contracts.manager_messages import nonce_bytes, withdraw_bytes
from dvtfast.services.chain.contracts.reads import DEPOSIT_EVENT, decode_deposits
from dvtfast.services.chain.encoding import keccak256
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.demo.world.deployed_contracts import CONSOLIDATIONS, ETH, REQUESTS_CODE, WITHDRAWALS
from dvtfast.services.demo.world.oracles import RunningOracle
from dvtfast.services.operator.commands import consent, executor, exit_codes
from dvtfast.services.operator.commands.executor import Task
from dvtfast.services.operator.commands.manager_actions import consolidating, funding, withdrawing
from dvtfast.services.operator.commands.results import Ended, tell
from dvtfast.services.operator.managing import actions, outcomes
from dvtfast.services.operator.progress import tell_nobody
from dvtfast.services.operator.sending.action import Entry, Outcome
from dvtfast.services.operator.sending.journal import Journal
from dvtfast.services.settings import ConsolidateSettings, FundSettings, SettingsError, WithdrawSettings
from dvtfast.services.wire import PublicKey
from tests.services.chain.beacon_chain import BeaconChain, Validator, beacon_beside
from tests.services.chain.registrations import manager_signature
from tests.services.chain.scenes import Scene, command, registered

pytestmark = pytest.mark.usefixtures("beacon")

GWEI = 10**9
Settings: TypeAlias = FundSettings | WithdrawSettings | ConsolidateSettings
OPENED: dict[type[Any], Callable[..., AbstractAsyncContextManager[Task]]] = {
    FundSettings: funding,
    WithdrawSettings: withdrawing,
    ConsolidateSettings: consolidating,
}


@pytest.fixture
async def beacon(scene: Scene) -> AsyncIterator[BeaconChain]:
    """What the vault asks the beacon chain for, it does, if it can."""
    async with beacon_beside(scene.world) as (chain, url):
        scene.beacon.append(url)
        yield chain


def told(scene: Scene, kind: type[Settings], **others: Any) -> Settings:
    """What a command is told: of the scene's settings those that it has."""
    flags = {name: value for name, value in scene.settings.items() if name in kind.sources()}
    if kind is ConsolidateSettings:
        flags["consolidations_checker"] = flags["keeper"]  # of our chain
    return kind.load({**flags, "consensus_endpoints": scene.beacon, **others}, {})


async def performed(settings: Settings) -> Ended:
    """What the command does, without its process."""
    async with OPENED[type(settings)](settings, tell_nobody) as task:
        return await executor.perform(
            task, dry_run=settings.dry_run, yes=settings.yes, seconds=settings.timeout_seconds
        )


async def compounding(scene: Scene) -> list[str]:
    """Two validators of type 0x02 with 40 ETH each; the vault has 20 left."""
    most = str(40 * GWEI)
    ended = await registered(scene, validator_type="0x02", max_validator_balance_gwei=most)
    assert ended.code == exit_codes.DONE
    return await keys_of(scene)


async def with_a_rest(scene: Scene) -> list[str]:
    """Three validators of type 0x02 with 33 ETH each, so that a part of each can be withdrawn."""
    most = str(33 * GWEI)
    ended = await registered(scene, validator_type="0x02", max_validator_balance_gwei=most)
    assert ended.code == exit_codes.DONE
    return await keys_of(scene)


async def ordinary(scene: Scene) -> list[str]:
    """Three validators of type 0x01."""
    assert (await registered(scene)).code == exit_codes.DONE
    return await keys_of(scene)


async def keys_of(scene: Scene) -> list[str]:
    return [PublicKey(key).to_wire() for key in await scene.deposited()]


async def nonce_of(scene: Scene) -> int:
    nonce: int = await scene.world.vault.call("validatorsManagerNonce()", ["uint256"])
    return nonce


async def events(scene: Scene, signature: str, types: Sequence[str]) -> list[tuple[Any, ...]]:
    """What the vault logged of this event."""
    async with NodeClient([scene.world.chain.url], timeout_seconds=5) as node:
        last = await node.block("latest")
        found = await node.logs(
            scene.world.vault.address, [keccak256(signature.encode())], first=0, last=last
        )
    return [decode(list(types), each.data) for each in found]


async def withdrawals(scene: Scene) -> list[tuple[str, int]]:
    signature, types = "ValidatorWithdrawalSubmitted(bytes,uint256,uint256)", ["bytes", "uint256", "uint256"]
    found = await events(scene, signature, types)
    return [(PublicKey(key).to_wire(), wei // GWEI) for key, wei, _ in found]


async def consolidations(scene: Scene) -> list[tuple[str, str]]:
    signature, types = "ValidatorConsolidationSubmitted(bytes,bytes,uint256)", ["bytes", "bytes", "uint256"]
    found = await events(scene, signature, types)
    return [(PublicKey(source).to_wire(), PublicKey(target).to_wire()) for source, target, _ in found]


async def test_fund(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    first, second = await compounding(scene)
    amounts = [f"{second}=1.5eth", f"{first}=2000000000gwei"]
    ended = await performed(told(scene, FundSettings, validators=amounts))
    assert (ended.code, ended.problem) == (exit_codes.DONE, "")
    async with NodeClient([scene.world.chain.url], timeout_seconds=5) as node:
        last = await node.block("latest")
        logs = await node.logs(scene.world.deposit_contract.address, [DEPOSIT_EVENT], first=0, last=last)
    deposits = decode_deposits(logs)
    assert [PublicKey(key.tobytes()).to_wire() for key in deposits.public_keys[2:]] == [second, first]
    assert deposits.amounts_gwei[2:].tolist() == [1_500_000_000, 2_000_000_000]
    assert await nonce_of(scene) == 2  # the registration's was the first


async def test_rewards_are_taken_before_a_top_up(
    scene: Scene,
    running_oracles: list[RunningOracle],
) -> None:
    first, _ = await compounding(scene)
    await scene.world.vote_rewards(10 * ETH, unlocked_mev=30 * ETH, times=2)
    ended = await performed(told(scene, FundSettings, validators=[f"{first}=45eth"]))
    assert (ended.code, ended.problem) == (exit_codes.DONE, "")
    assert ended.entry is not None
    assert ended.entry.action.details["harvests"] is True
    assert len(await scene.deposited()) == 3


async def test_more_than_the_vault_has(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    first, _ = await compounding(scene)
    ended = await performed(told(scene, FundSettings, validators=[f"{first}=20.000000001eth"]))
    assert ended.code == exit_codes.NOT_READY
    assert "has 20 ETH withdrawable" in ended.problem
    assert await nonce_of(scene) == 1


async def test_a_top_up_of_what_does_not_compound(
    scene: Scene,
    running_oracles: list[RunningOracle],
) -> None:
    first, *_ = await ordinary(scene)
    ended = await performed(told(scene, FundSettings, validators=[f"{first}=1eth"]))
    assert ended.code == exit_codes.NOT_READY
    assert "it is of type 0x01, to which nothing is added" in ended.problem
    assert "nothing was sent" in ended.problem
    assert await nonce_of(scene) == 1


async def test_withdraw_and_exit(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    first, second, third = await with_a_rest(scene)
    before = await scene.world.chain.balance(bytes.fromhex(scene.account.address[2:]))
    ended = await performed(told(scene, WithdrawSettings, validators=[f"{first}=0.5eth", f"{third}=7gwei"]))
    assert (ended.code, ended.problem) == (exit_codes.DONE, "")
    assert await withdrawals(scene) == [(first, 500_000_000), (third, 7)]
    assert ended.entry is not None
    assert ended.entry.conclusion is not None
    after = await scene.world.chain.balance(bytes.fromhex(scene.account.address[2:]))
    assert before - after == ended.entry.conclusion.fee_wei + 2  # 1 wei for each request, the rest came back
    ended = await performed(told(scene, WithdrawSettings, validators=[second], exit="true"))
    assert (ended.code, ended.problem) == (exit_codes.DONE, "")
    assert await withdrawals(scene) == [(first, 500_000_000), (third, 7), (second, 0)]


async def test_consolidate(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    """A validator that is to compound needs the oracles; a target that the vault knows does not."""
    first, second, third = await ordinary(scene)
    ended = await performed(told(scene, ConsolidateSettings, pairs=[f"{first}={first}"]))
    assert (ended.code, ended.problem) == (exit_codes.DONE, "")
    assert ended.entry is not None
    assert ended.entry.action.details["approvals"] == 2
    file = scene.folder / "pairs.csv"
    file.write_text(f"source_public_key,target_public_key\n{second},{first}\n{third},{first}\n")
    ended = await performed(told(scene, ConsolidateSettings, pairs_file=str(file)))
    assert (ended.code, ended.problem) == (exit_codes.DONE, "")
    assert ended.entry is not None
    assert ended.entry.action.details["approvals"] == 0
    assert await consolidations(scene) == [(first, first), (second, first), (third, first)]


async def test_oracles_that_do_not_approve(
    scene: Scene, beacon: BeaconChain, running_oracles: list[RunningOracle]
) -> None:
    await ordinary(scene)
    stranger = scene.cluster.keys[-1].to_wire()  # of the cluster, but not registered
    credentials = b"\x01" + bytes(11) + scene.world.vault.address
    await beacon.follow()
    beacon.deposit(bytes(scene.cluster.keys[-1]), credentials, 32 * GWEI)  # by somebody, for the vault
    ended = await performed(told(scene, ConsolidateSettings, pairs=[f"{stranger}={stranger}"]))
    assert ended.code == exit_codes.NOT_READY
    assert "not a validator of this vault" in ended.problem
    assert await nonce_of(scene) == 1


async def test_a_target_that_the_vault_does_not_know(
    scene: Scene, running_oracles: list[RunningOracle]
) -> None:
    """No oracle is asked, since what they sign of it is not known; the way there is told."""
    first, second, _ = await ordinary(scene)
    ended = await performed(told(scene, ConsolidateSettings, pairs=[f"{first}={second}"]))
    assert ended.code == exit_codes.NOT_READY
    assert f"{second} is no compounding validator that the vault knows" in ended.problem
    assert f"--pair {second}={second}" in ended.problem
    assert await nonce_of(scene) == 1


async def test_switches_are_one_at_a_time(scene: Scene) -> None:
    first, second, *_ = (key.to_wire() for key in scene.cluster.keys)
    with pytest.raises(SettingsError, match="by itself"):
        await performed(told(scene, ConsolidateSettings, pairs=[f"{first}={first}", f"{second}={first}"]))


@pytest.mark.parametrize("allowed", [()])
async def test_a_relayer_that_does_not_sign_that(
    scene: Scene,
    running_oracles: list[RunningOracle],
) -> None:
    first, *_ = await with_a_rest(scene)
    ended = await performed(told(scene, WithdrawSettings, validators=[f"{first}=0.1eth"]))
    assert ended.code == exit_codes.NOT_READY
    assert "--allow withdraw turns it on" in ended.problem
    assert await nonce_of(scene) == 1


async def test_the_relayers_limit(
    scene: Scene, beacon: BeaconChain, running_oracles: list[RunningOracle]
) -> None:
    first, second, _ = await with_a_rest(scene)
    await beacon.follow()
    beacon[first].balance = beacon[second].balance = 2000 * GWEI
    amounts = [f"{first}=1700eth", f"{second}=1501eth"]
    ended = await performed(told(scene, WithdrawSettings, validators=amounts))
    assert ended.code == exit_codes.NOT_READY
    assert "limit of withdraw" in ended.problem


async def test_requests_that_cost_too_much(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    first, *_ = await with_a_rest(scene)
    at = REQUESTS_CODE.index(b"\x60\x01\x5f\x52") + 1
    dearer = REQUESTS_CODE[:at] + b"\xff" + REQUESTS_CODE[at + 1 :]
    await scene.world.chain.rpc("anvil_setCode", WITHDRAWALS, "0x" + dearer.hex())
    asked = {"validators": [f"{first}=0.1eth"]}
    ended = await performed(told(scene, WithdrawSettings, **asked, max_request_fee_gwei="0.000000254"))
    assert ended.code == exit_codes.NOT_READY
    assert "--max-request-fee-gwei" in ended.problem
    ended = await performed(told(scene, WithdrawSettings, **asked, max_request_fee_gwei="0.000000255"))
    assert (ended.code, ended.problem) == (exit_codes.DONE, "")
    assert ended.entry is not None
    assert ended.entry.action.value_wei == 255


async def test_a_nonce_that_somebody_uses(
    scene: Scene,
    running_oracles: list[RunningOracle],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It begins again at the relayer, and is done once."""
    first, second, _ = await with_a_rest(scene)
    settings = told(scene, WithdrawSettings, validators=[f"{first}=0.1eth"])
    async with withdrawing(settings, tell_nobody) as task:
        begin, nonces = task.sender.begin, []

        async def begin_late(action: Any) -> Any:
            nonces.append(action.details["nonce"])
            if len(nonces) == 1:
                others = withdraw_bytes([bytes(PublicKey.from_wire(second))], [5])
                signature = manager_signature(scene.world, nonce_bytes(1), others)
                await scene.world.vault.send("withdrawValidators(bytes,bytes)", others, signature, value=1)
            return await begin(action)

        monkeypatch.setattr(task.sender, "begin", begin_late)
        ended = await executor.perform(task, dry_run=False, yes=True, seconds=30)
    assert (ended.code, ended.problem) == (exit_codes.DONE, "")
    assert nonces == [1, 2]
    assert await withdrawals(scene) == [(second, 5), (first, GWEI // 10)]


async def test_a_nonce_that_is_used_after_it_was_sent(
    scene: Scene,
    running_oracles: list[RunningOracle],
) -> None:
    """It can only revert by then: it is cancelled."""
    first, second, _ = await with_a_rest(scene)
    settings = told(scene, WithdrawSettings, validators=[f"{first}=0.1eth"])
    async with withdrawing(settings, tell_nobody) as task:
        entry = await executor.begin_next(task)
        assert entry is not None
        others = withdraw_bytes([bytes(PublicKey.from_wire(second))], [5])
        signature = manager_signature(scene.world, nonce_bytes(1), others)
        await scene.world.vault.send("withdrawValidators(bytes,bytes)", others, signature, value=1)
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
    async with withdrawing(settings, tell_nobody) as task:
        entry = await executor.begin_next(task)
        assert entry is not None
    ended = await performed(settings)
    assert (ended.code, ended.problem) == (exit_codes.DONE, "")
    assert ended.entry is not None
    assert ended.entry.id == entry.id
    assert await withdrawals(scene) == [(first, GWEI // 10)]
    async with withdrawing(dataclasses.replace(settings, again=True), tell_nobody) as task:
        assert await executor.begin_next(task) is not None
    ended = await performed(told(scene, WithdrawSettings, validators=[second], exit="true"))
    assert (ended.code, ended.problem) == (exit_codes.DONE, "")
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
    tell(ended, is_json=True)
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
        assert (ended.code, ended.problem) == (exit_codes.DONE, "")
    assert ended.proposal is not None
    assert ended.proposal.action.details["nonce"] == 1
    ended = await performed(told(scene, WithdrawSettings, **asked))
    assert (ended.code, ended.problem) == (exit_codes.DONE, "")
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


REFUSED: dict[str, tuple[type[Settings], dict[str, Any], Callable[[BeaconChain, list[str]], Any], str]] = {
    "an exit too early": (
        WithdrawSettings,
        {"validators": ["{0}"], "exit": "true"},
        lambda beacon, keys: young(beacon, keys[0]),
        "can be withdrawn from or exit from epoch",
    ),
    "a part too early": (
        WithdrawSettings,
        {"validators": ["{0}=0.1eth"]},
        lambda beacon, keys: young(beacon, keys[0]),
        "can be withdrawn from or exit from epoch",
    ),
    "one that exits": (
        WithdrawSettings,
        {"validators": ["{0}"], "exit": "true"},
        lambda beacon, keys: vars(beacon[keys[0]]).update(exit_epoch=2**40),
        f"it exits already, at epoch {2**40}",
    ),
    "one that is slashed": (
        FundSettings,
        {"validators": ["{1}=1eth"]},
        lambda beacon, keys: vars(beacon[keys[1]]).update(slashed=True),
        "it is slashed",
    ),
    "an exit behind partial withdrawals": (
        WithdrawSettings,
        {"validators": ["{0}"], "exit": "true"},
        lambda beacon, keys: beacon.pending_withdrawals.append((beacon.index(keys[0]), 10**8)),
        "0.1 ETH wait to be withdrawn from it; it cannot exit before they are",
    ),
    "more than there is": (
        WithdrawSettings,
        {"validators": ["{0}=0.95eth"]},
        lambda beacon, keys: beacon.pending_withdrawals.append((beacon.index(keys[0]), 10**8)),
        "0.95 ETH are wanted, 0.9 ETH can be had",
    ),
    "more than a validator may have": (
        FundSettings,
        {"validators": ["{0}=1eth"]},
        lambda beacon, keys: vars(beacon[keys[0]]).update(balance=1_944_500_000_000),
        "more than 1945 ETH",
    ),
    "a source that waits to be consolidated": (
        ConsolidateSettings,
        {"pairs": ["{0}={1}"]},
        lambda beacon, keys: beacon.pending_consolidations.append((beacon.index(keys[2]), 0)),
        "consolidations with it wait",
    ),
    "a source too young": (
        ConsolidateSettings,
        {"pairs": ["{0}={1}"]},
        lambda beacon, keys: young(beacon, keys[0]),
        "can be withdrawn from or exit from epoch",
    ),
    "a target that exits": (
        ConsolidateSettings,
        {"pairs": ["{0}={1}"]},
        lambda beacon, keys: vars(beacon[keys[1]]).update(exit_epoch=2**40),
        "it exits already",
    ),
    "a target with too much": (
        ConsolidateSettings,
        {"pairs": ["{0}={1}"]},
        lambda beacon, keys: vars(beacon[keys[1]]).update(balance=1_930 * GWEI),
        "more than 1945 ETH",
    ),
    "a target to which much is on its way": (
        ConsolidateSettings,
        {"pairs": ["{0}={1}"]},
        lambda beacon, keys: on_its_way(beacon, keys[1], 1_880 * GWEI),
        "it has 33 ETH, 0 ETH wait to be deposited, 1880 ETH to be moved to it, and 33 ETH would be added",
    ),
    "a top-up of what much is on its way to": (
        FundSettings,
        {"validators": ["{0}=1eth"]},
        lambda beacon, keys: on_its_way(beacon, keys[0], 1_912 * GWEI),
        "1912 ETH to be moved to it, and 1 ETH would be added: more than 1945 ETH",
    ),
    "a part of what was less than whole": (
        WithdrawSettings,
        {"validators": ["{0}=0.5eth"]},
        lambda beacon, keys: vars(beacon[keys[0]]).update(effective=31 * GWEI),
        "its effective balance is 31 ETH; no part is paid out while that is below 32 ETH",
    ),
    "one that compounds already": (
        ConsolidateSettings,
        {"pairs": ["{0}={0}"]},
        lambda beacon, keys: None,
        "it compounds already",
    ),
    "somebody else's": (
        WithdrawSettings,
        {"validators": ["{0}"], "exit": "true"},
        lambda beacon, keys: vars(beacon[keys[0]]).update(withdrawal_credentials=b"\x01" + bytes(31)),
        "its withdrawal credentials are not this vault's",
    ),
    "a full queue": (
        ConsolidateSettings,
        {"pairs": ["{0}={1}"]},
        lambda beacon, keys: beacon.pending_consolidations.extend([(10**6, 10**6)] * 2**18),
        "the queue of consolidations is full",
    ),
}


def on_its_way(beacon: BeaconChain, key: str, gwei: int) -> None:
    """A stranger's validator that ends, whose stake is for this one."""
    ends = Validator(bytes(48), b"\x02" + bytes(31), gwei, exit_epoch=beacon.epoch + 5)
    beacon.validators.append(ends)
    beacon.pending_consolidations.append((len(beacon.validators) - 1, beacon.index(key)))


def young(beacon: BeaconChain, key: str) -> None:
    beacon[key].activation_epoch = beacon.epoch - 200


async def test_nothing_is_paid_for_what_the_beacon_chain_would_pass_over(
    scene: Scene, beacon: BeaconChain, running_oracles: list[RunningOracle]
) -> None:
    """The vault would take each of them, and the fee with it."""
    keys = await with_a_rest(scene)
    await beacon.follow()
    before = copy.deepcopy(vars(beacon) | {"world": None})
    wallet = bytes.fromhex(scene.account.address[2:])
    rich = await scene.world.chain.balance(wallet)
    for name, (kind, asked, change, reason) in REFUSED.items():
        change(beacon, keys)
        lists = {
            field: [each.format(*keys) for each in value] for field, value in asked.items() if value != "true"
        }
        ended = await performed(told(scene, kind, **{**asked, **lists}))
        assert ended.code == exit_codes.NOT_READY, name
        assert "the beacon chain would not do it: 0x" in ended.problem or "is full" in ended.problem, name
        assert reason in ended.problem, name
        vars(beacon).update(copy.deepcopy(before), world=scene.world)
    assert await nonce_of(scene) == 1
    assert await scene.world.chain.balance(wallet) == rich


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
    tell(ended, is_json=True)
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
    monkeypatch.setattr(actions, "LOOKS_PER_SLOT", 1_000)
    monkeypatch.setattr(actions, "BEHIND_LOOKS", 2)
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
    monkeypatch.setattr(actions, "LOOKS_PER_SLOT", 1_000)
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
        ended = await performed(told(scene, WithdrawSettings, validators=[first], exit="true"))
        assert (ended.code, ended.problem) == (exit_codes.DONE, "")
    ended = await performed(told(scene, WithdrawSettings, validators=[f"{second}=0.5eth"]))
    assert (ended.code, ended.problem) == (exit_codes.DONE, "")


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
        ended = await performed(told(scene, kind, **asked))
        assert (ended.code, ended.problem) == (exit_codes.DONE, "")
        assert looks >= 5


async def test_stopping_while_the_beacon_chain_is_looked_at(
    scene: Scene, beacon: BeaconChain, running_oracles: list[RunningOracle]
) -> None:
    """What is done is told of, not that nothing was sent."""
    first, *_ = await with_a_rest(scene)
    await beacon.follow()
    settings = told(scene, WithdrawSettings, validators=[first], exit="true")
    async with withdrawing(settings, tell_nobody) as task:
        stop = asyncio.Event()

        async def look(entry: Entry) -> Entry:
            stop.set()
            await asyncio.sleep(60)
            return entry

        work = executor.perform(dataclasses.replace(task, look=look), dry_run=False, yes=True, seconds=30)
        ended = await executor.unless_stopped(work, task.sender, stop)
    assert ended.code == exit_codes.SUBMITTED
    assert ended.entry is not None


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
    code, output = await command("withdraw", *flags)
    assert code == exit_codes.DONE, output
    assert json.loads(output)["action"]["kind"] == "withdraw"
    assert await withdrawals(scene) == [(first, GWEI // 10)]
