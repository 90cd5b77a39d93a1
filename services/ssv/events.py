"""The events of SSV's contract that say which validators there are.

Source: ssv-network contracts, ssv eth/contract.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from ..chain.encoding import ADDRESS_BYTES, HASH_BYTES, keccak256
from ..chain.execution.node import Log

CLUSTER = "(uint32,uint64,uint64,bool,uint256)"
VALIDATOR_ADDED = keccak256(f"ValidatorAdded(address,uint64[],bytes,bytes,{CLUSTER})".encode())
VALIDATOR_REMOVED = keccak256(f"ValidatorRemoved(address,uint64[],bytes,{CLUSTER})".encode())
TOPICS = (VALIDATOR_ADDED, VALIDATOR_REMOVED)
PADDING = bytes(HASH_BYTES - ADDRESS_BYTES)


class EventError(Exception):
    """A log that is not the event which its topic announces."""


@dataclass(frozen=True, slots=True)
class ValidatorAdded:
    """An owner registers a validator; nothing of it is checked yet.

    Attributes:
        operator_ids, public_key, shares_data: empty when they are for none of the operators asked for.
        problem: why they could not be read.
    """

    owner: bytes
    operator_ids: tuple[int, ...] = ()
    public_key: bytes = b""
    shares_data: bytes = b""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ValidatorRemoved:
    """An owner takes a validator out."""

    owner: bytes
    public_key: bytes


Event: TypeAlias = ValidatorAdded | ValidatorRemoved


def read_event(log: Log, is_wanted: Callable[[tuple[int, ...]], bool]) -> Event:
    """The event in a log.

    A ValidatorAdded counts for its owner's nonce whatever else is in it, so one that cannot be read is an
    event with a `problem`. One whose operators are not wanted has its owner only.

    Raises:
        EventError: it is a ValidatorRemoved that cannot be read, or has no owner.
    """
    owner = _owner(log)
    if log.topics[0] == VALIDATOR_REMOVED:
        _, public_key = _decode(["uint64[]", "bytes"], log.data)
        return ValidatorRemoved(owner, public_key)
    operator_ids: tuple[int, ...] = ()
    try:
        (operator_ids,) = _decode(["uint64[]"], log.data)
        if not is_wanted(operator_ids):
            return ValidatorAdded(owner)
        _, public_key, shares_data, _ = _decode(["uint64[]", "bytes", "bytes", CLUSTER], log.data)
    except EventError as error:
        return ValidatorAdded(owner, operator_ids, problem=str(error))
    return ValidatorAdded(owner, operator_ids, public_key, shares_data)


def _owner(log: Log) -> bytes:
    if len(log.topics) != 2 or not log.topics[1].startswith(PADDING):
        raise EventError("expected an owner's address")
    return log.topics[1][len(PADDING) :]


def _decode(types: list[str], data: bytes) -> tuple[Any, ...]:
    try:
        return decode(types, data)
    except (DecodingError, ValueError, OverflowError) as error:
        raise EventError(f"no such event: {type(error).__name__}") from None
