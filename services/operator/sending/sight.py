"""What the nodes say of an action at one look, and what of it more than half of them say alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ...chain.node import Block, NodeClient
from ...chain.policies import all_at_least, majority
from ...chain.transactions import Receipt, find_receipt, transaction_count
from .action import Entry, SignedTransaction


@dataclass(frozen=True)
class Seen:
    """What one node says.

    Attributes:
        head: its latest block.
        count: how many transactions of the account are in the chain.
        receipts: of the action's transactions, in their order.
    """

    head: int
    count: int
    receipts: tuple[Receipt | None, ...]


@dataclass(frozen=True)
class Mined:
    """A transaction of an action in a block.

    Attributes:
        is_certain: more than half of the nodes say so.
    """

    transaction: SignedTransaction
    receipt: Receipt
    is_certain: bool


@dataclass(frozen=True)
class Sight:
    """What the nodes say that answer, one at least."""

    entry: Entry
    seen: Sequence[Seen]

    @property
    def head(self) -> int:
        """The highest block that more than half of them have reached."""
        return self._reached([each.head for each in self.seen])

    @property
    def count(self) -> int:
        """How many transactions of the account more than half of them have in the chain."""
        return self._reached([each.count for each in self.seen])

    @property
    def mined(self) -> Mined | None:
        """Which of the transactions is in a block, as most say; None when more than half say that none is.

        Of two nodes, one that says so is enough to wait: offering more for what is done is in vain.
        """
        votes = Counter(
            (place, receipt)
            for each in self.seen
            for place, receipt in enumerate(each.receipts)
            if receipt is not None
        )
        without = sum(not any(each.receipts) for each in self.seen)
        if not votes or without >= majority(len(self.seen)):
            return None
        (place, receipt), count = votes.most_common(1)[0]
        return Mined(self.entry.transactions[place], receipt, count >= majority(len(self.seen)))

    @property
    def nobody_has_it(self) -> bool:
        """No node has any of the transactions in a block."""
        return not any(any(each.receipts) for each in self.seen)

    def _reached(self, numbers: Sequence[int]) -> int:
        return sorted(numbers, reverse=True)[majority(len(numbers)) - 1]


async def look(node: NodeClient, entry: Entry, *, max_age_seconds: float | None) -> Sight:
    """Ask each node that has reached the block that the action was made for.

    Raises:
        StaleNodeError: all are.
        NodeError: no node answers.
    """

    async def read(one: NodeClient, head: Block) -> Seen:
        receipts = [await find_receipt(one, each.hash) for each in entry.transactions]
        count = await transaction_count(one, entry.account, block="latest")
        return Seen(head.number, count, tuple(receipts))

    said = await all_at_least(node, entry.action.block_number, read, max_age_seconds=max_age_seconds)
    return Sight(entry, [each.value for each in said])
