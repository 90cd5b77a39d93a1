"""A whole node: all of its parts, and how it runs.

async with ClusterNode.open(cluster, key=key, host=host, beacon=beacon, ...) as node:
    await node.run()
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, Self

from dvtfast.secp256k1 import IdentityKey

from ..chain.beacon.client import BeaconError
from ..chain.beacon.duties import DutiesClient
from ..process import logs
from ..process.background import for_ever, in_background
from ..process.offload import Workers
from .cluster import NodeCluster
from .consensus.consensus import Consensus
from .deadlines import Deadlines
from .exchange import Exchange, Gathered
from .exits.exits import Exits
from .exits.judging import ExitJudge
from .exits.store import ExitStore
from .info_sync import InfoSync, topics
from .partial_signatures import PartialSignatures
from .parts import NodeParts, Signer
from .peer_infos import PeerInfos
from .priority import PROTOCOLS as PREFERENCES
from .priority import Priorities
from .scheduler import Scheduler
from .slots import SlotClock
from .tracker import Tracker
from .transport import Transport
from .validators import Validators
from .wire.partial_signatures import PROTOCOL

LOOK_SECONDS: Final = 1.0  # between two looks whether beacon nodes have caught up

log = logs.get("node")


@dataclass(frozen=True, eq=False)
class ClusterNode:
    """One node of a cluster.

    Attributes:
        parts: what its duties use.
        scheduler: when they are.
        peer_infos: what the other nodes say of themselves.
        info_sync: what all nodes can do.
        exits: of its validators, where they are kept.
    """

    cluster: NodeCluster
    parts: NodeParts
    scheduler: Scheduler
    peer_infos: PeerInfos
    info_sync: InfoSync
    exits: Exits | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        cluster: NodeCluster,
        *,
        key: IdentityKey,
        host: Transport,
        beacon: DutiesClient,
        signer: Signer,
        slots: SlotClock,
        workers: Workers,
        agreeing: Workers | None = None,
        nickname: str = "",
        graffiti: bytes = bytes(32),
        builder: bool = False,
        exits: ExitStore | None = None,
        monotonic: Callable[[], float] | None = None,
    ) -> AsyncIterator[Self]:
        """A node that answers the others inside the block; its own duties are `run`'s.

        Args:
            cluster: as its lock says.
            key: this node's.
            host: among the other nodes; this node's protocols are added to it.
            beacon: nodes of the cluster's chain, that `learn` has been asked of.
            signer: with this node's key shares.
            slots: of that chain.
            workers: for cryptography and large data.
            agreeing: for what nodes say in the consensus, which is short and must not wait; else it is
                `workers`, too.
            nickname: what others see.
            graffiti: 32 bytes.
            builder: whether blocks of builders are wanted.
            exits: where they are kept; without it there are none.
            monotonic: a clock that nobody sets, in seconds; else it is the event loop's.
        """
        members, chain = cluster.members, beacon.chain
        deadlines = Deadlines(
            slots, began=slots.now(), monotonic=monotonic or asyncio.get_running_loop().time
        )
        tracker = Tracker(slots.now)
        partials = PartialSignatures[Gathered](members.keys, workers, tracker.blame)
        leaving = None
        if exits is not None:
            judge = ExitJudge(members, beacon.schedule, exits)
            leaving = Exits(judge, transport=host, beacon=beacon, signer=signer, slots=slots)
        exchange = Exchange(
            members,
            host,
            partials,
            workers,
            beacon.schedule,
            is_open=deadlines.is_open,
            blame=tracker.blame,
            hear=tracker.hear,
            exits=leaving,
            preset=chain.preset,
        )
        peers = [operator for operator in members.operators if operator != key.public_key]
        peer_infos = PeerInfos(
            host, peers, cluster.lock_hash, nickname=nickname, builder=builder, now=slots.now
        )
        async with AsyncExitStack() as stack:
            if leaving is not None:
                stack.push_async_callback(leaving.close)
            stack.push_async_callback(partials.close)
            stack.push_async_callback(exchange.close)
            stack.callback(host.forget, PROTOCOL)
            agreeing, validators = agreeing or workers, len(members.validators)
            consensus = await stack.enter_async_context(
                Consensus.open(host, key, members.operators, deadlines, agreeing, validators=validators)
            )
            priorities = Priorities(
                host,
                consensus,
                key,
                members.operators,
                members.keys.threshold,
                topics(builder=builder),
                is_open=lambda duty: deadlines.is_agreed_on(duty) and slots.is_last(duty.slot),
                workers=workers,
            )
            for protocol in PREFERENCES:
                stack.callback(host.forget, protocol)
            info_sync = InfoSync(priorities, slots)
            parts = NodeParts(
                cluster=members,
                fee_recipients=cluster.fee_recipients,
                registrations=cluster.registrations,
                beacon=beacon,
                consensus=consensus,
                exchange=exchange,
                partials=partials,
                signer=signer,
                tracker=tracker,
                slots=slots,
                deadlines=deadlines,
                schedule=beacon.schedule,
                preset=chain.preset,
                workers=workers,
                graffiti=graffiti,
                builder=builder,
                plural_contributions=info_sync.plural_contributions,
            )
            scheduler = Scheduler(parts, Validators(members, beacon))
            yield cls(cluster, parts, scheduler, peer_infos, info_sync, leaving)

    async def run(self) -> None:
        """Perform duties, until it is cancelled; at first wait for the genesis and for a beacon node."""
        slots = self.parts.slots
        beside = [self.peer_infos.run, self.info_sync.run, self.look_at_forks]
        if self.exits is not None:
            beside.append(self.exits.run)
        async with in_background(*map(for_ever, beside)):
            if slots.now() < slots.genesis_time:
                log.info("waiting for the genesis", seconds=round(slots.genesis_time - slots.now()))
                await slots.wait_until(slots.genesis_time)
            await self._wait_for_beacon()
            await self.scheduler.run()

    async def look_at_forks(self) -> None:
        """Have beacon nodes tell in each epoch which forks there are."""
        slots = self.parts.slots
        async for slot in slots.slots():
            if slot == slots.first_slot(slots.epoch(slot)):
                await self.parts.beacon.look_again()

    async def _wait_for_beacon(self) -> None:
        """Until one of the beacon nodes has caught up with the chain."""
        told = ""
        while True:
            try:
                problems = {health.node: health.problem for health in await self.parts.beacon.health()}
            except BeaconError as error:
                problems = {"": str(error)}
            if not all(problems.values()):
                return
            why = "; ".join(f"{node}: {problem}" for node, problem in problems.items())
            if why != told:
                log.warning("waiting for a beacon node", why=why)
                told = why
            self.scheduler.forget_others()
            await self.parts.slots.sleep(LOOK_SECONDS)
