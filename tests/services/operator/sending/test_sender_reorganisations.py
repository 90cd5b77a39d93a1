"""What was concluded is followed until it is final: the sender on a chain that takes blocks back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dvtfast.services.chain.encoding import write_data
from dvtfast.services.operator.sending.action import Conclusion, JournalEntry, Outcome
from dvtfast.services.operator.sending.journal import RefusedError
from tests.services.chain.accounts import send_from
from tests.services.chain.anvil import CHAIN_ID
from tests.services.chain.servers import node_between
from tests.services.operator.sending.sending_accounts import (
    Desk,
    mining,
    outcome,
    performed,
    resumed,
)


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


async def deeply_reorganised(desk: Desk) -> JournalEntry:
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
