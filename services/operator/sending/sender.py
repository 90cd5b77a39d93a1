"""Signs an action, sends it, and watches it until nothing can change what came of it.

All transactions of an action have one nonce, so at most one of them is ever mined: that is what makes
sure that nothing is done twice. An action is concluded only when its nonce is used up, `confirmations`
blocks deep; until then another one with the same account does not begin, after a restart either. What was
concluded is looked at again until it is final, and goes on, with the same nonce, when a reorganisation took
it back.
"""

from __future__ import annotations

import asyncio

from ...chain.execution.policies import NodesDisagreeError, reached
from ...chain.execution.transactions import (
    next_nonce,
)
from .action import Action, Conclusion, JournalEntry, Outcome
from .estimator import StaleActionError
from .journal import RefusedError
from .tracker import ActionTracker


class Sender(ActionTracker):
    """Does actions with one account, one after the other."""

    async def begin(self, action: Action) -> JournalEntry:
        """Put an action on record, and sign it; `follow` sends it, and if that ends early `resume` goes on.

        While gas costs more than the cap nothing is signed.

        Raises:
            NotSentError: it did not begin.
            RefusedError: another action is open, or has one of the validators.
            WalletError: it was not signed.
            UnavailableError: nodes, or the journal, do not answer; it did not begin.
        """
        while True:
            if why := await self._agreed(lambda: self.why_stale(action)):
                raise StaleActionError(why)
            estimate, is_affordable = await self._agreed(lambda: self._estimate(action))
            if is_affordable:
                break
            await self.until_affordable()
        nonce = await self._next_nonce(action)
        head = await reached(
            self.node, at_least=action.block_number, max_age_seconds=self.policy.max_age_seconds
        )
        entry = await self.journal.begin(
            action, chain_id=self.chain_id, account=self.wallet.address, nonce=nonce
        )
        try:
            transaction = await self._signed(
                entry, self._call(action), estimate.offer, gas=estimate.gas, head=head.number
            )
        except BaseException:
            await asyncio.shield(self.journal.conclude(entry, Conclusion(Outcome.UNSENT)))
            raise
        return await self.journal.add(entry, transaction)

    async def resume(self) -> JournalEntry | None:
        """Go on with what was begun and not concluded, or reopened; the last of it, None if nothing is."""
        await self.look_back()
        last = None
        while (entry := await self.open_entry()) is not None:
            last = await self._go_on(entry)
        return last

    async def _next_nonce(self, action: Action) -> int:
        known = await self.journal.next_nonce(chain_id=self.chain_id, account=self.wallet.address)
        nonce = await self._agreed(
            lambda: next_nonce(
                self.node,
                self.wallet.address,
                at_least=action.block_number,
                max_age_seconds=self.policy.max_age_seconds,
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
