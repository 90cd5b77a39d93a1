"""What the nodes of a cluster prefer together: each tells the others, and all agree on what comes of it.

What is agreed on holds what each node said and signed; only that counts, not what the node made of it that
led.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dvtfast.duties.message_sizes import PREFERENCES_BYTES, MessageSizes
from dvtfast.errors import DvtfastError
from dvtfast.protobuf import ProtobufError
from dvtfast.qbft import wire
from dvtfast.qbft.messages import Duty
from dvtfast.qbft.wire import proto_hash
from dvtfast.secp256k1 import IdentityKey

from ..p2p.errors import P2PError, UnsupportedProtocolError
from ..p2p.swarm.exchange import RECEIVE_SECONDS, Terms
from ..p2p.wire.peers import peer_text
from ..process import logs
from ..process.background import start_task
from ..process.offload import UnavailableError, Workers
from .consensus.consensus import Consensus
from .junk import Junk, NotNowError
from .transport import Transport
from .wire.priority import (
    OLD_PROTOCOL,
    PROTOCOL,
    PriorityMessage,
    Topic,
    TopicResult,
    any_text,
    decode_result,
    encode_result,
)

PROTOCOLS: Final = (PROTOCOL, OLD_PROTOCOL)
EXCHANGE_SECONDS: Final = 6.0  # after which it goes on without those who are not heard
POINTS: Final = 1000  # of what a node prefers to all else; one less for each position
ASKED: Final = Terms(most_bytes=PREFERENCES_BYTES)
TAKEN: Final = Terms(most_bytes=PREFERENCES_BYTES, seconds=RECEIVE_SECONDS)

ANOTHER_DUTY: Final = "preferences for another duty"
NOT_SIGNED: Final = "preferences that no node signed"

log = logs.get("node")


def scores(messages: Collection[PriorityMessage], threshold: int) -> list[TopicResult]:
    """What nodes prefer together: what enough of them want, best first.

    Args:
        messages: one of each node, for one duty.
        threshold: how many nodes have to want a thing.
    """
    points: dict[str, dict[str, int]] = {}
    for message in sorted(messages, key=lambda message: peer_text(message.node)):
        for topic in message.topics:
            of = points.setdefault(topic.name, {})
            for position, wanted in enumerate(topic.priorities):
                of[wanted] = of.get(wanted, 0) + POINTS - position
    return [
        TopicResult(
            name,
            tuple(
                (wanted, score)
                for wanted, score in sorted(points[name].items(), key=lambda item: -item[1])
                if score > (threshold - 1) * POINTS
            ),
        )
        for name in sorted(points, key=lambda name: proto_hash(any_text(name)))
    ]


@dataclass
class _Round:
    """What was said for one duty, by each node's key."""

    said: dict[bytes, PriorityMessage] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, message: PriorityMessage) -> None:
        self.said.setdefault(message.node, message)
        self.changed.set()


class Priorities:
    """One node's part in it.

    Args:
        consensus: in which the nodes agree.
        key: of this node.
        nodes: the keys of all nodes.
        threshold: how many have to want a thing.
        topics: what this node prefers.
        is_open: whether a duty may be agreed on now.
        workers: to read what others say.
    """

    def __init__(
        self,
        transport: Transport,
        consensus: Consensus,
        key: IdentityKey,
        nodes: Sequence[bytes],
        threshold: int,
        topics: Sequence[Topic],
        *,
        is_open: Callable[[Duty], bool],
        workers: Workers,
    ) -> None:
        self._transport, self._consensus = transport, consensus
        self._key, self._nodes, self._threshold = key, tuple(nodes), threshold
        self._topics, self._is_open, self._workers = tuple(topics), is_open, workers
        self._sizes = MessageSizes(len(self._nodes), 0)
        self._rounds: dict[Duty, _Round] = {}
        self._junk = Junk(log.info, "preferences not used")
        for protocol in PROTOCOLS:
            transport.handle(protocol, self._answer, terms=TAKEN)

    async def settle(self, duty: Duty) -> Mapping[str, Sequence[str]]:
        """What the nodes prefer together, best first, by topic.

        Args:
            duty: of type INFO_SYNC, that begins now.

        Raises:
            TimeoutError: they did not agree in time.
            ProtobufError: they agreed on what no node may propose.
        """
        of = self._round(duty)
        asking = [start_task(self._ask(node, duty)) for node in self._nodes if node not in of.said]
        try:
            async with asyncio.timeout(EXCHANGE_SECONDS):
                while len(of.said) < len(self._nodes):
                    of.changed.clear()
                    await of.changed.wait()
        except TimeoutError:
            log.info("preferences of some nodes only", nodes=len(of.said))
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        own = await self._workers.run(self._result, list(of.said.values()))
        agreement = await self._consensus.agree(duty, own)
        return await self._workers.run(self._read, duty, agreement.value)

    async def _ask(self, node: bytes, duty: Duty) -> None:
        of = self._round(duty)
        own = of.said[self._key.public_key].encode()
        try:
            try:
                answer = await self._transport.request(node, PROTOCOL, own, terms=ASKED)
            except UnsupportedProtocolError:
                answer = await self._transport.request(node, OLD_PROTOCOL, own, terms=ASKED)
            message = await self._workers.run_in_turn(node, self._said, node, answer)
            _require(message.duty == duty, ANOTHER_DUTY)
            of.hear(message)
        except (P2PError, DvtfastError, UnavailableError, TimeoutError) as error:
            log.info("preferences not heard", node=self._nodes.index(node), why=str(error))

    async def _answer(self, peer: bytes, data: bytes) -> bytes | None:
        try:
            message = await self._workers.run_in_turn(peer, self._said, peer, data)
            if not self._is_open(message.duty):
                raise NotNowError("a duty that nobody agrees on now")
        except (DvtfastError, NotNowError, UnavailableError, TimeoutError) as error:
            self._junk.tell(self._nodes.index(peer), error)
            return None
        of = self._round(message.duty)
        of.hear(message)
        return of.said[self._key.public_key].encode()

    def _round(self, duty: Duty) -> _Round:
        """Of a duty, with what this node says; those that are over are forgotten."""
        if duty not in self._rounds:
            self._rounds = {each: of for each, of in self._rounds.items() if self._is_open(each)}
            self._rounds[duty] = _Round()
            own = PriorityMessage(duty, self._topics, self._key.public_key)
            self._rounds[duty].hear(own.signed(self._key))
        return self._rounds[duty]

    # On threads.

    def _result(self, said: Sequence[PriorityMessage]) -> wire.Value:
        messages = sorted(said, key=lambda message: peer_text(message.node))
        return wire.Value(wire.PRIORITY_RESULT, encode_result(messages, scores(messages, self._threshold)))

    def _read(self, duty: Duty, value: wire.Value) -> dict[str, tuple[str, ...]]:
        _require(value.type_url == wire.PRIORITY_RESULT, "expected what nodes prefer")
        messages = decode_result(value.content, self._sizes)
        _require(len({message.node for message in messages}) == len(messages), "expected each node once")
        for message in messages:
            _require(message.duty == duty, ANOTHER_DUTY)
            _require(message.node in self._nodes and message.is_signed(), NOT_SIGNED)
        return {
            result.name: tuple(wanted for wanted, _ in result.scores)
            for result in scores(messages, self._threshold)
        }

    def _said(self, node: bytes, data: bytes) -> PriorityMessage:
        message = PriorityMessage.decode(data)
        _require(message.node == node, "another node's preferences")
        _require(message.is_signed(), NOT_SIGNED)
        return message


def _require(fulfilled: bool, problem: str) -> None:
    if not fulfilled:
        raise ProtobufError(problem)
