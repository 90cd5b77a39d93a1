"""Duties as beacon nodes tell them, and what validators sign, as far as it is checked before it is used.

Source: beacon API: `/eth/v1/validator/duties/...`, `attestation_data`, `/eth/v3/validator/blocks/{slot}`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from dvtfast.constants import PUBLIC_KEY_BYTES

from ..encoding import HASH_BYTES, read_data
from .answers import decoded, uint64

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
        fork: of its type, such as `fulu`.
        is_blinded: whether a builder has its payload.
        ssz: its bytes; empty where a node has JSON only.
        json: what its JSON was read into, where there are no bytes.
    """

    fork: str
    is_blinded: bool
    ssz: bytes
    json: Any = None


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
    execution_optimistic: bool = False


class _Proposer(msgspec.Struct):
    pubkey: str
    validator_index: str
    slot: str


class _Proposers(msgspec.Struct):
    dependent_root: str
    data: list[_Proposer]
    execution_optimistic: bool = False


class _Member(msgspec.Struct):
    pubkey: str
    validator_index: str
    validator_sync_committee_indices: list[str]


class _Members(msgspec.Struct):
    data: list[_Member]


class _Any(msgspec.Struct):
    data: Any


class _Checkpoint(msgspec.Struct):
    epoch: str
    root: str


class _Vote(msgspec.Struct):
    slot: str
    index: str
    beacon_block_root: str
    source: _Checkpoint
    target: _Checkpoint


class _Votes(msgspec.Struct):
    data: _Vote


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


def read_attestation_data(content: bytes, slot: int, slots_per_epoch: int) -> Any:
    """What the JSON was read into: data of that slot, for committee 0 as since electra.

    Raises:
        ValueError: it is of another slot or epoch, or no such data.
    """
    vote = decoded(content, _Votes).data
    epoch = slot // slots_per_epoch
    source, target = uint64("source", vote.source.epoch), uint64("target", vote.target.epoch)
    for root in (vote.beacon_block_root, vote.source.root, vote.target.root):
        read_data(root, width=HASH_BYTES)
    if (uint64("slot", vote.slot), uint64("index", vote.index), target) != (
        slot,
        0,
        epoch,
    ) or source > target:
        raise ValueError(f"expected data of slot {slot}, committee 0 and target epoch {epoch}")
    return msgspec.to_builtins(vote)


def read_object(content: bytes) -> Any:
    """What the JSON of one object was read into; ValueError when there is none, as where it is null."""
    if not isinstance(found := decoded(content, _Any).data, Mapping):
        raise ValueError("expected an object, got none")
    return found
