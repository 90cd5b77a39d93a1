"""What the nodes say of an action at one look, and what of it more than half of them say alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...chain.execution.node import Block, NodeClient
from ...chain.execution.policies import Said, all_at_least, majority
from ...chain.execution.transactions import Receipt, find_receipt, transaction_count
from .action import JournalEntry, SignedTransaction

AHEAD_BLOCKS: Final = 64  # no node is that far ahead of most others, unless these are too old to be heard


@dataclass(frozen=True)
class NodeView:
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
class MinedTransaction:
    """A transaction of an action in a block.

    Attributes:
        is_certain: more than half of the nodes say so.
    """

    transaction: SignedTransaction
    receipt: Receipt
    is_certain: bool


@dataclass(frozen=True)
class Inclusion:
    """What the nodes say that answer, one at least."""

    entry: JournalEntry
    views: Sequence[Said[NodeView]]

    @property
    def head(self) -> int:
        """The highest block that more than half of them have reached."""
        return self._reached([each.value.head for each in self.views])

    @property
    def count(self) -> int:
        """How many transactions of the account more than half of them have in the chain."""
        return self._reached([each.value.count for each in self.views])

    @property
    def mined(self) -> MinedTransaction | None:
        """Which of the transactions is in a block, as most say; None when more than half say that none is.

        Of two nodes, one that says so is enough to wait: offering more for what is done is in vain.
        """
        found = [self._mined_by(each.value) for each in self.views]
        votes = Counter(each for each in found if each is not None)
        wanted = majority(len(self.views))
        if not votes or found.count(None) >= wanted:
            return None
        (place, receipt), count = votes.most_common(1)[0]
        return MinedTransaction(self.entry.transactions[place], receipt, count >= wanted)

    @property
    def claims(self) -> set[tuple[bytes, int]]:
        """Which of the transactions are in which block, as at least one node says."""
        return {
            (receipt.transaction_hash, receipt.block_number)
            for each in self.views
            for receipt in each.value.receipts
            if receipt is not None
        }

    @property
    def in_words(self) -> str:
        """What each node says of the transactions."""
        return ", ".join(f"{each.node} says {self._words(each.value)}" for each in self.views)

    def _mined_by(self, view: NodeView) -> tuple[int, Receipt] | None:
        """The place of the transaction that is in a block, as one node says."""
        for place, receipt in enumerate(view.receipts):
            if receipt is not None and receipt.block_number <= self.head + AHEAD_BLOCKS:
                return place, receipt
        return None

    def _words(self, view: NodeView) -> str:
        found = self._mined_by(view)
        return "none is in the chain" if found is None else f"one is in block {found[1].block_number}"

    def _reached(self, numbers: Sequence[int]) -> int:
        return sorted(numbers, reverse=True)[majority(len(numbers)) - 1]


async def read_inclusion(
    node: NodeClient, entry: JournalEntry, *, max_age_seconds: float | None
) -> Inclusion:
    """Ask each node that has reached the block that the action was made for.

    Raises:
        StaleNodeError: all are.
        NodeError: no node answers.
    """

    async def read(one: NodeClient, head: Block) -> NodeView:
        receipts = [await find_receipt(one, each.hash) for each in entry.transactions]
        count = await transaction_count(one, entry.account, block="latest")
        return NodeView(head.number, count, tuple(receipts))

    views = await all_at_least(node, entry.action.block_number, read, max_age_seconds=max_age_seconds)
    return Inclusion(entry, views)
