"""Whom to believe about the chain, when nodes say different things."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from dvtfast.services.chain.calls import ContractError
from dvtfast.services.chain.contracts.reads import validators_manager_nonce
from dvtfast.services.chain.execution.node import (
    Block,
    CallRevertedError,
    NodeClient,
    NodeError,
    StaleNodeError,
)
from dvtfast.services.chain.execution.policies import (
    NodesDisagreeError,
    agreed,
    all_at_least,
    block_of_quorum,
    majority,
    quorum,
    reached,
)
from tests.services.chain.anvil import CHAIN_ID, Chain
from tests.services.chain.servers import DEAD, RpcError, node_behind, node_between
from tests.services.patience import ANSWER_SECONDS

Change = Callable[[str, list[Any], Any], Any]


def longer(by: int) -> Change:
    """A node that claims a latest block so much higher than it is."""

    def change(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and params[0] in ("latest", "finalized"):
            return result | {"number": hex(int(result["number"], 16) + by), "hash": "0x" + "22" * 32}
        return result

    return change


def other_blocks(method: str, _: list[Any], result: Any) -> Any:
    """A node whose blocks are others."""
    return result | {"hash": "0x" + "11" * 32} if method == "eth_getBlockByNumber" else result


def honest(_: str, __: list[Any], result: Any) -> Any:
    return result


def dying(method: str, params: list[Any], result: Any) -> Any:
    if method == "eth_chainId":
        return result
    raise RpcError({"code": -32603, "message": "no"})


@asynccontextmanager
async def nodes(chain: Chain, *changes: Change | int) -> AsyncIterator[NodeClient]:
    """A client of as many nodes; a number is one that has fallen behind to that block."""
    async with AsyncExitStack() as stack:
        urls = []
        for change in changes:
            if isinstance(change, int):
                urls.append((await stack.enter_async_context(node_behind(chain.url, change))).url)
            else:
                urls.append((await stack.enter_async_context(node_between(chain.url, change)))[0])
        yield await stack.enter_async_context(
            NodeClient(urls, timeout_seconds=ANSWER_SECONDS, chain_id=CHAIN_ID)
        )


async def number(_: NodeClient, head: Block) -> int:
    return head.number


@pytest.mark.parametrize(("count", "wanted"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_more_than_half(count: int, wanted: int) -> None:
    assert majority(count) == wanted


@pytest.mark.parametrize(
    "changes",
    [
        [honest],
        [honest, longer(1000)],
        [longer(1000), honest],
        [longer(1000), honest, honest],
        [honest, honest, 3],
        [honest, dying],
        [honest, longer(3), longer(2000), honest, honest],
    ],
)
async def test_how_long_the_chain_is(chain: Chain, changes: Sequence[Change | int]) -> None:
    """One node alone makes it neither longer nor, among three, shorter."""
    await chain.mine(12)
    async with nodes(chain, *changes) as node:
        assert (await reached(node)).number == await chain.height()


async def test_of_two_the_lower_one(chain: Chain) -> None:
    await chain.mine(12)
    height = await chain.height()
    async with nodes(chain, honest, height - 3) as node:
        block = await reached(node)
        assert block.number == height - 3
        assert block == await node.block(height - 3)
        assert (await reached(node, at_least=height)).number == height
        with pytest.raises(StaleNodeError, match=f"got blocks up to {height}: behind"):
            await reached(node, at_least=height + 1)


async def test_the_clock_tells_who_is_stuck(chain: Chain) -> None:
    before = await chain.height()
    await chain.rpc("evm_increaseTime", 1000)
    await chain.mine(2)
    async with nodes(chain, honest, before) as node:
        assert (await reached(node, max_age_seconds=500)).number == before + 2
        (only,) = await all_at_least(node, 0, number, max_age_seconds=500)
        assert only.value == before + 2


async def test_other_blocks_of_one_node(chain: Chain) -> None:
    await chain.mine(12)
    height = await chain.height()
    async with nodes(chain, honest, other_blocks) as node:
        with pytest.raises(NodesDisagreeError, match=r"about block \d+: http://127.*says 0x11"):
            await reached(node)
        with pytest.raises(NodesDisagreeError, match=f"about block {height}"):
            await block_of_quorum(node, height)
    async with nodes(chain, other_blocks, honest, honest) as node:
        assert (await reached(node)).hash != b"\x11" * 32
        assert (await block_of_quorum(node, height)).number == height


async def test_honest_nodes_that_differ_in_the_latest_blocks(chain: Chain) -> None:
    """For a moment there is a fork: the block before it counts."""
    await chain.mine(12)
    height = await chain.height()

    def forked(method: str, _: list[Any], result: Any) -> Any:
        is_late = method == "eth_getBlockByNumber" and int(result["number"], 16) > height - 2
        return result | {"hash": "0x" + "33" * 32} if is_late else result

    async with nodes(chain, honest, forked) as node:
        assert (await reached(node)).number == height - 2


async def test_all_that_are_at_least_there(chain: Chain) -> None:
    await chain.mine(12)
    height = await chain.height()
    async with nodes(chain, height - 3, honest, honest) as node:
        assert [each.value for each in await all_at_least(node, height, number)] == [height] * 2
        said = await all_at_least(node, height - 3, number)
        assert sorted(each.value for each in said) == [height - 3, height, height]
        with pytest.raises(NodesDisagreeError, match=f"about the height: .*says {height - 3}"):
            agreed("the height", said)
    async with nodes(chain, height - 3) as node:
        with pytest.raises(StaleNodeError, match=f"expected block {height}, got blocks up to {height - 3}"):
            await all_at_least(node, height, number)


async def test_nobody_answers(chain: Chain) -> None:
    async with NodeClient([DEAD], timeout_seconds=ANSWER_SECONDS, chain_id=CHAIN_ID) as node:
        for ask in (reached(node), all_at_least(node, 0, number), quorum(node, "it", NodeClient.chain_id)):
            with pytest.raises(NodeError, match=r"127\.0\.0\.1:1"):
                await ask
    async with NodeClient([chain.url], timeout_seconds=ANSWER_SECONDS, chain_id=1) as node:
        for _ in range(2):
            with pytest.raises(NodeError, match="expected chain 1"):
                await reached(node)


async def test_a_node_that_fails_is_not_counted(chain: Chain) -> None:
    async with nodes(chain, honest, dying) as node:
        assert await quorum(node, "the chain", NodeClient.chain_id) == CHAIN_ID
        assert await quorum(node, "a block", lambda one: one.block(0)) == await node.block(0)


def refusing(method: str, _: list[Any], result: Any) -> Any:
    """A node of which every contract refuses."""
    if method == "eth_call":
        raise RpcError({"code": 3, "message": "execution reverted"})
    return result


def garbling(method: str, _: list[Any], result: Any) -> Any:
    """A node of which every contract answers with something else."""
    return "0x1234" if method == "eth_call" else result


@pytest.mark.parametrize("wrong", [refusing, garbling])
async def test_a_contract_that_refuses_one_node(chain: Chain, wrong: Change) -> None:
    """It is that node's word, as anything else is; what all say is the contract's."""
    vault = await chain.deploy("vault")

    async def nonce(one: NodeClient) -> int:
        return await validators_manager_nonce(one, vault.address, block="latest")

    async def at(one: NodeClient, _: Block) -> int:
        return await nonce(one)

    async with nodes(chain, wrong, honest, honest) as node:
        assert await quorum(node, "the nonce", nonce) == 0
        with pytest.raises(NodesDisagreeError, match=r"about a contract: http://.* says .*, others answer"):
            await all_at_least(node, 0, at)
    async with nodes(chain, wrong, honest) as node:
        with pytest.raises(NodesDisagreeError, match="about the nonce: http://127"):
            await quorum(node, "the nonce", nonce)
    async with nodes(chain, wrong, wrong, honest) as node:
        with pytest.raises((CallRevertedError, ContractError)):
            await quorum(node, "the nonce", nonce)
    async with nodes(chain, wrong, wrong) as node:
        for ask in (quorum(node, "the nonce", nonce), all_at_least(node, 0, at)):
            with pytest.raises((CallRevertedError, ContractError)):
                await ask
