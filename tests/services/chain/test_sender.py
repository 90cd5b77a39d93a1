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
from dvtfast.services.chain import transactions
from dvtfast.services.chain.calls import encode_call
from dvtfast.services.chain.contracts import validators_manager_nonce
from dvtfast.services.chain.encoding import write_data
from dvtfast.services.chain.node import NodeClient
from dvtfast.services.demo.world import anvil
from dvtfast.services.offload import UnavailableError
from dvtfast.services.operator import exit_codes
from dvtfast.services.operator.doing import Task, perform, timed
from dvtfast.services.operator.ending import Ended
from dvtfast.services.operator.managing import Request
from dvtfast.services.operator.sending import sender as sending
from dvtfast.services.operator.sending.action import Action, Entry, Kind, Outcome
from dvtfast.services.operator.sending.journal import Journal, RefusedError
from dvtfast.services.operator.sending.sender import (
    NotSentError,
    Sender,
    SendingPolicy,
    TooPoorError,
    WouldRevertError,
)
from dvtfast.services.operator.sending.wallet import KeystoreWallet, WalletError
from tests.services.chain.accounts import address_of, rich_account, send_from
from tests.services.chain.anvil import CHAIN_ID, Chain, Contract
from tests.services.chain.servers import DEAD, RpcError, node_between
from tests.services.rounds import free_port

GWEI = 10**9
NOBODY: Any = None  # is asked
POLICY = SendingPolicy(
    max_fee_wei=100 * GWEI, confirmations=2, poll_seconds=0.02, replace_seconds=600, resend_seconds=0.2
)


class Desk:
    """One account with a journal, whose process may end at any time."""

    def __init__(self, chain: Chain, vault: Contract, account: LocalAccount, folder: Path) -> None:
        self.chain = chain
        self.vault = vault
        self.account = account
        self.path = folder / "operator.db"
        self.stale = ""
        self.told: list[str] = []

    def action(self, call: str = "use_nonce()", *keys: bytes) -> Action:
        return Action(
            Kind.REGISTER, self.vault.address, self.vault.address, encode_call(call), public_keys=keys
        )

    async def why_stale(self, _: Action) -> str:
        return self.stale

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
                    why_stale=self.why_stale,
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
    async with asyncio.timeout(20):
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
    async with asyncio.timeout(20):
        return await sender.perform(action)


async def resumed(sender: Sender) -> Entry | None:
    async with asyncio.timeout(20):
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
    assert [each.max_fee_wei for each in entry.transactions] == [30 * GWEI]


async def test_a_node_that_wants_more(desk: Desk) -> None:
    refusals = 2

    def change(method: str, params: list[Any], result: Any) -> Any:
        nonlocal refusals
        if method == "eth_sendRawTransaction" and refusals:
            refusals -= 1
            raise RpcError({"code": -32000, "message": "replacement transaction underpriced"})
        return result

    async with (
        node_between(desk.chain.url, change) as (url, _),
        desk.process(url) as (sender, _),
        mining(desk.chain),
    ):
        entry = await performed(sender, desk.action())
    assert outcome(entry) is Outcome.DONE
    assert len(entry.transactions) == 3
    assert await desk.count() == 1


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
        ended = await timed(sender.begin(dataclasses.replace(desk.action(), kind=Kind.WITHDRAW)), 0.5, task)
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

    async def too_many() -> int:
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
            with pytest.raises(transactions.NodesDisagreeError, match="nodes count"):
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
