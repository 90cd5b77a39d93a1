"""What the beacon chain would pass over is not paid for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from dvtfast.services.demo.world.oracles import RunningOracle
from dvtfast.services.operator.commands import exit_codes
from dvtfast.services.settings import ConsolidateSettings, FundSettings, WithdrawSettings
from tests.services.operator.managing.beacon_chain import BeaconChain, Validator
from tests.services.operator.managing.manager_commands import (
    GWEI,
    Settings,
    nonce_of,
    performed,
    told,
    with_a_rest,
    young,
)
from tests.services.operator.scenes import Scene

pytestmark = pytest.mark.usefixtures("beacon")

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
