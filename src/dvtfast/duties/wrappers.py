"""What charon's nodes send each other of a duty: the value that they agree on, and partial signatures.

Messages that depend on the fork stand behind a header: charon's number of the fork, for blocks whether they
are blinded, or for votes whose they are, and the offset of the message. Whatever has SSZ is written so, else
as JSON; of what is read, either will do.

Source: charon's wire format, v1.10 and v1.11.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, cast

from dvtfast.duties.attestations import AttestationData, AttestationDuty
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.forks import Fork, fork_with_version
from dvtfast.duties.message_sizes import JSON_BYTES, entry_bytes
from dvtfast.duties.presets import MAINNET_PRESET, Preset
from dvtfast.duties.ssz import Number, SszError
from dvtfast.duties.sync_committees import (
    SignedContributionAndProof,
    SyncCommitteeContribution,
    SyncCommitteeMessage,
    SyncCommitteeSelection,
)
from dvtfast.duties.validator_messages import (
    BeaconCommitteeSelection,
    SignedRandao,
    SignedValidatorRegistration,
    SignedVoluntaryExit,
)
from dvtfast.errors import InputError

T = TypeVar("T")

NUMBERS = Number(8)
REGISTRATION_VERSION = 0  # v1 of builder-specs


@dataclass(frozen=True)
class Versioned:
    """A message whose container depends on the fork.

    Attributes:
        blinded: of a block, that its payload is a header.
        validator_index: whose vote it is, where that is known.
    """

    fork: Fork
    message: Any
    blinded: bool = False
    validator_index: int | None = None


@dataclass(frozen=True)
class AttesterValue:
    """What is agreed on for one validator that attests."""

    data: AttestationData
    duty: AttestationDuty


# What stands for a validator in what is agreed on, and in what is exchanged.
AgreedValue: TypeAlias = "AttesterValue | Versioned | tuple[SyncCommitteeContribution, ...]"
SignedValue: TypeAlias = (
    "Versioned | SignedRandao | BeaconCommitteeSelection | SyncCommitteeMessage | SyncCommitteeSelection"
    " | SignedContributionAndProof | SignedVoluntaryExit | SignedValidatorRegistration"
)

DATA_BYTES, DUTY_BYTES = codec(AttestationData).width, codec(AttestationDuty).width
ATTESTER_HEAD = (8).to_bytes(4, "little") + (8 + DATA_BYTES).to_bytes(4, "little")


@dataclass(frozen=True)
class _Form:
    """How a message that depends on the fork is written: the attribute of the fork, and its name in JSON."""

    attribute: str
    name: str
    blinded: str = ""  # the attribute of a blinded one, if there is such
    indexed: bool = False  # whose it is stands beside it

    def container(self, fork: Fork, blinded: bool) -> type[Any]:
        if blinded and not self.blinded:
            raise InputError(f"blinded: a {self.name} is never")
        cls: type[Any] = getattr(fork, self.blinded if blinded else self.attribute)
        return cls


_AGREED = {
    DutyType.PROPOSER: _Form("contents", "block", "blinded_block"),
    DutyType.AGGREGATOR: _Form("attestation", "attestation"),
}
_SIGNED = {
    DutyType.PROPOSER: _Form("signed_contents", "block", "signed_blinded_block"),
    DutyType.ATTESTER: _Form("attestation", "attestation", indexed=True),
    DutyType.AGGREGATOR: _Form("signed_aggregate_and_proof", "aggregate_and_proof"),
}
# Messages that no fork has changed; whether they are written as SSZ, and read from it.
_PLAIN: dict[DutyType, tuple[type[Any], bool, bool]] = {
    DutyType.EXIT: (SignedVoluntaryExit, False, True),
    DutyType.RANDAO: (SignedRandao, False, False),
    DutyType.PREPARE_AGGREGATOR: (BeaconCommitteeSelection, False, False),
    DutyType.SYNC_MESSAGE: (SyncCommitteeMessage, True, True),
    DutyType.PREPARE_SYNC_CONTRIBUTION: (SyncCommitteeSelection, False, False),
    DutyType.SYNC_CONTRIBUTION: (SignedContributionAndProof, True, True),
}


def encode_agreed(duty: DutyType, value: AgreedValue, preset: Preset = MAINNET_PRESET) -> bytes:
    """What a leader proposes for one validator.

    Several sync contributions become a JSON array, which charon reads since v1.11; one alone is SSZ.

    Raises:
        SszError: a field is none of its type.
        InputError: nothing is agreed on for the duty, or the value is of another one.
    """
    if isinstance(value, AttesterValue) and duty == DutyType.ATTESTER:
        return (
            ATTESTER_HEAD
            + codec(AttestationData).encode(value.data)
            + codec(AttestationDuty).encode(value.duty)
        )
    if isinstance(value, tuple) and value and duty == DutyType.SYNC_CONTRIBUTION:
        contributions = codec(SyncCommitteeContribution, preset)
        if len(value) == 1:
            return contributions.encode(value[0])
        return _json([contributions.to_json(each) for each in value])
    if isinstance(value, Versioned) and duty in _AGREED:
        return _with_header(_AGREED[duty], value, preset)
    raise InputError(f"value: a {type(value).__name__} is not agreed on for {duty!r}")


def decode_agreed(duty: DutyType, data: bytes, preset: Preset = MAINNET_PRESET) -> AgreedValue:
    """What was proposed for one validator.

    Raises:
        SszError: it is nothing that can be agreed on for the duty.
        InputError: nothing is agreed on for the duty.
    """
    _require_small(duty, data)
    if duty == DutyType.ATTESTER:
        return _attester_value(data)
    if duty == DutyType.SYNC_CONTRIBUTION:
        contributions = codec(SyncCommitteeContribution, preset)
        if data[:1] == b"[" and (several := _parsed_or_none(data)) is not None:
            if not several or not isinstance(several, list):
                raise SszError("expected at least one contribution")
            return tuple(contributions.from_json(each) for each in several)
        return (_plain(SyncCommitteeContribution, data, preset, ssz=True),)
    if duty in _AGREED:
        return _versioned(_AGREED[duty], data, preset)
    raise InputError(f"duty: nothing is agreed on for {duty!r}")


def encode_signed(duty: DutyType, value: SignedValue, preset: Preset = MAINNET_PRESET) -> bytes:
    """What a node sends with its partial signature in it.

    Raises:
        SszError: a field is none of its type.
        InputError: nothing is signed for the duty, or the value is of another one.
    """
    if isinstance(value, Versioned) and duty in _SIGNED:
        return _with_header(_SIGNED[duty], value, preset)
    if isinstance(value, SignedValidatorRegistration) and duty == DutyType.BUILDER_REGISTRATION:
        message = codec(SignedValidatorRegistration).to_json(value)
        return _json({"version": REGISTRATION_VERSION, "registration": message})
    if duty in _PLAIN and isinstance(value, _PLAIN[duty][0]):
        cls, as_ssz, _ = _PLAIN[duty]
        plain = codec(cls, preset)
        data = plain.encode(value)
        return data if as_ssz else _json(plain.to_json(value))
    raise InputError(f"value: a {type(value).__name__} is not signed for {duty!r}")


def decode_signed(duty: DutyType, data: bytes, preset: Preset = MAINNET_PRESET) -> SignedValue:
    """What a node sent with its partial signature in it.

    Raises:
        SszError: it is nothing that is signed for the duty.
        InputError: nothing is signed for the duty.
    """
    _require_small(duty, data)
    if duty in _SIGNED:
        return _versioned(_SIGNED[duty], data, preset)
    if duty == DutyType.BUILDER_REGISTRATION:
        fields = _object(data)
        if fields.get("version") != REGISTRATION_VERSION or isinstance(fields["version"], bool):
            raise SszError("expected a registration of version 0")
        return codec(SignedValidatorRegistration).from_json(fields.get("registration"))
    if duty in _PLAIN:
        cls, _, from_ssz = _PLAIN[duty]
        value: SignedValue = _plain(cls, data, preset, ssz=from_ssz)
        return value
    raise InputError(f"duty: nothing is signed for {duty!r}")


def _require_small(duty: DutyType, data: bytes) -> None:
    """Whatever is not read as SSZ is read as JSON, which costs many times its size."""
    if len(data) > entry_bytes(duty) or (data[:1] in (b"{", b"[") and len(data) > JSON_BYTES):
        raise SszError("more bytes than there are in any")


def _with_header(form: _Form, value: Versioned, preset: Preset) -> bytes:
    message = codec(form.container(value.fork, value.blinded), preset).encode(value.message)
    head = value.fork.version.to_bytes(8, "little")
    if form.blinded:
        head += bytes([value.blinded])
    if form.indexed and value.validator_index is not None:
        head += NUMBERS.encode(value.validator_index)
    return head + (len(head) + 4).to_bytes(4, "little") + message


def _versioned(form: _Form, data: bytes, preset: Preset) -> Versioned:
    problem = SszError("expected a header, and then a message")
    # A vote may lack its index; what follows the header fits one of the two only.
    for width in (9,) if form.blinded else (16, 8) if form.indexed else (8,):
        if data[width : width + 4] == (width + 4).to_bytes(4, "little"):
            try:
                return _behind_header(form, data, width, preset)
            except SszError as error:
                problem = error
    if data[:1] == b"{":
        return _versioned_from_json(form, data, preset)
    raise problem


def _behind_header(form: _Form, data: bytes, width: int, preset: Preset) -> Versioned:
    fork = _fork(int.from_bytes(data[:8], "little"))
    if form.blinded and data[8] > 1:
        raise SszError("expected 0 or 1", "blinded")
    blinded = bool(form.blinded and data[8])
    index = int.from_bytes(data[8:16], "little") if width == 16 else None
    message = codec(form.container(fork, blinded), preset).decode(memoryview(data)[width + 4 :])
    return Versioned(fork, message, blinded, index)


def _versioned_from_json(form: _Form, data: bytes, preset: Preset) -> Versioned:
    fields = _object(data)
    fork = _fork(fields.get("version"))
    blinded = fields.get("blinded", False)
    if not isinstance(blinded, bool) or (blinded and not form.blinded):
        raise SszError("expected true, or nothing", "blinded")
    index = fields.get("validator_index")
    if index is not None:
        index = NUMBERS.from_json(index)
        NUMBERS.encode(index)
    message = codec(form.container(fork, blinded), preset).from_json(fields.get(form.name))
    return Versioned(fork, message, blinded, index if form.indexed else None)


def _attester_value(data: bytes) -> AttesterValue:
    if data[: len(ATTESTER_HEAD)] == ATTESTER_HEAD:
        rest = memoryview(data)[len(ATTESTER_HEAD) :]
        return AttesterValue(
            codec(AttestationData).decode(rest[:DATA_BYTES]), codec(AttestationDuty).decode(rest[DATA_BYTES:])
        )
    if data[:1] != b"{":
        raise SszError("expected attestation data and a duty")
    fields = _object(data)
    duty = codec(AttestationDuty).from_json(fields.get("attestation_duty"))
    if not duty.committee_length:
        raise SszError("expected a number above 0", "attestation_duty.committee_length")
    return AttesterValue(codec(AttestationData).from_json(fields.get("attestation_data")), duty)


def _plain(cls: type[T], data: bytes, preset: Preset, *, ssz: bool) -> T:
    plain = codec(cls, preset)
    if ssz:
        try:
            return plain.decode(data)
        except SszError:
            if data[:1] != b"{":
                raise
    return plain.from_json(_object(data))


def _fork(version: object) -> Fork:
    try:
        return fork_with_version(cast(int, version))
    except InputError as error:
        raise SszError(str(error)) from None


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _object(data: bytes) -> dict[str, Any]:
    fields = _parsed_or_none(data)
    if not isinstance(fields, dict):
        raise SszError("expected a JSON object")
    return fields


def _parsed_or_none(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
