"""Four whole nodes on virtual time, from a seed; what they did, and why which duty was missed."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any, Final

from dvtfast.duties.validator_messages import SignedValidatorRegistration
from dvtfast.services.node.cluster import NodeCluster
from dvtfast.services.node.exchange import ClusterMembers
from dvtfast.services.node.running import ClusterNode
from dvtfast.services.node.slots import SlotClock
from dvtfast.services.process.offload import Workers
from tests.simulation.beacon import BeaconNode, SimulatedBeacon
from tests.simulation.blocks import FEES
from tests.simulation.chain import (
    CONSTANTS,
    GENESIS_TIME,
    SECONDS_PER_SLOT,
    SLOTS_PER_EPOCH,
    Chain,
)
from tests.simulation.disks import Disk, signer
from tests.simulation.duties import Duties
from tests.simulation.liars import Liar
from tests.simulation.loop import Program, VirtualLoop
from tests.simulation.members import NODES, members
from tests.simulation.network import CALM, Network
from tests.simulation.signatures import Signatures
from tests.simulation.sizes import sizes
from tests.simulation.storms import Kind, Trouble, draw
from tests.simulation.surroundings import errors_to, no_surprises
from tests.simulation.world import World

CLOCK_SECONDS: Final = 0.2  # by which clocks are wrong anyhow
LOCK_HASH: Final = sha256(b"simulated cluster").digest()


@dataclass(eq=False)
class Member:
    """A node with its machine.

    Attributes:
        offset: of its clock, seconds.
        program: that runs now; None while it is down.
        node: of that program, when it has begun.
        liar: what its messages go through, while it lies.
        jumped: by how much its clock is wrong besides, seconds.
        changing: held by what stops or starts its programs.
    """

    position: int
    beacon: BeaconNode
    offset: float
    disk: Disk
    program: Program | None = None
    node: ClusterNode | None = None
    liar: Liar | None = None
    jumped: float = 0.0
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Simulation:
    """A run of so many slots.

    Args:
        seed: of all that happens.
        troubles: instead of those that the seed makes.

    Attributes:
        events: how many things have happened; with the same seed the same.
        seen: kinds of trouble, and how duties went, counted.
        sizes: of memory, disks, and what nodes keep, after each epoch.
    """

    def __init__(
        self, seed: int, slots: int, *, validators: int = 2, troubles: list[Trouble] | None = None
    ) -> None:
        self.seed, self.slots = seed, slots
        self._random = Random(seed)
        self._hash = sha256()
        self.events = 0
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.sizes: list[dict[str, int]] = []
        self.loop = VirtualLoop(Random(self._random.random()))
        self.loop.set_exception_handler(self._failed)
        self.members = members(validators)
        self.troubles = draw(self._random, slots) if troubles is None else troubles
        chain = Chain(Random(self._random.random()), validators, self.loop.call_later, NODES)
        self.nodes = [
            Member(
                position,
                BeaconNode(chain.views[position]),
                self._random.uniform(-CLOCK_SECONDS, CLOCK_SECONDS),
                Disk(self.members.keys.key_shares.encoded[:, position]),
            )
            for position in range(NODES)
        ]
        self.signatures = Signatures(chain, self.members.keys.public_keys, self._now, self._ahead)
        self.duties = Duties(self, chain)
        self.chain = chain
        keys = [key.tobytes() for key in self.members.keys.public_keys.encoded]
        self.world = World(
            chain,
            keys,
            self.signatures,
            Random(self._random.random()),
            self._performed,
            self._slot,
            self.loop.call_later,
        )
        self.network = Network(
            self.loop, Random(self._random.random()), self.members.operators,
            sent=self._sent, trace=self._trace,
        )  # fmt: skip

    @property
    def trace_hash(self) -> str:
        """Of all that happened."""
        return self._hash.hexdigest()

    def run(self) -> Counter[str]:
        """Let it happen. AssertionError: something happened that must not."""
        with errors_to(self._erred), no_surprises():
            try:
                self.loop.run_until_complete(self._run())
            except AssertionError as error:
                error.add_note(f"Simulation({self.seed}, {self.slots}).run()")
                raise
            finally:
                self.loop.run_until_complete(self._end())
                self.loop.close()
        return self.seen

    async def _run(self) -> None:
        loop, coming = self.loop, list(self.troubles)
        for member in self.nodes:
            self._start(member)
        for slot in range(self.slots):
            while coming and coming[0].begin < (slot + 1) * SECONDS_PER_SLOT:
                trouble = coming.pop(0)
                loop.call_at(max(trouble.begin, loop.time()), self._begin, trouble)
            self.chain.begin(slot)
            await asyncio.sleep((slot + 1) * SECONDS_PER_SLOT - loop.time())
            self._look(slot)

    async def _end(self) -> None:
        for member in self.nodes:
            async with member.changing:
                await self._stop(member)
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self.loop.shutdown_asyncgens()

    def _look(self, slot: int) -> None:
        self.signatures.forget(slot)
        self.world.votes = {each for each in self.world.votes if each[1].slot > slot - SLOTS_PER_EPOCH}
        self.duties.judge(slot - SLOTS_PER_EPOCH - 2)
        for member in self.nodes:
            if member.program is not None and member.node is None and not member.program.tasks:
                self.wrong.append(f"node {member.position} has ended")
        if slot % SLOTS_PER_EPOCH == 0:
            nodes = [member.node for member in self.nodes if member.node is not None]
            self.sizes.append(sizes(nodes, [member.disk for member in self.nodes]))
        wrong = [*self.signatures.wrong, *self.wrong]
        assert not wrong, "\n".join(wrong[:10])

    # Nodes.

    def _start(self, member: Member) -> None:
        program = Program(self.loop, f"node {member.position}")
        member.program, member.node = program, None
        program.on_killed.append(lambda: self._trace("killed", member.position))
        self._trace("starts", member.position)
        line = self.network.line(member.position, program)
        if member.liar is not None:
            line.mangle = member.liar.mangle
        program.run(self._be(member, program, line))

    async def _be(self, member: Member, program: Program, line: Any) -> None:
        workers = Workers("node", threads=1)
        identity = self.members.identities[member.position]
        keys, shares = self.members.keys, self.members.key_shares[:, member.position]
        cluster = NodeCluster(
            name="simulated",
            lock_hash=LOCK_HASH,
            fork_version=CONSTANTS.genesis_fork_version,
            members=ClusterMembers.of(keys, member.position, self.members.operators),
            fee_recipients=["0x" + FEES.hex()] * len(self.world.keys),
            registrations=list[SignedValidatorRegistration](),
        )
        beacon: Any = SimulatedBeacon(self.world, member.beacon, program)
        slots = SlotClock(
            GENESIS_TIME,
            SECONDS_PER_SLOT,
            SLOTS_PER_EPOCH,
            lambda: self._now() + member.offset + member.jumped,
        )
        try:
            async with ClusterNode.open(
                cluster,
                key=identity,
                host=line,
                beacon=beacon,
                signer=signer(member.disk, shares, cluster.members, program, workers),
                slots=slots,
                workers=workers,
            ) as node:
                if program.is_alive:
                    member.node = node
                await node.run()
        except Exception as error:
            if program.is_alive:
                self.wrong.append(f"node {member.position} has ended: {error!r}")

    async def _stop(self, member: Member) -> None:
        if member.program is not None:
            member.program.kill()
            await member.program.gone()
            member.program = member.node = None

    async def _restart(self, member: Member) -> None:
        async with member.changing:
            await self._stop(member)
            self._start(member)

    # Troubles.

    def _begin(self, trouble: Trouble) -> None:
        self.seen[trouble.kind] += 1
        self._trace("trouble", trouble.kind, trouble.node)
        if trouble.node is None:
            self.network.weather = trouble.weather
            self.loop.call_at(trouble.end, self._calm, trouble)
            return
        member = self.nodes[trouble.node]
        troubles, view = member.beacon.troubles, member.beacon.view
        match trouble.kind:
            case Kind.KILLED:
                self.loop.create_task(self._kill(member, trouble))
            case Kind.STOPPED | Kind.ASLEEP if member.program is not None:
                member.program.stop(trouble.end - trouble.begin, with_clock=trouble.kind == Kind.ASLEEP)
            case Kind.CLOCK:
                member.jumped = trouble.seconds
                self.loop.call_at(trouble.end, setattr, member, "jumped", 0.0)
            case Kind.LAGS:
                view.lag = trouble.seconds
                self.loop.call_at(trouble.end, setattr, view, "lag", 0.0)
            case Kind.LIES | Kind.SLOW | Kind.DOWN:
                troubles.add(trouble.kind)
                self.loop.call_at(trouble.end, troubles.discard, trouble.kind)
            case Kind.LIAR:
                self.loop.create_task(self._lie(member, trouble))

    def _calm(self, trouble: Trouble) -> None:
        if self.network.weather is trouble.weather:
            self.network.weather = CALM

    async def _kill(self, member: Member, trouble: Trouble) -> None:
        if member.program is not None:
            if trouble.steps:
                member.program.steps_left = trouble.steps
                await asyncio.sleep((trouble.end - trouble.begin) / 2)
            async with member.changing:
                await self._stop(member)
            await asyncio.sleep(max(0.0, trouble.end - self.loop.time()))
            async with member.changing:
                if member.program is None:
                    self._start(member)

    async def _lie(self, member: Member, trouble: Trouble) -> None:
        liar = member.liar = Liar(self._random, self.members.identities[member.position], NODES)
        self.seen[liar.way] += 1
        await self._restart(member)
        await asyncio.sleep(max(0.0, trouble.end - self.loop.time()))
        if member.liar is liar:
            member.liar = None
            await self._restart(member)

    # What is seen.

    def _now(self) -> float:
        return GENESIS_TIME + self.loop.time()

    def _slot(self) -> int:
        return int(self.loop.time() // SECONDS_PER_SLOT)

    def _ahead(self, position: int) -> float | None:
        """By how much a node's clock may be ahead; None for a liar. Of the cluster: of any."""
        if position >= 0:
            member = self.nodes[position]
            return None if member.liar is not None else member.offset + member.jumped
        return max(member.offset + member.jumped for member in self.nodes)

    def _sent(self, position: int, protocol: str, message: bytes) -> None:
        self.signatures.sent(position, protocol, message)

    def _performed(self, type: Any, slot: int, position: int) -> None:
        self._trace("performed", type.name, slot, position)
        self.duties.performed(type, slot, position)

    def _trace(self, *what: object) -> None:
        self.events += 1
        self._hash.update(repr((self.loop.time(), *map(str, what))).encode())

    def _failed(self, _loop: object, context: dict[str, Any]) -> None:
        self.wrong.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _erred(self, event: dict[str, Any]) -> None:
        program = Program.of_this_step()
        if program is None or program.is_alive:
            self.wrong.append(f"logged as an error: {event}")
