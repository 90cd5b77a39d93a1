"""What a remote signer is told of a duty's value: its type, the message, the fork and the root.

Source: web3signer, OpenAPI of its Eth2 signing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from dvtfast.duties.blocks import BeaconBlockHeader, SignedBlockContents
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkSchedule
from dvtfast.duties.presets import Preset
from dvtfast.duties.wrappers import SignedValue
from dvtfast.qbft.messages import Duty

from ... import wire
from ...keys.remote_signer import Fork, ForkInfo

Fields = dict[str, Any]


def request_of(
    duty: Duty, value: SignedValue, signing_root: bytes, schedule: ForkSchedule, preset: Preset
) -> bytes:
    """The body of a request."""
    kind, member, fields = REQUESTS[duty.type]
    request: Fields = {"type": kind, "signing_root": wire.Root(signing_root).to_wire()}
    if duty.type != DutyType.BUILDER_REGISTRATION:
        request["fork_info"] = msgspec.to_builtins(_fork_info(duty, schedule), enc_hook=_to_wire)
    request[member] = fields(value, preset)
    return msgspec.json.encode(request)


def _fork_info(duty: Duty, schedule: ForkSchedule) -> ForkInfo:
    fork = schedule.at(schedule.epoch_of(duty.slot))
    place = list(schedule.forks).index(fork)
    previous, current, epoch = schedule.forks[max(place - 1, 0)].version, fork.version, fork.epoch
    if duty.type == DutyType.EXIT:  # EIP-7044
        previous = current = schedule.capella_version
        epoch = 0
    versions = wire.ForkVersion(previous), wire.ForkVersion(current)
    return ForkInfo(Fork(*versions, str(epoch)), wire.Root(schedule.genesis_validators_root))


def _attestation(value: Any, preset: Preset) -> Fields:
    return _json(value.message.data, preset)


def _block(value: Any, preset: Preset) -> Fields:
    message = value.message
    block = (message.signed_block if isinstance(message, SignedBlockContents) else message).message
    header = BeaconBlockHeader(
        block.slot,
        block.proposer_index,
        block.parent_root,
        block.state_root,
        codec(type(block.body), preset).root(block.body),
    )
    return {"version": value.fork.name.upper(), "block_header": _json(header, preset)}


def _randao(value: Any, preset: Preset) -> Fields:
    return {"epoch": str(value.epoch)}


def _aggregation_slot(value: Any, preset: Preset) -> Fields:
    return {"slot": str(value.slot)}


def _aggregate(value: Any, preset: Preset) -> Fields:
    return {"version": value.fork.name.upper(), "data": _json(value.message.message, preset)}


def _sync_message(value: Any, preset: Preset) -> Fields:
    return {"slot": str(value.slot), "beacon_block_root": wire.Root(value.beacon_block_root).to_wire()}


def _sync_selection(value: Any, preset: Preset) -> Fields:
    return {"slot": str(value.slot), "subcommittee_index": str(value.subcommittee_index)}


def _plain(value: Any, preset: Preset) -> Fields:
    return _json(value.message, preset)


def _json(message: Any, preset: Preset) -> Fields:
    return codec(type(message), preset).to_json(message)


def _to_wire(value: Any) -> Any:
    return value.to_wire()


# Of each duty: the type of the request, the member that has the message, and how it is written.
REQUESTS: Final[dict[DutyType, tuple[str, str, Callable[[Any, Preset], Fields]]]] = {
    DutyType.ATTESTER: ("ATTESTATION", "attestation", _attestation),
    DutyType.PROPOSER: ("BLOCK_V2", "beacon_block", _block),
    DutyType.RANDAO: ("RANDAO_REVEAL", "randao_reveal", _randao),
    DutyType.PREPARE_AGGREGATOR: ("AGGREGATION_SLOT", "aggregation_slot", _aggregation_slot),
    DutyType.AGGREGATOR: ("AGGREGATE_AND_PROOF_V2", "aggregate_and_proof", _aggregate),
    DutyType.SYNC_MESSAGE: ("SYNC_COMMITTEE_MESSAGE", "sync_committee_message", _sync_message),
    DutyType.PREPARE_SYNC_CONTRIBUTION: (
        "SYNC_COMMITTEE_SELECTION_PROOF",
        "sync_aggregator_selection_data",
        _sync_selection,
    ),
    DutyType.SYNC_CONTRIBUTION: (
        "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF",
        "contribution_and_proof",
        _plain,
    ),
    DutyType.BUILDER_REGISTRATION: ("VALIDATOR_REGISTRATION", "validator_registration", _plain),
    DutyType.EXIT: ("VOLUNTARY_EXIT", "voluntary_exit", _plain),
}
