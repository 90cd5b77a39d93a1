"""Actions are done once, on a real node, whatever fails meanwhile.

The action is `use_nonce` of the test vault, which counts how often it was done.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from eth_account.signers.local import LocalAccount

from dvtfast import HOODI
from dvtfast.services.chain.calls import encode_call
from dvtfast.services.chain.contracts.reads import validators_manager_nonce
from dvtfast.services.chain.encoding import write_data
from dvtfast.services.chain.execution import transactions
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.chain.execution.transactions import Transaction
from dvtfast.services.demo.world import anvil
from dvtfast.services.demo.world.ports import free_port
from dvtfast.services.operator import chain as operator_chain
from dvtfast.services.operator.commands import exit_codes
from dvtfast.services.operator.commands.executor import Task, perform, timed
from dvtfast.services.operator.commands.results import Ended
from dvtfast.services.operator.managing.actions import Request
from dvtfast.services.operator.sending import sender as sending
from dvtfast.services.operator.sending.action import Action, Conclusion, Entry, Kind, Outcome
from dvtfast.services.operator.sending.journal import Journal, RefusedError
from dvtfast.services.operator.sending.sender import (
    NotSentError,
    Sender,
    SendingPolicy,
    TooPoorError,
    WouldRevertError,
)
from dvtfast.services.operator.sending.wallet import KeystoreWallet, WalletError
from dvtfast.services.process.offload import UnavailableError
from tests.services.chain.accounts import address_of, rich_account, send_from
from tests.services.chain.anvil import CHAIN_ID, Chain, Contract
from tests.services.chain.servers import DEAD, RpcError, node_behind, node_between
from tests.services.patience import PATIENCE_SECONDS

GWEI = 10**9
NOBODY: Any = None  # is asked
POLICY = SendingPolicy(
    max_fee_wei=100 * GWEI,
    max_priority_fee_wei=5 * GWEI,
    confirmations=2,
    poll_seconds=0.02,
    replace_seconds=600,
    resend_seconds=0.2,
)


class Desk:
    """One account with a journal, whose process may end at any time."""

    def __init__(self, chain: Chain, vault: Contract, account: LocalAccount, folder: Path) -> None:
        self.chain = chain
        self.vault = vault
        self.account = account
        self.path = folder / "operator.db"
        self.stale: str | None = ""  # as the chain says, if None
        self.told: list[str] = []

    def action(self, call: str = "use_nonce()", *keys: bytes) -> Action:
        return Action(
            Kind.REGISTER, self.vault.address, self.vault.address, encode_call(call), public_keys=keys
        )

    def why_stale(self, node: NodeClient) -> Callable[[Action], Awaitable[str]]:
        judged = operator_chain.Chain(node, None, HOODI)

        async def why(action: Action) -> str:
            return await judged.why_stale(action) if self.stale is None else self.stale

        return why

    def tell(self, what: str, done: int = 0, of: int = 0) -> None:
        self.told.append(f"{what} {done}/{of}")

    @asynccontextmanager
    async def process(
        self, *urls: str, wallet: Any = None, **policy: Any
    ) -> AsyncIterator[tuple[Sender, Journal]]:
        """What a process of the operator has, on the journal as it is."""
        async with (
            NodeClient(urls or [self.chain.url], timeout_seconds=2, chain_id=CHAIN_ID) as node,
            Journal(self.path) as journal,
        ):
            yield (
                Sender(
                    node,
                    wallet or KeystoreWallet(self.account, CHAIN_ID),
                    journal,
                    dataclasses.replace(POLICY, **policy),
                    chain_id=CHAIN_ID,
                    why_stale=self.why_stale(node),
                    told=self.tell,
                ),
                journal,
            )

    async def count(self) -> int:
        """How often it was done."""
        async with NodeClient([self.chain.url], timeout_seconds=2) as node:
            return await validators_manager_nonce(node, self.vault.address, block="latest")

    async def waiting(self) -> list[dict[str, Any]]:
        """The account's transactions in the node's pool."""
        pending = (await self.chain.rpc("txpool_content"))["pending"]
        ours = [of for address, of in pending.items() if address.lower() == self.account.address.lower()]
        return [transaction for of in ours for transaction in of.values()]

    async def until_waiting(self, fits: Callable[[dict[str, Any]], bool] = lambda _: True) -> None:
        await until(lambda: self._has(fits))

    async def _has(self, fits: Callable[[dict[str, Any]], bool]) -> bool:
        return any(fits(each) for each in await self.waiting())

    async def until_told(self, words: str) -> None:
        async def has() -> bool:
            return any(words in line for line in self.told)

        await until(has)


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await is_so():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)


@pytest.fixture
async def desk(chain: Chain, tmp_path: Path) -> Desk:
    await set_base_fee(chain, 10)
    return Desk(chain, await chain.deploy("vault"), await rich_account(chain), tmp_path)


@asynccontextmanager
async def mining(chain: Chain) -> AsyncIterator[None]:
    """A block every now and then."""

    async def mine() -> None:
        while True:
            await chain.mine()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(mine())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def performed(sender: Sender, action: Action) -> Entry:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await sender.perform(action)


async def resumed(sender: Sender) -> Entry | None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await sender.resume()


def outcome(entry: Entry | None) -> Outcome:
    assert entry is not None
    assert entry.conclusion is not None
    return entry.conclusion.outcome


async def test_an_action_is_done_and_its_cost_is_told(desk: Desk) -> None:
    before = int(await desk.chain.rpc("eth_getBalance", desk.account.address, "latest"), 16)
    async with desk.process() as (sender, journal), mining(desk.chain):
        estimate = await sender.estimate(desk.action())
        entry = await performed(sender, desk.action())
        assert outcome(entry) is Outcome.DONE
        assert [each.id for each in await journal.entries()] == [entry.id]
    after = int(await desk.chain.rpc("eth_getBalance", desk.account.address, "latest"), 16)
    assert await desk.count() == 1
    assert entry.conclusion is not None
    assert entry.conclusion.fee_wei == before - after
    assert 0 < entry.conclusion.fee_wei <= estimate.most_wei
    assert len(entry.transactions) == 1


async def test_one_after_the_other(desk: Desk) -> None:
    async with desk.process() as (sender, _), mining(desk.chain):
        entries = [await performed(sender, desk.action()) for _ in range(3)]
    assert [entry.nonce for entry in entries] == [0, 1, 2]
    assert await desk.count() == 3


async def test_what_would_revert_is_not_sent(desk: Desk) -> None:
    async with desk.process() as (sender, journal):
        with pytest.raises(WouldRevertError, match="never"):
            await performed(sender, desk.action("refuse()"))
        desk.stale = "the registry root is another"
        with pytest.raises(NotSentError, match="registry root"):
            await performed(sender, desk.action())
        assert await journal.entries() == []
    assert await desk.waiting() == []


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


async def set_base_fee(chain: Chain, gwei: int) -> None:
    await chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(gwei * GWEI))
    await chain.mine()


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


def as_it_is(_: str, __: list[Any], result: Any) -> Any:
    return result


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
                lambda least=before + 10: _is(looks() >= least)
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
        await until(lambda: _is(signed[-1].call.data == b""))
        assert tips[-1] < signed[-1].priority_fee_wei <= 2 * GWEI
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _is(truth: bool) -> bool:
    return truth


@pytest.mark.parametrize("point", ["begin", "sign", "add", "send", "mined"])
async def test_a_process_that_ends_anywhere(desk: Desk, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped there, and begun again on the same journal: it is done exactly once."""

    class Killed(BaseException):
        """As kill -9: nothing of ours runs after it."""

    def killed(*_: object, **__: object) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        async with desk.process() as (sender, journal):
            if point == "begin":
                patch.setattr(sender, "_signed", killed)
                patch.setattr(journal, "conclude", never)
            elif point == "sign":
                patch.setattr(journal, "add", killed)
                patch.setattr(journal, "conclude", never)
            elif point == "add":
                patch.setattr(sending, "send_raw", killed)
            elif point == "send":
                patch.setattr(sender, "_send", sent_and_killed(sender, Killed))
            else:
                patch.setattr(sender, "_mined", killed)
            with pytest.raises(Killed):
                async with mining(desk.chain):
                    await performed(sender, desk.action())
    async with desk.process() as (sender, _), mining(desk.chain):
        with pytest.raises(RefusedError, match="not concluded"):
            await performed(sender, desk.action())
        entry = await resumed(sender)
        assert outcome(entry) is (Outcome.UNSENT if point in ("begin", "sign") else Outcome.DONE)
        if outcome(entry) is Outcome.UNSENT:
            assert await desk.count() == 0
            assert outcome(await performed(sender, desk.action())) is Outcome.DONE
        assert await resumed(sender) is None
    assert await desk.count() == 1


async def never(*_: object, **__: object) -> Any:
    await asyncio.sleep(0)


def sent_and_killed(sender: Sender, killed: type[BaseException]) -> Callable[..., Awaitable[Entry]]:
    send = sender._send

    async def work(*arguments: Any) -> Entry:
        await send(*arguments)
        raise killed

    return work


@pytest.mark.parametrize(("call", "code"), [("_begin", exit_codes.NOT_READY), ("_add", exit_codes.DONE)])
async def test_time_runs_out_while_the_journal_is_written(
    desk: Desk, call: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on record by then is gone on with if it was signed, and concluded if not."""
    async with desk.process() as (sender, journal), mining(desk.chain):
        write = getattr(journal, call)

        def slowly(*arguments: Any) -> Any:
            time.sleep(1)
            return write(*arguments)

        monkeypatch.setattr(journal, call, slowly)
        task = Task(NOBODY, sender, NOBODY)
        action = dataclasses.replace(desk.action(), kind=Kind.UPDATE_EXITS)
        ended = await timed(sender.begin(action), 0.5, task)
        assert ended.code == code
        assert await sender.open_entry() is None
    assert await desk.count() == int(code == exit_codes.DONE)


async def test_a_fault_of_ours_says_what_state_it_leaves(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code never claims that nothing was sent when something was."""

    async def broken(*_: object) -> Any:
        raise ZeroDivisionError

    async def proposed() -> Any:
        return Request(desk.action(), HOODI, [], [])

    async def ended(sender: Sender, prepare: Any) -> Ended:
        return await perform(Task(NOBODY, sender, prepare), dry_run=False, yes=True, seconds=20)

    async with desk.process() as (sender, journal):
        before = await ended(sender, broken)
        assert before.code == exit_codes.FAILED
        assert before.problem == "ZeroDivisionError: see the log; nothing was sent"
        monkeypatch.setattr(sender, "_waiting", broken)
        after = await ended(sender, proposed)
        assert after.code == exit_codes.OPEN
        assert "goes on when the operator is started again" in after.problem

        async def full(*_: object, **__: object) -> Any:
            raise UnavailableError("journal: disk I/O error")

        monkeypatch.setattr(journal, "open_entry", full)
        unknown = await ended(sender, proposed)
        assert unknown.code == exit_codes.OPEN
        assert "nothing was sent" not in unknown.problem


async def test_it_is_cancelled_when_it_would_revert(desk: Desk) -> None:
    async with desk.process() as (sender, _):
        task = asyncio.create_task(performed(sender, desk.action()))
        await desk.until_waiting()
        desk.stale = "the registry root is another"
        await desk.until_waiting(lambda each: each["to"].lower() == desk.account.address.lower())
        async with mining(desk.chain):
            entry = await task
        desk.stale = ""
        assert outcome(entry) is Outcome.CANCELLED
        assert await desk.count() == 0
        async with mining(desk.chain):
            assert outcome(await performed(sender, desk.action())) is Outcome.DONE
    assert await desk.count() == 1


async def test_stale_after_a_restart(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was signed before may have been sent, so it is not forgotten but cancelled."""
    async with desk.process(DEAD, desk.chain.url) as (sender, _):
        task = asyncio.create_task(performed(sender, desk.action()))
        await desk.until_waiting()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await desk.chain.rpc("anvil_dropAllTransactions")
    desk.stale = "the deadline is over"
    async with desk.process() as (sender, _), mining(desk.chain):
        assert outcome(await resumed(sender)) is Outcome.CANCELLED
    assert await desk.count() == 0


async def test_a_revert_in_the_block(desk: Desk) -> None:
    """The state changed after the simulation; it is told apart from success, and what it cost."""
    async with desk.process() as (sender, _):
        task = asyncio.create_task(performed(sender, desk.action()))
        await desk.until_waiting()
        await desk.chain.rpc("anvil_setCode", write_data(desk.vault.address), "0x60006000fd")
        async with mining(desk.chain):
            entry = await task
    assert outcome(entry) is Outcome.REVERTED
    assert entry.conclusion is not None
    assert entry.conclusion.fee_wei > 0


async def test_a_reorganisation_takes_it_back(desk: Desk) -> None:
    async with desk.process(confirmations=6) as (sender, _):
        task = asyncio.create_task(performed(sender, desk.action()))
        await desk.until_waiting()
        await desk.chain.mine(3)
        await desk.until_told("confirmations 3/6")
        await desk.chain.reorg(3)
        assert await desk.count() == 0
        await desk.until_waiting()
        async with mining(desk.chain):
            entry = await task
    assert outcome(entry) is Outcome.DONE
    assert await desk.count() == 1


async def test_somebody_else_used_the_nonce(desk: Desk) -> None:
    async with desk.process() as (sender, _):
        task = asyncio.create_task(performed(sender, desk.action()))
        await desk.until_waiting()
        await desk.chain.rpc("anvil_dropAllTransactions")
        await send_from(desk.chain, desk.account, nonce=0, to=desk.vault.address[::-1])
        await desk.chain.mine()
        async with mining(desk.chain):
            entry = await task
        assert outcome(entry) is Outcome.SUPERSEDED
        assert await desk.count() == 0
        async with mining(desk.chain):
            assert (await performed(sender, desk.action())).nonce == 1
    assert await desk.count() == 1


async def test_transactions_before_it_lack(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when every node counted too many: it is told, and no higher fees are offered for nothing."""

    async def too_many(_: Action) -> int:
        return 2

    async with desk.process(replace_seconds=0.1) as (sender, _), mining(desk.chain):
        monkeypatch.setattr(sender, "_next_nonce", too_many)
        task = asyncio.create_task(performed(sender, desk.action()))
        await desk.until_told("transactions of the account before this one lack")
        await asyncio.sleep(0.5)
        for nonce in range(2):
            await send_from(desk.chain, desk.account, nonce=nonce, to=desk.vault.address[::-1])
        entry = await task
    assert outcome(entry) is Outcome.DONE
    assert len(entry.transactions) == 1


async def test_others_transactions_that_wait_are_told_of(desk: Desk) -> None:
    await send_from(desk.chain, desk.account, nonce=0, to=desk.vault.address[::-1])
    async with desk.process() as (sender, journal):
        with pytest.raises(transactions.NodesDisagreeError, match="not the operator's"):
            await performed(sender, desk.action())
        assert await journal.entries() == []


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


async def test_nothing_signed_is_nothing_begun(desk: Desk) -> None:
    class Refusing:
        address = address_of(desk.account)

        async def sign(self, _: object) -> bytes:
            raise WalletError("signer: no")

    async with desk.process(wallet=Refusing()) as (sender, journal):
        with pytest.raises(WalletError):
            await performed(sender, desk.action())
        (entry,) = await journal.entries()
        assert outcome(entry) is Outcome.UNSENT
    async with desk.process() as (sender, _), mining(desk.chain):
        assert outcome(await performed(sender, desk.action())) is Outcome.DONE


async def test_a_chain_that_is_behind_the_journal(desk: Desk) -> None:
    before = await desk.chain.rpc("evm_snapshot")
    async with desk.process() as (sender, _), mining(desk.chain):
        await performed(sender, desk.action())
    await desk.chain.rpc("evm_revert", before)
    async with desk.process() as (sender, _):
        with pytest.raises(transactions.NodesDisagreeError, match="they are behind"):
            await performed(sender, desk.action())


async def funding(desk: Desk, nonce: int) -> Action:
    """An action that is good while the vault has this nonce, made at the latest block."""
    return dataclasses.replace(
        desk.action(), kind=Kind.FUND, details={"nonce": nonce}, block_number=await desk.chain.height()
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
        await until(lambda: _is(len(desk.told) >= told + 5))
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


async def deeply_reorganised(desk: Desk) -> Entry:
    """An action that was concluded, and then taken back by a reorganisation that forgets it."""
    async with desk.process() as (sender, _), mining(desk.chain):
        entry = await performed(sender, desk.action())
    assert entry.conclusion is not None
    assert entry.conclusion.block_number is not None
    await desk.chain.mine(3)
    await desk.chain.reorg(await desk.chain.height() - entry.conclusion.block_number + 1)
    await desk.chain.rpc("anvil_dropAllTransactions")
    assert await desk.count() == 0
    return entry


async def test_a_reorganisation_deeper_than_the_confirmations(desk: Desk) -> None:
    """After a restart it is open again, and done once in the end, with the nonce that it had."""
    before = await deeply_reorganised(desk)
    async with desk.process() as (sender, journal), mining(desk.chain):
        entry = await resumed(sender)
        assert outcome(entry) is Outcome.DONE
        assert entry is not None
        assert (entry.id, entry.nonce, entry.transactions) == (before.id, 0, before.transactions)
        (reopening,) = entry.reopenings
        assert reopening.conclusion == before.conclusion
        assert "block" in reopening.why
        assert entry.conclusion is not None
        assert before.conclusion is not None
        assert entry.conclusion.block_hash != before.conclusion.block_hash
        assert await resumed(sender) is None
        assert (await performed(sender, desk.action())).nonce == 1
        assert len(await journal.entries()) == 2
    assert await desk.count() == 2


async def test_validators_of_what_was_taken_back(desk: Desk) -> None:
    """They are not registered twice while it is open again, and free when nothing came of it."""
    key = b"k" * 48
    register = desk.action("use_nonce()", key)
    async with desk.process() as (sender, journal), mining(desk.chain):
        entry = await performed(sender, register)
        assert await journal.taken([key]) == {key}
    assert entry.conclusion is not None
    await desk.chain.reorg(await desk.chain.height() - (entry.conclusion.block_number or 0) + 1)
    await desk.chain.rpc("anvil_dropAllTransactions")
    async with desk.process() as (sender, journal), mining(desk.chain):
        await sender.look_back()
        assert await journal.taken([key]) == {key}
        with pytest.raises(RefusedError, match="not concluded"):
            await performed(sender, register)
        desk.stale = "the registry root is another"
        assert outcome(await resumed(sender)) is Outcome.CANCELLED
        assert await journal.taken([key]) == set()
        desk.stale = ""
        assert (await performed(sender, register)).nonce == 1
    assert await desk.count() == 1


async def test_a_nonce_that_the_chain_took_back(desk: Desk) -> None:
    """Who begins without a look back is told what goes on first, and no nonce is left out."""
    await deeply_reorganised(desk)
    async with desk.process() as (sender, _), mining(desk.chain):
        with pytest.raises(RefusedError, match="taken back by a reorganisation"):
            await performed(sender, desk.action())
        assert outcome(await resumed(sender)) is Outcome.DONE
    assert await desk.count() == 1


async def test_what_was_before_it_is_taken_back_meanwhile(desk: Desk) -> None:
    """Two actions are gone: the concluded one goes on before the one that is followed."""
    async with desk.process() as (sender, journal):
        async with mining(desk.chain):
            first = await performed(sender, desk.action())
        task = asyncio.create_task(performed(sender, desk.action()))
        await desk.until_waiting()
        await desk.chain.mine()
        await desk.until_told("confirmations 1/2")
        assert first.conclusion is not None
        await desk.chain.reorg(await desk.chain.height() - (first.conclusion.block_number or 0) + 1)
        await desk.chain.rpc("anvil_dropAllTransactions")
        async with mining(desk.chain):
            second = await task
        assert outcome(second) is Outcome.DONE
        last, before = await journal.entries()
    assert (last.id, before.id) == (second.id, first.id)
    assert [(each.nonce, outcome(each)) for each in (before, last)] == [(0, Outcome.DONE), (1, Outcome.DONE)]
    assert len(before.reopenings) == 1
    assert await desk.count() == 2


async def test_it_is_followed_until_it_is_final(desk: Desk) -> None:
    async with desk.process() as (sender, journal):
        async with mining(desk.chain):
            entry = await performed(sender, desk.action())
        await sender.look_back()
        assert not (await journal.entries())[0].is_final
        await desk.chain.mine(80)
        await sender.look_back()
        (final,) = await journal.entries()
        assert final.is_final
        assert final.conclusion == entry.conclusion
        assert await journal.not_final(chain_id=CHAIN_ID, account=entry.account) == []
        with pytest.raises(RefusedError):
            await journal.reopen(final, "never")


async def test_it_is_in_another_block_now(desk: Desk) -> None:
    """A reorganisation that keeps it: it is concluded anew, and was sent once."""
    await desk.chain.mine(2)  # the reorganisation takes back a block before it, which is not the contract's
    async with desk.process() as (sender, _):
        async with mining(desk.chain):
            entry = await performed(sender, desk.action())
        assert entry.conclusion is not None
        depth = await desk.chain.height() - (entry.conclusion.block_number or 0) + 1
        await desk.chain.reorg(depth + 1, [[write_data(entry.transactions[0].raw), 1]])
        async with mining(desk.chain):
            again = await resumed(sender)
        assert outcome(again) is Outcome.DONE
        assert again is not None
        assert again.conclusion is not None
        assert again.conclusion.block_number == entry.conclusion.block_number
        assert again.conclusion.block_hash != entry.conclusion.block_hash
        assert again.transactions == entry.transactions
    assert await desk.count() == 1


async def test_one_node_alone_reopens_nothing(desk: Desk) -> None:
    """Of two nodes one has another block there."""
    async with desk.process() as (sender, _), mining(desk.chain):
        await performed(sender, desk.action())

    def change(method: str, _: list[Any], result: Any) -> Any:
        return result | {"hash": "0x" + "11" * 32} if method == "eth_getBlockByNumber" else result

    async with (
        node_between(desk.chain.url, change) as (url, _),
        desk.process(url, desk.chain.url) as (sender, journal),
    ):
        await sender.look_back()
        await desk.until_told("cannot be looked at again now")
        (entry,) = await journal.entries()
    assert outcome(entry) is Outcome.DONE
    assert entry.reopenings == ()


@pytest.mark.parametrize("is_used", [True, False])
async def test_superseded_as_the_first_journals_said_it(desk: Desk, is_used: bool) -> None:
    """No block was on record: it is final when the nonce is used up finally, and open when it is not."""
    async with desk.process() as (sender, journal):
        entry = await sender.begin(desk.action())
        await journal.conclude(entry, Conclusion(Outcome.SUPERSEDED))
        if is_used:
            await send_from(desk.chain, desk.account, nonce=0, to=desk.vault.address[::-1])
            await desk.chain.mine(2)
            await sender.look_back()
            assert not (await journal.entries())[0].is_final
        await desk.chain.mine(80)
        await sender.look_back()
        (now,) = await journal.entries()
        assert now.is_final is is_used
        assert (now.conclusion is None) is not is_used


async def test_superseded_until_its_receipt_is_there(desk: Desk) -> None:
    """Nodes that lack a receipt for long say nothing for ever: before it is final, it is looked for again."""

    def change(method: str, _: list[Any], result: Any) -> Any:
        return None if method == "eth_getTransactionReceipt" else result

    async with (
        node_between(desk.chain.url, change) as (url, _),
        desk.process(url) as (sender, _),
        mining(desk.chain),
    ):
        assert outcome(await performed(sender, desk.action())) is Outcome.SUPERSEDED
    await desk.chain.mine(80)
    async with desk.process() as (sender, _):
        assert outcome(await resumed(sender)) is Outcome.DONE
    assert await desk.count() == 1


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
        await until(lambda: _is(len(desk.told) >= told + 2 * sending.SUPERSEDED_LOOKS))
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

        monkeypatch.setattr(sender, "_why_stale", why_stale)
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
