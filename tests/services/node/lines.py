"""Lines between nodes in one process: what one sends, the others' handlers take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dvtfast.services.node.transport import TAKEN
from dvtfast.services.p2p.errors import UnreachableError
from dvtfast.services.p2p.swarm.exchange import Terms

Handler = Callable[[bytes, bytes], Awaitable[bytes | None]]


class Lines:
    """All lines.

    Attributes:
        sent: sender, receiver, protocol and message of each.
        down: operators that nobody reaches.
    """

    def __init__(self) -> None:
        self.handlers: dict[tuple[bytes, str], Handler] = {}
        self.sent: list[tuple[bytes, bytes, str, bytes]] = []
        self.down: set[bytes] = set()

    def of(self, operator: bytes) -> Line:
        """What a node has of them."""
        return Line(self, operator)


class Line:
    """A node's end of the lines, with what it needs of `p2p.Host`."""

    def __init__(self, lines: Lines, operator: bytes) -> None:
        self._lines, self._operator = lines, operator

    def handle(self, protocol: str, function: Handler, *, terms: Terms = TAKEN) -> None:
        self._lines.handlers[self._operator, protocol] = function

    def forget(self, protocol: str) -> None:
        del self._lines.handlers[self._operator, protocol]

    async def send(self, peer: bytes, protocol: str, message: bytes) -> None:
        if {peer, self._operator} & self._lines.down:
            raise UnreachableError("down")
        self._lines.sent.append((self._operator, peer, protocol, message))
        await self._lines.handlers[peer, protocol](self._operator, message)

    async def request(self, peer: bytes, protocol: str, message: bytes, *, terms: Terms) -> bytes:
        raise UnreachableError("nobody asks here")
