"""What a transaction offers for gas, and when it is replaced; the sender on a real node."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from dvtfast.services.chain.execution import transactions
from dvtfast.services.chain.execution.transactions import Transaction
from dvtfast.services.operator.sending.action import Outcome
from dvtfast.services.operator.sending.estimator import NotSentError, TooPoorError, WouldRevertError
from dvtfast.services.operator.sending.wallet import KeystoreWallet
from tests.services.chain.anvil import CHAIN_ID
from tests.services.chain.servers import RpcError, node_between
from tests.services.operator.sending.sending_accounts import (
    GWEI,
    POLICY,
    Desk,
    as_it_is,
    mining,
    outcome,
    performed,
    saying,
    set_base_fee,
    until,
)


async def test_an_account_that_cannot_pay(desk: Desk) -> None:
    await desk.chain.rpc("anvil_setBalance", desk.account.address, hex(10**12))
    async with desk.process() as (sender, journal):
        with pytest.raises(NotSentError, match=r"send it more|would refuse|nsufficient"):
            await performed(sender, desk.action())
        assert await journal.entries() == []


async def test_too_poor_is_said_with_both_amounts(desk: Desk) -> None:
    await desk.chain.rpc("anvil_setBalance", desk.account.address, hex(45_000 * 3 * GWEI // 2))
    async with desk.process() as (sender, _):
        with pytest.raises(TooPoorError, match=r"has 0\.0000.* may need 0\.000"):
            await performed(sender, desk.action())


async def test_one_node_says_that_the_account_has_nothing(desk: Desk) -> None:
    """Nobody is told to send it more."""

    def change(method: str, _: list[Any], result: Any) -> Any:
        return "0x0" if method == "eth_getBalance" else result

    async with (
        node_between(desk.chain.url, change) as (url, _),
        node_between(desk.chain.url, as_it_is) as (other, _),
        mining(desk.chain),
    ):
        async with desk.process(url, other) as (sender, _):
            with pytest.raises(transactions.NodesDisagreeError, match=f"has: {url} says 0"):
                await performed(sender, desk.action())
        async with desk.process(url, other, desk.chain.url) as (sender, _):
            assert outcome(await performed(sender, desk.action())) is Outcome.DONE


async def test_gas_that_is_too_dear_is_no_lack_of_ether(desk: Desk) -> None:
    """The account has enough for what is offered when gas costs less, and not for the cap."""
    await desk.chain.rpc("anvil_setBalance", desk.account.address, hex(60_000 * 50 * GWEI))
    await set_base_fee(desk.chain, 200)
    async with desk.process() as (sender, _):
        estimate = await sender.estimate(desk.action())
        assert estimate.offer.max_fee_wei == POLICY.max_fee_wei
        assert "gas costs more than --max-fee-gwei allows, with room for a replacement 0/0" in desk.told
        desk.told.clear()
        task = asyncio.create_task(performed(sender, desk.action()))
        await desk.until_told("gas costs more than --max-fee-gwei")
        await set_base_fee(desk.chain, 20)
        async with mining(desk.chain):
            assert outcome(await task) is Outcome.DONE


async def test_above_the_cap_it_waits_and_says_so(desk: Desk) -> None:
    await set_base_fee(desk.chain, 200)
    async with desk.process() as (sender, journal):
        task = asyncio.create_task(performed(sender, desk.action()))
        await desk.until_told("gas costs more than --max-fee-gwei")
        assert await journal.entries() == []
        await set_base_fee(desk.chain, 20)
        async with mining(desk.chain):
            entry = await task
    assert outcome(entry) is Outcome.DONE
    assert entry.transactions[0].max_fee_wei <= POLICY.max_fee_wei


async def test_a_stuck_transaction_is_replaced(desk: Desk) -> None:
    async with desk.process(replace_seconds=0.3) as (sender, _):
        await set_base_fee(desk.chain, 10)
        task = asyncio.create_task(performed(sender, desk.action()))
        await desk.until_waiting()
        (first,) = await desk.waiting()
        await set_base_fee(desk.chain, 40)  # no block takes the first one now
        await desk.until_waiting(lambda each: int(each["maxFeePerGas"], 16) > 40 * GWEI)
        (second,) = await desk.waiting()
        async with mining(desk.chain):
            entry = await task
    assert outcome(entry) is Outcome.DONE
    assert first["nonce"] == second["nonce"]
    assert len(entry.transactions) > 1
    assert await desk.count() == 1


async def test_the_only_node_claims_once_to_be_far_ahead(desk: Desk) -> None:
    """When it was signed: it is replaced nevertheless."""
    lies = False

    def change(method: str, params: list[Any], result: Any) -> Any:
        nonlocal lies
        if method == "eth_getTransactionCount" and params[1] == "pending":
            lies = True
        elif method == "eth_getBlockByNumber" and lies:
            lies = False
            return result | {"number": hex(10**9)}
        return result

    async with (
        node_between(desk.chain.url, change) as (url, _),
        desk.process(url, replace_seconds=0.1) as (sender, _),
    ):
        entry = await sender.begin(desk.action())
        assert entry.transactions[0].block_number == 10**9
        task = asyncio.create_task(sender.follow(entry))
        await desk.until_waiting()
        await set_base_fee(desk.chain, 40)  # no block takes the first one now
        await desk.until_waiting(lambda each: int(each["maxFeePerGas"], 16) > 40 * GWEI)
        async with mining(desk.chain):
            assert outcome(await task) is Outcome.DONE


async def test_no_replacement_above_the_cap(desk: Desk) -> None:
    async with desk.process(replace_seconds=0.1, max_fee_wei=30 * GWEI) as (sender, _):
        await set_base_fee(desk.chain, 25)
        task = asyncio.create_task(performed(sender, desk.action()))
        await desk.until_waiting()
        await set_base_fee(desk.chain, 60)
        await desk.until_told("no higher fee below --max-fee-gwei")
        assert await desk.count() == 0
        await set_base_fee(desk.chain, 8)
        async with mining(desk.chain):
            entry = await task
    assert outcome(entry) is Outcome.DONE
    (only,) = entry.transactions
    assert only.max_fee_wei * 9 // 8 < 30 * GWEI  # leaves room for what cancels it


async def test_a_node_that_wants_more(desk: Desk) -> None:
    """It gets more, block by block."""
    seen: list[str] = []

    def refuse(method: str, params: list[Any]) -> None:
        if method == "eth_sendRawTransaction":
            seen.append(params[0])
            if len(set(seen)) <= 2:
                raise RpcError({"code": -32000, "message": "replacement transaction underpriced"})

    async with (
        node_between(desk.chain.url, as_it_is, refuse) as (url, _),
        desk.process(url) as (sender, _),
        mining(desk.chain),
    ):
        entry = await performed(sender, desk.action())
    assert outcome(entry) is Outcome.DONE
    assert len(entry.transactions) == 3
    blocks = [each.block_number for each in entry.transactions]
    assert blocks == sorted(set(blocks))
    assert await desk.count() == 1


async def test_a_node_that_always_wants_more(desk: Desk) -> None:
    """One raise a block at most, up to the caps, with room for what cancels it; never another nonce."""
    signed: list[Transaction] = []

    class Watched(KeystoreWallet):
        async def sign(self, transaction: Transaction) -> bytes:
            signed.append(transaction)
            return await super().sign(transaction)

    def refuse(method: str, _: list[Any]) -> None:
        if method == "eth_sendRawTransaction":
            raise RpcError({"code": -32000, "message": "transaction underpriced"})

    def looks() -> int:
        return sum(method == "eth_getTransactionReceipt" for method, _ in calls)

    wallet = Watched(desk.account, CHAIN_ID)
    async with (
        node_between(desk.chain.url, as_it_is, refuse) as (url, calls),
        desk.process(url, wallet=wallet, max_priority_fee_wei=2 * GWEI) as (sender, _),
    ):
        task = asyncio.create_task(performed(sender, desk.action()))
        for blocks in range(1, 13):
            before = looks()
            await until(
                lambda least=before + 10: saying(looks() >= least)
            )  # as long as that block is the latest
            assert len(signed) <= blocks
            await desk.chain.mine()
        await desk.until_told("no higher fee below --max-fee-gwei and --max-priority-fee-gwei")
        tips = [each.priority_fee_wei for each in signed]
        assert len(tips) > 3
        assert tips == sorted(set(tips))
        assert tips[-1] * 9 // 8 < 2 * GWEI
        assert {each.nonce for each in signed} == {0}
        desk.stale = "the registry root is another"
        await until(lambda: saying(signed[-1].call.data == b""))
        assert tips[-1] < signed[-1].priority_fee_wei <= 2 * GWEI
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_larger_estimate_counts(desk: Desk) -> None:
    """A node that says too little would have it run out of gas in the block."""

    def change(method: str, _: list[Any], result: Any) -> Any:
        return "0x5208" if method == "eth_estimateGas" else result

    async with (
        node_between(desk.chain.url, change) as (url, _),
        desk.process(url, desk.chain.url) as (sender, _),
        mining(desk.chain),
    ):
        assert outcome(await performed(sender, desk.action())) is Outcome.DONE
    assert await desk.count() == 1


async def test_an_estimate_that_no_transaction_has(desk: Desk) -> None:
    """One node says so: it is named, and nobody is told to make the batch smaller."""

    def change(method: str, _: list[Any], result: Any) -> Any:
        return hex(transactions.GAS_LIMIT + 1) if method == "eth_estimateGas" else result

    async with node_between(desk.chain.url, change) as (url, _):
        async with desk.process(url, desk.chain.url) as (sender, journal):
            with pytest.raises(transactions.NodesDisagreeError, match=r"how much gas it takes: .*16777217"):
                await performed(sender, desk.action())
            assert await journal.entries() == []
        async with desk.process(url) as (sender, _):
            with pytest.raises(WouldRevertError, match="make the batch smaller"):
                await performed(sender, desk.action())


async def test_one_of_two_nodes_says_that_others_pay_more(desk: Desk) -> None:
    def change(method: str, _: list[Any], result: Any) -> Any:
        if method == "eth_feeHistory":
            blocks = len(result["gasUsedRatio"])
            return result | {"reward": [[hex(90 * GWEI)]] * blocks, "gasUsedRatio": [0.5] * blocks}
        return result

    async with (
        node_between(desk.chain.url, change) as (url, _),
        desk.process(url, desk.chain.url) as (sender, _),
        mining(desk.chain),
    ):
        (only,) = (await performed(sender, desk.action())).transactions
        assert only.priority_fee_wei < 2 * GWEI
    async with (
        node_between(desk.chain.url, change) as (url, _),
        desk.process(url) as (sender, _),
        mining(desk.chain),
    ):
        (only,) = (await performed(sender, desk.action())).transactions
        assert only.priority_fee_wei * 9 // 8 <= POLICY.max_priority_fee_wei
