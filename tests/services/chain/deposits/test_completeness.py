"""Which number the next deposit has, from nodes that keep old states, or old logs, or neither."""

from __future__ import annotations

from typing import Any

import pytest

from dvtfast.services.chain.calls import ContractError
from dvtfast.services.chain.deposits import completeness
from dvtfast.services.chain.deposits.completeness import number_before, require_count
from dvtfast.services.chain.execution.node import NodeClient
from tests.services.chain.anvil import Chain, Contract
from tests.services.chain.deposits.deposit_events import signed
from tests.services.chain.servers import RpcError, nodes_between
from tests.services.patience import ANSWER_SECONDS


@pytest.fixture
async def contract(chain: Chain) -> Contract:
    """Three deposits, and blocks without any."""
    contract = await chain.deploy("deposit")
    for n in (1, 2, 3):
        each = signed(n)
        values = each.public_key, each.withdrawal_credentials, each.amount_gwei, each.signature
        await contract.send("deposit(bytes,bytes,uint256,bytes)", *values)
    await chain.mine(20)
    return contract


def without_states(method: str, _params: list[Any], value: Any) -> Any:
    if method == "eth_call":
        raise RpcError({"code": -32000, "message": "missing trie node"})
    return value


def without_states_and_logs(method: str, params: list[Any], value: Any) -> Any:
    return [] if method == "eth_getLogs" else without_states(method, params, value)


@pytest.mark.parametrize("change", [lambda _method, _params, value: value, without_states])
async def test_a_state_or_the_log_before(chain: Chain, contract: Contract, change: Any) -> None:
    height = await chain.height()
    async with (
        nodes_between(chain.url, change) as urls,
        NodeClient(urls, timeout_seconds=ANSWER_SECONDS) as node,
    ):
        born = height - 22
        found = [
            await number_before(node, contract.address, first, born=born)
            for first in (0, born, born + 1, born + 2, born + 3, height - 5)
        ]
    assert found == [0, 0, 1, 2, 3, 3]


async def test_neither(chain: Chain, contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    height = await chain.height()
    async with (
        nodes_between(chain.url, without_states_and_logs) as urls,
        NodeClient(urls, timeout_seconds=ANSWER_SECONDS) as node,
    ):
        # None at all since the contract's birth: the first one that is found must have number 0.
        assert await number_before(node, contract.address, height, born=0) == 0
        monkeypatch.setattr(completeness, "SEARCHED_BLOCKS", 10)
        with pytest.raises(ContractError, match="name one that keeps all logs of the deposit contract"):
            await number_before(node, contract.address, height, born=0)


async def test_the_contracts_count(chain: Chain, contract: Contract, node: NodeClient) -> None:
    height = await chain.height()
    await require_count(node, contract.address, 3, block=height)
    await require_count(node, contract.address, 3, block=await node.block(height))
    with pytest.raises(ContractError, match=f"expected 3 deposits up to block {height}, got 2"):
        await require_count(node, contract.address, 2, block=height)
