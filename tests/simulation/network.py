"""Lines between nodes: what one sends, the others take, late, twice, or never, as the weather is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import Random

from dvtfast.services.node.transport import TAKEN, Taking
from dvtfast.services.p2p.errors import P2PError, UnreachableError
from dvtfast.services.p2p.swarm.exchange import SEND_SECONDS, Terms
from tests.simulation.loop import Program, VirtualLoop

PART_TOLD = 0.5  # of what is lost, of which the sender learns that it is
Mangling = Callable[[int, str, bytes], Sequence[bytes]]
"""What a liar sends instead of a message, to a position, by protocol."""


@dataclass(frozen=True)
class Weather:
    """How the lines are.

    Attributes:
        loss, doubles: part of the messages that is lost, or comes twice.
        delay: what one takes at most, seconds; each takes another time, so they overtake each other.
        sides: of each node; those of different ones do not hear each other. Empty: all do.
    """

    loss: float = 0.0
    doubles: float = 0.0
    delay: float = 0.05
    sides: tuple[int, ...] = ()

    def parts(self, one: int, other: int) -> bool:
        """Whether two nodes do not hear each other."""
        return bool(self.sides) and self.sides[one] != self.sides[other]


CALM = Weather()


class Network:
    """All lines.

    Attributes:
        weather: now; of all of them.
        sent: told who sent what, by position, protocol and message, once for each receiver.
        trace: told all that happens.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        random: Random,
        operators: Sequence[bytes],
        *,
        sent: Callable[[int, str, bytes], None],
        trace: Callable[..., None],
    ) -> None:
        self.weather = CALM
        self.loop, self.random, self.sent, self.trace = loop, random, sent, trace
        self.positions = {operator: position for position, operator in enumerate(operators)}
        self.operators = operators
        self.lines: dict[int, Line] = {}

    def line(self, position: int, program: Program) -> Line:
        """A program's end of the lines; those of programs before it are over."""
        line = self.lines[position] = Line(self, position, program)
        return line

    def carry(self, origin: int, target: int, deliver: Callable[[Line], None]) -> bool:
        """Whether something arrives, as far as its sender learns; it may get lost all the same."""
        weather, random = self.weather, self.random
        if weather.parts(origin, target) or random.random() < weather.loss:
            return random.random() >= PART_TOLD
        for _ in range(1 + (random.random() < weather.doubles)):
            self.loop.call_later(random.uniform(0.001, weather.delay), self._arrive, target, deliver)
        return True

    def _arrive(self, target: int, deliver: Callable[[Line], None]) -> None:
        line = self.lines.get(target)
        if line is not None and line.program.is_alive:
            deliver(line)


class Line:
    """A node's end, with what it needs of `p2p.Host`.

    Attributes:
        mangle: what a liar does with what it would send.
    """

    def __init__(self, network: Network, position: int, program: Program) -> None:
        self.program, self.position = program, position
        self.mangle: Mangling | None = None
        self._network = network
        self._handlers: dict[str, tuple[Taking, Terms]] = {}

    def handle(self, protocol: str, function: Taking, *, terms: Terms = TAKEN) -> None:
        self._handlers[protocol] = function, terms

    def forget(self, protocol: str) -> None:
        self._handlers.pop(protocol, None)

    async def send(self, peer: bytes, protocol: str, message: bytes) -> None:
        target = self._network.positions[peer]
        messages = [message] if self.mangle is None else self.mangle(target, protocol, message)
        arrives = True
        for each in messages:
            arrives = self._sent(target, protocol, each)
        if not arrives:
            await asyncio.sleep(self._network.random.uniform(0, SEND_SECONDS))
            raise UnreachableError("nothing goes there")
        await asyncio.sleep(0)

    async def request(self, peer: bytes, protocol: str, message: bytes, *, terms: Terms) -> bytes:
        network, target = self._network, self._network.positions[peer]
        answered: asyncio.Future[bytes] = network.loop.create_future()

        def take_answer(answer: bytes) -> None:
            if not answered.done():
                answered.set_result(answer)

        def deliver(line: Line) -> None:
            line.take(
                self.position,
                protocol,
                message,
                lambda answer: network.carry(target, self.position, lambda _: take_answer(answer)),
            )

        if self.program.is_alive:
            network.carry(self.position, target, deliver)
        async with asyncio.timeout(terms.seconds):
            return await answered

    def take(self, origin: int, protocol: str, message: bytes, answer: Callable[[bytes], object]) -> None:
        """A message arrives."""
        if protocol in self._handlers:
            self.program.run(self._take(origin, protocol, message, answer))

    async def _take(
        self, origin: int, protocol: str, message: bytes, answer: Callable[[bytes], object]
    ) -> None:
        function, terms = self._handlers[protocol]
        if len(message) > terms.most_bytes:
            return
        try:
            async with asyncio.timeout(terms.seconds):
                said = await function(self._network.operators[origin], message)
        except (P2PError, TimeoutError):
            return
        if said is not None and self.program.is_alive:
            answer(said)

    def _sent(self, target: int, protocol: str, message: bytes) -> bool:
        network = self._network
        if not self.program.is_alive:
            return False
        network.trace("sends", self.position, target, protocol, sha256(message).hexdigest()[:16])
        network.sent(self.position, protocol, message)
        return network.carry(
            self.position,
            target,
            lambda line: line.take(self.position, protocol, message, lambda _: None),
        )
