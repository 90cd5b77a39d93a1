"""Four nodes with their exits, in one process: lines between them, and a beacon node that is a double."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from dvtfast import (
    PublicKeys,
    check_signatures,
    derive_public_keys,
    generate_secret_keys,
    sign,
    split_secret_keys,
)
from dvtfast.constants import SIGNATURE_BYTES
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.presets import MAINNET_PRESET
from dvtfast.duties.signed_sets import signed_set
from dvtfast.duties.validator_messages import SignedVoluntaryExit
from dvtfast.qbft.messages import Duty
from dvtfast.services.chain.beacon.client import ACTIVE_STATUS, BeaconError, ValidatorDetails
from dvtfast.services.node.exchange import ClusterMembers, Exchange, Gathered
from dvtfast.services.node.exits.exits import Exits
from dvtfast.services.node.exits.judging import ExitJudge
from dvtfast.services.node.exits.messages import ExitMessage
from dvtfast.services.node.exits.store import ExitStore
from dvtfast.services.node.partial_signatures import ClusterKeys, Fault, PartialSignatures
from dvtfast.services.node.parts import Signed
from dvtfast.services.node.slots import SlotClock
from dvtfast.services.node.wire.partial_signatures import PROTOCOL, PartialSignaturesMessage
from dvtfast.services.process.offload import Workers
from tests.services.node.cluster_of_nodes import KeyShareSigner
from tests.services.node.lines import Lines
from tests.unit.duties.test_duty_sets import SCHEDULE

VALIDATORS, NODES, THRESHOLD = 5, 4, 3
FIRST_INDEX = 100  # on the chain, of the validator at position 0
EPOCH = 300  # of now
LOCK_HASH = bytes(range(32))
SECONDS_PER_SLOT = 12
SECRETS = generate_secret_keys(VALIDATORS)
SHARES = split_secret_keys(SECRETS, threshold=THRESHOLD, share_indices=range(1, NODES + 1))
KEYS = ClusterKeys(
    THRESHOLD,
    PublicKeys(derive_public_keys(SECRETS)),
    PublicKeys(derive_public_keys(SHARES.reshape(-1, 32)).reshape(VALIDATORS, NODES, 48)),
)
NAMES = [key.tobytes() for key in KEYS.public_keys.encoded]
OPERATORS = [bytes([2, *[node] * 32]) for node in range(NODES)]


class Beacon:
    """What the beacon nodes say and are sent.

    Attributes:
        statuses: by position; others are not on the chain.
        indices: by position.
        refuses: why an exit is not taken.
        fails_for: indices of those for which it gives no answer of use; `failed` has them, as often as asked.
        is_away: whether nobody answers.
    """

    def __init__(self) -> None:
        self.statuses = dict.fromkeys(range(VALIDATORS), ACTIVE_STATUS)
        self.indices = {position: FIRST_INDEX + position for position in range(VALIDATORS)}
        self.refuses = ""
        self.fails_for: set[int] = set()
        self.failed: list[int] = []
        self.is_away = False
        self.sent: list[SignedVoluntaryExit] = []

    async def details(self, keys: Sequence[bytes], *, state: str) -> dict[bytes, ValidatorDetails]:
        if self.is_away:
            raise BeaconError("beacon: nobody answers")
        return {
            NAMES[position]: ValidatorDetails(self.indices[position], status, 0, 0, b"", False, 0, 0)
            for position, status in self.statuses.items()
            if NAMES[position] in keys
        }

    async def send_exit(self, signed: SignedVoluntaryExit) -> None:
        if self.refuses:
            raise BeaconError(self.refuses, refused=True, status=400)
        if (index := signed.message.validator_index) in self.fails_for:
            self.failed.append(index)
            raise BeaconError("beacon: HTTP 503", status=503)
        self.sent.append(signed)


class Refusing(KeyShareSigner):
    """Signs, unless it is told not to."""

    why = ""

    async def sign(self, duty, validators, values):  # type: ignore[no-untyped-def]
        if self.why:
            return Signed(validators[:0], (), dict.fromkeys(validators.tolist(), self.why))
        return await super().sign(duty, validators, values)


class ExitingNodes:
    """The nodes; each has its file, in which its operator's orders are.

    Attributes:
        epoch: of now.
        running: by position, those that run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.epoch = folder, EPOCH
        self.lines, self.beacon = Lines(), Beacon()
        self.signers = [Refusing(SHARES[:, node], SCHEDULE, MAINNET_PRESET) for node in range(NODES)]
        self.stores = [self.store(node) for node in range(NODES)]
        self.running: dict[int, asyncio.Task[None]] = {}
        self.exits: dict[int, Exits] = {}
        self.faults: list[Fault] = []
        self._workers = Workers("test", threads=1)

    def store(self, node: int) -> ExitStore:
        """Its file, opened once more, as a command does."""
        return ExitStore(self.folder / f"exits-{node}.db", LOCK_HASH)

    def begin(self, node: int) -> None:
        line = self.lines.of(OPERATORS[node])
        members = ClusterMembers.of(KEYS, node, OPERATORS)
        slots = SlotClock(0, SECONDS_PER_SLOT, SCHEDULE.slots_per_epoch, self.now)
        self.lines.down.discard(OPERATORS[node])
        exits = Exits(
            ExitJudge(members, SCHEDULE, self.store(node)),
            transport=line,
            beacon=self.beacon,  # type: ignore[arg-type]
            signer=self.signers[node],
            slots=slots,
        )
        Exchange(
            members,
            line,
            PartialSignatures[Gathered](KEYS, self._workers, lambda duty, fault: None),
            self._workers,
            SCHEDULE,
            is_open=lambda duty: False,
            blame=lambda gathered, fault: self.faults.append(fault),
            exits=exits,
        )
        self.exits[node] = exits
        self.running[node] = asyncio.create_task(exits.run())

    async def end(self, node: int) -> None:
        """As by kill -9: nothing is said to anybody."""
        self.lines.down.add(OPERATORS[node])
        task = self.running.pop(node)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        exits = self.exits.pop(node)
        await exits.close()
        exits._store.close()

    async def receive(self, node: int, message: PartialSignaturesMessage) -> None:
        """All others get it from a node."""
        for operator in OPERATORS:
            if operator != OPERATORS[node]:
                await self.lines.of(OPERATORS[node]).send(operator, PROTOCOL, message.encode())

    def now(self) -> float:
        return float(self.epoch * SCHEDULE.slots_per_epoch * SECONDS_PER_SLOT)

    def order(self, node: int, *positions: int, epoch: int = 0, is_wanted: bool = False) -> None:
        """The operator of a node wants these to leave."""
        assert not self.stores[node].order([NAMES[each] for each in positions], epoch, is_wanted=is_wanted)

    def signers_of(self, node: int, position: int, epoch: int = 0) -> list[int]:
        """Whose partial exits a node has."""
        message = ExitMessage(NAMES[position], epoch, FIRST_INDEX + position)
        return [each.node for each in self.stores[node].partials() if each.message == message]

    def whole(self, node: int) -> list[int]:
        """Validators whose exits a node has; all are right."""
        found = self.stores[node].whole()
        values = [each.message.signed(each.signature) for each in found]
        check(values)
        return [NAMES.index(each.message.validator) for each in found]

    async def close(self) -> None:
        for node in list(self.running):
            await self.end(node)
        for store in self.stores:
            store.close()
        await self._workers.close()


def check(values: Sequence[SignedVoluntaryExit]) -> None:
    """These are signed by the validators whose indices they have."""
    if values:
        positions = np.array([value.message.validator_index - FIRST_INDEX for value in values], np.intp)
        signatures = np.frombuffer(b"".join(value.signature for value in values), np.uint8)
        roots = signed_set(DutyType.EXIT, values, SCHEDULE).signing_roots
        assert check_signatures(
            KEYS.public_keys[positions], roots, signatures.reshape(-1, SIGNATURE_BYTES)
        ).all()


def duty_of(epoch: int) -> Duty:
    return Duty(epoch * SCHEDULE.slots_per_epoch, DutyType.EXIT)


def partial_exit(
    node: int, position: int, *, epoch: int = 0, index: int | None = None
) -> SignedVoluntaryExit:
    """What a node's key share signs."""
    message = ExitMessage(NAMES[position], epoch, FIRST_INDEX + position if index is None else index)
    [root] = signed_set(DutyType.EXIT, [message.signed()], SCHEDULE).signing_roots
    return message.signed(sign(SHARES[position, node], root).tobytes())


@asynccontextmanager
async def exiting_nodes(folder: Path, running: Sequence[int] = range(NODES)) -> AsyncIterator[ExitingNodes]:
    """Nodes inside the block."""
    nodes = ExitingNodes(folder)
    try:
        for node in running:
            nodes.begin(node)
        yield nodes
    finally:
        await nodes.close()
