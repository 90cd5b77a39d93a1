"""How many nodes are enough."""

from __future__ import annotations

from collections.abc import Iterable

from dvtfast.qbft.messages import Message


def quorum(nodes: int) -> int:
    """So many that any two quorums have an honest node in common: two thirds, rounded up."""
    return -(-2 * nodes // 3)


def faulty(nodes: int) -> int:
    """How many nodes may do whatever they like: less than a third."""
    return (nodes - 1) // 3


def by_value(messages: Iterable[Message]) -> dict[bytes, tuple[Message, ...]]:
    """Who says what: for each value, the first message of each node that is for it."""
    found: dict[bytes, dict[int, Message]] = {}
    for message in messages:
        if message.value_hash is not None:
            found.setdefault(message.value_hash, {}).setdefault(message.peer, message)
    return {value_hash: tuple(of_nodes.values()) for value_hash, of_nodes in found.items()}
