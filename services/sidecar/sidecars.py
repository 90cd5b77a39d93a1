"""All loops of a process: one for each relayer and node, whatever nodes come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from ..process import logs
from ..relayer_client.client import RelayerClient, WrongNetworkError
from .nodes.node import Node
from .polling.loop import Sidecar
from .signing.signed_once import SignedOnce
from .signing.signing import Signing

log = logs.get("sidecar")


class Sidecars:
    """The loops; each lives by itself, so that a relayer that is away or hostile disturbs no other.

    Args:
        clients: by the relayers' names.
    """

    def __init__(
        self,
        clients: Mapping[str, RelayerClient],
        signing: Signing,
        *,
        poll_seconds: float,
        wait_seconds: float,
    ) -> None:
        self._clients = dict(clients)
        self._signing = signing
        self._poll_seconds = poll_seconds
        self._wait_seconds = wait_seconds
        self._nodes: dict[tuple[int, int], Node] = {}  # by source and share index
        self._running: dict[tuple[str, int, int], tuple[Sidecar, asyncio.Task[None]]] = {}
        self.nothing_left = asyncio.Event()

    async def update(self, source: int, nodes: Sequence[Node]) -> None:
        """Serve with these nodes of a source instead of the ones before, without stopping a loop."""
        new = {(source, node.share_index): replace(node, signer=SignedOnce(node.signer)) for node in nodes}
        before = {place: node for place, node in self._nodes.items() if place[0] == source}
        for gone in before.keys() - new.keys():
            del self._nodes[gone]
            await self._stop([place for place in self._running if place[1:] == gone])
        for place, node in new.items():
            self._nodes[place] = node
            self._signing.metrics.keys.labels(str(node.share_index)).set(len(node.public_keys))
            for relayer, client in self._clients.items():
                if running := self._running.get((relayer, *place)):
                    running[0].node = node
                else:
                    self._start((relayer, *place), client, node)
        for node in before.values():
            await node.signer.close()

    async def close(self) -> None:
        """Stop all loops and forget all keys."""
        await self._stop(list(self._running))
        for node in self._nodes.values():
            await node.signer.close()

    def _start(self, place: tuple[str, int, int], client: RelayerClient, node: Node) -> None:
        sidecar = Sidecar(
            client,
            node,
            self._signing,
            relayer=place[0],
            poll_seconds=self._poll_seconds,
            wait_seconds=self._wait_seconds,
        )
        self._running[place] = sidecar, asyncio.create_task(self._run(sidecar))

    async def _run(self, sidecar: Sidecar) -> None:
        try:
            await sidecar.run()
        except WrongNetworkError as error:
            if self._clients.pop(sidecar.relayer, None):
                log.error("cannot run", relayer=sidecar.relayer, error=str(error))
            if not self._clients:
                self.nothing_left.set()

    async def _stop(self, places: Sequence[tuple[str, int, int]]) -> None:
        tasks = [self._running.pop(place)[1] for place in places]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
