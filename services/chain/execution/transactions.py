"""Transactions as nodes are asked about them: nonces, fees, gas, receipts, and the sending itself.

Sources: execution-apis (methods), EIP-1559 (fees).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from ..encoding import (
    HASH_BYTES,
    keccak256,
    read_amount,
    read_data,
    read_quantity,
    shown,
    write_address,
    write_data,
    write_quantity,
)
from ..endpoints import EndpointError
from ..units import WEI_PER_GWEI
from .node import (
    Block,
    CallRevertedError,
    Log,
    LogAnswer,
    NodeClient,
    NodeError,
    Tag,
    block_parameter,
    decode_result,
    read_log,
)
from .policies import NodesDisagreeError, Said, agreed, all_at_least
from .reverts import explain

DEFAULT_PRIORITY_FEE_WEI: Final = WEI_PER_GWEI // 10  # where no block of late says what others pay
LEAST_PRIORITY_FEE_WEI: Final = WEI_PER_GWEI // 1000  # go-ethereum: what a block is built with at least
GAS_LIMIT: Final = 16_777_216  # of one transaction: EIP-7825

# What nodes say to a transaction that they have, or that comes too late; in lower case.
KNOWN = ("already known", "known transaction", "already imported", "already in pool", "alreadyknown")
NONCE_USED = ("nonce too low", "nonce is too low", "oldnonce", "nonce_too_low", "already been used")
UNDERPRICED = (
    "underpriced", "fee too low", "feetoolow", "replacement_underpriced", "gas price too low",
    "gas price below minimum",
)  # fmt: skip


@dataclass(frozen=True)
class Call:
    """What a transaction does."""

    sender: bytes
    to: bytes
    data: bytes = b""
    value_wei: int = 0

    def to_json(self) -> dict[str, Any]:
        """As nodes take it."""
        return {
            "from": write_data(self.sender),
            "to": write_data(self.to),
            "data": write_data(self.data),
            "value": write_quantity(self.value_wei),
        }


@dataclass(frozen=True)
class Transaction:
    """A transaction of EIP-1559 before it is signed; fees are in wei for each unit of gas."""

    chain_id: int
    nonce: int
    call: Call
    gas: int
    max_fee_wei: int
    priority_fee_wei: int

    def to_json(self) -> dict[str, Any]:
        """As signers take it."""
        return {
            **self.call.to_json(),
            "type": "0x2",
            "chainId": write_quantity(self.chain_id),
            "nonce": write_quantity(self.nonce),
            "gas": write_quantity(self.gas),
            "maxFeePerGas": write_quantity(self.max_fee_wei),
            "maxPriorityFeePerGas": write_quantity(self.priority_fee_wei),
        }


@dataclass(frozen=True)
class Fees:
    """What gas costs now, in wei; `base_wei` is of the next block."""

    base_wei: int
    priority_wei: int


@dataclass(frozen=True)
class Receipt:
    """What became of a transaction in a block."""

    transaction_hash: bytes
    block_number: int
    block_hash: bytes
    succeeded: bool
    gas_used: int
    gas_price_wei: int
    logs: tuple[Log, ...]

    @property
    def fee_wei(self) -> int:
        """What the sender paid for gas."""
        return self.gas_used * self.gas_price_wei


@dataclass(frozen=True)
class Sent:
    """What nodes answered to a transaction.

    Attributes:
        taken: at least one has it now.
        nonce_used: one says that its nonce is used up, so that this one or another is in a block.
        underpriced: one wants higher fees.
        problems: what each that did not take it says.
    """

    taken: bool
    nonce_used: bool
    underpriced: bool
    problems: tuple[str, ...]


async def transaction_count(
    node: NodeClient, account: bytes, *, block: Block | int | Tag | Literal["pending"]
) -> int:
    """How many transactions of an account are in the chain up to a block."""
    params = [write_address(account), block if block == "pending" else block_parameter(block)]
    return await node.ask("eth_getTransactionCount", params, _quantity)


async def next_nonce(
    node: NodeClient, account: bytes, *, at_least: int = 0, max_age_seconds: float | None = None
) -> int:
    """The nonce of the account's next transaction, on which all nodes agree that are at least at a block.

    Raises:
        NodesDisagreeError: they do not, or contradict themselves, or the account has transactions that wait.
        NodeError: no node answers, or all are behind.
    """

    async def read(one: NodeClient, head: Block) -> tuple[int, int]:
        mined = await transaction_count(one, account, block=head)
        return mined, await transaction_count(one, account, block="pending")

    said = await all_at_least(node, at_least, read, max_age_seconds=max_age_seconds)
    mined = agreed(
        f"how many transactions {write_address(account)} has",
        [Said(each.node, each.value[0]) for each in said],
    )
    if low := [f"{each.node} says {each.value[1]}" for each in said if each.value[1] < mined]:
        # A nonce that is too high would wait for ever for those before it, so it is not one answer's word.
        raise NodesDisagreeError(
            f"{write_address(account)} has {mined} transactions in the chain, and with those that wait fewer:"
            f" {', '.join(low)}"
        )
    if (waiting := max(each.value[1] for each in said) - mined) > 0:
        raise NodesDisagreeError(
            f"{write_address(account)} has {waiting} transactions that wait and are not the operator's;"
            " let them be mined, and use the account for nothing else"
        )
    return mined


async def balance_wei(node: NodeClient, account: bytes) -> int:
    """What an account has, as any node says."""
    return await node.ask("eth_getBalance", [write_address(account), "latest"], _amount)


async def current_fees(node: NodeClient, *, blocks: int, percentile: float) -> Fees:
    """What the next block costs, and what others pay in the latest blocks to be in them soon.

    Each fee is the lower middle one of what the nodes say, so of two the lower: one node alone cannot make
    anybody pay more.

    Args:
        blocks: how many of the latest are looked at; those without transactions say nothing.
        percentile: of the transactions' tips in each of them, by gas; the middle one of these counts.

    Raises:
        NodeError: no node answers.
    """
    params = [write_quantity(blocks), "latest", [percentile]]
    answers, failures = await node.each(lambda one: one.ask("eth_feeHistory", params, _read_fees))
    if not answers:
        raise NodeError("; ".join(map(str, failures)))
    return Fees(
        _lower_middle([fees.base_wei for _, fees in answers]),
        _lower_middle([fees.priority_wei for _, fees in answers]),
    )


async def estimate_gas(node: NodeClient, call: Call) -> int:
    """How much gas a call takes now; CallRevertedError when it would revert."""
    return await node.ask("eth_estimateGas", [call.to_json(), "latest"], _quantity)


async def simulate(
    node: NodeClient, call: Call, *, at_least: int = 0, max_age_seconds: float | None = None
) -> int:
    """How much gas a call takes now, the most of what all nodes say that are at least at a block.

    Raises:
        CallRevertedError: it would revert, as all of them say.
        NodesDisagreeError: as some of them say, or some say that it takes more than any transaction has.
        NodeError: no node answers, or all are behind.
    """

    async def read(one: NodeClient, _: Block) -> int | CallRevertedError:
        try:
            gas = await estimate_gas(one, call)
            await one.call(call.to, call.data, block="latest", sender=call.sender, value_wei=call.value_wei)
        except CallRevertedError as error:
            return error
        return gas

    said = await all_at_least(node, at_least, read, max_age_seconds=max_age_seconds)
    reverts = [(each.node, each.value) for each in said if isinstance(each.value, CallRevertedError)]
    if len(reverts) == len(said):
        raise reverts[0][1]
    for name, error in reverts:
        raise NodesDisagreeError(
            f"nodes disagree whether the contract takes it: {name} says {explain(error)}, others take it"
        )
    gas = [Said(each.node, each.value) for each in said if isinstance(each.value, int)]
    if len({each.value > GAS_LIMIT for each in gas}) > 1:
        return agreed("how much gas it takes", gas)
    return max(each.value for each in gas)


async def find_receipt(node: NodeClient, transaction_hash: bytes) -> Receipt | None:
    """The receipt of a transaction, None when it is in no block, as any node says."""

    def read(result: msgspec.Raw) -> Receipt | None:
        return _read_receipt(result, transaction_hash)

    return await node.ask("eth_getTransactionReceipt", [write_data(transaction_hash)], read)


async def is_in_block(node: NodeClient, transaction_hash: bytes, number: int) -> bool:
    """Whether the block of that number lists a transaction, as any node says; one that lacks it says no."""

    def read(result: msgspec.Raw) -> bool:
        block = decode_result(result, _Listing | None)
        return block is not None and write_data(transaction_hash) in map(str.lower, block.transactions)

    return await node.ask("eth_getBlockByNumber", [write_quantity(number), False], read)


async def send_raw(node: NodeClient, raw: bytes) -> Sent:
    """Give a signed transaction to all nodes.

    An answer that does not come says nothing: the transaction may be everywhere by then.
    """
    wanted = keccak256(raw)

    def read(result: msgspec.Raw) -> bytes:
        given = read_data(decode_result(result, str), width=HASH_BYTES)
        if given != wanted:
            raise ValueError(f"expected the hash {write_data(wanted)}, got {write_data(given)}")
        return given

    answers = await node.ask_each("eth_sendRawTransaction", [write_data(raw)], read)
    problems = [str(each) for each in answers if isinstance(each, EndpointError)]
    texts = [problem.lower() for problem in problems]
    known = [_says(text, KNOWN) for text in texts]
    return Sent(
        taken=len(problems) < len(answers) or any(known),
        nonce_used=any(_says(text, NONCE_USED) for text in texts),
        underpriced=any(_says(text, UNDERPRICED) for text in texts),
        problems=tuple(problem for problem, is_known in zip(problems, known, strict=True) if not is_known),
    )


def _says(text: str, words: Sequence[str]) -> bool:
    return any(word in text for word in words)


class _FeeHistory(msgspec.Struct, rename="camel"):
    base_fee_per_gas: list[str]
    gas_used_ratio: list[float] = []
    reward: list[list[str]] | None = None


class _Listing(msgspec.Struct):
    transactions: list[str]


class _Receipt(msgspec.Struct, rename="camel"):
    transaction_hash: str
    block_number: str
    block_hash: str
    status: str
    gas_used: str
    logs: list[LogAnswer]
    effective_gas_price: str


def _quantity(result: msgspec.Raw) -> int:
    return read_quantity(decode_result(result, str))


def _amount(result: msgspec.Raw) -> int:
    return read_amount(decode_result(result, str))


def _read_fees(result: msgspec.Raw) -> Fees:
    history = decode_result(result, _FeeHistory)
    bases = [read_amount(fee) for fee in history.base_fee_per_gas]
    if not bases:
        raise ValueError("expected base fees, got none")
    tips = [
        read_amount(tip)
        for of_block, used in zip(history.reward or [], history.gas_used_ratio, strict=False)
        for tip in of_block[:1]
        if used > 0
    ]
    return Fees(bases[-1], _lower_middle(tips) if tips else DEFAULT_PRIORITY_FEE_WEI)


def _lower_middle(amounts: Sequence[int]) -> int:
    return sorted(amounts)[(len(amounts) - 1) // 2]


def _read_receipt(result: msgspec.Raw, wanted: bytes) -> Receipt | None:
    answer = decode_result(result, _Receipt | None)
    if answer is None:
        return None
    receipt = Receipt(
        transaction_hash=read_data(answer.transaction_hash, width=HASH_BYTES),
        block_number=read_quantity(answer.block_number),
        block_hash=read_data(answer.block_hash, width=HASH_BYTES),
        succeeded=read_quantity(answer.status) == 1,
        gas_used=read_quantity(answer.gas_used),
        gas_price_wei=read_amount(answer.effective_gas_price),
        logs=tuple(read_log(each) for each in answer.logs),
    )
    if receipt.transaction_hash != wanted:
        raise ValueError("expected the receipt asked for, got another")
    if any(log.block_hash != receipt.block_hash for log in receipt.logs):
        raise ValueError(f"expected logs of the block {shown(answer.block_hash)}, got others")
    return receipt
