"""A node's way to a beacon node, with what it needs of `DutiesClient`; it may lag, lie, or take long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from dvtfast.duties.attestations import AttestationData, AttestationElectra, Checkpoint
from dvtfast.duties.bits import bitlist, bitvector
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkSchedule
from dvtfast.duties.forks import Fork
from dvtfast.duties.presets import Preset
from dvtfast.duties.sync_committees import SyncCommitteeContribution
from dvtfast.duties.wrappers import Versioned
from dvtfast.services.chain.beacon.chain_constants import ChainConstants
from dvtfast.services.chain.beacon.client import FAR_FUTURE_EPOCH, BeaconError, ValidatorDetails
from dvtfast.services.chain.beacon.duties import BlockHeader
from dvtfast.services.chain.beacon.duty_answers import (
    AttesterDuty,
    Duties,
    ProposedBlock,
    ProposerDuty,
    SyncDuty,
)
from dvtfast.services.chain.beacon.events import Event
from dvtfast.services.chain.beacon.nodes import NodeHealth
from tests.simulation.blocks import SIGNATURE, fork_of
from tests.simulation.blocks import contents as contents_of
from tests.simulation.chain import (
    COMMITTEE_LENGTH,
    COMMITTEES,
    CONSTANTS,
    PRESET,
    SLOTS_PER_EPOCH,
    SUBCOMMITTEE,
    Block,
    Chain,
    View,
)
from tests.simulation.loop import Program
from tests.simulation.storms import Kind
from tests.simulation.world import World

PATIENCE_SECONDS: Final = 2.0  # of a client
SLOW_SECONDS: Final = 5.0
SYNCING_SLOTS: Final = 3  # behind which a beacon node says so


@dataclass(eq=False)
class BeaconNode:
    """A beacon node, and what is wrong with it.

    Attributes:
        troubles: of DOWN, SLOW, LIES.
    """

    view: View
    troubles: set[Kind] = field(default_factory=set)


class SimulatedBeacon:
    """One program's client of a beacon node."""

    are_several = False

    def __init__(self, world: World, node: BeaconNode, program: Program) -> None:
        self._world, self._node, self._program = world, node, program
        self._chain = world.chain
        self.names = "simulated"

    @property
    def chain(self) -> ChainConstants:
        return CONSTANTS

    @property
    def schedule(self) -> ForkSchedule:
        return CONSTANTS.schedule

    async def look_again(self) -> None:
        """Forks are as they were."""

    @property
    def preset(self) -> Preset:
        return PRESET

    async def health(self) -> list[NodeHealth]:
        await self._asked()
        behind = self._world.slot() - self._node.view.head.slot
        problem = "it is syncing" if behind > SYNCING_SLOTS and self._node.view.lag else ""
        return [NodeHealth("simulated", problem, self._node.view.head.slot, behind)]

    async def events(self, _topics: Sequence[str]) -> AsyncIterator[Event]:
        queue: asyncio.Queue[Block] = asyncio.Queue()
        view = self._node.view
        view.told = queue.put_nowait
        while True:
            head = await queue.get()
            epoch = head.slot // SLOTS_PER_EPOCH
            data = {
                "slot": str(head.slot),
                "block": _hex(head.root),
                "previous_duty_dependent_root": _hex(self._dependent(head, epoch - 1)),
                "current_duty_dependent_root": _hex(self._dependent(head, epoch)),
            }
            yield Event("simulated", "head", data)

    async def details(self, keys: Sequence[bytes], *, state: str = "head") -> dict[bytes, ValidatorDetails]:
        del state
        await self._asked()
        return {
            key: ValidatorDetails(
                Chain.FIRST_INDEX + self._world.keys.index(key), "active_ongoing",
                32 * 10**9, 32 * 10**9, bytes(32), False, 0, FAR_FUTURE_EPOCH,
            )
            for key in keys
        }  # fmt: skip

    async def attester_duties(self, epoch: int, indices: Sequence[int]) -> Duties[AttesterDuty]:
        seed = await self._seed(epoch)
        duties = []
        for index in sorted(indices):
            place = self._chain.attester(seed, epoch, index - Chain.FIRST_INDEX)
            duties.append(
                AttesterDuty(
                    self._world.keys[index - Chain.FIRST_INDEX], index, place.slot,
                    place.committee, COMMITTEE_LENGTH, COMMITTEES, place.place,
                )
            )  # fmt: skip
        return Duties(self._dependent(self._node.view.head, epoch - 1), tuple(duties))

    async def proposer_duties(self, epoch: int) -> Duties[ProposerDuty]:
        seed = await self._seed(epoch)
        duties = []
        for slot in range(epoch * SLOTS_PER_EPOCH, (epoch + 1) * SLOTS_PER_EPOCH):
            position = self._chain.proposer(seed, slot)
            key = bytes(48) if position is None else self._world.keys[position]
            index = 1 if position is None else Chain.FIRST_INDEX + position
            duties.append(ProposerDuty(key, index, slot))
        return Duties(self._dependent(self._node.view.head, epoch), tuple(duties))

    async def sync_duties(self, epoch: int, indices: Sequence[int]) -> tuple[SyncDuty, ...]:
        await self._asked()
        found = []
        for index in sorted(indices):
            position = index - Chain.FIRST_INDEX
            if seats := self._chain.seats(epoch, position):
                found.append(SyncDuty(self._world.keys[position], index, seats))
        return tuple(found)

    async def attestation_data(self, slot: int) -> AttestationData:
        await self._asked()
        if slot > self._world.slot() + 1:
            raise BeaconError("a slot to come", refused=True)
        data = self._node.view.data(slot)
        if Kind.LIES in self._node.troubles:
            data = self._lie(data)
        return data

    async def aggregate_attestation(
        self, slot: int, data_root: bytes, committee_index: int
    ) -> AttestationElectra:
        await self._asked()
        for committee, data in self._world.votes:
            if data.slot == slot and committee == committee_index and _root(data) == data_root:
                members = range(0, COMMITTEE_LENGTH, 1 + self._world.random.randrange(3))
                bits = bitlist(list(members), COMMITTEE_LENGTH)
                return AttestationElectra(bits, data, SIGNATURE, bitvector([committee], 64))
        raise BeaconError("no attestation of that committee", refused=True, status=404)

    async def sync_committee_contribution(
        self, slot: int, subcommittee_index: int, root: bytes
    ) -> SyncCommitteeContribution:
        await self._asked()
        bits = bitvector(range(0, SUBCOMMITTEE, 1 + self._world.random.randrange(3)), SUBCOMMITTEE)
        return SyncCommitteeContribution(slot, root, subcommittee_index, bits, SIGNATURE)

    async def head_root(self) -> bytes:
        await self._asked()
        return self._node.view.head.root

    async def block_header(self, root: bytes) -> BlockHeader | None:
        await self._asked()
        known = self._node.view.known
        block = self._chain.blocks.get(root)
        return BlockHeader(block.slot, block.parent) if block is not None and root in known else None

    async def block(
        self, slot: int, randao_reveal: bytes, *, graffiti: bytes, builder_boost_factor: int = 0
    ) -> ProposedBlock:
        del builder_boost_factor
        await self._asked()
        parent = self._node.view.at(slot - 1)
        position = self._chain.proposer(self._node.view.seed(slot // SLOTS_PER_EPOCH), slot)
        if position is None:
            raise BeaconError("none of yours proposes in that slot", refused=True)
        fork = fork_of(slot)
        index = Chain.FIRST_INDEX + position
        if Kind.LIES in self._node.troubles:
            lie = self._world.random.randrange(3)
            index += lie == 0
            slot += lie == 1
            parent = replace(parent, root=sha256(parent.root).digest()) if lie == 2 else parent
        made = self._world.random.randbytes(32)  # no two blocks are alike
        contents = contents_of(fork, slot, index, parent.root, made, randao_reveal, graffiti)
        return ProposedBlock(fork, False, codec(fork.contents, PRESET).encode(contents))

    async def publish_block(self, fork: Fork, signed: bytes, *, is_blinded: bool = False) -> None:
        contents = codec(fork.signed_contents, PRESET).decode(signed)
        await self._sent(lambda: self._world.take_block(fork, contents))

    async def send_attestations(self, attestations: Sequence[Any], fork: Fork) -> None:
        await self._sent(lambda: [self._world.take_vote(fork, each) for each in attestations])

    async def send_aggregates(self, aggregates: Sequence[Any], fork: Fork) -> None:
        def take(signed: Any) -> str:
            index, slot = signed.message.aggregator_index, signed.message.aggregate.data.slot
            return self._world.take(DutyType.AGGREGATOR, slot, index, Versioned(fork, signed))

        await self._sent(lambda: [take(each) for each in aggregates])

    async def send_sync_messages(self, messages: Sequence[Any]) -> None:
        await self._sent(
            lambda: [
                self._world.take(DutyType.SYNC_MESSAGE, each.slot, each.validator_index, each)
                for each in messages
            ]
        )

    async def send_contributions(self, contributions: Sequence[Any]) -> None:
        def take(signed: Any) -> str:
            message = signed.message
            return self._world.take(
                DutyType.SYNC_CONTRIBUTION, message.contribution.slot, message.aggregator_index, signed
            )

        await self._sent(lambda: [take(each) for each in contributions])

    async def subscribe_committees(self, subscriptions: Sequence[Any]) -> None:
        await self._asked()

    async def subscribe_sync_committees(self, subscriptions: Sequence[Any]) -> None:
        await self._asked()

    async def prepare_proposers(self, fee_recipients: Mapping[int, str]) -> None:
        await self._asked()

    async def register_validators(self, registrations: Sequence[Any]) -> None:
        await self._asked()

    # How it answers.

    async def _asked(self) -> None:
        troubles, random = self._node.troubles, self._world.random
        if Kind.DOWN in troubles or not self._program.is_alive:
            await asyncio.sleep(random.uniform(0, 0.1))
            raise BeaconError("nobody answers")
        if Kind.SLOW in troubles:
            await asyncio.sleep(PATIENCE_SECONDS)
            raise BeaconError("no answer in time")
        await asyncio.sleep(random.uniform(0.002, 0.1))

    async def _sent(self, take: Callable[[], Collection[str] | str]) -> None:
        if Kind.SLOW in self._node.troubles and self._program.is_alive:  # it comes there all the same
            self._world.later(SLOW_SECONDS, take)
        await self._asked()
        if not self._program.is_alive:
            raise BeaconError("nobody answers")
        refused = take()
        if refused and any(refused):
            raise BeaconError(f"refused: {refused}", refused=True, status=400)

    async def _seed(self, epoch: int) -> bytes:
        await self._asked()
        seed = self._node.view.seed(epoch)
        self._world.signatures.told.setdefault(epoch, set()).add(seed)
        return seed

    def _dependent(self, head: Block, epoch: int) -> bytes:
        return self._chain.ancestor(head, epoch * SLOTS_PER_EPOCH - 1).root

    def _lie(self, data: AttestationData) -> AttestationData:
        lie = self._world.random.randrange(5)
        root = sha256(data.beacon_block_root).digest()
        source, target = data.source, data.target
        match lie:
            case 0:
                return replace(data, beacon_block_root=root)
            case 1:
                return replace(data, source=Checkpoint(max(0, source.epoch - 2), root))
            case 2:
                return replace(data, target=Checkpoint(target.epoch, root))
            case 3:
                return replace(data, source=Checkpoint(source.epoch + 3, root))
        return replace(data, slot=data.slot + 1)


@lru_cache(maxsize=1000)
def _root(data: AttestationData) -> bytes:
    return codec(AttestationData).root(data)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
