"""What the parts of a node need of `p2p.Host`: messages to its peers, and theirs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from ..p2p.swarm.exchange import RECEIVE_SECONDS, Terms

TAKEN: Final = Terms(seconds=RECEIVE_SECONDS)

Taking = Callable[[bytes, bytes], Awaitable[bytes | None]]
"""Of a peer and its message, the answer, if there is one."""


class Transport(Protocol):
    """All of it; keys of peers have 33 bytes."""

    def handle(self, protocol: str, function: Taking, *, terms: Terms = TAKEN) -> None:
        """Take messages of a protocol."""
        ...

    def forget(self, protocol: str) -> None:
        """Take no more of them."""
        ...

    async def request(self, peer: bytes, protocol: str, message: bytes, *, terms: Terms) -> bytes:
        """The answer of a peer."""
        ...

    async def send(self, peer: bytes, protocol: str, message: bytes) -> None:
        """Send a message that has no answer."""
        ...
