"""SSV operators as nodes: their key shares of what is registered on chain, which is followed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from contextlib import suppress

from ...chain.encoding import read_address
from ...keys.key_shares import NoKeysError
from ...process import logs
from ...process.background import repeat
from ...process.offload import UnavailableError, Workers
from ...settings import SidecarSettings
from ...settings.chain_clients import node_client
from ...ssv.follower import LOOK_SECONDS, Follower
from ...ssv.registry import ChainSource, Registry, RegistryError
from .file_states import state_of
from .node import Node
from .ssv import key_files, nodes_of

FIRST_LOOK_SECONDS = 10.0  # that a start waits for the chain, where nothing is known of it

log = logs.get("sidecar")


class SsvChain:
    """What is registered in SSV's contract, and the keys of some operators.

    The chain is followed from the first `load` on, until `close`.
    """

    def __init__(self, settings: SidecarSettings, workers: Workers) -> None:
        self._settings = settings
        self._workers = workers
        self._registry: Registry | None = None
        self._following: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()
        self._changes = 0  # of the registry, at the end of the last look

    async def load(self) -> Sequence[Node]:
        """What is known now; whoever knows nothing at all waits a little for the chain."""
        if self._registry is None:
            self._registry = await asyncio.to_thread(self._open)
        if self._following is None:
            self._following = asyncio.create_task(self._follow(self._registry))
        try:
            if not await asyncio.to_thread(self._registry.checkpoints):
                with suppress(TimeoutError):
                    async with asyncio.timeout(FIRST_LOOK_SECONDS):
                        await self._looked.wait()
            return await asyncio.to_thread(self._load, self._registry)
        except RegistryError as error:
            raise UnavailableError(str(error)) from None

    def fingerprint(self) -> Hashable:
        """Of what is registered, and of the key files."""
        return self._changes, state_of(*key_files(self._settings))

    async def close(self) -> None:
        """Stop following the chain."""
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following
        if self._registry is not None:
            await asyncio.to_thread(self._registry.close)

    @property
    def _source(self) -> ChainSource:
        settings, network = self._settings, self._settings.network
        first_block = settings.ssv_from_block
        return ChainSource(
            chain_id=network.chain_id,
            contract=settings.ssv_contract or read_address(network.ssv_contract or ""),
            first_block=network.ssv_contract_block if first_block is None else first_block,
            operator_ids=frozenset(settings.ssv_operator_ids),
        )

    def _open(self) -> Registry:
        try:
            return Registry(self._settings.ssv_database, self._source, threads=self._settings.threads)
        except RegistryError as error:
            raise NoKeysError(str(error)) from None

    async def _follow(self, registry: Registry) -> None:
        async with node_client(self._settings) as node:
            follower = Follower(node, self._source, registry)

            async def look() -> None:
                await follower.look()
                self._changes = registry.changes
                self._looked.set()

            await repeat("SSV events", look, LOOK_SECONDS)

    def _load(self, registry: Registry) -> list[Node]:
        validators = registry.validators()
        if owners := frozenset(self._settings.ssv_owners):
            validators = [each for each in validators if each.owner_address in owners]
        if not validators:
            log.warning("no SSV validators yet", read_to_block=_last_block(registry))
        nodes, problems = nodes_of(validators, self._settings, self._workers)
        for problem in problems:  # anybody can register what does not open, so it is no reason to end
            log.error("key problem", problem=problem)
        return nodes


def _last_block(registry: Registry) -> int | None:
    checkpoints = registry.checkpoints()
    return checkpoints[-1].number if checkpoints else None
