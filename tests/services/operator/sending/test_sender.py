"""Actions are done once, on a real node, whatever fails meanwhile.

The action is `use_nonce` of the test vault, which counts how often it was done.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from dvtfast import HOODI
from dvtfast.services.chain.encoding import write_data
from dvtfast.services.chain.execution import transactions
from dvtfast.services.operator.commands import exit_codes
from dvtfast.services.operator.commands.executor import Task, perform, timed
from dvtfast.services.operator.commands.results import CommandResult
from dvtfast.services.operator.managing.plan import ManagerPlan
from dvtfast.services.operator.sending import tracker
from dvtfast.services.operator.sending.action import Action, ActionKind, JournalEntry, Outcome
from dvtfast.services.operator.sending.estimator import NotSentError, WouldRevertError
from dvtfast.services.operator.sending.journal import RefusedError
from dvtfast.services.operator.sending.sender import Sender
from dvtfast.services.operator.sending.wallet import WalletError
from dvtfast.services.process.offload import UnavailableError
from tests.services.chain.accounts import address_of, send_from
from tests.services.chain.servers import DEAD
from tests.services.operator.sending.sending_accounts import (
    NOBODY,
    Desk,
    mining,
    never,
    outcome,
    performed,
    resumed,
)


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
                patch.setattr(tracker, "send_raw", killed)
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


def sent_and_killed(sender: Sender, killed: type[BaseException]) -> Callable[..., Awaitable[JournalEntry]]:
    send = sender._send

    async def work(*arguments: Any) -> JournalEntry:
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
        action = dataclasses.replace(desk.action(), kind=ActionKind.UPDATE_EXITS)
        ended = await timed(sender.begin(action), 0.5, task)
        assert ended.code == code
        assert await sender.open_entry() is None
    assert await desk.count() == int(code == exit_codes.DONE)


async def test_a_fault_of_ours_says_what_state_it_leaves(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code never claims that nothing was sent when something was."""

    async def broken(*_: object) -> Any:
        raise ZeroDivisionError

    async def proposed() -> Any:
        return ManagerPlan(desk.action(), HOODI, [], [])

    async def ended(sender: Sender, prepare: Any) -> CommandResult:
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
