"""One node's part in a duty, alone: consensus says what the test wants, and the other nodes sign at once.

Signatures, their exchange and recovery are the node's own; beacon nodes are a double that keeps what it is
given.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dvtfast import (
    PublicKeys,
    check_signatures,
    derive_public_keys,
    generate_secret_keys,
    hash_to_g2,
    split_secret_keys,
)
from dvtfast.duties.attestations import AttestationData, Checkpoint
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.forks import FULU
from dvtfast.duties.presets import MAINNET_PRESET
from dvtfast.duties.signed_sets import signature_of, signed_set
from dvtfast.duties.wrappers import AgreedValue, SignedValue, encode_agreed
from dvtfast.qbft import wire
from dvtfast.qbft.messages import Duty
from dvtfast.services.chain.beacon.client import BeaconError
from dvtfast.services.chain.beacon.duty_answers import ProposedBlock
from dvtfast.services.node.consensus.instance import Agreement
from dvtfast.services.node.deadlines import Deadlines
from dvtfast.services.node.exchange import ClusterMembers, Exchange, Gathered, subcommittee_of
from dvtfast.services.node.partial_signatures import ClusterKeys, PartialSignatures, Positions, SignedRoots
from dvtfast.services.node.parts import ActiveValidators, NodeParts, Signed
from dvtfast.services.node.slots import SlotClock
from dvtfast.services.node.tracker import DutyReport, Tracker
from dvtfast.services.process.offload import Workers
from tests.services.node.cluster_of_nodes import KeyShareSigner
from tests.services.p2p.hosts import identities
from tests.services.patience import PATIENCE_SECONDS
from tests.unit.duties.test_duty_sets import SCHEDULE

NODES, THRESHOLD, VALIDATORS = 4, 3, 6
SLOT = 160  # of epoch 5, which is fulu's
EPOCH = 5
ROOT = bytes(range(32))
FIRST_INDEX = 100  # on the chain, of the validator at position 0
DATA = AttestationData(SLOT, 0, ROOT, Checkpoint(EPOCH - 1, ROOT), Checkpoint(EPOCH, ROOT))
FEE_RECIPIENTS = ["0x" + f"{position:040x}" for position in range(VALIDATORS)]
STRANGERS = hash_to_g2([b"somebody's"])[0].tobytes()  # a signature of others, which nobody here can check
NOT_FOUND = BeaconError("not found", refused=True, status=404)


class Settled:
    """Consensus that agrees on what the test says, or on what this node provides.

    Attributes:
        agreed: by the type of the duty.
        accepted: of the same, whether this node would have voted for it.
        round: in which that is.
        refusable: rounds before, in which the same was proposed.
    """

    def __init__(self) -> None:
        self.agreed: dict[DutyType, wire.Value] = {}
        self.accepted: dict[DutyType, bool] = {}
        self.round, self.refusable = 1, range(1, 1)
        self.provided: dict[Duty, wire.Value] = {}
        self.asked: list[Duty] = []
        self._more = asyncio.Event()

    async def agree(
        self,
        duty: Duty,
        value: wire.Value | None = None,
        *,
        accepts: Callable[[wire.Value, int], Awaitable[bool]] | None = None,
    ) -> Agreement:
        self.asked.append(duty)
        if accepts is not None and duty.type in self.agreed:
            for before in self.refusable:
                await accepts(self.agreed[duty.type], before)
            self.accepted[duty.type] = await accepts(self.agreed[duty.type], self.round)
        while duty.type not in self.agreed:
            if duty in self.provided:
                return Agreement(self.provided[duty], self.round)
            await self._more.wait()
        return Agreement(self.agreed[duty.type], self.round)

    async def provide(self, duty: Duty, value: wire.Value) -> None:
        self.provided[duty] = value
        self._more.set()


class Beacon:
    """Answers what the test says; a BeaconError is raised.

    Attributes:
        sent: by the name of the call, with what it was given.
        are_several: whether it stands for some.
    """

    def __init__(self) -> None:
        self.are_several = False
        self.answers: dict[str, Any] = {}
        self.sent: dict[str, list[Any]] = {}
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*args: Any, **more: Any) -> Any:
            if name.startswith(("send_", "publish_", "subscribe_", "prepare_", "register_")):
                self.sent.setdefault(name, []).append((args, more))
            else:
                self.asked.append((name, *args))
            answer = self.answers.get(name)
            answer = answer(*args, **more) if callable(answer) else answer
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


class Nobody:
    """A transport on which nobody is."""

    def handle(self, protocol: str, function: Any, **more: Any) -> None: ...

    async def send(self, peer: bytes, protocol: str, message: bytes) -> None: ...


@dataclass
class ClusterSigner:
    """Signs for this node and for others; for some validators only for this one, or only for the others.

    Attributes:
        silent, refused: these validators.
        signed: all that this node was asked for.
    """

    shares: np.ndarray
    partials: PartialSignatures[Gathered]
    others: tuple[int, ...] = (1, 2)
    silent: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    signed: list[tuple[Duty, int, SignedValue]] = field(default_factory=list)

    async def sign(self, duty: Duty, validators: Positions, values: Sequence[SignedValue]) -> Signed:
        self.signed += [(duty, each, value) for each, value in zip(validators.tolist(), values, strict=True)]
        for node in self.others:
            await self._sign_as(node, duty, validators, values)
        mine = [row for row, each in enumerate(validators.tolist()) if each not in self.refused]
        own = await self._signer(0).sign(duty, validators[mine], [values[row] for row in mine])
        return replace(own, refused={each: why for each, why in self.refused.items() if each in validators})

    async def _sign_as(
        self, node: int, duty: Duty, validators: Positions, values: Sequence[SignedValue]
    ) -> None:
        rows = [row for row, each in enumerate(validators.tolist()) if each not in self.silent]
        if rows:
            signed = await self._signer(node).sign(duty, validators[rows], [values[row] for row in rows])
            roots = signed_set(duty.type, signed.values, SCHEDULE)
            gathered = Gathered(duty, subcommittee_of(values[0]))
            part = SignedRoots(validators[rows], roots.signing_roots, roots.signatures)
            await self.partials.add(gathered, node, part)

    def _signer(self, node: int) -> KeyShareSigner:
        return KeyShareSigner(self.shares[:, node], SCHEDULE, MAINNET_PRESET)


@dataclass
class Alone:
    """A node, and what is around it."""

    node: NodeParts
    consensus: Settled
    beacon: Beacon
    signer: ClusterSigner
    keys: ClusterKeys
    active: ActiveValidators

    def report(self, type: DutyType, slot: int = SLOT) -> DutyReport:
        return self.node.tracker.reports()[Duty(slot, type)]

    def blamed(self, type: DutyType) -> list[tuple[int, tuple[int, ...], str]]:
        """Whose fault it is that something was agreed on that is wrong; beside the vote against it."""
        return [
            (each.node, each.validators, each.reason) for each in self.report(type).faults if each.validators
        ]

    def agree_on(self, type: DutyType, values: dict[int, AgreedValue | bytes], **more: bytes) -> None:
        """What comes of consensus, by the validator's position, or by a key as text."""
        named = {
            "0x" + self.keys.public_keys.encoded[position].tobytes().hex(): value
            if isinstance(value, bytes)
            else encode_agreed(type, value)
            for position, value in values.items()
        }
        self.consensus.agreed[type] = wire.Value(wire.DATA_SET, wire.encode_data_set(named | more))

    def check(self, type: DutyType, signed: Sequence[tuple[int, SignedValue]]) -> None:
        """These are the cluster's signatures."""
        values = [value for _, value in signed]
        roots = signed_set(type, values, SCHEDULE).signing_roots
        signatures = np.frombuffer(b"".join(map(signature_of, values)), np.uint8).reshape(-1, 96)
        keys = self.keys.public_keys[np.array([position for position, _ in signed], np.intp)]
        assert len(signed)
        assert check_signatures(keys, roots, signatures).all()


SECRETS = generate_secret_keys(VALIDATORS)
SHARES = split_secret_keys(SECRETS, threshold=THRESHOLD, share_indices=range(1, NODES + 1))
KEYS = ClusterKeys(
    THRESHOLD,
    PublicKeys(derive_public_keys(SECRETS)),
    PublicKeys(derive_public_keys(SHARES.reshape(-1, 32)).reshape(VALIDATORS, NODES, 48)),
)


@asynccontextmanager
async def alone(*, seconds_per_slot: float = 10 * PATIENCE_SECONDS, **more: Any) -> AsyncIterator[Alone]:
    """A node whose slot SLOT has just begun."""
    slots = SlotClock(time.time() - SLOT * seconds_per_slot, seconds_per_slot, SCHEDULE.slots_per_epoch)
    members = ClusterMembers.of(KEYS, 0, [key.public_key for key in identities(NODES)])
    workers, tracker = Workers("node", threads=1), Tracker(slots.now)
    partials = PartialSignatures[Gathered](KEYS, workers, tracker.blame)
    deadlines = Deadlines(slots)
    exchange = Exchange(
        members, Nobody(), partials, workers, SCHEDULE, is_open=deadlines.is_open, blame=tracker.blame
    )
    consensus, beacon, signer = Settled(), Beacon(), ClusterSigner(SHARES, partials)
    node = NodeParts(
        cluster=members,
        fee_recipients=FEE_RECIPIENTS,
        beacon=beacon,
        consensus=consensus,
        exchange=exchange,
        partials=partials,
        signer=signer,
        tracker=tracker,
        slots=slots,
        deadlines=deadlines,
        schedule=SCHEDULE,
        preset=MAINNET_PRESET,
        workers=workers,
        **{"registrations": ()} | more,
    )
    active = ActiveValidators.of({position: FIRST_INDEX + position for position in range(VALIDATORS)})
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield Alone(node, consensus, beacon, signer, KEYS, active)
    finally:
        await workers.close()


def proposed(contents: Any, *, blinded: bool = False) -> ProposedBlock:
    """What a beacon node says when it is asked for a block."""
    block = ProposedBlock(FULU, blinded, b"")
    return replace(block, ssz=block.codec(MAINNET_PRESET).encode(contents))
