"""Whom to believe about the chain, when there are several nodes, of which one may be behind, or lie.

any node           `NodeClient`'s own calls: for what is found out before it costs anything, or costs
                   nothing; and for the state of a block that is named by its hash
all at least at B  `all_at_least`: for what is decided on the present. A node that has not reached block B,
                   from which what is to be judged was made, is not heard
a quorum           `quorum`, `reached`: for what stays on record, and for which blocks there are. More than
                   half of the nodes that answer say the same

A node that does not answer is not counted, so with one node that answers these are all the same. That a
contract refuses a call, or is none, is an answer like others, and may be a lie like others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from .. import clock
from ..calls import ContractError
from ..encoding import write_data
from ..endpoints import EndpointError
from .node import Block, CallRevertedError, NodeClient, NodeError, StaleNodeError, Tag
from .reverts import explain

FORK_BLOCKS: Final = 4  # honest nodes may differ in the latest blocks for a moment, rarely in more

T = TypeVar("T")
Voted = TypeVar("Voted", bound=Hashable)


class NodesDisagreeError(NodeError):
    """Nodes tell different things of the same block, account or transaction; one is behind, or lies."""


@dataclass(frozen=True)
class Said(Generic[T]):
    """What one node says."""

    node: str
    value: T


@dataclass(frozen=True)
class _Refusal:
    """What one node says instead of a value: that a contract refuses, or is none."""

    words: str
    error: CallRevertedError | ContractError = field(compare=False)

    def __str__(self) -> str:
        return self.words


def majority(count: int) -> int:
    """How many of so many are more than half."""
    return count // 2 + 1


async def all_at_least(
    node: NodeClient,
    number: int,
    read: Callable[[NodeClient, Block], Awaitable[T]],
    *,
    max_age_seconds: float | None = None,
) -> list[Said[T]]:
    """What each node says that has reached a block, of which there is one at least.

    Args:
        read: given a client of one node, and that node's latest block.
        max_age_seconds: a node whose latest block is older, or as much in the future, is not heard either.

    Raises:
        StaleNodeError: none of those that answer has.
        CallRevertedError, ContractError: each of them raised such an error when it was read.
        NodesDisagreeError: some of them did; it names them.
        NodeError: no node answers.
    """

    async def work(one: NodeClient) -> T | _Refusal | StaleNodeError:
        head = await one.block("latest")
        if why := _why_behind(head, number, max_age_seconds):
            return StaleNodeError(why)
        return await _said_by(one, lambda alone: read(alone, head))

    heard: list[Said[T | _Refusal]] = _heard(*await node.each(work))
    said, refusals = _told_apart(heard)
    if not said:
        raise refusals[0].value.error
    if refusals:
        words = [*(f"{each.node} says {each.value}" for each in refusals), "others answer"]
        raise NodesDisagreeError(f"nodes disagree about a contract: {', '.join(words)}")
    return said


def agreed(what: str, said: Sequence[Said[Voted]]) -> Voted:
    """What all of them say.

    Raises:
        NodesDisagreeError: they do not say the same; it names them.
    """
    if len({each.value for each in said}) > 1:
        raise _disagree(what, said)
    return said[0].value


async def quorum(node: NodeClient, what: str, read: Callable[[NodeClient], Awaitable[Voted]]) -> Voted:
    """What more than half of the nodes say that answer.

    Args:
        what: it is, in an error.
        read: given a client of one node.

    Raises:
        CallRevertedError, ContractError: more than half of them raised the same one when it was read.
        NodesDisagreeError: they say different things; it names them.
        NodeError: no node answers.
    """
    said: list[Said[Voted | _Refusal]] = _heard(*await node.each(lambda one: _said_by(one, read)))
    value, votes = Counter(each.value for each in said).most_common(1)[0]
    if votes < majority(len(said)):
        raise _disagree(what, said)
    if isinstance(value, _Refusal):
        raise value.error
    return value


async def reached(
    node: NodeClient, tag: Tag = "latest", *, at_least: int = 0, max_age_seconds: float | None = None
) -> Block:
    """The highest block that more than half of the nodes have reached, and have alike.

    With two nodes that is the lower of their latest blocks, so that one alone cannot say how long the
    chain is.

    Args:
        tag: "latest", or "finalized" for those that a node says are final.
        at_least, max_age_seconds: nodes that are behind are not counted, as in `all_at_least`.

    Raises:
        StaleNodeError: all that answer are behind.
        NodesDisagreeError: they have different chains.
        NodeError: no node answers.
    """

    async def work(one: NodeClient) -> Block | StaleNodeError:
        block = await one.block(tag)
        why = _why_behind(block, at_least, max_age_seconds)
        return StaleNodeError(why) if why else block

    blocks = _heard(*await node.each(work))
    wanted = majority(len(blocks))
    number = sorted((each.value.number for each in blocks), reverse=True)[wanted - 1]
    found = [each.value for each in blocks if each.value.number == number]
    block, votes = Counter(found).most_common(1)[0]
    return block if votes >= wanted else await _common_block(node, number, at_least)


async def block_of_quorum(node: NodeClient, number: int) -> Block:
    """The block of that number, as more than half of the nodes have it that know one; raises as `quorum`."""
    return await quorum(node, f"block {number}", lambda one: one.block(number))


async def _common_block(node: NodeClient, number: int, at_least: int) -> Block:
    """That block, or one a little before it, where the nodes do not differ any more."""
    for earlier in range(number, max(number - FORK_BLOCKS, at_least - 1), -1):
        try:
            return await block_of_quorum(node, earlier)
        except NodesDisagreeError as error:
            disagreement = error
    raise disagreement


async def _said_by(one: NodeClient, read: Callable[[NodeClient], Awaitable[T]]) -> T | _Refusal:
    try:
        return await read(one)
    except CallRevertedError as error:
        return _Refusal(f"that a contract refuses: {explain(error)}", error)
    except ContractError as error:
        return _Refusal(str(error), error)


def _told_apart(said: Sequence[Said[T | _Refusal]]) -> tuple[list[Said[T]], list[Said[_Refusal]]]:
    values = [Said(each.node, each.value) for each in said if not isinstance(each.value, _Refusal)]
    return values, [Said(each.node, each.value) for each in said if isinstance(each.value, _Refusal)]


def _heard(
    answers: Sequence[tuple[str, T | StaleNodeError]], failures: Sequence[EndpointError]
) -> list[Said[T]]:
    """Those that are not behind."""
    heard = [Said(name, value) for name, value in answers if not isinstance(value, StaleNodeError)]
    if heard:
        return heard
    behind = [f"{name}: {value}" for name, value in answers if isinstance(value, StaleNodeError)]
    text = "; ".join([*behind, *map(str, failures)])
    if behind:
        raise StaleNodeError(text)
    raise NodeError(text, refused=bool(failures) and all(error.refused for error in failures))


def _why_behind(head: Block, number: int, max_age_seconds: float | None) -> str:
    age_seconds = round(clock.now_seconds()) - head.timestamp
    if max_age_seconds is not None and abs(age_seconds) > max_age_seconds:
        return (
            f"expected a latest block of the last {max_age_seconds} s, got {head.number},"
            f" {clock.age_in_words(age_seconds)}"
        )
    return "" if head.number >= number else f"expected block {number}, got blocks up to {head.number}: behind"


def _disagree(what: str, said: Sequence[Said[Voted]]) -> NodesDisagreeError:
    words = [f"{each.node} says {_shown(each.value)}" for each in said]
    return NodesDisagreeError(f"nodes disagree about {what}: {', '.join(words)}")


def _shown(value: object) -> str:
    return write_data(value.hash) if isinstance(value, Block) else str(value)
