"""What is to be done on chain, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class ActionKind(StrEnum):
    """What an action is about."""

    REGISTER = "register"
    FUND = "fund"
    WITHDRAW = "withdraw"
    CONSOLIDATE = "consolidate"
    UPDATE_EXITS = "update-exits"


class Outcome(StrEnum):
    """What came of an action; all but `DONE` changed nothing on chain but what gas cost.

    A reorganisation that goes deeper than the confirmations takes it back: the action is open again.

    DONE: it is in the chain, confirmed; what the beacon chain is to do shows there.
    SUBMITTED: it is in the chain, confirmed; the beacon chain does not show it yet, or passed over it.
    REVERTED: its transaction is in the chain, confirmed, and was refused by the contract.
    CANCELLED: a transaction that does nothing took its place.
    SUPERSEDED: a transaction of somebody else with the same account took its place.
    UNSENT: nothing was signed.
    """

    DONE = "done"
    SUBMITTED = "submitted"
    REVERTED = "reverted"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    UNSENT = "unsent"


BY_THE_BEACON_CHAIN: Final = frozenset({ActionKind.FUND, ActionKind.WITHDRAW, ActionKind.CONSOLIDATE})
"""What a vault only asks for."""


@dataclass(frozen=True)
class Action:
    """One call of a contract, and what it is for.

    Attributes:
        to, data, value_wei: the call.
        public_keys: the validators it is about, 48 bytes each.
        registry_root: with another root of the deposit contract it reverts; None where that is nothing to it.
        deadline: after this Unix time it reverts; None for never.
        details: what people want to read of it later, in JSON.
        block_number: of the block that it was made for. A node that has not reached it says nothing of it.
    """

    kind: ActionKind
    vault: bytes
    to: bytes
    data: bytes
    value_wei: int = 0
    public_keys: tuple[bytes, ...] = ()
    registry_root: bytes | None = None
    deadline: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    block_number: int = 0


@dataclass(frozen=True)
class SignedTransaction:
    """A transaction that is in the journal.

    Attributes:
        is_cancel: it does nothing but use up the nonce.
        block_number: of the latest block when it was signed.
    """

    hash: bytes
    raw: bytes
    max_fee_wei: int
    priority_fee_wei: int
    is_cancel: bool
    at: int
    block_number: int = 0


@dataclass(frozen=True)
class Conclusion:
    """What came of an action.

    Attributes:
        transaction_hash: of the transaction in the chain, if one of ours is.
        block_number, block_hash: of its block, or of another in which the nonce is used up. While that block
            is in the chain, so is what came of the action.
        fee_wei: what was paid for gas.
    """

    outcome: Outcome
    transaction_hash: bytes | None = None
    block_number: int | None = None
    block_hash: bytes | None = None
    gas_used: int = 0
    fee_wei: int = 0
    at: int = 0


@dataclass(frozen=True)
class Reopening:
    """A conclusion that is void, as its block is in the chain no more."""

    conclusion: Conclusion
    why: str
    at: int


@dataclass(frozen=True)
class JournalEntry:
    """An action in the journal, with all that was signed for it: every transaction has the same nonce.

    Attributes:
        conclusion: None while it is open.
        is_final: the conclusion's block is final, so nothing changes it any more.
        reopenings: how often it was concluded before, in vain.
        is_shown: the beacon chain shows what a vault asked it for.
    """

    id: int
    at: int
    action: Action
    chain_id: int
    account: bytes
    nonce: int
    transactions: tuple[SignedTransaction, ...] = ()
    conclusion: Conclusion | None = None
    is_final: bool = False
    reopenings: tuple[Reopening, ...] = ()
    is_shown: bool = False

    @property
    def outcome(self) -> Outcome | None:
        """What came of it so far; None while it is open. The conclusion is about its transaction only."""
        if self.conclusion is None:
            return None
        outcome = self.conclusion.outcome
        is_asked = outcome is Outcome.DONE and self.action.kind in BY_THE_BEACON_CHAIN
        return Outcome.SUBMITTED if is_asked and not self.is_shown else outcome
