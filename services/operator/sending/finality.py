"""What was concluded is looked at again until its block is final: a reorganisation may have taken it back."""

from __future__ import annotations

from ...chain.encoding import write_data
from ...chain.execution.node import NodeClient, NodeError
from ...chain.execution.policies import NodesDisagreeError, block_of_quorum, quorum, reached
from ...chain.execution.transactions import find_receipt, transaction_count
from ...process import logs
from .action import JournalEntry, Outcome
from .journal import Journal

log = logs.get("sending")


async def look_back(
    node: NodeClient, journal: Journal, *, chain_id: int, account: bytes, max_age_seconds: float | None
) -> None:
    """Reopen what was taken back, and put on record what is final; what is neither is looked at next time.

    What nodes do not tell of one action puts off no other one.

    Raises:
        NodesDisagreeError: nodes have different chains; nothing is reopened on the word of a few.
        NodeError: no node answers.
        UnavailableError: the journal cannot be written.
    """
    entries = await journal.not_final(chain_id=chain_id, account=account)
    if not entries:
        return
    head = (await reached(node, max_age_seconds=max_age_seconds)).number
    final = await _final(node)
    untold: list[NodeError] = []
    for entry in entries:
        try:
            await _look_back_at(node, journal, entry, head, final)
        except NodeError as error:
            if not (error.refused or isinstance(error, NodesDisagreeError)):
                raise
            untold.append(error)
    if untold:
        raise untold[0]


async def _look_back_at(
    node: NodeClient, journal: Journal, entry: JournalEntry, head: int, final: int
) -> None:
    if why := await _why_void(node, entry, head, final):
        assert entry.conclusion is not None
        log.warning(
            "a reorganisation took back what was concluded; the action is open again",
            action=entry.id, outcome=entry.conclusion.outcome.value, why=why,
        )  # fmt: skip
        await journal.reopen(entry, why)
    elif await _is_final(node, entry, head, final):
        await journal.finalize(entry)


async def _final(node: NodeClient) -> int:
    """The latest block that is final, -1 while the nodes do not say which."""
    try:
        return (await reached(node, "finalized")).number
    except NodeError as error:
        if not error.refused:
            raise
        log.warning("the nodes do not say what is final", error=str(error))
        return -1


async def _why_void(node: NodeClient, entry: JournalEntry, head: int, final: int) -> str:
    """Why a conclusion does not hold any more, or "" when it does, or nothing can be said."""
    conclusion = entry.conclusion
    assert conclusion is not None
    number = conclusion.block_number
    if number is None or conclusion.block_hash is None:  # of an early version, where a nonce was used up
        return "" if await _count(node, entry, head) > entry.nonce else "its nonce is not used up"
    if number > head:
        return ""
    block = await block_of_quorum(node, number)
    if block.hash != conclusion.block_hash:
        return f"block {number} is {write_data(block.hash)} now"
    if conclusion.outcome is Outcome.SUPERSEDED and number <= final:
        # Whoever lacked receipts then may have them by now.
        for transaction in entry.transactions:
            if await _is_mined(node, transaction.hash):
                return f"{write_data(transaction.hash)} is in the chain"
    return ""


async def _is_final(node: NodeClient, entry: JournalEntry, head: int, final: int) -> bool:
    conclusion = entry.conclusion
    assert conclusion is not None
    if conclusion.block_number is not None:
        return conclusion.block_number <= min(final, head)
    return final >= 0 and await _count(node, entry, final) > entry.nonce


async def _is_mined(node: NodeClient, transaction_hash: bytes) -> bool:
    receipt = await quorum(node, "a receipt", lambda one: find_receipt(one, transaction_hash))
    return receipt is not None


async def _count(node: NodeClient, entry: JournalEntry, block: int) -> int:
    """How many transactions of its account are in the chain up to a block."""
    return await quorum(
        node,
        "how many transactions the account has",
        lambda one: transaction_count(one, entry.account, block=block),
    )
