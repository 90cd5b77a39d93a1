"""One beacon node before the chain; others may be before the same chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from .adversity import Adversity
from .chain import JudgingChain
from .judging.gossip import Gossip
from .judging.ledger import RulingLedger
from .judging.pools import Pools

EVENTS_WAITING: Final = 1000  # of a reader who does not read; then it is cut off


class Events:
    """What happens on the chain, for whoever listens; it is told on any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._readers: set[asyncio.Queue[tuple[str, Any] | None]] = set()

    def tell(self, name: str, facts: dict[str, Any]) -> None:
        """An event, by its name in the beacon API."""
        self._loop.call_soon_threadsafe(self._pass_on, (name, facts))

    def close(self) -> None:
        """There are no more."""
        self._pass_on(None)

    async def read(self, silence_seconds: float) -> AsyncIterator[tuple[str | None, Any]]:
        """Events from now on; None for a name where there was none for so long."""
        queue: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue(EVENTS_WAITING)
        self._readers.add(queue)
        try:
            while True:
                try:
                    event = await asyncio.wait_for(queue.get(), silence_seconds)
                except TimeoutError:
                    yield None, None
                    continue
                if event is None:
                    return
                yield event
        finally:
            self._readers.discard(queue)

    def _pass_on(self, event: tuple[str, Any] | None) -> None:
        for queue in list(self._readers):
            if queue.full():
                self._readers.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)


@dataclass
class BeaconWorld:
    """What all nodes share.

    Attributes:
        fee_recipients: by validator index, as validators last said.
    """

    chain: JudgingChain
    pools: Pools
    ledger: RulingLedger
    gossip: Gossip
    fee_recipients: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, chain: JudgingChain) -> BeaconWorld:
        """A chain, and all that is before it."""
        pools, ledger = Pools(chain.spec), RulingLedger()
        return cls(chain, pools, ledger, Gossip(chain, pools, ledger))

    def tick(self) -> None:
        """Let all know what time it is."""
        if self.chain.clock.slot() > self.chain.slot:
            self.chain.tick()
            self.pools.forget(self.chain.slot)


@dataclass
class DemoBeaconNode:
    """One of them, by its name."""

    name: str
    world: BeaconWorld
    events: Events
    adversity: Adversity = field(default_factory=Adversity)

    @property
    def chain(self) -> JudgingChain:
        """The chain before which it is."""
        return self.world.chain

    @property
    def spec(self) -> Any:
        """Its rules."""
        return self.world.chain.spec

    @property
    def head(self) -> Any:
        """The root of the latest block, as far as this node knows."""
        chain, lag = self.world.chain, self.adversity.lag_slots
        return chain.ancestor(chain.head, chain.slot - lag) if lag else chain.head
