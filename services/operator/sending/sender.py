"""Signs an action, sends it, and watches it until nothing can change what came of it.

All transactions of an action have one nonce, so at most one of them is ever mined: that is what makes
sure that nothing is done twice. An action is concluded only when its nonce is used up, `confirmations`
blocks deep; until then another one with the same account does not begin, after a restart either. What was
concluded is looked at again until it is final, and goes on, with the same nonce, when a reorganisation took
it back.

Each look at the chain decides anew from what the journal and the nodes say, so it does not matter when
the process ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from dvtfast.networks import network_with_chain_id

from ...chain import units
from ...chain.calls import ContractError
from ...chain.encoding import keccak256, write_address, write_data
from ...chain.execution.node import CallRevertedError, NodeClient, NodeError
from ...chain.execution.policies import NodesDisagreeError, block_of_quorum, quorum, reached
from ...chain.execution.reverts import explain
from ...chain.execution.transactions import (
    GAS_LIMIT,
    Call,
    Fees,
    Transaction,
    balance_wei,
    current_fees,
    is_in_block,
    next_nonce,
    send_raw,
    simulate,
    transaction_count,
)
from ...chain.units import WEI_PER_GWEI
from ...process import logs
from ...process.offload import UnavailableError
from ..progress import Told, tell_nobody
from .action import Action, Conclusion, Entry, Outcome, SignedTransaction
from .fees import Bounds, Offer, first_offer, higher_offer
from .finality import look_back
from .journal import Journal, RefusedError
from .sight import AHEAD_BLOCKS, Mined, Sight, look
from .wallet import Wallet, WalletError

GAS_MARGIN_PERCENT: Final = 20  # the state may be another when the transaction is mined
CANCEL_GAS: Final = 21_000  # of a transfer of nothing
SUPERSEDED_LOOKS: Final = 10  # behind one address there may be several nodes, of which one lacks receipts
AGREE_LOOKS: Final = 5  # one node may know a block a moment before another
SIGNER_REST_SECONDS: Final = 60.0  # before a signer that refused is asked again
TOLD_EVERY_SECONDS: Final = 60.0  # of one and the same thing that is waited for

log = logs.get("sending")

WhyStale = Callable[[Action], Awaitable[str]]
T = TypeVar("T")


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
        max_priority_fee_wei, min_priority_fee_wei: the most and least of it that is offered as a tip.
        fee_blocks, fee_percentile: what others pay in so many of the latest blocks, to be in before so many
            percent of their gas, is what is offered as a tip.
        confirmations: blocks from the one that has the transaction, with that one, until it counts.
        poll_seconds: between two looks.
        replace_seconds: how long a transaction may wait before it is replaced with higher fees.
        resend_seconds: how long before it is given to the nodes once more.
        raise_seconds: how long a transaction is left as it is at least; a new block must have come, too.
        max_age_seconds: of the latest block of a node that is believed about the present.
    """

    max_fee_wei: int
    max_priority_fee_wei: int
    confirmations: int
    poll_seconds: float
    replace_seconds: float
    min_priority_fee_wei: int = 0
    fee_blocks: int = 10
    fee_percentile: float = 80.0
    resend_seconds: float = 60.0
    raise_seconds: float = 0.0
    max_age_seconds: float | None = None

    @property
    def bounds(self) -> Bounds:
        """Of fees."""
        return Bounds(self.max_fee_wei, self.max_priority_fee_wei, self.min_priority_fee_wei)


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
        why_stale: why an action is certain to revert by now, or ""; NodesDisagreeError when some nodes say
            so and others do not.
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
        self._underpriced: set[bytes] = set()  # transactions of which no node takes what they offer
        self._signer_rests_until = 0.0  # monotonic seconds

    async def look_back(self) -> None:
        """Look again at what was concluded and is not final: what a reorganisation took back is open again.

        When nodes or the journal do not answer, that is told of, and done the next time.
        """
        try:
            await look_back(
                self._node,
                self._journal,
                chain_id=self._chain_id,
                account=self._wallet.address,
                max_age_seconds=self._policy.max_age_seconds,
            )
        except UnavailableError as error:
            self._say_waiting("what was concluded cannot be looked at again now", error=str(error))

    async def open_entry(self) -> Entry | None:
        """The action that was begun and has no conclusion; the first one, if some were reopened."""
        return await self._journal.open_entry(chain_id=self._chain_id, account=self._wallet.address)

    async def estimate(self, action: Action) -> Estimate:
        """Whether an action would succeed now, and what it would cost; nothing is signed.

        While gas costs more than the cap, which is told, the estimate is at the cap, and whether the account
        has that much is not asked: it has to when gas costs less.

        Raises:
            WouldRevertError, TooPoorError: it would not.
            NodesDisagreeError: some nodes say that it would, others that it would not.
            NodeError: no node answers.
        """
        estimate, is_affordable = await self._agreed(lambda: self._estimate(action))
        if not is_affordable:
            self._say_dear()
        return estimate

    async def until_affordable(self) -> None:
        """Wait while gas costs more than the cap."""
        while first_offer(await self._fees(), self._policy.bounds) is None:
            self._say_dear()
            await asyncio.sleep(self._policy.poll_seconds)

    async def begin(self, action: Action) -> Entry:
        """Put an action on record, and sign it; `follow` sends it, and if that ends early `resume` goes on.

        While gas costs more than the cap nothing is signed.

        Raises:
            NotSentError: it did not begin.
            RefusedError: another action is open, or has one of the validators.
            WalletError: it was not signed.
            UnavailableError: nodes, or the journal, do not answer; it did not begin.
        """
        while True:
            if why := await self._agreed(lambda: self._why_stale(action)):
                raise StaleActionError(why)
            estimate, is_affordable = await self._agreed(lambda: self._estimate(action))
            if is_affordable:
                break
            await self.until_affordable()
        nonce = await self._next_nonce(action)
        head = await reached(
            self._node, at_least=action.block_number, max_age_seconds=self._policy.max_age_seconds
        )
        entry = await self._journal.begin(
            action, chain_id=self._chain_id, account=self._wallet.address, nonce=nonce
        )
        try:
            transaction = await self._signed(
                entry, self._call(action), estimate.offer, gas=estimate.gas, head=head.number
            )
        except BaseException:
            await asyncio.shield(self._journal.conclude(entry, Conclusion(Outcome.UNSENT)))
            raise
        return await self._journal.add(entry, transaction)

    async def resume(self) -> Entry | None:
        """Go on with what was begun and not concluded, or reopened; the last of it, None if nothing is."""
        await self.look_back()
        last = None
        while (entry := await self.open_entry()) is not None:
            last = await self._go_on(entry)
        return last

    async def follow(self, entry: Entry) -> Entry:
        """Watch an action, send it again and replace it as need be, until it is concluded."""
        self._forget_looks()
        while entry.conclusion is None:
            try:
                entry = await self._step(entry)
            except (UnavailableError, WalletError, CallRevertedError, ContractError) as error:
                self._say_waiting("action cannot be looked after now", error=str(error))
            if entry.conclusion is None:
                await asyncio.sleep(self._policy.poll_seconds)
        _tell(entry)
        return entry

    async def _go_on(self, entry: Entry) -> Entry:
        if not entry.transactions:
            log.info("action was begun, but nothing was signed for it", action=entry.id)
            return await self._journal.conclude(entry, Conclusion(Outcome.UNSENT))
        log.info("action goes on", action=entry.id, kind=entry.action.kind.value, nonce=entry.nonce)
        return await self.follow(entry)

    def _forget_looks(self) -> None:
        self._was_mined = False
        self._superseded_looks = 0

    async def _step(self, entry: Entry) -> Entry:
        sight = await look(self._node, entry, max_age_seconds=self._policy.max_age_seconds)
        if (mined := sight.mined) is not None:
            return await self._mined(entry, mined, sight)
        if sight.count > entry.nonce:
            return await self._nonce_used(entry, sight)
        if sight.count < entry.nonce:
            return await self._before(entry, sight)
        return await self._waiting(entry, sight.head)

    async def _mined(self, entry: Entry, mined: Mined, sight: Sight) -> Entry:
        """One of ours is in a block; conclude when that stays."""
        self._was_mined = True
        self._superseded_looks = 0
        transaction, receipt = mined.transaction, mined.receipt
        depth = sight.head - receipt.block_number + 1
        self._told("confirmations", max(depth, 0), self._policy.confirmations)
        if depth < self._policy.confirmations:
            return entry
        if not mined.is_certain:
            raise NodesDisagreeError(f"nodes disagree about the action's transactions: {sight.in_words}")
        if (await block_of_quorum(self._node, receipt.block_number)).hash != receipt.block_hash:
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

    async def _nonce_used(self, entry: Entry, sight: Sight) -> Entry:
        """The nonce is used up, but by none of ours as it seems; conclude when that is certain and stays."""
        settled = sight.head - self._policy.confirmations + 1
        is_used = settled >= 0
        if is_used:
            block = await block_of_quorum(self._node, settled)
            count = await quorum(
                self._node,
                "how many transactions the account has",
                lambda one: transaction_count(one, entry.account, block=settled),
            )
            is_used = count > entry.nonce and not await self._is_listed(sight, settled)
        self._superseded_looks = self._superseded_looks + 1 if is_used else 0
        if self._superseded_looks < SUPERSEDED_LOOKS:
            self._say_waiting("nonce is used up; waiting to be sure by what", nonce=entry.nonce)
            return entry
        return await self._journal.conclude(
            entry, Conclusion(Outcome.SUPERSEDED, block_number=settled, block_hash=block.hash)
        )

    async def _is_listed(self, sight: Sight, settled: int) -> bool:
        """Whether one of ours is in a block up to that one in which some say that it is.

        One node that has a receipt is enough to look there, but what more than half of them list counts.
        """
        claims = [claim for claim in sight.claims if claim[1] <= settled]
        return any([await self._lists(*claim) for claim in claims])

    async def _lists(self, transaction_hash: bytes, number: int) -> bool:
        what = f"the transactions of block {number}"
        return await quorum(self._node, what, lambda one: is_in_block(one, transaction_hash, number))

    async def _before(self, entry: Entry, sight: Sight) -> Entry:
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
            in_the_chain=sight.count,
        )
        return await self._send_if_due(entry)

    async def _waiting(self, entry: Entry, head: int) -> Entry:
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
            return await self._why_stale(action)
        except NodesDisagreeError as error:
            self._say_waiting("action is not cancelled while nodes disagree", error=str(error))
            return ""

    def _must_offer_more(self, last: SignedTransaction, head: int) -> bool:
        """Whether it is stuck, and had its block: nothing that nodes say makes offers rise faster."""
        age_seconds = time.time() - last.at
        # Of a block far ahead the only node told once, and that it never comes holds nothing up.
        has_block = not head <= last.block_number <= head + AHEAD_BLOCKS
        if not has_block or age_seconds < self._policy.raise_seconds:
            return False
        is_stuck = last.hash in self._sent_at and age_seconds >= self._policy.replace_seconds
        return is_stuck or last.hash in self._underpriced

    async def _replace(self, entry: Entry, head: int, *, why_cancel: str = "") -> Entry:
        """Offer more for the same nonce, for the same action, or for none where that would revert."""
        if time.monotonic() < self._signer_rests_until:
            return await self._send_if_due(entry)
        fees, bounds = await self._fees(), self._policy.bounds
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
        return await self._send(await self._journal.add(entry, transaction), transaction)

    async def _still_waits(self, entry: Entry) -> bool:
        """Whether none of its transactions came into a block since the last look."""
        sight = await look(self._node, entry, max_age_seconds=self._policy.max_age_seconds)
        return sight.mined is None and sight.count <= entry.nonce

    async def _send_if_due(self, entry: Entry) -> Entry:
        """Send the last transaction for the first time in this process, or again after a while."""
        last = entry.transactions[-1]
        sent_at = self._sent_at.get(last.hash)
        if sent_at is None or time.monotonic() - sent_at >= self._policy.resend_seconds:
            return await self._send(entry, last)
        return entry

    async def _signed(
        self, entry: Entry, call: Call, offer: Offer, *, gas: int, head: int, is_cancel: bool = False
    ) -> SignedTransaction:
        wanted = Transaction(
            entry.chain_id, entry.nonce, call, gas, offer.max_fee_wei, offer.priority_fee_wei
        )
        try:
            raw = await self._wallet.sign(wanted)
        except WalletError:
            self._signer_rests_until = time.monotonic() + SIGNER_REST_SECONDS
            raise
        return SignedTransaction(
            keccak256(raw), raw, offer.max_fee_wei, offer.priority_fee_wei, is_cancel, int(time.time()), head
        )

    async def _send(self, entry: Entry, transaction: SignedTransaction) -> Entry:
        """Give it to the nodes; what they say decides nothing but whether to offer more, a block later."""
        self._sent_at[transaction.hash] = time.monotonic()
        sent = await send_raw(self._node, transaction.raw)
        what = {"hash": write_data(transaction.hash), "nonce": entry.nonce, "cancel": transaction.is_cancel}
        if sent.taken:
            self._underpriced.discard(transaction.hash)
            log.info("transaction sent", max_fee_gwei=_gwei(transaction.max_fee_wei), **what)
            self._told("sent")
            return entry
        log.warning("no node takes the transaction", problems="; ".join(sent.problems), **what)
        if sent.underpriced and not sent.nonce_used:
            self._underpriced.add(transaction.hash)
        return entry

    async def _estimate(self, action: Action) -> tuple[Estimate, bool]:
        try:
            gas = await self._gas(action)
        except CallRevertedError as error:
            raise WouldRevertError(f"the contract would refuse it: {explain(error)}") from None
        if gas > GAS_LIMIT:
            raise WouldRevertError(
                f"it needs {gas} gas, a transaction has {GAS_LIMIT} at most; make the batch smaller"
            )
        fees, bounds = await self._fees(), self._policy.bounds
        offer = first_offer(fees, bounds)
        cap = bounds.max_fee_wei
        estimate = Estimate(gas, offer or Offer(cap, min(bounds.tip_wei(fees.priority_wei), cap)))
        sender = self._wallet.address
        needed = action.value_wei + (estimate.most_wei if offer is not None else 0)
        has = await balance_wei(self._node, sender)
        if has < needed:  # which one node says
            what = f"what {write_address(sender)} has"
            has = await quorum(self._node, what, lambda one: balance_wei(one, sender))
        if has < needed:
            network = network_with_chain_id(self._chain_id)
            owned, wanted = units.gas(has, network), units.gas(needed, network)
            raise TooPoorError(f"{write_address(sender)} has {owned} and may need {wanted}; send it more")
        return estimate, offer is not None

    async def _gas(self, action: Action) -> int:
        """The gas limit of an action, with a margin."""
        gas = await simulate(
            self._node,
            self._call(action),
            at_least=action.block_number,
            max_age_seconds=self._policy.max_age_seconds,
        )
        return _with_margin(gas)

    async def _fees(self) -> Fees:
        return await current_fees(
            self._node, blocks=self._policy.fee_blocks, percentile=self._policy.fee_percentile
        )

    async def _next_nonce(self, action: Action) -> int:
        known = await self._journal.next_nonce(chain_id=self._chain_id, account=self._wallet.address)
        nonce = await self._agreed(
            lambda: next_nonce(
                self._node,
                self._wallet.address,
                at_least=action.block_number,
                max_age_seconds=self._policy.max_age_seconds,
            )
        )
        if nonce >= known:
            return nonce
        await self.look_back()
        if (entry := await self.open_entry()) is not None:
            raise RefusedError(f"action {entry.id} was taken back by a reorganisation; it goes on first")
        raise NodesDisagreeError(
            f"the nodes count {nonce} transactions of the account, the journal has {known}: they are"
            " behind, or the journal is of another chain"
        )

    async def _agreed(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do what nodes must agree on; while they do not, again after a moment, a few times."""
        for _ in range(AGREE_LOOKS - 1):
            try:
                return await work()
            except NodesDisagreeError as error:
                self._say_waiting("waiting for nodes to agree", error=str(error))
            await asyncio.sleep(self._policy.poll_seconds)
        return await work()

    def _call(self, action: Action) -> Call:
        return Call(self._wallet.address, action.to, action.data, action.value_wei)

    def _say_dear(self) -> None:
        self._say_waiting(
            "gas costs more than --max-fee-gwei allows, with room for a replacement",
            cap_gwei=_gwei(self._policy.max_fee_wei),
        )

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
