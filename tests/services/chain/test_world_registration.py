"""Registrations on contracts of our own, and each reason for which they refuse one."""

from __future__ import annotations

from typing import Any

import pytest

from dvtfast.services.chain.contracts import DEPOSIT_EVENT, decode_deposits
from dvtfast.services.chain.encoding import keccak256
from dvtfast.services.chain.node import NodeClient
from dvtfast.services.demo.world.chain import RevertedError
from dvtfast.services.demo.world.deployed import ETH, World
from dvtfast.services.demo.world.oracles import OracleSet
from tests.services.chain.registrations import (
    APPROVAL,
    MANAGER_ADDRESS,
    Tree,
    Validators,
    approval,
    manager_signature,
    new_validators,
)

pytestmark = pytest.mark.timeout(60)

REGISTER = f"registerValidators({APPROVAL},bytes)"
REGISTER_DATA = f"registerValidators(address,{APPROVAL},uint256[],bool[],bytes32[])"
REGISTER_ONE = f"registerValidator(address,{APPROVAL},bytes32[])"


def refused(name: str) -> Any:
    """An error of the contracts by its name, without arguments."""

    def says(error: RevertedError) -> bool:
        return error.data == keccak256(f"{name}()".encode())[:4]

    return pytest.raises(RevertedError, check=says)


async def register(world: World, oracles: OracleSet, validators: Validators) -> int:
    joined = b"".join(validators.items)
    params = await approval(world, joined, oracles.secrets[:2])
    signature = manager_signature(world, params[0], joined)
    return await world.vault.send(REGISTER, params, signature)


async def deposits_of(world: World, node: NodeClient) -> Any:
    last = await node.block("latest")
    logs = await node.logs(world.deposit_contract.address, [DEPOSIT_EVENT], first=0, last=last)
    return decode_deposits(logs)


@pytest.mark.parametrize(("kind", "amount"), [(1, 32 * 10**9), (2, 64 * 10**9)])
async def test_the_manager_signed(
    world: World, node: NodeClient, oracle_set: OracleSet, kind: int, amount: int
) -> None:
    await world.set_manager(MANAGER_ADDRESS)
    await world.stake(1000 * ETH)
    validators = new_validators(world.vault.address, 3, kind, amount)
    await register(world, oracle_set, validators)
    deposits = await deposits_of(world, node)
    assert (deposits.public_keys == validators.deposits.public_keys).all()
    assert (deposits.signatures == validators.deposits.signatures).all()
    assert (deposits.withdrawal_credentials == validators.deposits.withdrawal_credentials).all()
    assert deposits.amounts_gwei.tolist() == [amount] * 3
    left = await world.vault.call("withdrawableAssets()", ["uint256"])
    assert left == 1000 * ETH - 3 * amount * 10**9


async def test_the_deposit_data_of_the_vault(world: World, node: NodeClient, oracle_set: OracleSet) -> None:
    validators = new_validators(world.vault.address, 7)
    tree = Tree(validators.items)
    await world.use_registry(tree.root)
    await world.stake(1000 * ETH)
    vault = world.vault.address
    params = await approval(world, validators.items[0], oracle_set.secrets[:2])
    await world.registry.send(REGISTER_ONE, vault, params, tree.proof(0))
    for places in (range(1, 4), range(4, 7)):
        order, flags, proof = tree.multiproof(places)
        joined = b"".join(validators.items[place] for place in places)
        params = await approval(world, joined, oracle_set.secrets[:2])
        indexes = [order.index(place) for place in places]
        await world.registry.send(REGISTER_DATA, vault, params, indexes, flags, proof)
    deposits = await deposits_of(world, node)
    assert (deposits.public_keys == validators.deposits.public_keys).all()
    assert await world.registry.call("depositDataIndexes(address)", ["uint256"], vault) == 7
