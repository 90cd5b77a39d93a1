"""Whole nodes of one cluster in this process, over libp2p on loopback, before the chain that judges.

Time goes on by hand: a test goes to a moment, and waits there until the duties of it are done, however slow
the machine is. Rounds of the consensus last a second of the machine's clock all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dvtfast import PublicKeys, derive_public_keys, generate_secret_keys, sign, split_secret_keys
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkSchedule
from dvtfast.duties.presets import Preset
from dvtfast.duties.signed_sets import signed_set, with_signature
from dvtfast.duties.wrappers import SignedValue
from dvtfast.qbft.messages import Duty
from dvtfast.secp256k1 import IdentityKey
from dvtfast.services.chain.beacon.duties import DutiesClient
from dvtfast.services.node.cluster import NodeCluster
from dvtfast.services.node.exchange import ClusterMembers
from dvtfast.services.node.partial_signatures import ClusterKeys, Positions
from dvtfast.services.node.parts import Signed
from dvtfast.services.node.running import ClusterNode
from dvtfast.services.node.slots import SlotClock
from dvtfast.services.node.tracker import DutyReport, Step
from dvtfast.services.process.offload import Workers
from tests.services.demo.beacon.chains import (
    FORK_VERSION,
    GENESIS_TIME,
    PATIENT,
    TESTNET,
    RunningChain,
    running_chain,
)
from tests.services.p2p.hosts import cluster as hosts_of
from tests.services.p2p.hosts import identities
from tests.services.patience import PATIENCE_SECONDS

VALIDATORS, NODES, THRESHOLD = 64, 4, 3
LOCK_HASH = bytes(range(32))
SECONDS_PER_SLOT = 600  # so many that no duty is over before its test, on the slowest machine
LOOK_SECONDS = 0.01


class Hand:
    """What moves the clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.moved = asyncio.Event()

    def now(self) -> float:
        return self.seconds

    def move(self, seconds: float) -> None:
        self.seconds = seconds
        self.moved.set()
        self.moved = asyncio.Event()


@dataclass(frozen=True)
class HandClock(SlotClock):
    """Slots by a clock that goes on by hand."""

    hand: Hand = field(kw_only=True)

    @classmethod
    def at_genesis(cls, slots_per_epoch: int = 8) -> HandClock:
        hand = Hand(GENESIS_TIME - 1.0)
        return cls(GENESIS_TIME, SECONDS_PER_SLOT, slots_per_epoch, hand.now, hand=hand)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def pause(self, moment: float) -> None:
        await self.hand.moved.wait()


@dataclass(frozen=True)
class SignedOnce:
    """What a node signed for a validator."""

    duty: Duty
    validator: int
    root: bytes
    value: SignedValue


@dataclass
class KeyShareSigner:
    """A node's key shares in memory, as a signer; it signs whatever it is asked to."""

    key_shares: np.ndarray
    schedule: ForkSchedule
    preset: Preset
    signed: list[SignedOnce] = field(default_factory=list)

    async def sign(self, duty: Duty, validators: Positions, values: Sequence[SignedValue]) -> Signed:
        roots = signed_set(duty.type, values, self.schedule, self.preset).signing_roots
        signatures = sign(self.key_shares[validators], roots)
        self.signed += [
            SignedOnce(duty, validator, root.tobytes(), value)
            for validator, root, value in zip(validators.tolist(), roots, values, strict=True)
        ]
        signed = [
            with_signature(value, signature.tobytes())
            for value, signature in zip(values, signatures, strict=True)
        ]
        return Signed(validators, signed, {})


class Keys:
    """The keys of a cluster, dealt here.

    Attributes:
        secrets: of its validators, uint8[m, 32]; their positions are their indices on the chain.
        shares: uint8[m, n, 32].
        identities: of its nodes.
    """

    def __init__(self, validators: int = VALIDATORS, nodes: int = NODES, threshold: int = THRESHOLD) -> None:
        self.secrets = generate_secret_keys(validators)
        self.shares = split_secret_keys(self.secrets, threshold=threshold, share_indices=range(1, nodes + 1))
        self.identities: list[IdentityKey] = identities(nodes)
        shares = derive_public_keys(self.shares.reshape(-1, 32)).reshape(validators, nodes, 48)
        self.cluster_keys = ClusterKeys(
            threshold, PublicKeys(derive_public_keys(self.secrets)), PublicKeys(shares)
        )

    def cluster(self, position: int) -> NodeCluster:
        """A node's view of it."""
        operators = [key.public_key for key in self.identities]
        return NodeCluster(
            name="test",
            lock_hash=LOCK_HASH,
            fork_version=FORK_VERSION,
            members=ClusterMembers.of(self.cluster_keys, position, operators),
            fee_recipients=["0x" + f"{position:040x}" for position in range(len(self.secrets))],
        )


@dataclass
class ClusterOfNodes:
    """Nodes that run.

    Attributes:
        nodes: by position; None for one that does not run.
        signed: by all of them, in their order.
    """

    keys: Keys
    chain: RunningChain
    slots: HandClock
    hosts: list[Any]
    nodes: list[ClusterNode | None]
    signed: list[SignedOnce]
    running: list[asyncio.Task[None] | None]
    stacks: list[AsyncExitStack]

    async def begin(
        self, position: int, *, client: type[DutiesClient] = DutiesClient, **more: Any
    ) -> ClusterNode:
        """Let a node run; it asks the beacon node of its own number, where there are several."""
        stack = self.stacks[position]
        urls = [self.chain.urls[position % len(self.chain.urls)]]
        beacon = await stack.enter_async_context(client(urls, expected=TESTNET, **PATIENT))
        chain = await beacon.learn()
        workers = Workers("node", threads=1)
        stack.push_async_callback(workers.close)
        signer = KeyShareSigner(self.keys.shares[:, position], chain.schedule, chain.preset, self.signed)
        opened = ClusterNode.open(
            self.keys.cluster(position),
            **{
                "key": self.keys.identities[position],
                "host": self.hosts[position],
                "beacon": beacon,
                "signer": signer,
                "slots": self.slots,
                "monotonic": self.slots.now,  # moved by hand, it is never set
                "workers": workers,
            }
            | more,
        )
        node = await stack.enter_async_context(opened)
        self.nodes[position] = node
        self.running[position] = asyncio.create_task(node.run())
        return node

    async def end(self, position: int) -> None:
        """Stop a node."""
        if (task := self.running[position]) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.stacks[position].aclose()
            self.stacks[position] = AsyncExitStack()
            self.nodes[position] = self.running[position] = None

    async def go_to(self, slot: int, part: float = 0.0) -> None:
        """Go on to a part of a slot."""
        await self.chain.go_to(slot, round(part * SECONDS_PER_SLOT * 1000))
        self.slots.hand.move(self.slots.start(slot, part))

    async def done(self, slot: int, type: DutyType, nodes: Sequence[int] = range(NODES)) -> list[DutyReport]:
        """Wait until those of these nodes that run are through with a duty: how it went, in their order.

        A node that fails meanwhile fails the test.
        """
        duty = Duty(slot, type)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for task in self.running:
                    if task is not None and task.done():
                        task.result()
                running = [self.nodes[position] for position in nodes]
                parts = [node.parts for node in running if node is not None]
                reports = [each.tracker.reports().get(duty) for each in parts]
                found = [report for report in reports if report is not None]
                if len(found) == len(parts) and all(map(is_over, found)):
                    return found
                await asyncio.sleep(LOOK_SECONDS)


def is_over(report: DutyReport) -> bool:
    """Whether for each validator something was sent, or it is said why not."""
    return bool(report.steps) and all(
        step is Step.SENT or validator in report.reasons for validator, step in report.steps.items()
    )


@asynccontextmanager
async def cluster_of_nodes(
    folder: Path,
    *,
    keys: Keys | None = None,
    running: Sequence[int] = range(NODES),
    beacon_nodes: int = 1,
    **more: Any,
) -> AsyncIterator[ClusterOfNodes]:
    """A cluster before a chain of its validators, a second before its genesis.

    Args:
        running: nodes that run from the start, by their positions.
        beacon_nodes: how many are before the chain; the cluster's take turns.
        more: of `ClusterNode.open`.
    """
    keys = Keys() if keys is None else keys
    options = ("--by-hand", "--seconds-per-slot", str(SECONDS_PER_SLOT))
    async with AsyncExitStack() as stack:
        chain = await asyncio.to_thread(
            stack.enter_context, running_chain(folder, keys.secrets, nodes=beacon_nodes, options=options)
        )
        hosts = await stack.enter_async_context(hosts_of(keys.identities))
        count = len(keys.identities)
        found = ClusterOfNodes(
            keys,
            chain,
            HandClock.at_genesis(),
            hosts,
            [None] * count,
            [],
            [None] * count,
            [AsyncExitStack() for _ in range(count)],
        )
        try:
            for position in running:
                await found.begin(position, **more)
            yield found
        finally:
            for position in range(count):
                await found.end(position)
