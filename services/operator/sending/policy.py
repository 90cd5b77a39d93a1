"""How actions are sent: for how much, how deep they must be in the chain, how patiently."""

from __future__ import annotations

from dataclasses import dataclass

from .fees import Bounds


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
