"""Registrations on contracts of our own, and each reason for which they refuse one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from eth_account import Account

from dvtfast.services.chain.contracts.reads import DEPOSIT_EVENT, decode_deposits
from dvtfast.services.chain.encoding import keccak256
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.demo.world.chain import RevertedError
from dvtfast.services.demo.world.deployed_contracts import ETH, World
from dvtfast.services.demo.world.oracles import OracleSet
from tests.services.demo.world.registrations import (
    APPROVAL,
    MANAGER_ADDRESS,
    Tree,
    Validators,
    approval,
    manager_signature,
    new_validators,
)

SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
OSAKA_GAS = 2**24  # EIP-7825: what one transaction may use
REGISTER = f"registerValidators({APPROVAL},bytes)"
REGISTER_DATA = f"registerValidators(address,{APPROVAL},uint256[],bool[],bytes32[])"
REGISTER_ONE = f"registerValidator(address,{APPROVAL},bytes32[])"


@contextmanager
def refused(name: str) -> Iterator[None]:
    """An error of the contracts by its name, without arguments."""
    with pytest.raises(RevertedError) as caught:
        yield
    assert caught.value.data == keccak256(f"{name}()".encode())[:4], caught.value


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


async def signed(
    world: World, oracles: OracleSet, validators: bytes, **options: Any
) -> tuple[tuple[Any, ...], bytes]:
    """Arguments of the vault's `registerValidators`."""
    params = await approval(world, validators, options.pop("secrets", oracles.secrets[:2]), **options)
    return params, manager_signature(world, params[0], validators)


@pytest.fixture
async def ready(world: World) -> World:
    await world.set_manager(MANAGER_ADDRESS)
    await world.stake(1000 * ETH)
    return world


async def test_what_the_keeper_checks(ready: World, oracle_set: OracleSet) -> None:
    joined = b"".join(new_validators(ready.vault.address, 2).items)
    first, stranger = oracle_set.secrets[0], bytes([7]) * 32

    async def attempt(name: str, **options: Any) -> None:
        with refused(name):
            await ready.vault.send(REGISTER, *await signed(ready, oracle_set, joined, **options))

    await attempt("DeadlineExpired", deadline=await ready.chain.timestamp() - 1)
    await attempt("NotEnoughSignatures", secrets=[first])
    await attempt("InvalidOracle", secrets=[first, stranger])
    params, manager = await signed(ready, oracle_set, joined)
    root, deadline, validators, signatures, cid = params

    async def send(*changed: Any) -> None:
        await ready.vault.send(REGISTER, changed, manager)

    with refused("InvalidOracle"):  # in the wrong order
        await send(root, deadline, validators, signatures[65:] + signatures[:65], cid)
    with refused("InvalidOracle"):  # one twice
        await send(root, deadline, validators, signatures[:65] * 2, cid)
    with refused("InvalidOracle"):  # over another hash
        await send(root, deadline, validators, signatures, cid[:-1] + "a")
    with refused("InvalidOracle"):  # over another deadline
        await send(root, deadline + 1, validators, signatures, cid)
    with refused("InvalidOracle"):  # with v as 0 or 1
        v0 = signatures[:64] + bytes([signatures[64] - 27])
        await send(root, deadline, validators, v0 + signatures[65:], cid)
    with refused("AccessDenied"):  # by nobody's vault
        await ready.keeper.send(f"approveValidators({APPROVAL})", params)
    await ready.foreign_deposits()
    with refused("InvalidValidatorsRegistryRoot"):
        await send(*params)


async def test_an_oracle_that_is_none_any_more(ready: World, oracle_set: OracleSet) -> None:
    joined = b"".join(new_validators(ready.vault.address, 1).items)
    arguments = await signed(ready, oracle_set, joined)
    await ready.keeper.send("removeOracle(address)", oracle_set.addresses[0])
    with refused("InvalidOracle"):
        await ready.vault.send(REGISTER, *arguments)
    await ready.vault.send(REGISTER, *await signed(ready, oracle_set, joined, secrets=oracle_set.secrets[1:]))


async def test_s_in_the_upper_half(ready: World, oracle_set: OracleSet) -> None:
    """The twin of a signature is none: OpenZeppelin's ECDSA."""
    joined = b"".join(new_validators(ready.vault.address, 1).items)
    params, manager = await signed(ready, oracle_set, joined)
    root, deadline, validators, signatures, cid = params
    s = SECP256K1_ORDER - int.from_bytes(signatures[32:64], "big")
    twin = signatures[:32] + s.to_bytes(32, "big") + bytes([27 + 28 - signatures[64]])
    with refused("InvalidOracle"):
        await ready.vault.send(REGISTER, (root, deadline, validators, twin + signatures[65:], cid), manager)


async def test_who_may_register(ready: World, oracle_set: OracleSet) -> None:
    joined = b"".join(new_validators(ready.vault.address, 1).items)
    params, manager = await signed(ready, oracle_set, joined)
    stranger = Account.from_key("0x" + "22" * 32)
    foreign = manager_signature(ready, params[0], joined, stranger)
    for wrong in (b"", foreign, manager_signature(ready, bytes(32), joined)):
        with refused("AccessDenied"):
            await ready.vault.send(REGISTER, params, wrong)
    own = (await ready.chain.accounts())[1]
    await ready.set_manager(own)
    with refused("AccessDenied"):
        await ready.vault.send(REGISTER, params, manager, sender=own)
    await ready.vault.send(REGISTER, params, b"", sender=own)


@pytest.mark.parametrize(("count", "kind"), [(23, 1), (22, 2)])
async def test_a_length_of_both_types(
    ready: World, node: NodeClient, oracle_set: OracleSet, count: int, kind: int
) -> None:
    validators = new_validators(ready.vault.address, count, kind)
    with refused("InvalidValidators"):
        await register(ready, oracle_set, validators)
    joined = b"".join(validators.items[1:])
    await ready.vault.send(REGISTER, *await signed(ready, oracle_set, joined))
    assert len((await deposits_of(ready, node)).indices) == count - 1


async def test_what_the_vault_checks(ready: World, oracle_set: OracleSet) -> None:
    address = ready.vault.address
    with refused("InsufficientAssets"):
        await register(ready, oracle_set, new_validators(address, 32))
    for amount in (31 * 10**9, 2049 * 10**9):
        with refused("InvalidAssets"):
            await register(ready, oracle_set, new_validators(address, 1, 2, amount))
    items = new_validators(address, 1).items
    with refused("AccessDenied"):
        await ready.vault.send(REGISTER, *await signed(ready, oracle_set, b""))
    with refused("InvalidValidators"):
        await ready.vault.send(REGISTER, *await signed(ready, oracle_set, items[0][:-1]))
    foreign = new_validators(bytes(20), 1)  # the root is of other withdrawal credentials
    with pytest.raises(RevertedError, match="reconstructed DepositData does not match"):
        await register(ready, oracle_set, foreign)


async def test_proofs(world: World, oracle_set: OracleSet) -> None:
    vault = world.vault.address
    validators = new_validators(vault, 6)
    tree = Tree(validators.items)
    await world.use_registry(tree.root)
    await world.stake(1000 * ETH)

    async def attempt(name: str, places: list[int], *changed: Any) -> None:
        joined = b"".join(validators.items[place] for place in places)
        params = await approval(world, joined, oracle_set.secrets[:2])
        with refused(name):
            await world.registry.send(REGISTER_DATA, vault, params, *changed)

    some = [0, 1, 2]
    order, flags, proof = tree.multiproof(some)
    indexes = [order.index(place) for place in some]
    # Two may be siblings, whose order does not matter; of three it does.
    await attempt("InvalidProof", some, [(at + 1) % 3 for at in indexes], flags, proof)
    await attempt("InvalidProof", [1, 2, 0], indexes, flags, proof)
    await attempt("InvalidProof", some, indexes, [not flag for flag in flags], proof)
    await attempt("InvalidProof", some, indexes, flags, proof[1:])
    await attempt("InvalidProof", some, indexes, flags, [*proof, bytes(32)])
    await attempt("InvalidProof", some, indexes, [], [])
    await attempt("InvalidValidators", some, [], flags, proof)
    await attempt("InvalidValidators", some, [0, 1, 2, 3], flags, proof)
    order, flags, proof = tree.multiproof([1, 2])  # 0 comes first
    await attempt("InvalidProof", [1, 2], [order.index(1), order.index(2)], flags, proof)
    params = await approval(world, validators.items[0], oracle_set.secrets[:2])
    with refused("InvalidProof"):
        await world.registry.send(REGISTER_ONE, vault, params, tree.proof(1))
    with refused("InvalidVault"):
        await world.registry.send(REGISTER_ONE, bytes(20), params, tree.proof(0))
    with refused("ValueNotChanged"):
        await world.registry.send("setDepositDataRoot(address,bytes32)", vault, tree.root)
    await world.registry.send(REGISTER_ONE, vault, params, tree.proof(0))
    await world.registry.send("setDepositDataRoot(address,bytes32)", vault, bytes([1]) * 32)
    assert await world.registry.call("depositDataIndexes(address)", ["uint256"], vault) == 0


async def test_a_large_batch(ready: World, node: NodeClient, oracle_set: OracleSet) -> None:
    await ready.stake(1000 * ETH)
    validators = new_validators(ready.vault.address, 50)
    block = await register(ready, oracle_set, validators)
    assert len((await deposits_of(ready, node)).indices) == 50
    gas = int((await ready.chain.rpc("eth_getBlockByNumber", hex(block), False))["gasUsed"], 16)
    assert gas < OSAKA_GAS
