"""What is asked of validators by the vault's manager: commands without their process, what came of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import pytest
from eth_abi.abi import decode

from dvtfast.services.chain.encoding import keccak256
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.operator.commands import executor, exit_codes
from dvtfast.services.operator.commands.executor import Task
from dvtfast.services.operator.commands.manager_actions import consolidate_task, fund_task, withdraw_task
from dvtfast.services.operator.commands.results import CommandResult
from dvtfast.services.operator.progress import no_report
from dvtfast.services.settings import ConsolidateSettings, FundSettings, WithdrawSettings
from dvtfast.services.wire import PublicKey
from tests.services.operator.managing.beacon_chain import BeaconChain, beacon_beside
from tests.services.operator.scenes import Scene, registered
from tests.services.patience import ANSWER_SECONDS

GWEI = 10**9
Settings: TypeAlias = FundSettings | WithdrawSettings | ConsolidateSettings
OPENED: dict[type[Any], Callable[..., AbstractAsyncContextManager[Task]]] = {
    FundSettings: fund_task,
    WithdrawSettings: withdraw_task,
    ConsolidateSettings: consolidate_task,
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


async def performed(settings: Settings) -> CommandResult:
    """What the command does, without its process."""
    async with OPENED[type(settings)](settings, no_report) as task:
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
    async with NodeClient([scene.world.chain.url], timeout_seconds=ANSWER_SECONDS) as node:
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


def young(beacon: BeaconChain, key: str) -> None:
    beacon[key].activation_epoch = beacon.epoch - 200
