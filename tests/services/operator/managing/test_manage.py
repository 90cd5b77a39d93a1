"""Top-ups, withdrawals and consolidations: real relayer, oracles, node and contracts."""

from __future__ import annotations

import pytest

from dvtfast.services.chain.contracts.reads import DEPOSIT_EVENT, decode_deposits
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.demo.world.deployed_contracts import ETH, REQUESTS_CODE, WITHDRAWALS
from dvtfast.services.demo.world.oracles import RunningOracle
from dvtfast.services.operator.commands import exit_codes
from dvtfast.services.settings import ConsolidateSettings, FundSettings, SettingsError, WithdrawSettings
from dvtfast.services.wire import PublicKey
from tests.services.operator.managing.beacon_chain import BeaconChain
from tests.services.operator.managing.manager_commands import (
    GWEI,
    compounding,
    consolidations,
    nonce_of,
    ordinary,
    performed,
    told,
    with_a_rest,
    withdrawals,
)
from tests.services.operator.scenes import Scene, done
from tests.services.patience import ANSWER_SECONDS

pytestmark = pytest.mark.usefixtures("beacon")


async def test_fund(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    first, second = await compounding(scene)
    amounts = [f"{second}=1.5eth", f"{first}=2000000000gwei"]
    done(await performed(told(scene, FundSettings, validators=amounts)))
    async with NodeClient([scene.world.chain.url], timeout_seconds=ANSWER_SECONDS) as node:
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
    entry = done(await performed(told(scene, FundSettings, validators=[f"{first}=45eth"])))
    assert entry.action.details["harvests"] is True
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
    done(ended)
    assert await withdrawals(scene) == [(first, 500_000_000), (third, 7)]
    assert ended.entry is not None
    assert ended.entry.conclusion is not None
    after = await scene.world.chain.balance(bytes.fromhex(scene.account.address[2:]))
    assert before - after == ended.entry.conclusion.fee_wei + 2  # 1 wei for each request, the rest came back
    done(await performed(told(scene, WithdrawSettings, validators=[second], exit="true")))
    assert await withdrawals(scene) == [(first, 500_000_000), (third, 7), (second, 0)]


async def test_consolidate(scene: Scene, running_oracles: list[RunningOracle]) -> None:
    """A validator that is to compound needs the oracles; a target that the vault knows does not."""
    first, second, third = await ordinary(scene)
    entry = done(await performed(told(scene, ConsolidateSettings, pairs=[f"{first}={first}"])))
    assert entry.action.details["approvals"] == 2
    file = scene.folder / "pairs.csv"
    file.write_text(f"source_public_key,target_public_key\n{second},{first}\n{third},{first}\n")
    entry = done(await performed(told(scene, ConsolidateSettings, pairs_file=str(file))))
    assert entry.action.details["approvals"] == 0
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
    entry = done(await performed(told(scene, WithdrawSettings, **asked, max_request_fee_gwei="0.000000255")))
    assert entry.action.value_wei == 255
