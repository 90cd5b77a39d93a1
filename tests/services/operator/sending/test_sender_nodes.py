"""Nodes that lie, lag, or are away: the sender does each action once all the same, or says why not."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dvtfast.services.chain.execution import transactions
from dvtfast.services.demo.world import anvil
from dvtfast.services.demo.world.ports import free_port
from dvtfast.services.operator.sending import tracker
from dvtfast.services.operator.sending.action import Action, ActionKind, Outcome
from tests.services.chain.accounts import rich_account, send_from
from tests.services.chain.anvil import Chain
from tests.services.chain.servers import RpcError, node_behind, node_between
from tests.services.operator.sending.sending_accounts import (
    Desk,
    as_it_is,
    mining,
    outcome,
    performed,
    saying,
    set_base_fee,
    until,
)


@pytest.mark.parametrize("count", ["0x1", "0x498ad7c0a2c2d81f"])
async def test_the_only_node_counts_too_many_once(desk: Desk, count: str) -> None:
    """It contradicts itself; nothing is signed that waits for ever for transactions before it."""
    lies = 1

    def change(method: str, params: list[Any], result: Any) -> Any:
        nonlocal lies
        if method == "eth_getTransactionCount" and isinstance(params[1], dict) and lies:
            lies -= 1
            return count
        return result

    async with (
        node_between(desk.chain.url, change) as (url, _),
        desk.process(url) as (sender, _),
        mining(desk.chain),
    ):
        entry = await performed(sender, desk.action())
    assert lies == 0
    assert (entry.nonce, outcome(entry)) == (0, Outcome.DONE)


async def test_a_receipt_that_comes_late(desk: Desk) -> None:
    """Of several nodes behind one address one lacks it; who believed that would do the same once more."""
    hidden = 0

    def change(method: str, params: list[Any], result: Any) -> Any:
        nonlocal hidden
        if method == "eth_getTransactionReceipt" and result is not None and hidden < 6:
            hidden += 1
            return None
        return result

    async with (
        node_between(desk.chain.url, change) as (url, _),
        desk.process(url, confirmations=1) as (sender, _),
        mining(desk.chain),
    ):
        entry = await performed(sender, desk.action())
    assert outcome(entry) is Outcome.DONE
    assert hidden == 6


@pytest.mark.parametrize("lie", ["receipt", "no receipt", "count"])
async def test_one_node_lies(desk: Desk, lie: str) -> None:
    """One of two nodes says that it is done, or that it is not; nothing is concluded until it stops."""
    lying = True

    def change(method: str, params: list[Any], result: Any) -> Any:
        if not lying:
            return result
        if method == "eth_getTransactionReceipt" and lie == "receipt":
            return invented_receipt(params[0])
        if method == "eth_getTransactionReceipt" and lie == "no receipt":
            return None
        if method == "eth_getTransactionCount" and lie == "count" and params[1] != "pending":
            return "0x1"
        return result

    def invented_receipt(transaction_hash: str) -> dict[str, Any]:
        return {
            "transactionHash": transaction_hash, "blockNumber": "0x1", "blockHash": "0x" + "11" * 32,
            "status": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": "0x1", "logs": [],
        }  # fmt: skip

    async with (
        node_between(desk.chain.url, change) as (url, _),
        desk.process(url, desk.chain.url) as (sender, journal),
    ):
        if lie == "count":
            with pytest.raises(transactions.NodesDisagreeError, match="how many transactions"):
                await performed(sender, desk.action())
            assert await journal.entries() == []
            lying = False
        task = asyncio.create_task(performed(sender, desk.action()))
        if lie == "no receipt":
            await desk.until_waiting()
        async with mining(desk.chain):
            await asyncio.sleep(0.5)
            assert lie == "count" or not task.done()
            lying = False
            entry = await task
    assert outcome(entry) is Outcome.DONE
    assert await desk.count() == 1


async def test_answers_to_sending_that_never_come(desk: Desk) -> None:
    """The node has the transaction, its answer is lost: it is looked up, not sent as another one."""

    def change(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_sendRawTransaction":
            raise RpcError({"code": -32603, "message": "timeout"})
        return result

    async with (
        node_between(desk.chain.url, change) as (url, _),
        desk.process(url) as (sender, _),
        mining(desk.chain),
    ):
        entry = await performed(sender, desk.action())
    assert outcome(entry) is Outcome.DONE
    assert len(entry.transactions) == 1
    assert await desk.count() == 1


async def test_a_node_that_is_away_for_a_while(desk: Desk) -> None:
    is_away = False

    def change(method: str, params: list[Any], result: Any) -> Any:
        if is_away:
            raise RpcError({"code": -32603, "message": "starting"})
        return result

    async with node_between(desk.chain.url, change) as (url, _), desk.process(url) as (sender, _):
        task = asyncio.create_task(performed(sender, desk.action()))
        await desk.until_waiting()
        is_away = True
        await desk.until_told("cannot be looked after now")
        await desk.chain.mine(5)
        is_away = False
        assert outcome(await task) is Outcome.DONE
    assert await desk.count() == 1


async def test_the_node_is_started_again(bytecodes: Mapping[str, bytes], tmp_path: Path) -> None:
    """It has its chain, and has forgotten what waited."""
    port, state = free_port(), tmp_path / "state.json"
    async with aiohttp.ClientSession() as session, AsyncExitStack() as stack:
        with anvil.running(tmp_path, port=port, state=state) as url:
            chain = Chain(url, session, bytecodes)
            await set_base_fee(chain, 10)
            desk = Desk(chain, await chain.deploy("vault"), await rich_account(chain), tmp_path)
            sender, _ = await stack.enter_async_context(desk.process())
            task = asyncio.create_task(performed(sender, desk.action()))
            await desk.until_waiting()
        await desk.until_told("cannot be looked after now")
        with anvil.running(tmp_path, port=port, state=state):
            async with mining(chain):
                assert outcome(await task) is Outcome.DONE
            assert await desk.count() == 1


async def funding(desk: Desk, nonce: int) -> Action:
    """An action that is good while the vault has this nonce, made at the latest block."""
    return dataclasses.replace(
        desk.action(), kind=ActionKind.FUND, details={"nonce": nonce}, block_number=await desk.chain.height()
    )


async def test_a_fallback_that_is_behind_cancels_nothing(desk: Desk) -> None:
    """It knows the vault's nonce of before, and is asked alone when the other node is away."""
    desk.stale, is_away = None, False
    at = await desk.chain.height()
    await desk.vault.send("use_nonce()")
    await desk.chain.mine(2)

    def refuse(*_: object) -> None:
        if is_away:
            raise RpcError({"code": -32603, "message": "starting"})

    async with (
        node_between(desk.chain.url, as_it_is, refuse) as (first, _),
        node_behind(desk.chain.url, at) as second,
        desk.process(first, second.url) as (sender, _),
    ):
        task = asyncio.create_task(performed(sender, await funding(desk, 1)))
        await desk.until_waiting()
        is_away = True
        await desk.until_told("cannot be looked after now")
        told = len(desk.told)
        await until(lambda: saying(len(desk.told) >= told + 5))
        second.at, is_away = None, False
        async with mining(desk.chain):
            entry = await task
    assert outcome(entry) is Outcome.DONE
    assert len(entry.transactions) == 1


async def test_one_of_two_nodes_says_that_it_would_revert(desk: Desk) -> None:
    """Neither is it signed while they disagree, nor cancelled when it was."""
    desk.stale, lies = None, True

    def change(method: str, params: list[Any], result: Any) -> Any:
        return "0x" + "07" * 32 if method == "eth_call" and lies and "from" not in params[0] else result

    async with (
        node_between(desk.chain.url, change) as (url, _),
        desk.process(desk.chain.url, url) as (sender, journal),
    ):
        action = await funding(desk, 0)
        with pytest.raises(transactions.NodesDisagreeError, match="would revert now") as caught:
            await performed(sender, action)
        assert url in str(caught.value)
        assert await journal.entries() == []
        lies = False
        task = asyncio.create_task(performed(sender, action))
        await desk.until_waiting()
        lies = True
        await desk.until_told("not cancelled while nodes disagree")
        lies = False
        async with mining(desk.chain):
            entry = await task
    assert outcome(entry) is Outcome.DONE
    assert len(entry.transactions) == 1


async def test_one_of_two_simulations_reverts(desk: Desk) -> None:
    def change(method: str, _: list[Any], result: Any) -> Any:
        if method == "eth_estimateGas":
            raise RpcError({"code": 3, "message": "execution reverted"})
        return result

    async with (
        node_between(desk.chain.url, change) as (url, _),
        desk.process(url, desk.chain.url) as (sender, journal),
    ):
        with pytest.raises(transactions.NodesDisagreeError, match="whether the contract takes it"):
            await performed(sender, desk.action())
        assert await journal.entries() == []


def inventing(block: int, is_lying: Callable[[], bool]) -> Callable[[str, list[Any], Any], Any]:
    """A node that says of every transaction that it is in that block, and is higher itself."""

    def change(method: str, params: list[Any], result: Any) -> Any:
        if not is_lying():
            return result
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            return result | {"number": hex(block + 100)}
        if method != "eth_getTransactionReceipt":
            return result
        return {
            "transactionHash": params[0], "blockNumber": hex(block), "blockHash": "0x" + "11" * 32,
            "status": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": "0x1", "logs": [],
        }  # fmt: skip

    return change


@pytest.mark.parametrize("block", [1, 100_000])
@pytest.mark.parametrize("honest", [1, 2])
async def test_a_node_that_invents_a_receipt(desk: Desk, block: int, honest: int) -> None:
    """Among two honest nodes it stops nothing; beside one nothing is concluded until it stops."""
    is_lying = True
    async with (
        node_between(desk.chain.url, inventing(block, lambda: is_lying)) as (url, _),
        node_between(desk.chain.url, as_it_is) as (other, _),
        desk.process(*[url, other, desk.chain.url][: honest + 1]) as (sender, _),
        mining(desk.chain),
    ):
        task = asyncio.create_task(performed(sender, desk.action()))
        if honest == 1:
            await desk.until_told("cannot be looked after now")
            assert not task.done()
            is_lying = False
        entry = await task
    assert outcome(entry) is Outcome.DONE
    assert entry.conclusion is not None
    assert entry.conclusion.block_hash != b"\x11" * 32
    assert len(entry.transactions) == 1
    assert await desk.count() == 1


def claiming(block: dict[str, Any]) -> Callable[[str, list[Any], Any], Any]:
    """A node that has a receipt of everything, in that block of the chain."""

    def change(method: str, params: list[Any], result: Any) -> Any:
        if method != "eth_getTransactionReceipt":
            return result
        return {
            "transactionHash": params[0], "blockNumber": block["number"], "blockHash": block["hash"],
            "status": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": "0x1", "logs": [],
        }  # fmt: skip

    return change


async def test_one_of_three_claims_that_it_is_done(desk: Desk) -> None:
    """Somebody else used up the nonce: its receipt is in a block that does not list the transaction."""
    block = await desk.chain.rpc("eth_getBlockByNumber", "0x1", False)
    async with (
        node_between(desk.chain.url, claiming(block)) as (url, _),
        node_between(desk.chain.url, as_it_is) as (other, _),
        desk.process(url, other, desk.chain.url) as (sender, _),
    ):
        task = asyncio.create_task(performed(sender, desk.action()))
        await desk.until_waiting()
        await desk.chain.rpc("anvil_dropAllTransactions")
        await send_from(desk.chain, desk.account, nonce=0, to=desk.vault.address[::-1])
        async with mining(desk.chain):
            assert outcome(await task) is Outcome.SUPERSEDED
    assert await desk.count() == 0


async def test_two_of_three_have_no_receipts_for_long(desk: Desk) -> None:
    """The block lists it: it is not taken for somebody else's."""
    hidden = True

    def change(method: str, _: list[Any], result: Any) -> Any:
        return None if method == "eth_getTransactionReceipt" and hidden else result

    async with (
        node_between(desk.chain.url, change) as (url, _),
        node_between(desk.chain.url, change) as (other, _),
        desk.process(url, other, desk.chain.url) as (sender, _),
        mining(desk.chain),
    ):
        task = asyncio.create_task(performed(sender, desk.action()))
        await desk.until_told("nonce is used up")
        told = len(desk.told)
        await until(lambda: saying(len(desk.told) >= told + 2 * tracker.SUPERSEDED_LOOKS))
        assert not task.done()
        hidden = False
        assert outcome(await task) is Outcome.DONE
    assert await desk.count() == 1


@pytest.mark.parametrize("says", ["0x1234", "it reverts"])
async def test_one_of_three_refuses_what_a_contract_is_asked(desk: Desk, says: str) -> None:
    """What was signed is sent and followed nevertheless."""
    desk.stale, lies = None, False

    def change(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_call" and lies and "from" not in params[0]:
            if says == "it reverts":
                raise RpcError({"code": 3, "message": "execution reverted"})
            return says
        return result

    async with (
        node_between(desk.chain.url, change) as (url, _),
        node_between(desk.chain.url, as_it_is) as (other, _),
        desk.process(url, other, desk.chain.url) as (sender, _),
    ):
        entry = await sender.begin(await funding(desk, 0))
        lies = True
        task = asyncio.create_task(sender.follow(entry))
        await desk.until_told("not cancelled while nodes disagree")
        async with mining(desk.chain):
            assert outcome(await task) is Outcome.DONE
    assert await desk.count() == 1


async def test_the_only_node_answers_with_something_else(desk: Desk) -> None:
    """Nothing ends while it does."""
    desk.stale, lies = None, False

    def change(method: str, params: list[Any], result: Any) -> Any:
        return "0x1234" if method == "eth_call" and lies and "from" not in params[0] else result

    async with node_between(desk.chain.url, change) as (url, _), desk.process(url) as (sender, _):
        entry = await sender.begin(await funding(desk, 0))
        lies = True
        task = asyncio.create_task(sender.follow(entry))
        await desk.until_told("cannot be looked after now")
        lies = False
        async with mining(desk.chain):
            assert outcome(await task) is Outcome.DONE


async def test_it_would_revert_because_it_is_done(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block came between two questions of one look: nothing is signed that cancels it."""
    async with desk.process() as (sender, _):
        entry = await sender.begin(desk.action())

        async def why_stale(_: Action) -> str:
            if not await desk.waiting():
                return ""
            await desk.chain.mine()
            return "somebody deposited: the registry root is another"

        monkeypatch.setattr(sender, "why_stale", why_stale)
        task = asyncio.create_task(sender.follow(entry))
        await desk.until_told("confirmations 1/2")
        async with mining(desk.chain):
            entry = await task
    assert outcome(entry) is Outcome.DONE
    assert len(entry.transactions) == 1


async def test_nodes_that_disagree_about_one_action_put_off_no_other(desk: Desk) -> None:
    async with desk.process() as (sender, _), mining(desk.chain):
        await performed(sender, desk.action())
        last = await performed(sender, desk.action())
    assert last.conclusion is not None
    number = last.conclusion.block_number
    await desk.chain.mine(80)

    def change(method: str, params: list[Any], result: Any) -> Any:
        is_it = method == "eth_getBlockByNumber" and params[0] == hex(number or 0)
        return result | {"hash": "0x" + "11" * 32} if is_it else result

    async with (
        node_between(desk.chain.url, change) as (url, _),
        desk.process(url, desk.chain.url) as (sender, journal),
    ):
        await sender.look_back()
        await desk.until_told("cannot be looked at again now")
        assert [each.is_final for each in await journal.entries()] == [False, True]
