"""Partial signatures go to all peers, and theirs come in: one message for all validators of a duty.

What a peer sends is its own: its share index, and nobody else's. One bad entry costs that entry, and its
sender is named; the others count. Charon drops a whole message for one bad entry, so what goes out is
verified first.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import numpy as np

from dvtfast import check_signatures
from dvtfast.constants import SIGNATURE_BYTES
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkSchedule
from dvtfast.duties.message_sizes import MOST_BYTES
from dvtfast.duties.presets import MAINNET_PRESET, SYNC_COMMITTEE_SUBNET_COUNT, Preset
from dvtfast.duties.signed_sets import is_of_slot, signature_of, signed_set
from dvtfast.duties.ssz import SszError
from dvtfast.duties.sync_committees import SignedContributionAndProof, SyncCommitteeSelection
from dvtfast.duties.wrappers import SignedValue, decode_signed, encode_signed
from dvtfast.errors import InputError
from dvtfast.protobuf import ProtobufError
from dvtfast.qbft.messages import Duty

from ..p2p.errors import P2PError
from ..p2p.swarm.exchange import RECEIVE_SECONDS, Terms
from ..process import logs
from ..process.background import Tasks
from ..process.offload import UnavailableError, Workers
from .junk import Junk, NotNowError
from .partial_signatures import (
    Bools,
    ClusterKeys,
    Fault,
    PartialSignatures,
    Positions,
    SignedRoots,
    hashed_once,
)
from .transport import Transport
from .wire.partial_signatures import PROTOCOL, PartiallySigned, PartialSignaturesMessage

# Charon takes none of other types from peers.
EXCHANGED: Final = frozenset(DutyType) - {DutyType.BUILDER_REGISTRATION, DutyType.INFO_SYNC}
# After which what did not leave is sent again; nobody else has this node's partial signatures.
AGAIN_SECONDS: Final = (0.25, 0.4, 0.64, 1.0, 1.6, 2.6, 4.2, 6.7, 10.7)
MOST_AGAIN: Final = 64  # messages that wait for that
# What is signed long before it is used. Who sends its part so much later has been away, and gets ours again.
AHEAD: Final = frozenset({DutyType.PREPARE_AGGREGATOR, DutyType.PREPARE_SYNC_CONTRIBUTION})
LATE_SECONDS: Final = 3.0
MOST_ANSWERS: Final = 4  # of them to one node, for what is gathered together
INCOMING: Final = Terms(most_bytes=MOST_BYTES, seconds=RECEIVE_SECONDS, is_answered=False)

log = logs.get("node")


class Gathered(NamedTuple):
    """What partial signatures are gathered by.

    Attributes:
        subcommittee: of a sync committee, where a validator may sign for several; else 0.
    """

    duty: Duty
    subcommittee: int = 0


@dataclass(frozen=True, eq=False)
class ClusterMembers:
    """Who is in a cluster.

    Attributes:
        position: of this node.
        operators: keys of all nodes, 33 bytes each, by position.
        validators: positions by public keys of 48 bytes.
    """

    keys: ClusterKeys
    position: int
    operators: Sequence[bytes]
    validators: Mapping[bytes, int]

    @classmethod
    def of(cls, keys: ClusterKeys, position: int, operators: Sequence[bytes]) -> ClusterMembers:
        """With validators in the order of the keys."""
        known = {key.tobytes(): validator for validator, key in enumerate(keys.public_keys.encoded)}
        return cls(keys, position, operators, known)


@dataclass(frozen=True, eq=False)
class _Read:
    """What a message has, by what it is gathered by, and what is wrong with it."""

    duty: Duty
    signed: Mapping[Gathered, SignedRoots]
    faults: Sequence[Fault]
    validators: Positions
    values: Sequence[SignedValue]


@dataclass(frozen=True, eq=False)
class _Told:
    """What this node signed, when each node was sent the last of it, and how often all of it again."""

    values: dict[int, SignedValue] = field(default_factory=dict)  # by validator; the first counts
    moments: dict[int, float] = field(default_factory=dict)  # by the event loop's clock
    answers: Counter[int] = field(default_factory=Counter)


class TakesExits(Protocol):
    """What keeps partial exits, which are of no slot."""

    async def take(
        self,
        duty: Duty,
        node: int,
        validators: Positions,
        values: Sequence[SignedValue],
        faults: Sequence[Fault],
    ) -> None:
        """What a node signed, and what is wrong with its message."""
        ...


class Exchange:
    """This node's partial signatures to the others, and theirs to `partials`.

    Args:
        partials: takes all of them.
        is_open: whether a duty is one of now: neither over nor too far ahead.
        blame: told what nodes did wrong.
        hear: told of whom partial signatures came.
        exits: takes partial exits; without it there are none.
    """

    def __init__(
        self,
        cluster: ClusterMembers,
        transport: Transport,
        partials: PartialSignatures[Gathered],
        workers: Workers,
        schedule: ForkSchedule,
        *,
        is_open: Callable[[Duty], bool],
        blame: Callable[[Gathered, Fault], None],
        hear: Callable[[Duty, int], None] = lambda duty, node: None,
        exits: TakesExits | None = None,
        preset: Preset = MAINNET_PRESET,
    ) -> None:
        self._cluster, self._transport, self._partials, self._workers = cluster, transport, partials, workers
        self._schedule, self._preset = schedule, preset
        self._is_open, self._blame, self._hear = is_open, blame, hear
        self._exits = exits
        self._again = Tasks()
        self._told: dict[Gathered, _Told] = {}
        self._junk = Junk(log.warning, "partial signatures of no use")
        transport.handle(PROTOCOL, self._receive, terms=INCOMING)

    async def check(self, duty: Duty, validators: Positions, values: Sequence[SignedValue]) -> Bools:
        """Which of n values are signed with this node's key shares, bool[n]."""
        _, ok = await self._workers.run_when_free(self._checked, duty, validators, values)
        return ok

    async def submit(
        self,
        duty: Duty,
        validators: Positions,
        values: Sequence[SignedValue],
        *,
        already_checked: bool = False,
    ) -> None:
        """Keep what this node signed, one value for each validator, and send it to all peers.

        A signature that is wrong goes nowhere, and is this node's fault.
        """
        own = self._cluster.position
        if already_checked:
            signed, ok = await self._workers.run_when_free(self._rows, duty, validators, values)
        else:
            signed, ok = await self._workers.run_when_free(self._checked, duty, validators, values)
        if not ok.all():
            wrong = tuple(validators[~ok].tolist())
            self._blame(Gathered(duty), Fault(own, wrong, "a wrong partial signature of our own"))
        right = [value for value, good in zip(values, ok.tolist(), strict=True) if good]
        if right:
            self._hear(duty, own)
        for gathered, rows in _by_gathered(duty, right).items():
            part = SignedRoots(
                signed.validators[ok][rows], signed.roots[ok][rows], signed.signatures[ok][rows]
            )
            values_of = [right[row] for row in rows]
            message = await self._workers.run_when_free(self._encoded, duty, part.validators, values_of)
            self._keep(gathered, part.validators, values_of)
            await asyncio.gather(
                self._partials.add(gathered, own, part),
                *(
                    self._send(duty, operator, message)
                    for position, operator in enumerate(self._cluster.operators)
                    if position != own
                ),
            )

    async def close(self) -> None:
        """Send nothing again."""
        await self._again.close()

    async def _send(self, duty: Duty, operator: bytes, message: bytes) -> None:
        if not await self._sent(operator, message) and len(self._again) < MOST_AGAIN:
            self._again.start(self._send_again(duty, operator, message))

    async def _send_again(self, duty: Duty, operator: bytes, message: bytes) -> None:
        """For a while, and as long as the duty matters: a peer that was cut off may be back soon."""
        for pause in AGAIN_SECONDS:
            await asyncio.sleep(pause)
            if not self._is_open(duty) or await self._sent(operator, message):
                return

    async def _sent(self, operator: bytes, message: bytes) -> bool:
        try:
            await self._transport.send(operator, PROTOCOL, message)
        except (P2PError, TimeoutError) as error:
            log.debug("partial signatures not sent", error=str(error))
            return False
        return True

    def _keep(self, gathered: Gathered, validators: Positions, values: Sequence[SignedValue]) -> None:
        """What is kept to be sent again, as long as its duty matters; it may come in many pieces."""
        if gathered.duty.type not in AHEAD:
            return
        if gathered not in self._told:
            self._told = {each: told for each, told in self._told.items() if self._is_open(each.duty)}
        told = self._told.setdefault(gathered, _Told())
        before = len(told.values)
        for validator, value in zip(validators.tolist(), values, strict=True):
            told.values.setdefault(validator, value)
        if len(told.values) > before:
            now = asyncio.get_running_loop().time()
            told.moments.update(dict.fromkeys(range(len(self._cluster.operators)), now))

    def _answer(self, gathered: Gathered, node: int, signed: SignedRoots) -> None:
        """Send a node once more what it may have missed while it was away, if it has signed its part."""
        now, told = asyncio.get_running_loop().time(), self._told.get(gathered)
        if told is None or now - told.moments[node] <= LATE_SECONDS or len(self._again) >= MOST_AGAIN:
            return
        told.moments[node] = now
        if told.answers[node] < MOST_ANSWERS:
            self._again.start(self._sent_once_more(gathered.duty, node, told, signed))

    async def _sent_once_more(self, duty: Duty, node: int, told: _Told, signed: SignedRoots) -> None:
        peer = self._cluster.operators[node]
        validators, values = np.array(list(told.values), np.intp), list(told.values.values())
        try:
            if not await self._workers.run_in_turn(peer, self._is_right, node, signed):
                return
            message = await self._workers.run(self._encoded, duty, validators, values)
        except (UnavailableError, TimeoutError):
            return
        told.answers[node] += 1
        await self._sent(peer, message)

    async def _receive(self, peer: bytes, data: bytes) -> None:
        node = self._cluster.operators.index(peer)
        try:
            read = await self._workers.run_in_turn(peer, self._read, node, data)
        except (ProtobufError, InputError, NotNowError, UnavailableError, TimeoutError) as error:
            self._junk.tell(node, error)
            return
        if self._exits is not None and read.duty.type is DutyType.EXIT:
            await self._exits.take(read.duty, node, read.validators, read.values, read.faults)
            return
        for fault in read.faults:
            self._blame(Gathered(read.duty), fault)
        if read.signed:
            self._hear(read.duty, node)
        for gathered, signed in read.signed.items():
            self._answer(gathered, node, signed)
            await self._partials.add(gathered, node, signed)

    # On threads.

    def _rows(
        self, duty: Duty, validators: Positions, values: Sequence[SignedValue]
    ) -> tuple[SignedRoots, Bools]:
        signed = signed_set(duty.type, values, self._schedule, self._preset)
        rows = SignedRoots(validators, signed.signing_roots, signed.signatures)
        return rows, np.ones(len(values), np.bool_)

    def _is_right(self, node: int, signed: SignedRoots) -> bool:
        """Whether a node made the first of these."""
        keys = self._cluster.keys.key_shares[signed.validators[:1], node]
        return bool(check_signatures(keys, signed.roots[:1], signed.signatures[:1]).all())

    def _checked(
        self, duty: Duty, validators: Positions, values: Sequence[SignedValue]
    ) -> tuple[SignedRoots, Bools]:
        rows, _ = self._rows(duty, validators, values)
        keys = self._cluster.keys.key_shares[validators, self._cluster.position]
        return rows, check_signatures(keys, hashed_once(rows.roots), rows.signatures)

    def _encoded(self, duty: Duty, validators: Positions, values: Sequence[SignedValue]) -> bytes:
        keys = self._cluster.keys.public_keys.encoded
        entries = [
            PartiallySigned(
                keys[validator].tobytes(),
                encode_signed(duty.type, value, self._preset),
                signature_of(value),
                self._cluster.position + 1,
            )
            for validator, value in zip(validators.tolist(), values, strict=True)
        ]
        return PartialSignaturesMessage(duty.slot, duty.type, entries).encode()

    def _read(self, node: int, data: bytes) -> _Read:
        message = PartialSignaturesMessage.decode(data, most=len(self._cluster.validators))
        if message.duty_type not in EXCHANGED:
            raise InputError(f"duty: nothing is exchanged for type {message.duty_type}")
        duty = Duty(message.slot, DutyType(message.duty_type))
        takes = self._exits is not None if duty.type is DutyType.EXIT else self._is_open(duty)
        if not takes:
            raise NotNowError(f"slot {duty.slot} is over, or too far ahead")
        validators, values, faults = [], [], []
        strangers, foreign, unread = 0, [], []
        for entry in message.entries:
            validator = self._cluster.validators.get(entry.public_key)
            if validator is None:
                strangers += 1
            elif entry.share_index != node + 1:
                foreign.append(validator)
            else:
                try:
                    value = decode_signed(duty.type, entry.data, self._preset)
                    if len(signature_of(value)) != SIGNATURE_BYTES:
                        raise SszError("expected a signature")
                    if subcommittee_of(value) >= SYNC_COMMITTEE_SUBNET_COUNT:
                        raise SszError("expected one of four subcommittees")
                    if not is_of_slot(duty.type, duty.slot, value, self._schedule):
                        raise SszError("expected what is signed in this slot")
                except SszError:
                    unread.append(validator)
                    continue
                validators.append(validator)
                values.append(value)
        if strangers:
            faults.append(
                Fault(node, (), f"partial signatures for {strangers} validators of no lock of ours")
            )
        if foreign:
            faults.append(Fault(node, tuple(foreign), "another node's share index"))
        if unread:
            faults.append(Fault(node, tuple(unread), "data that are none of the duty"))
        at = np.array(validators, np.intp)
        if not values or duty.type is DutyType.EXIT:
            return _Read(duty, {}, faults, at, values)
        signed = signed_set(duty.type, values, self._schedule, self._preset)
        parts = {
            gathered: SignedRoots(at[rows], signed.signing_roots[rows], signed.signatures[rows])
            for gathered, rows in _by_gathered(duty, values).items()
        }
        return _Read(duty, parts, faults, at, values)


def _by_gathered(duty: Duty, values: Sequence[SignedValue]) -> dict[Gathered, list[int]]:
    """Which values are gathered together, by their places."""
    rows: dict[Gathered, list[int]] = {}
    for row, value in enumerate(values):
        rows.setdefault(Gathered(duty, subcommittee_of(value)), []).append(row)
    return rows


def subcommittee_of(value: SignedValue) -> int:
    """Of a sync committee, which a validator may be in more than one of; else 0."""
    match value:
        case SyncCommitteeSelection():
            return value.subcommittee_index
        case SignedContributionAndProof():
            return value.message.contribution.subcommittee_index
    return 0
