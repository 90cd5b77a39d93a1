"""Containers of duties beside the executable specification's: bytes, roots, signing roots."""

import json
import lzma
from collections import defaultdict

import pytest

from dvtfast.duties import attestations, payloads, sync_committees, validator_messages
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkEpoch, ForkSchedule
from dvtfast.duties.forks import fork_named
from dvtfast.duties.presets import MAINNET_PRESET, MINIMAL_PRESET
from dvtfast.duties.signed_sets import NO_SIGNATURE, signed_set
from dvtfast.duties.sync_committees import SyncCommitteeSelection
from dvtfast.duties.validator_messages import (
    BeaconCommitteeSelection,
    SignedRandao,
    SignedVoluntaryExit,
    VoluntaryExit,
)
from dvtfast.duties.wrappers import Versioned
from tests.duties_vector import EPOCH, FILE, VALIDATORS_ROOT, VERSION

VECTOR = json.loads(lzma.decompress(FILE.read_bytes()))
PRESETS = {preset.name: preset for preset in (MAINNET_PRESET, MINIMAL_PRESET)}
OF_FORK = {
    "Attestation": "attestation",
    "SignedAggregateAndProof": "signed_aggregate_and_proof",
    "SignedBeaconBlock": "signed_block",
    "SignedBlindedBeaconBlock": "signed_blinded_block",
    "BlockContents": "contents",
    "SignedBlockContents": "signed_contents",
}


def grouped(cases, *names):
    groups = defaultdict(list)
    for case in cases:
        groups[tuple(case[name] for name in names)].append(case)
    assert groups
    return [pytest.param(group, id="-".join(name)) for name, group in groups.items()]


def class_of(case):
    name, fork = case["container"], fork_named(case["fork"])
    if name in OF_FORK:
        return getattr(fork, OF_FORK[name])
    since_electra = f"{name}Electra" if fork.version >= 5 else name
    for module in (attestations, payloads, sync_committees, validator_messages):
        if cls := getattr(module, since_electra, None) or getattr(module, name, None):
            return cls
    raise AssertionError(name)


@pytest.mark.parametrize("cases", grouped(VECTOR["containers"], "preset", "fork", "container"))
def test_containers(cases):
    for case in cases:
        values = codec(class_of(case), PRESETS[case["preset"]])
        encoded = bytes.fromhex(case["ssz"])
        value = values.decode(encoded)
        assert values.encode(value) == encoded
        assert values.root(value).hex() == case["root"]
        assert values.from_json(json.loads(json.dumps(values.to_json(value)))) == value


def value_of(case, preset):
    """The value that a duty's partial signature is in, with the message of the vector."""
    fork, duty, slot = fork_named(case["fork"]), DutyType[case["duty"]], EPOCH * preset.slots_per_epoch + 3
    encoded = bytes.fromhex(case["ssz"])
    match duty:
        case DutyType.ATTESTER:
            return Versioned(fork, codec(fork.attestation, preset).decode(encoded))
        case DutyType.PROPOSER:
            block = codec(fork.signed_block, preset).decode(encoded)
            return Versioned(fork, fork.signed_contents(block, (), ()))
        case DutyType.AGGREGATOR:
            return Versioned(fork, codec(fork.signed_aggregate_and_proof, preset).decode(encoded))
        case DutyType.SYNC_MESSAGE:
            return codec(sync_committees.SyncCommitteeMessage, preset).decode(encoded)
        case DutyType.SYNC_CONTRIBUTION:
            return codec(sync_committees.SignedContributionAndProof, preset).decode(encoded)
        case DutyType.PREPARE_SYNC_CONTRIBUTION:
            return SyncCommitteeSelection(9, slot, 2, NO_SIGNATURE)
        case DutyType.PREPARE_AGGREGATOR:
            return BeaconCommitteeSelection(9, slot, NO_SIGNATURE)
        case DutyType.RANDAO:
            return SignedRandao(EPOCH, NO_SIGNATURE)
        case DutyType.EXIT:
            return SignedVoluntaryExit(VoluntaryExit(EPOCH, 9), NO_SIGNATURE)


@pytest.mark.parametrize("cases", grouped(VECTOR["signed"], "preset", "fork", "duty"))
def test_signing_roots(cases):
    """Exits are signed under capella's version, here the vector's; all others under their epoch's."""
    for case in cases:
        preset, duty = PRESETS[case["preset"]], DutyType[case["duty"]]
        other = bytes(4)
        schedule = ForkSchedule(
            VALIDATORS_ROOT,
            preset.slots_per_epoch,
            [ForkEpoch(0, other), ForkEpoch(EPOCH, other if duty == DutyType.EXIT else VERSION)],
            genesis_version=other,
            capella_version=VERSION if duty == DutyType.EXIT else other,
        )
        value = value_of(case, preset)
        roots = signed_set(duty, [value, value], schedule, preset).signing_roots
        assert [row.tobytes().hex() for row in roots] == [case["signing_root"]] * 2


def test_every_duty_that_signs_is_in_the_vector_but_registrations():
    duties = {DutyType[case["duty"]] for case in VECTOR["signed"]}
    assert set(DutyType) - duties == {DutyType.BUILDER_REGISTRATION, DutyType.INFO_SYNC}
