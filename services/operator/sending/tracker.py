"""Watches an action until nothing can change what came of it: sends it again, replaces it, concludes it.

Each look at the chain decides anew from what the journal and the nodes say, so it does not matter when
the process ended.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

from dvtfast.networks import network_with_chain_id

from ...chain import units
from ...chain.calls import ContractError
from ...chain.encoding import keccak256, write_data
from ...chain.execution.node import CallRevertedError, NodeError
from ...chain.execution.policies import NodesDisagreeError, block_of_quorum, quorum
from ...chain.execution.reverts import explain
from ...chain.execution.transactions import (
    GAS_LIMIT,
    Call,
    Transaction,
    is_in_block,
    send_raw,
    transaction_count,
)
from ...process import logs
from ...process.offload import UnavailableError
from .action import Action, Conclusion, JournalEntry, Outcome, SignedTransaction
from .estimator import Estimator, in_gwei
from .fees import Offer, higher_offer
from .finality import look_back
from .inclusion import AHEAD_BLOCKS, Inclusion, MinedTransaction, read_inclusion
from .wallet import WalletError

CANCEL_GAS: Final = 21_000  # of a transfer of nothing
SUPERSEDED_LOOKS: Final = 10  # behind one address there may be several nodes, of which one lacks receipts
SIGNER_REST_SECONDS: Final = 60.0  # before a signer that refused is asked again

log = logs.get("sending")


@dataclass
class ActionTracker(Estimator):
    """The actions of one account that were begun."""

    _sent_at: dict[bytes, float] = field(default_factory=dict, init=False)  # by hash: monotonic seconds
    _was_mined: bool = field(default=False, init=False)  # at the last look
    # Looks one after the other that found the nonce used up by none of ours.
    _superseded_looks: int = field(default=0, init=False)
    # Transactions of which no node takes what they offer.
    _underpriced: set[bytes] = field(default_factory=set, init=False)
    _signer_rests_until: float = field(default=0.0, init=False)  # monotonic seconds

    async def look_back(self) -> None:
        """Look again at what was concluded and is not final: what a reorganisation took back is open again.

        When nodes or the journal do not answer, that is told of, and done the next time.
        """
        try:
            await look_back(
                self.node,
                self.journal,
                chain_id=self.chain_id,
                account=self.wallet.address,
                max_age_seconds=self.policy.max_age_seconds,
            )
        except UnavailableError as error:
            self._say_waiting("what was concluded cannot be looked at again now", error=str(error))

    async def open_entry(self) -> JournalEntry | None:
        """The action that was begun and has no conclusion; the first one, if some were reopened."""
        return await self.journal.open_entry(chain_id=self.chain_id, account=self.wallet.address)

    async def follow(self, entry: JournalEntry) -> JournalEntry:
        """Watch an action, send it again and replace it as need be, until it is concluded."""
        self._forget_looks()
        while entry.conclusion is None:
            try:
                entry = await self._step(entry)
            except (UnavailableError, WalletError, CallRevertedError, ContractError) as error:
                self._say_waiting("action cannot be looked after now", error=str(error))
            if entry.conclusion is None:
                await asyncio.sleep(self.policy.poll_seconds)
        _tell(entry)
        return entry

    async def _go_on(self, entry: JournalEntry) -> JournalEntry:
        if not entry.transactions:
            log.info("action was begun, but nothing was signed for it", action=entry.id)
            return await self.journal.conclude(entry, Conclusion(Outcome.UNSENT))
        log.info("action goes on", action=entry.id, kind=entry.action.kind.value, nonce=entry.nonce)
        return await self.follow(entry)

    def _forget_looks(self) -> None:
        self._was_mined = False
        self._superseded_looks = 0

    async def _step(self, entry: JournalEntry) -> JournalEntry:
        inclusion = await read_inclusion(self.node, entry, max_age_seconds=self.policy.max_age_seconds)
        if (mined := inclusion.mined) is not None:
            return await self._mined(entry, mined, inclusion)
        if inclusion.count > entry.nonce:
            return await self._nonce_used(entry, inclusion)
        if inclusion.count < entry.nonce:
            return await self._before(entry, inclusion)
        return await self._waiting(entry, inclusion.head)

    async def _mined(
        self, entry: JournalEntry, mined: MinedTransaction, inclusion: Inclusion
    ) -> JournalEntry:
        """One of ours is in a block; conclude when that stays."""
        self._was_mined = True
        self._superseded_looks = 0
        transaction, receipt = mined.transaction, mined.receipt
        depth = inclusion.head - receipt.block_number + 1
        self.report("confirmations", max(depth, 0), self.policy.confirmations)
        if depth < self.policy.confirmations:
            return entry
        if not mined.is_certain:
            raise NodesDisagreeError(f"nodes disagree about the action's transactions: {inclusion.in_words}")
        if (await block_of_quorum(self.node, receipt.block_number)).hash != receipt.block_hash:
            raise NodeError(f"block {receipt.block_number} of the receipt is another one in the chain")
        if transaction.is_cancel:
            outcome = Outcome.CANCELLED
        else:
            outcome = Outcome.DONE if receipt.succeeded else Outcome.REVERTED
        return await self.journal.conclude(
            entry,
            Conclusion(
                outcome,
                transaction.hash,
                receipt.block_number,
                receipt.block_hash,
                receipt.gas_used,
                receipt.fee_wei,
            ),
        )

    async def _nonce_used(self, entry: JournalEntry, inclusion: Inclusion) -> JournalEntry:
        """The nonce is used up, but by none of ours as it seems; conclude when that is certain and stays."""
        settled = inclusion.head - self.policy.confirmations + 1
        is_used = settled >= 0
        if is_used:
            block = await block_of_quorum(self.node, settled)
            count = await quorum(
                self.node,
                "how many transactions the account has",
                lambda one: transaction_count(one, entry.account, block=settled),
            )
            is_used = count > entry.nonce and not await self._is_listed(inclusion, settled)
        self._superseded_looks = self._superseded_looks + 1 if is_used else 0
        if self._superseded_looks < SUPERSEDED_LOOKS:
            self._say_waiting("nonce is used up; waiting to be sure by what", nonce=entry.nonce)
            return entry
        return await self.journal.conclude(
            entry, Conclusion(Outcome.SUPERSEDED, block_number=settled, block_hash=block.hash)
        )

    async def _is_listed(self, inclusion: Inclusion, settled: int) -> bool:
        """Whether one of ours is in a block up to that one in which some say that it is.

        One node that has a receipt is enough to look there, but what more than half of them list counts.
        """
        claims = [claim for claim in inclusion.claims if claim[1] <= settled]
        return any([await self._lists(*claim) for claim in claims])

    async def _lists(self, transaction_hash: bytes, number: int) -> bool:
        what = f"the transactions of block {number}"
        return await quorum(self.node, what, lambda one: is_in_block(one, transaction_hash, number))

    async def _before(self, entry: JournalEntry, inclusion: Inclusion) -> JournalEntry:
        """Transactions of the account before this one lack: go on with those that were taken back first."""
        await self.look_back()
        before = await self.open_entry()
        if before is not None and before.nonce < entry.nonce:
            await self._go_on(before)
            self._forget_looks()
            return entry
        self._say_waiting(
            "transactions of the account before this one lack; no fee mends that",
            nonce=entry.nonce,
            in_the_chain=inclusion.count,
        )
        return await self._send_if_due(entry)

    async def _waiting(self, entry: JournalEntry, head: int) -> JournalEntry:
        """Nothing is mined yet: replace what is stale or stuck, send the rest again from time to time."""
        last = entry.transactions[-1]
        if not last.is_cancel and (why := await self._why_certainly_stale(entry.action)):
            return await self._replace(entry, head, why_cancel=why)
        if self._was_mined:
            log.warning("transaction is in the chain no more", action=entry.id)
            self._was_mined = False
            return await self._send(entry, last)
        if self._must_offer_more(last, head):
            return await self._replace(entry, head)
        self._say_waiting("transaction waits to be mined", hash=write_data(last.hash))
        return await self._send_if_due(entry)

    async def _why_certainly_stale(self, action: Action) -> str:
        """Why it would revert now, as all nodes say that have reached the block that it was made for."""
        try:
            return await self.why_stale(action)
        except NodesDisagreeError as error:
            self._say_waiting("action is not cancelled while nodes disagree", error=str(error))
            return ""

    def _must_offer_more(self, last: SignedTransaction, head: int) -> bool:
        """Whether it is stuck, and had its block: nothing that nodes say makes offers rise faster."""
        age_seconds = time.time() - last.at
        # Of a block far ahead the only node told once, and that it never comes holds nothing up.
        has_block = not head <= last.block_number <= head + AHEAD_BLOCKS
        if not has_block or age_seconds < self.policy.raise_seconds:
            return False
        is_stuck = last.hash in self._sent_at and age_seconds >= self.policy.replace_seconds
        return is_stuck or last.hash in self._underpriced

    async def _replace(self, entry: JournalEntry, head: int, *, why_cancel: str = "") -> JournalEntry:
        """Offer more for the same nonce, for the same action, or for none where that would revert."""
        if time.monotonic() < self._signer_rests_until:
            return await self._send_if_due(entry)
        fees, bounds = await self._fees(), self.policy.bounds
        call, gas = Call(entry.account, entry.account), CANCEL_GAS
        was_cancelled = entry.transactions[-1].is_cancel
        if not was_cancelled and not why_cancel:
            try:
                gas = min(await self._gas(entry.action), GAS_LIMIT)
                call = self._call(entry.action)
            except NodesDisagreeError as error:
                self._say_waiting("transaction stays as it is while nodes disagree", error=str(error))
                return await self._send_if_due(entry)
            except CallRevertedError as error:
                why_cancel = explain(error)
        if why_cancel and not await self._still_waits(entry):
            return entry  # it would revert because it is done
        cancel = was_cancelled or bool(why_cancel)
        offer = higher_offer(fees, entry.transactions, bounds, cancels=cancel)
        if offer is None:
            self._say_waiting(
                "no higher fee below --max-fee-gwei and --max-priority-fee-gwei; the transaction stays"
            )
            return await self._send_if_due(entry)
        if why_cancel:
            log.warning("action would revert now; it is cancelled", action=entry.id, why=why_cancel)
        transaction = await self._signed(entry, call, offer, gas=gas, head=head, is_cancel=cancel)
        return await self._send(await self.journal.add(entry, transaction), transaction)

    async def _still_waits(self, entry: JournalEntry) -> bool:
        """Whether none of its transactions came into a block since the last look."""
        inclusion = await read_inclusion(self.node, entry, max_age_seconds=self.policy.max_age_seconds)
        return inclusion.mined is None and inclusion.count <= entry.nonce

    async def _send_if_due(self, entry: JournalEntry) -> JournalEntry:
        """Send the last transaction for the first time in this process, or again after a while."""
        last = entry.transactions[-1]
        sent_at = self._sent_at.get(last.hash)
        if sent_at is None or time.monotonic() - sent_at >= self.policy.resend_seconds:
            return await self._send(entry, last)
        return entry

    async def _signed(
        self, entry: JournalEntry, call: Call, offer: Offer, *, gas: int, head: int, is_cancel: bool = False
    ) -> SignedTransaction:
        wanted = Transaction(
            entry.chain_id, entry.nonce, call, gas, offer.max_fee_wei, offer.priority_fee_wei
        )
        try:
            raw = await self.wallet.sign(wanted)
        except WalletError:
            self._signer_rests_until = time.monotonic() + SIGNER_REST_SECONDS
            raise
        return SignedTransaction(
            keccak256(raw), raw, offer.max_fee_wei, offer.priority_fee_wei, is_cancel, int(time.time()), head
        )

    async def _send(self, entry: JournalEntry, transaction: SignedTransaction) -> JournalEntry:
        """Give it to the nodes; what they say decides nothing but whether to offer more, a block later."""
        self._sent_at[transaction.hash] = time.monotonic()
        sent = await send_raw(self.node, transaction.raw)
        what = {"hash": write_data(transaction.hash), "nonce": entry.nonce, "cancel": transaction.is_cancel}
        if sent.taken:
            self._underpriced.discard(transaction.hash)
            log.info("transaction sent", max_fee_gwei=in_gwei(transaction.max_fee_wei), **what)
            self.report("sent")
            return entry
        log.warning("no node takes the transaction", problems="; ".join(sent.problems), **what)
        if sent.underpriced and not sent.nonce_used:
            self._underpriced.add(transaction.hash)
        return entry


def _tell(entry: JournalEntry) -> None:
    conclusion = entry.conclusion
    assert conclusion is not None
    say = log.info if conclusion.outcome is Outcome.DONE else log.warning
    say(
        "action concluded",
        action=entry.id,
        kind=entry.action.kind.value,
        outcome=conclusion.outcome.value,
        block=conclusion.block_number,
        gas=conclusion.gas_used,
        fee=units.gas(conclusion.fee_wei, network_with_chain_id(entry.chain_id)),
    )
