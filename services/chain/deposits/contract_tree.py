"""The deposit contract's Merkle tree as it grows: its root is over all deposits, in their order.

Who has every deposit has the root; so a list of deposits whose root is the contract's is what was deposited.

Source: consensus-specs, solidity_deposit_contract (incremental Merkle tree); EIP-4881 (what has to be kept).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Self

from dvtfast import deposit_data_roots
from dvtfast.constants import ROOT_BYTES

from ..contracts.reads import DepositEvents

DEPTH = 32
COUNT_BYTES = 8


def _empty_trees() -> list[bytes]:
    """The roots of trees without deposits, by height."""
    roots = [bytes(ROOT_BYTES)]
    while len(roots) < DEPTH:
        roots.append(sha256(roots[-1] * 2).digest())
    return roots


EMPTY = _empty_trees()


@dataclass(frozen=True)
class DepositsSoFar:
    """How many deposits there were, and what is needed of their tree to go on.

    Attributes:
        count: the number of the next one, too.
        nodes: the roots of the full trees that they fill, from the largest to the smallest: one for each bit
            of the count. None where the deposits before are not known, as after a dump.
    """

    count: int
    nodes: tuple[bytes, ...] | None = None

    @classmethod
    def none(cls) -> Self:
        """Before the first."""
        return cls(0, ())

    @classmethod
    def read(cls, count: int, nodes: bytes | None) -> Self:
        """As `written` has them."""
        if nodes is None:
            return cls(count)
        return cls(count, tuple(nodes[i : i + ROOT_BYTES] for i in range(0, len(nodes), ROOT_BYTES)))

    @property
    def written(self) -> bytes | None:
        """The nodes, for a database."""
        return None if self.nodes is None else b"".join(self.nodes)

    def after(self, deposits: DepositEvents) -> DepositsSoFar:
        """With these, which follow.

        Cost: a hash for each, and those of its data: a second for 300,000.
        """
        count = self.count + len(deposits.public_keys)
        if self.nodes is None:
            return DepositsSoFar(count)
        leaves = deposit_data_roots(
            deposits.public_keys,
            deposits.withdrawal_credentials,
            deposits.amounts_gwei,
            deposits.signatures,
        )
        return DepositsSoFar(count, _grown(self.count, self.nodes, [leaf.tobytes() for leaf in leaves]))

    @cached_property
    def root(self) -> bytes | None:
        """What the contract's `get_deposit_root()` is after these; None where that is not known."""
        if self.nodes is None:
            return None
        node, left = EMPTY[0], list(self.nodes)
        for height in range(DEPTH):
            if self.count >> height & 1:
                node = sha256(left.pop() + node).digest()
            else:
                node = sha256(node + EMPTY[height]).digest()
        return sha256(node + self.count.to_bytes(COUNT_BYTES, "little").ljust(ROOT_BYTES, b"\0")).digest()


def _grown(count: int, nodes: Sequence[bytes], leaves: list[bytes]) -> tuple[bytes, ...]:
    """The nodes with these leaves, level by level: an odd one out stays, the others are joined in pairs."""
    left, row, kept = list(nodes), leaves, []
    while row or left:
        if count & 1:
            row = [left.pop(), *row]
        if len(row) & 1:
            kept.append(row.pop())
        row = [sha256(row[i] + row[i + 1]).digest() for i in range(0, len(row), 2)]
        count >>= 1
    return tuple(reversed(kept))
