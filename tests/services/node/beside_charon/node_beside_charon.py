"""`dvtfast node` on the chain of charon's mock of a beacon node.

Blocks of the mock are of capella, on no parent, name validator 0 as their proposer whoever that is, and pay
whomever they like; its aggregates are of committee 0, whoever makes them, and of nobody's votes; nobody
signed these, nor its contributions. No chain has such things, and a node signs none of them. Here it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dvtfast.services.cli import main
from dvtfast.services.node.flows import aggregates, blocks, contributions

from .capella import know_capella


def _why_no_block(node: Any, value: Any, proposer: Any) -> str:
    return "" if value.message.block.slot == proposer.slot else "its block is of another slot"


def _why_not_wanted(node: Any, value: Any, position: int) -> None:
    return None


async def _why_not_on(node: Any, value: Any, own: Any) -> None:
    return None


def _why_no_aggregate(node: Any, value: Any, duty: Any, data: Any) -> str:
    return "" if value.message.data == data else "its aggregate is of other votes"


def _why_not_signed(keys: Any, signed: Any, signers: Sequence[Any]) -> list[str]:
    return [""] * len(signers)


if __name__ == "__main__":
    know_capella()
    blocks._why_not_wanted = _why_not_wanted
    blocks._why_not, blocks._why_not_on = _why_no_block, _why_not_on
    aggregates._why_not = _why_no_aggregate
    aggregates.why_not_signed = contributions.why_not_signed = _why_not_signed
    main()
