"""Sets of a duty's values: wrappers there and back, signatures put in, roots of all in one call."""

import json
from dataclasses import replace

import numpy as np
import pytest

from dvtfast.constants import DOMAIN_BUILDER
from dvtfast.domains import compute_domain
from dvtfast.duties import attestations, blocks, payloads, sync_committees
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkEpoch, ForkSchedule
from dvtfast.duties.forks import DENEB, ELECTRA, FORKS, FULU, fork_named, fork_with_version
from dvtfast.duties.presets import MINIMAL_PRESET, PRESETS, preset_named
from dvtfast.duties.signed_sets import NO_SIGNATURE, is_of_slot, signature_of, signed_set, with_signature
from dvtfast.duties.ssz import SszError
from dvtfast.duties.validator_messages import (
    BeaconCommitteeSelection,
    SignedRandao,
    SignedValidatorRegistration,
    SignedVoluntaryExit,
    ValidatorRegistration,
    VoluntaryExit,
)
from dvtfast.duties.wrappers import (
    AttesterValue,
    Versioned,
    decode_agreed,
    decode_signed,
    encode_agreed,
    encode_signed,
)
from dvtfast.errors import InputError
from dvtfast.networks import MAINNET
from dvtfast.signing_roots import compute_signing_roots, exit_signing_roots
from tests.ssz_reference import root

SIGNATURE = bytes(range(96))
ROOT = bytes(range(32))
DATA = attestations.AttestationData(
    96, 0, ROOT, attestations.Checkpoint(2, ROOT), attestations.Checkpoint(3, ROOT)
)
ELECTRA_VOTE = attestations.AttestationElectra(b"\x01", DATA, NO_SIGNATURE, bytes([1, *[0] * 7]))
DENEB_VOTE = attestations.Attestation(b"\x01", DATA, NO_SIGNATURE)
AGGREGATE = attestations.SignedAggregateAndProofElectra(
    attestations.AggregateAndProofElectra(7, ELECTRA_VOTE, SIGNATURE), NO_SIGNATURE
)
CONTRIBUTION = sync_committees.SyncCommitteeContribution(96, ROOT, 1, bytes(16), SIGNATURE)
PAYLOAD = payloads.ExecutionPayload(
    *[ROOT, bytes(20), ROOT, ROOT, bytes(256), ROOT, 1, 2, 3, 4, b"x", 5, ROOT, (b"tx", b""), (), 6, 7]
)
HEADER = payloads.ExecutionPayloadHeader(
    *[ROOT, bytes(20), ROOT, ROOT, bytes(256), ROOT, 1, 2, 3, 4, b"x", 5, ROOT, ROOT, ROOT, 6, 7]
)
START = [
    *[SIGNATURE, blocks.Eth1Data(ROOT, 1, ROOT), ROOT, (), (), (), (), ()],
    sync_committees.SyncAggregate(bytes(64), SIGNATURE),
]
REQUESTS = payloads.ExecutionRequests((), (), ())
BODY = blocks.BeaconBlockBodyElectra(*START, PAYLOAD, (), (), REQUESTS)
BLINDED_BODY = blocks.BlindedBeaconBlockBodyElectra(*START, HEADER, (), (), REQUESTS)
BLOCK = blocks.BeaconBlockElectra(96, 5, ROOT, ROOT, BODY)
BLINDED = blocks.BlindedBeaconBlockElectra(96, 5, ROOT, ROOT, BLINDED_BODY)
REGISTRATION = ValidatorRegistration(bytes(range(20)), 30_000_000, 1_600_000_000, bytes(range(48)))
VALUES = {
    "vote": (DutyType.ATTESTER, Versioned(FULU, ELECTRA_VOTE, validator_index=12)),
    "vote without an index": (DutyType.ATTESTER, Versioned(ELECTRA, ELECTRA_VOTE)),
    "vote of deneb": (DutyType.ATTESTER, Versioned(DENEB, DENEB_VOTE, validator_index=2**64 - 1)),
    "block": (
        DutyType.PROPOSER,
        Versioned(
            FULU,
            blocks.SignedBlockContentsFulu(
                blocks.SignedBeaconBlockElectra(BLOCK, NO_SIGNATURE), (bytes(48),), ()
            ),
        ),
    ),
    "blinded block": (
        DutyType.PROPOSER,
        Versioned(FULU, blocks.SignedBlindedBeaconBlockElectra(BLINDED, NO_SIGNATURE), blinded=True),
    ),
    "aggregate": (DutyType.AGGREGATOR, Versioned(FULU, AGGREGATE)),
    "randao": (DutyType.RANDAO, SignedRandao(3, NO_SIGNATURE)),
    "selection": (DutyType.PREPARE_AGGREGATOR, BeaconCommitteeSelection(7, 96, NO_SIGNATURE)),
    "sync message": (
        DutyType.SYNC_MESSAGE,
        sync_committees.SyncCommitteeMessage(96, ROOT, 7, NO_SIGNATURE),
    ),
    "sync selection": (
        DutyType.PREPARE_SYNC_CONTRIBUTION,
        sync_committees.SyncCommitteeSelection(7, 96, 2, NO_SIGNATURE),
    ),
    "contribution": (
        DutyType.SYNC_CONTRIBUTION,
        sync_committees.SignedContributionAndProof(
            sync_committees.ContributionAndProof(7, CONTRIBUTION, SIGNATURE), NO_SIGNATURE
        ),
    ),
    "exit": (DutyType.EXIT, SignedVoluntaryExit(VoluntaryExit(194_048, 123_456), NO_SIGNATURE)),
    "registration": (
        DutyType.BUILDER_REGISTRATION,
        SignedValidatorRegistration(REGISTRATION, NO_SIGNATURE),
    ),
}
SCHEDULE = ForkSchedule(
    MAINNET.genesis_validators_root,
    32,
    [
        ForkEpoch(0, bytes(4)),
        ForkEpoch(2, bytes([5, 0, 0, 0]), ELECTRA),
        ForkEpoch(4, bytes([6, 0, 0, 0]), FULU),
    ],
    genesis_version=bytes([9, 0, 0, 0]),
    capella_version=MAINNET.capella_fork_version,
)


@pytest.mark.parametrize(("duty", "value"), VALUES.values(), ids=VALUES)
def test_a_signature_is_put_in_and_sent(duty, value):
    signed = with_signature(value, SIGNATURE)
    assert signature_of(value) == NO_SIGNATURE
    assert signature_of(signed) == SIGNATURE
    assert with_signature(signed, NO_SIGNATURE) == value
    assert decode_signed(duty, encode_signed(duty, signed)) == signed
    before, after = signed_set(duty, [value], SCHEDULE), signed_set(duty, [signed], SCHEDULE)
    assert np.array_equal(before.signing_roots, after.signing_roots)
    assert after.signatures.tobytes() == SIGNATURE


@pytest.mark.parametrize(("duty", "value"), VALUES.values(), ids=VALUES)
def test_a_value_says_of_which_slot_it_is(duty, value):
    of_any = duty in (DutyType.EXIT, DutyType.BUILDER_REGISTRATION)
    assert is_of_slot(duty, 96, value, SCHEDULE)
    assert is_of_slot(duty, 97, value, SCHEDULE) == (of_any or duty == DutyType.RANDAO)
    assert is_of_slot(duty, 128, value, SCHEDULE) == of_any


@pytest.mark.parametrize(("duty", "value"), VALUES.values(), ids=VALUES)
def test_a_value_is_of_its_own_duty_only(duty, value):
    encoded = encode_signed(duty, value)
    for other in DutyType:
        if other != duty:
            with pytest.raises((InputError, SszError)):
                encode_signed(other, value)
            if (duty, other) != (
                DutyType.PREPARE_SYNC_CONTRIBUTION,
                DutyType.PREPARE_AGGREGATOR,
            ):  # has a field more
                with pytest.raises((InputError, SszError)):
                    decode_signed(other, encoded)


AGREED = {
    "vote": (
        DutyType.ATTESTER,
        AttesterValue(DATA, attestations.AttestationDuty(bytes(48), 96, 7, 3, 100, 64, 99)),
    ),
    "block": (DutyType.PROPOSER, Versioned(FULU, blocks.BlockContentsFulu(BLOCK, (), ()))),
    "blinded block": (DutyType.PROPOSER, Versioned(ELECTRA, BLINDED, blinded=True)),
    "aggregate": (DutyType.AGGREGATOR, Versioned(FULU, ELECTRA_VOTE)),
    "contribution": (DutyType.SYNC_CONTRIBUTION, (CONTRIBUTION,)),
    "contributions": (
        DutyType.SYNC_CONTRIBUTION,
        (CONTRIBUTION, replace(CONTRIBUTION, subcommittee_index=3)),
    ),
}


@pytest.mark.parametrize(("duty", "value"), AGREED.values(), ids=AGREED)
def test_what_is_agreed_on_is_read_again(duty, value):
    encoded = encode_agreed(duty, value)
    assert decode_agreed(duty, encoded) == value
    for other in DutyType:
        if other != duty:
            with pytest.raises((InputError, SszError)):
                encode_agreed(other, value)


def test_several_contributions_are_an_array():
    duty, value = AGREED["contributions"]
    array = json.loads(encode_agreed(duty, value))
    assert [each["subcommittee_index"] for each in array] == ["1", "3"]
    assert len(encode_agreed(*AGREED["contribution"])) == 160


def test_a_blinded_block_has_the_root_of_the_whole_one():
    """When the header is that of the payload."""
    transactions_root, withdrawals_root = (
        bytes.fromhex(
            "7ffe241ea60187fdb0187bfa22de35d1f9bed7ab061d9401fd47e34a54fbede1"
        ),  # of no transactions
        bytes.fromhex(
            "792930bbd5baac43bcc798ee49aa8185ef76bb3b44ba62b91d86ae569e4bb535"
        ),  # of no withdrawals
    )
    payload = replace(PAYLOAD, transactions=())
    header = replace(HEADER, transactions_root=transactions_root, withdrawals_root=withdrawals_root)
    whole = replace(BLOCK, body=replace(BODY, execution_payload=payload))
    blinded = replace(BLINDED, body=replace(BLINDED_BODY, execution_payload_header=header))
    assert codec(FULU.block).root(whole) == codec(FULU.blinded_block).root(blinded)


def test_a_set_is_its_values_one_by_one():
    """Also where messages, epochs and with them domains differ."""
    duty, value = VALUES["vote"]
    targets = [attestations.Checkpoint(epoch, ROOT) for epoch in (1, 3, 5, 3)]
    datas = [replace(DATA, target=target) for target in targets]
    values = [
        with_signature(replace(value, message=replace(ELECTRA_VOTE, data=data)), bytes([i]) * 96)
        for i, data in enumerate(datas)
    ]
    together = signed_set(duty, values, SCHEDULE)
    alone = [signed_set(duty, [each], SCHEDULE) for each in values]
    for name in ("roots", "signing_roots", "signatures"):
        assert np.array_equal(
            getattr(together, name), np.concatenate([getattr(each, name) for each in alone])
        )
    for row, data in enumerate(datas):
        domain = compute_domain(
            b"\1\0\0\0", SCHEDULE.at(data.target.epoch).version, MAINNET.genesis_validators_root
        )
        root = np.frombuffer(codec(attestations.AttestationData).root(data), np.uint8)
        assert np.array_equal(together.signing_roots[row], compute_signing_roots(root, domain))
    assert len({row.tobytes() for row in together.signing_roots}) == 3


def test_an_empty_set():
    empty = signed_set(DutyType.ATTESTER, [], SCHEDULE)
    assert (empty.roots.shape, empty.signing_roots.shape, empty.signatures.shape) == (
        (0, 32),
        (0, 32),
        (0, 96),
    )


def test_exits_are_signed_as_elsewhere_in_the_library():
    duty, value = VALUES["exit"]
    expected = exit_signing_roots([123_456], MAINNET)
    assert np.array_equal(signed_set(duty, [value], SCHEDULE).signing_roots, expected)


def test_registrations_are_signed_for_the_chain_at_genesis():
    """The root by hand: fee recipient, gas limit, time, public key."""
    duty, value = VALUES["registration"]
    expected = compute_signing_roots(
        root(ValidatorRegistration, REGISTRATION, {}),
        compute_domain(DOMAIN_BUILDER, bytes([9, 0, 0, 0]), bytes(32)),
    )
    assert signed_set(duty, [value], SCHEDULE).signing_roots[0].tobytes() == expected.tobytes()


def test_forks_by_name_and_number():
    assert [fork_named(fork.name) for fork in FORKS] == list(FORKS)
    assert [fork_with_version(fork.version) for fork in FORKS] == list(FORKS)
    with pytest.raises(InputError, match="expected one of deneb, electra, fulu, got 'gloas'"):
        fork_named("gloas")
    with pytest.raises(InputError, match="got 7"):
        fork_with_version(7)


def test_presets_by_name():
    assert [preset_named(preset.name) for preset in PRESETS] == list(PRESETS)
    with pytest.raises(InputError, match="got 'main'"):
        preset_named("main")


def test_the_fork_of_an_epoch():
    assert [SCHEDULE.at(epoch).fork for epoch in (0, 1, 2, 3, 4, 10**9)] == [
        None,
        None,
        ELECTRA,
        ELECTRA,
        FULU,
        FULU,
    ]
    assert SCHEDULE.epoch_of(127) == 3
    for wrong in (
        [],
        [ForkEpoch(1, bytes(4))],
        [ForkEpoch(0, bytes(4)), ForkEpoch(5, bytes(4)), ForkEpoch(4, bytes(4))],
    ):
        with pytest.raises(InputError, match="ascending"):
            ForkSchedule(bytes(32), 32, wrong, bytes(4), bytes(4))


def test_sizes_are_those_of_the_preset():
    """A vote of the minimal preset names one of four committees."""
    vote = replace(ELECTRA_VOTE, committee_bits=b"\x08")
    encoded = encode_signed(DutyType.ATTESTER, Versioned(FULU, vote), MINIMAL_PRESET)
    assert decode_signed(DutyType.ATTESTER, encoded, MINIMAL_PRESET).message == vote
    with pytest.raises(SszError, match="committee_bits: expected 8 bytes, got 1"):
        encode_signed(DutyType.ATTESTER, Versioned(FULU, vote))
