"""What the validators of a duty sign, as arrays: the signing roots of a whole set in one call.

A value without a signature yet has `NO_SIGNATURE` in its place, and gets its own by `with_signature`.

Source: consensus-specs, validator.md of phase0, altair and electra; builder-specs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar, cast

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast.constants import ROOT_BYTES, SIGNATURE_BYTES
from dvtfast.duties.attestations import Root
from dvtfast.duties.blocks import SignedBlockContents
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkSchedule
from dvtfast.duties.presets import MAINNET_PRESET, Preset
from dvtfast.duties.ssz import Uint64, container
from dvtfast.duties.sync_committees import SyncAggregatorSelectionData, SyncCommitteeSelection
from dvtfast.duties.validator_messages import BeaconCommitteeSelection
from dvtfast.duties.wrappers import SignedValue, Versioned
from dvtfast.errors import InputError
from dvtfast.signing_roots import compute_signing_roots

V = TypeVar("V")

NO_SIGNATURE: Final = bytes(SIGNATURE_BYTES)


@container
class LoneNumber:
    """An epoch or a slot that is signed by itself; a container of one field has the root of that."""

    number: Uint64


@container
class LoneRoot:
    """A root that is signed by itself."""

    root: Root


@dataclass(frozen=True)
class SignedSet:
    """What n validators signed for one duty, or are to sign.

    Attributes:
        roots: of the messages, uint8[n, 32]; a cluster's partial signatures of one root make one signature.
        signing_roots: uint8[n, 32].
        signatures: uint8[n, 96], as they came.
    """

    roots: Bytes
    signing_roots: Bytes
    signatures: Bytes


def signed_set(
    duty: DutyType, values: Sequence[SignedValue], schedule: ForkSchedule, preset: Preset = MAINNET_PRESET
) -> SignedSet:
    """What is signed in a set of values of one duty.

    Raises:
        SszError: a field is none of its type.
        InputError: a value is of another duty.
    """
    signed = [_signed(duty, value, schedule) for value in values]
    # Most messages of a set are one: all that attest in a slot vote for the same.
    places = {each: place for place, each in enumerate(dict.fromkeys(signed))}
    roots = np.zeros((len(places), ROOT_BYTES), dtype=np.uint8)
    for cls in {type(message) for message, _ in places}:
        same = [(message, place) for (message, _), place in places.items() if type(message) is cls]
        roots[[place for _, place in same]] = codec(cls, preset).roots([message for message, _ in same])
    domains = [schedule.domain(duty, epoch) for _, epoch in places]
    signing_roots = np.zeros_like(roots)
    for domain in set(domains):
        of_domain = [place for place, each in enumerate(domains) if each == domain]
        signing_roots[of_domain] = compute_signing_roots(roots[of_domain], domain)
    rows = [places[each] for each in signed]
    signatures = np.frombuffer(b"".join(signature_of(value) for value in values), dtype=np.uint8)
    return SignedSet(roots[rows], signing_roots[rows], signatures.reshape(-1, SIGNATURE_BYTES))


def signature_of(value: SignedValue) -> bytes:
    """The signature in a value."""
    part: Any = value
    for name in _path(value):
        part = getattr(part, name)
    signature: bytes = part
    return signature


def with_signature(value: V, signature: bytes) -> V:
    """The same value with another signature."""
    return cast(V, _replaced(value, _path(value), bytes(signature)))


def is_of_slot(duty: DutyType, slot: int, value: SignedValue, schedule: ForkSchedule) -> bool:
    """Whether a value is of a slot: what it signs says so; a reveal says its epoch, an exit nothing."""
    signed: Any = value
    match duty:
        case DutyType.ATTESTER:
            own = signed.message.data.slot
        case DutyType.PROPOSER:
            own = _block(signed).slot
        case DutyType.AGGREGATOR:
            own = signed.message.message.aggregate.data.slot
        case DutyType.RANDAO:
            return bool(signed.epoch == schedule.epoch_of(slot))
        case DutyType.PREPARE_AGGREGATOR | DutyType.SYNC_MESSAGE | DutyType.PREPARE_SYNC_CONTRIBUTION:
            own = signed.slot
        case DutyType.SYNC_CONTRIBUTION:
            own = signed.message.contribution.slot
        case _:
            return True
    return bool(own == slot)


def _block(value: Any) -> Any:
    message = value.message
    return (message.signed_block if isinstance(message, SignedBlockContents) else message).message


def _path(value: Any) -> tuple[str, ...]:
    if isinstance(value, Versioned):
        inner = ("signed_block",) if isinstance(value.message, SignedBlockContents) else ()
        return ("message", *inner, "signature")
    if isinstance(value, BeaconCommitteeSelection | SyncCommitteeSelection):
        return ("selection_proof",)
    return ("signature",)


def _replaced(value: Any, path: tuple[str, ...], signature: bytes) -> Any:
    name, *rest = path
    part = _replaced(getattr(value, name), tuple(rest), signature) if rest else signature
    return replace(value, **{name: part})


def _signed(duty: DutyType, value: Any, schedule: ForkSchedule) -> tuple[Any, int]:
    """The message that is signed, and the epoch that its domain is of."""
    try:
        return _signed_message(duty, value, schedule)
    except AttributeError:
        raise InputError(f"value: a {type(value).__name__} is not signed for {duty!r}") from None


def _signed_message(duty: DutyType, value: Any, schedule: ForkSchedule) -> tuple[Any, int]:
    match duty:
        case DutyType.ATTESTER:
            data = value.message.data
            return data, data.target.epoch
        case DutyType.PROPOSER:
            block = _block(value)
            return block, schedule.epoch_of(block.slot)
        case DutyType.AGGREGATOR:
            proof = value.message.message
            return proof, schedule.epoch_of(proof.aggregate.data.slot)
        case DutyType.RANDAO:
            return LoneNumber(value.epoch), value.epoch
        case DutyType.PREPARE_AGGREGATOR:
            return LoneNumber(value.slot), schedule.epoch_of(value.slot)
        case DutyType.SYNC_MESSAGE:
            return LoneRoot(value.beacon_block_root), schedule.epoch_of(value.slot)
        case DutyType.PREPARE_SYNC_CONTRIBUTION:
            selection = SyncAggregatorSelectionData(value.slot, value.subcommittee_index)
            return selection, schedule.epoch_of(value.slot)
        case DutyType.SYNC_CONTRIBUTION:
            return value.message, schedule.epoch_of(value.message.contribution.slot)
        case DutyType.EXIT:
            return value.message, value.message.epoch
        case DutyType.BUILDER_REGISTRATION:
            return value.message, 0
    raise InputError(f"duty: nothing is signed for {duty!r}")
