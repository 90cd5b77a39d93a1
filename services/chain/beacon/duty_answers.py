"""Duties as beacon nodes tell them, and what validators sign, as far as it is checked before it is used.

Source: beacon API: `/eth/v1/validator/duties/...`, `attestation_data`, `/eth/v3/validator/blocks/{slot}`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

import msgspec

from dvtfast.constants import PUBLIC_KEY_BYTES
from dvtfast.duties.attestations import AttestationData
from dvtfast.duties.codecs import Codec, codec
from dvtfast.duties.forks import Fork, fork_named
from dvtfast.duties.presets import Preset

from ..encoding import HASH_BYTES, read_data
from .answers import decoded, uint64

SSZ: Final = "application/octet-stream"
VERSION: Final = "Eth-Consensus-Version"
BLINDED: Final = "Eth-Execution-Payload-Blinded"

T = TypeVar("T")


@dataclass(frozen=True)
class AttesterDuty:
    """A validator's place in a committee of a slot."""

    public_key: bytes
    validator_index: int
    slot: int
    committee_index: int
    committee_length: int
    committees_at_slot: int
    validator_committee_index: int


@dataclass(frozen=True)
class ProposerDuty:
    """Whose block a slot is to have."""

    public_key: bytes
    validator_index: int
    slot: int


@dataclass(frozen=True)
class SyncDuty:
    """A validator's seats in the sync committee."""

    public_key: bytes
    validator_index: int
    seats: tuple[int, ...]


@dataclass(frozen=True)
class Duties(Generic[T]):
    """Duties of an epoch.

    Attributes:
        dependent_root: they stay while the chain of the head has this block.
    """

    dependent_root: bytes
    duties: tuple[T, ...]


@dataclass(frozen=True)
class ProposedBlock:
    """A block to sign, with what is published beside it.

    Attributes:
        is_blinded: whether a builder has its payload.
        ssz: its bytes, of `fork.contents`, or of `fork.blinded_block`.
    """

    fork: Fork
    is_blinded: bool
    ssz: bytes = field(repr=False)

    def codec(self, preset: Preset) -> Codec[Any]:
        """What its bytes are."""
        return codec(self.fork.blinded_block if self.is_blinded else self.fork.contents, preset)

    def contents(self, preset: Preset) -> Any:
        """The container of its bytes; SszError when they are none."""
        return self.codec(preset).decode(self.ssz)


class _Attester(msgspec.Struct):
    pubkey: str
    validator_index: str
    slot: str
    committee_index: str
    committee_length: str
    committees_at_slot: str
    validator_committee_index: str


class _Attesters(msgspec.Struct):
    dependent_root: str
    data: list[_Attester]


class _Proposer(msgspec.Struct):
    pubkey: str
    validator_index: str
    slot: str


class _Proposers(msgspec.Struct):
    dependent_root: str
    data: list[_Proposer]


class _Member(msgspec.Struct):
    pubkey: str
    validator_index: str
    validator_sync_committee_indices: list[str]


class _Members(msgspec.Struct):
    data: list[_Member]


class _Any(msgspec.Struct):
    data: Any


class _JsonBlock(msgspec.Struct):
    version: str
    execution_payload_blinded: bool
    data: Any


def read_attester_duties(content: bytes, slots: range, wanted: Collection[int]) -> Duties[AttesterDuty]:
    """Those of the slots of an epoch, at most one for each validator that was asked for.

    Raises:
        ValueError: it is something else.
    """
    answer = decoded(content, _Attesters)
    duties, left = [], set(wanted)
    for item in answer.data:
        duty = AttesterDuty(
            public_key=read_data(item.pubkey, width=PUBLIC_KEY_BYTES),
            validator_index=uint64("validator_index", item.validator_index),
            slot=uint64("slot", item.slot),
            committee_index=uint64("committee_index", item.committee_index),
            committee_length=uint64("committee_length", item.committee_length),
            committees_at_slot=uint64("committees_at_slot", item.committees_at_slot),
            validator_committee_index=uint64("validator_committee_index", item.validator_committee_index),
        )
        if duty.validator_index not in left:
            raise ValueError(f"tells of validator {duty.validator_index} twice, or without being asked")
        left.remove(duty.validator_index)
        if duty.slot not in slots:
            raise ValueError(f"slot {duty.slot}: expected one of {slots.start} to {slots.stop - 1}")
        if not (
            duty.committee_index < duty.committees_at_slot
            and duty.validator_committee_index < duty.committee_length
        ):
            raise ValueError(f"validator {duty.validator_index}: expected a place in a committee")
        duties.append(duty)
    return Duties(read_data(answer.dependent_root, width=HASH_BYTES), tuple(duties))


def read_proposer_duties(content: bytes, slots: range) -> Duties[ProposerDuty]:
    """Those of the slots of an epoch, at most one for each; ValueError when it is something else."""
    answer = decoded(content, _Proposers)
    duties = [
        ProposerDuty(
            read_data(item.pubkey, width=PUBLIC_KEY_BYTES),
            uint64("validator_index", item.validator_index),
            uint64("slot", item.slot),
        )
        for item in answer.data
    ]
    told = [duty.slot for duty in duties]
    if len(set(told)) != len(told) or not set(told) <= set(slots):
        raise ValueError(f"expected each slot of {slots.start} to {slots.stop - 1} once")
    return Duties(read_data(answer.dependent_root, width=HASH_BYTES), tuple(duties))


def read_sync_duties(content: bytes, size: int, wanted: Collection[int]) -> tuple[SyncDuty, ...]:
    """Those of validators that were asked for, in a committee of so many; ValueError for something else."""
    duties, left = [], set(wanted)
    for item in decoded(content, _Members).data:
        duty = SyncDuty(
            read_data(item.pubkey, width=PUBLIC_KEY_BYTES),
            uint64("validator_index", item.validator_index),
            tuple(uint64("seat", seat) for seat in item.validator_sync_committee_indices),
        )
        if duty.validator_index not in left:
            raise ValueError(f"tells of validator {duty.validator_index} twice, or without being asked")
        left.remove(duty.validator_index)
        if not duty.seats or max(duty.seats) >= size or len(set(duty.seats)) != len(duty.seats):
            raise ValueError(f"validator {duty.validator_index}: expected seats below {size}, each once")
        duties.append(duty)
    return tuple(duties)


def read_attestation_data(content: bytes, slot: int, slots_per_epoch: int) -> AttestationData:
    """Data of that slot, for committee 0 as since electra.

    Raises:
        ValueError, SszError: it is of another slot or epoch, or no such data.
    """
    data = codec(AttestationData).from_json(decoded(content, _Any).data)
    epoch = slot // slots_per_epoch
    if (data.slot, data.index, data.target.epoch) != (slot, 0, epoch) or data.source.epoch > epoch:
        raise ValueError(f"expected data of slot {slot}, committee 0 and target epoch {epoch}")
    return data


def read_object(content: bytes, kind: Codec[T]) -> T:
    """The container that an answer is; ValueError or SszError when it is none, as where it is null."""
    return kind.from_json(decoded(content, _Any).data)


def read_block(content: bytes, headers: Mapping[str, str], preset: Preset, slot: int) -> ProposedBlock:
    """A block for a slot, in SSZ or JSON.

    Raises:
        ValueError, InputError, SszError: it is none, of another slot, or of a fork that nobody here knows.
    """
    if headers.get("Content-Type", "").startswith(SSZ):
        fork = fork_named(headers.get(VERSION, "").lower())
        block = ProposedBlock(fork, headers.get(BLINDED, "").lower() == "true", content)
        contents = block.contents(preset)
    else:
        told = decoded(content, _JsonBlock)
        block = ProposedBlock(fork_named(told.version.lower()), told.execution_payload_blinded, b"")
        contents = block.codec(preset).from_json(told.data)
        block = replace(block, ssz=block.codec(preset).encode(contents))
    got = contents.slot if block.is_blinded else contents.block.slot
    if got != slot:
        raise ValueError(f"expected a block of slot {slot}, got one of slot {got}")
    return block
