"""What the operator believes of the present, when its nodes are not equally far."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dvtfast.networks import HOODI
from dvtfast.services.chain.contracts.reads import deposit_root
from dvtfast.services.chain.encoding import write_address
from dvtfast.services.chain.execution.node import NodeClient, NodeError, StaleNodeError
from dvtfast.services.chain.execution.policies import NodesDisagreeError, reached
from dvtfast.services.demo.world.deployed_contracts import World
from dvtfast.services.operator import chain as operator_chain
from dvtfast.services.operator.sending.action import Action, ActionKind
from tests.services.chain.anvil import CHAIN_ID
from tests.services.chain.servers import DEAD, node_behind, node_between
from tests.services.patience import ANSWER_SECONDS

QUICK = replace(HOODI, seconds_per_slot=0)


def chain_of(world: World, node: NodeClient) -> operator_chain.Chain:
    address = write_address(world.deposit_contract.address)
    return operator_chain.Chain(node, None, replace(QUICK, deposit_contract=address))


def client(*urls: str) -> NodeClient:
    return NodeClient(urls, timeout_seconds=ANSWER_SECONDS, chain_id=CHAIN_ID)


async def deposit(world: World) -> bytes:
    """Somebody's deposit; the hash of its transaction."""
    await world.foreign_deposits()
    block = await world.chain.rpc("eth_getBlockByNumber", "latest", False)
    return bytes.fromhex(block["transactions"][-1][2:])


async def test_a_fallback_that_is_behind_says_nothing_of_an_action(world: World) -> None:
    """Its registry root is of before a deposit, to which the action belongs."""
    at = await world.chain.height()
    await deposit(world)
    await world.chain.mine(3)
    async with node_behind(world.chain.url, at) as behind, client(world.chain.url) as node:
        head = await chain_of(world, node).head()
        root = await deposit_root(node, world.deposit_contract.address, block=head)
        action = Action(
            ActionKind.REGISTER, world.vault.address, world.vault.address, b"", registry_root=root,
            block_number=head.number,
        )  # fmt: skip
        async with client(DEAD, behind.url) as only, client(world.chain.url, behind.url) as both:
            assert await chain_of(world, both).why_stale(action) == ""
            with pytest.raises(StaleNodeError, match=f"expected block {head.number}, got blocks up to {at}"):
                await chain_of(world, only).why_stale(action)
            with pytest.raises(StaleNodeError):
                await chain_of(world, only).registry_root(at_least=head.number)
            with pytest.raises(NodesDisagreeError, match=f"{behind.url} says somebody deposited"):
                await chain_of(world, both).why_stale(replace(action, block_number=at))
            behind.at = None
            assert await chain_of(world, only).why_stale(action) == ""
            assert await chain_of(world, only).registry_root(at_least=head.number) == root
            await deposit(world)
            assert "somebody deposited" in await chain_of(world, both).why_stale(action)


async def test_a_head_that_others_have_to_reach(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node that knew it is away: others have some slots."""
    await world.chain.mine(5)
    height = await world.chain.height()
    async with node_behind(world.chain.url, height - 3) as behind, client(behind.url) as node:

        async def look(*arguments: Any, **named: Any) -> Any:
            try:
                return await reached(*arguments, **named)
            finally:
                behind.at = None  # after the first look

        monkeypatch.setattr(operator_chain, "reached", look)
        assert (await chain_of(world, node).head(at_least=height)).number == height


async def test_whose_deposits_a_transaction_made(world: World) -> None:
    """One node of three that leaves them out would end `run`; one that has no receipt says nothing."""
    transaction = await deposit(world)

    def lie(method: str, _: list[Any], result: Any) -> Any:
        return result | {"logs": []} if method == "eth_getTransactionReceipt" else result

    def lack(method: str, _: list[Any], result: Any) -> Any:
        return None if method == "eth_getTransactionReceipt" else result

    def tell(_method: str, _params: list[Any], result: Any) -> Any:
        return result

    async with (
        node_between(world.chain.url, lie) as (lying, _),
        node_between(world.chain.url, lack) as (lacking, _),
        node_between(world.chain.url, tell) as (telling, _),
        client(lying, telling, world.chain.url) as three,
        client(lying, world.chain.url) as two,
        client(lacking) as one,
    ):
        assert len(await chain_of(world, three).deposited_by(transaction)) == 1
        with pytest.raises(NodesDisagreeError):
            await chain_of(world, two).deposited_by(transaction)
        with pytest.raises(NodeError, match="no node has the receipt"):
            await chain_of(world, one).deposited_by(transaction)
