"""Signs an action, sends it, and watches it until nothing can change what came of it.

All transactions of an action have one nonce, so at most one of them is ever mined: that is what makes
sure that nothing is done twice. An action is concluded only when its nonce is used up, `confirmations`
blocks deep; until then another one with the same account does not begin, after a restart either.

Each look at the chain decides anew from what the journal and the nodes say, so it does not matter when
the process ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from dvtfast.networks import network_with_chain_id

from ... import logs, units
from ...chain.encoding import keccak256, write_address, write_data
from ...chain.node import CallRevertedError, NodeClient, NodeError
from ...chain.reverts import explain
from ...chain.transactions import (
    GAS_LIMIT,
    Call,
    NodesDisagreeError,
    Receipt,
    Transaction,
    balance_wei,
    current_fees,
    estimate_gas,
    find_receipt,
    next_nonce,
    send_raw,
    transaction_count,
)
from ...offload import UnavailableError
from ...units import WEI_PER_GWEI
from ..telling import Told, tell_nobody
from .action import Action, Conclusion, Entry, Outcome, SignedTransaction
from .fees import Offer, first_offer, higher_offer
from .journal import Journal
from .wallet import Wallet, WalletError

GAS_MARGIN_PERCENT: Final = 20  # the state may be another when the transaction is mined
CANCEL_GAS: Final = 21_000  # of a transfer of nothing
SUPERSEDED_LOOKS: Final = 5  # behind one address there may be several nodes, of which one lacks receipts
TOLD_EVERY_SECONDS: Final = 60.0  # of one and the same thing that is waited for

log = logs.get("sending")

WhyStale = Callable[[Action], Awaitable[str]]


class NotSentError(Exception):
    """An action did not begin: nothing was signed, nothing was sent."""


class StaleActionError(NotSentError):
    """What it was made for is not so any more; another one has to be made."""


class WouldRevertError(NotSentError):
    """The contract would refuse it."""


class TooPoorError(NotSentError):
    """The account cannot pay for it."""


@dataclass(frozen=True)
class SendingPolicy:
    """How actions are sent.

    Attributes:
        max_fee_wei: the most that is offered for a unit of gas; above it, what is not sent yet waits.
        confirmations: blocks from the one that has the transaction, with that one, until it counts.
        poll_seconds: between two looks.
        replace_seconds: how long a transaction may wait before it is replaced with higher fees.
        resend_seconds: how long before it is given to the nodes once more.
    """

    max_fee_wei: int
    confirmations: int
    poll_seconds: float
    replace_seconds: float
    resend_seconds: float = 60.0


@dataclass(frozen=True)
class Estimate:
    """What an action costs at most, if it is sent now."""

    gas: int
    offer: Offer

    @property
    def most_wei(self) -> int:
        """For gas."""
        return self.gas * self.offer.max_fee_wei


class Sender:
    """Does actions with one account, one after the other.

    Args:
        why_stale: why an action is certain to revert by now, or "".
        told: called with what happens.
    """

    def __init__(
        self,
        node: NodeClient,
        wallet: Wallet,
        journal: Journal,
        policy: SendingPolicy,
        *,
        chain_id: int,
        why_stale: WhyStale,
        told: Told = tell_nobody,
    ) -> None:
        self._node = node
        self._wallet = wallet
        self._journal = journal
        self._policy = policy
        self._chain_id = chain_id
        self._why_stale = why_stale
        self._told = told
        self._said: dict[str, float] = {}  # what is waited for, and when it was told of
        self._sent_at: dict[bytes, float] = {}  # transaction hash: monotonic seconds of this process
        self._was_mined = False  # at the last look
        self._superseded_looks = 0  # one after the other, that found the nonce used up by none of ours

    async def open_entry(self) -> Entry | None:
        """The action that was begun and has no conclusion, if there is one."""
        return await self._journal.open_entry(chain_id=self._chain_id, account=self._wallet.address)

    async def estimate(self, action: Action) -> Estimate:
        """Whether an action would succeed now, and what it would cost; nothing is signed.

        While gas costs more than the cap, the estimate is at the cap.

        Raises:
            WouldRevertError, TooPoorError: it would not.
            NodeError: no node answers.
        """
        estimate, _ = await self._estimate(action)
        return estimate

    async def until_affordable(self) -> None:
        """Wait while gas costs more than the cap."""
        while first_offer(await current_fees(self._node), cap_wei=self._policy.max_fee_wei) is None:
            self._say_waiting("gas costs more than --max-fee-gwei", cap_gwei=_gwei(self._policy.max_fee_wei))
            await asyncio.sleep(self._policy.poll_seconds)

    async def begin(self, action: Action) -> Entry:
        """Put an action on record, and sign it; `follow` sends it.

        While gas costs more than the cap nothing is signed.

        Raises:
            NotSentError: it did not begin.
            RefusedError: another action is open, or has one of the validators.
            WalletError: it was not signed.
            UnavailableError: nodes, or the journal, do not answer; it did not begin.
        """
        while True:
            if why := await self._why_stale(action):
                raise StaleActionError(why)
            estimate, is_affordable = await self._estimate(action)
            if is_affordable:
                break
            await self.until_affordable()
        nonce = await self._next_nonce()
        entry = await self._journal.begin(
            action, chain_id=self._chain_id, account=self._wallet.address, nonce=nonce
        )
        try:
            transaction = await self._signed(entry, self._call(action), estimate.offer, gas=estimate.gas)
        except BaseException:
            await asyncio.shield(self._journal.conclude(entry, Conclusion(Outcome.UNSENT)))
            raise
        return await self._journal.add(entry, transaction)

    async def perform(self, action: Action) -> Entry:
        """Begin an action and follow it to its end; cancelling leaves it as it is, for `resume`."""
        return await self.follow(await self.begin(action))

    async def resume(self) -> Entry | None:
        """Go on with the action that was begun and not concluded; None when there is none."""
        entry = await self.open_entry()
        if entry is None:
            return None
        if not entry.transactions:
            log.info("action was begun, but nothing was signed for it", action=entry.id)
            return await self._journal.conclude(entry, Conclusion(Outcome.UNSENT))
        log.info("action goes on", action=entry.id, kind=entry.action.kind.value, nonce=entry.nonce)
        return await self.follow(entry)

    async def follow(self, entry: Entry) -> Entry:
        """Watch an action, send it again and replace it as need be, until it is concluded."""
        self._was_mined = False
        self._superseded_looks = 0
        while entry.conclusion is None:
            try:
                entry = await self._step(entry)
            except (UnavailableError, WalletError, CallRevertedError) as error:
                self._say_waiting("action cannot be looked after now", error=str(error))
            if entry.conclusion is None:
                await asyncio.sleep(self._policy.poll_seconds)
        _tell(entry)
        return entry

    async def _step(self, entry: Entry) -> Entry:
        head = await self._node.block("latest")
        for transaction in entry.transactions:
            receipt, is_certain = await find_receipt(self._node, transaction.hash)
            if receipt is not None:
                return await self._mined(entry, transaction, receipt, is_certain, head.number)
        count = await transaction_count(self._node, entry.account, block="latest")
        if count > entry.nonce:
            return await self._nonce_used(entry, head.number)
        if count < entry.nonce:
            self._say_waiting(
                "transactions of the account before this one lack; no fee mends that",
                nonce=entry.nonce,
                in_the_chain=count,
            )
            return await self._send_if_due(entry)
        return await self._waiting(entry)

    async def _mined(
        self, entry: Entry, transaction: SignedTransaction, receipt: Receipt, is_certain: bool, head: int
    ) -> Entry:
        """One of ours is in a block; conclude when that stays."""
        self._was_mined = True
        self._superseded_looks = 0
        depth = head - receipt.block_number + 1
        self._told("confirmations", max(depth, 0), self._policy.confirmations)
        if depth < self._policy.confirmations:
            return entry
        if not is_certain:
            raise NodesDisagreeError(f"nodes disagree about transaction {write_data(transaction.hash)}")
        if (await self._node.block(receipt.block_number)).hash != receipt.block_hash:
            raise NodeError(f"block {receipt.block_number} of the receipt is another one in the chain")
        if transaction.is_cancel:
            outcome = Outcome.CANCELLED
        else:
            outcome = Outcome.DONE if receipt.succeeded else Outcome.REVERTED
        return await self._journal.conclude(
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

    async def _nonce_used(self, entry: Entry, head: int) -> Entry:
        """The nonce is used up, but by none of ours as it seems; conclude when that is certain and stays."""
        settled = head - self._policy.confirmations + 1
        used = settled >= 0 and (
            await transaction_count(self._node, entry.account, block=settled) > entry.nonce
        )
        for transaction in entry.transactions:
            receipt, is_certain = await find_receipt(self._node, transaction.hash)
            if receipt is not None or not is_certain:
                used = False
        self._superseded_looks = self._superseded_looks + 1 if used else 0
        if self._superseded_looks < SUPERSEDED_LOOKS:
            self._say_waiting("nonce is used up; waiting to be sure by what", nonce=entry.nonce)
            return entry
        return await self._journal.conclude(entry, Conclusion(Outcome.SUPERSEDED))

    async def _waiting(self, entry: Entry) -> Entry:
        """Nothing is mined yet: replace what is stale or stuck, send the rest again from time to time."""
        last = entry.transactions[-1]
        if not last.is_cancel and (why := await self._why_stale(entry.action)):
            log.warning("action would revert now; it is cancelled", action=entry.id, why=why)
            return await self._replace(entry, cancel=True)
        if self._was_mined:
            log.warning("transaction is in the chain no more", action=entry.id)
            self._was_mined = False
            return await self._send(entry, last)
        if last.hash in self._sent_at and time.time() - last.at >= self._policy.replace_seconds:
            return await self._replace(entry, cancel=last.is_cancel)
        self._say_waiting("transaction waits to be mined", hash=write_data(last.hash))
        return await self._send_if_due(entry)

    async def _replace(self, entry: Entry, *, cancel: bool) -> Entry:
        """Offer more for the same nonce, for the same action or for none."""
        fees = await current_fees(self._node)
        offer = higher_offer(fees, entry.transactions, cap_wei=self._policy.max_fee_wei)
        if offer is None:
            self._say_waiting("no higher fee below --max-fee-gwei; the transaction stays as it is")
            return await self._send_if_due(entry)
        call, gas = Call(entry.account, entry.account), CANCEL_GAS
        if not cancel:
            try:
                gas = _with_margin(await estimate_gas(self._node, self._call(entry.action)))
                call = self._call(entry.action)
            except CallRevertedError as error:
                log.warning("action would revert now; it is cancelled", action=entry.id, why=explain(error))
                cancel = True
        transaction = await self._signed(entry, call, offer, gas=gas, is_cancel=cancel)
        return await self._send(await self._journal.add(entry, transaction), transaction)

    async def _send_if_due(self, entry: Entry) -> Entry:
        """Send the last transaction for the first time in this process, or again after a while."""
        last = entry.transactions[-1]
        sent_at = self._sent_at.get(last.hash)
        if sent_at is None or time.monotonic() - sent_at >= self._policy.resend_seconds:
            return await self._send(entry, last)
        return entry

    async def _signed(
        self, entry: Entry, call: Call, offer: Offer, *, gas: int, is_cancel: bool = False
    ) -> SignedTransaction:
        wanted = Transaction(
            entry.chain_id, entry.nonce, call, gas, offer.max_fee_wei, offer.priority_fee_wei
        )
        raw = await self._wallet.sign(wanted)
        return SignedTransaction(
            keccak256(raw), raw, offer.max_fee_wei, offer.priority_fee_wei, is_cancel, int(time.time())
        )

    async def _send(self, entry: Entry, transaction: SignedTransaction) -> Entry:
        """Give it to the nodes; what they say decides nothing but whether to offer more."""
        self._sent_at[transaction.hash] = time.monotonic()
        sent = await send_raw(self._node, transaction.raw)
        what = {"hash": write_data(transaction.hash), "nonce": entry.nonce, "cancel": transaction.is_cancel}
        if sent.taken:
            log.info("transaction sent", max_fee_gwei=_gwei(transaction.max_fee_wei), **what)
            self._told("sent")
            return entry
        log.warning("no node takes the transaction", problems="; ".join(sent.problems), **what)
        if sent.underpriced and not sent.nonce_used:
            return await self._replace(entry, cancel=transaction.is_cancel)
        return entry

    async def _estimate(self, action: Action) -> tuple[Estimate, bool]:
        call = self._call(action)
        try:
            gas = await estimate_gas(self._node, call)
            await self._node.call(
                call.to, call.data, block="latest", sender=call.sender, value_wei=call.value_wei
            )
        except CallRevertedError as error:
            raise WouldRevertError(f"the contract would refuse it: {explain(error)}") from None
        if gas > GAS_LIMIT:
            raise WouldRevertError(
                f"it needs {gas} gas, a transaction has {GAS_LIMIT} at most; make the batch smaller"
            )
        fees = await current_fees(self._node)
        cap = self._policy.max_fee_wei
        offer = first_offer(fees, cap_wei=cap)
        estimate = Estimate(_with_margin(gas), offer or Offer(cap, min(fees.priority_wei, cap)))
        needed, has = estimate.most_wei + action.value_wei, await balance_wei(self._node, call.sender)
        if has < needed:
            network = network_with_chain_id(self._chain_id)
            owned, wanted = units.gas(has, network), units.gas(needed, network)
            raise TooPoorError(
                f"{write_address(call.sender)} has {owned} and may need {wanted}; send it more"
            )
        return estimate, offer is not None

    async def _next_nonce(self) -> int:
        known = await self._journal.next_nonce(chain_id=self._chain_id, account=self._wallet.address)
        nonce = await next_nonce(self._node, self._wallet.address)
        if nonce < known:
            raise NodesDisagreeError(
                f"the nodes count {nonce} transactions of the account, the journal has {known}: they are"
                " behind, or the journal is of another chain"
            )
        return nonce

    def _call(self, action: Action) -> Call:
        return Call(self._wallet.address, action.to, action.data, action.value_wei)

    def _say_waiting(self, what: str, **more: object) -> None:
        """Tell of what is waited for, from time to time."""
        self._told(what)
        now = time.monotonic()
        if now - self._said.get(what, -TOLD_EVERY_SECONDS) >= TOLD_EVERY_SECONDS:
            self._said[what] = now
            log.warning(what, **more)


def _with_margin(gas: int) -> int:
    return max(gas, min(gas + gas * GAS_MARGIN_PERCENT // 100, GAS_LIMIT))


def _tell(entry: Entry) -> None:
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


def _gwei(wei: int) -> float:
    return wei / WEI_PER_GWEI
