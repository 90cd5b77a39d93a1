"""What validators make of agreed values: of the right containers, with the roots of what was agreed on."""

from dataclasses import replace

import pytest

from dvtfast.duties import blocks, signables
from dvtfast.duties.attestations import AttestationData, AttestationDuty, SingleAttestation
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.forks import DENEB, ELECTRA, FULU
from dvtfast.duties.presets import MINIMAL_PRESET
from dvtfast.duties.signed_sets import NO_SIGNATURE, signed_set, with_signature
from dvtfast.duties.wrappers import AttesterValue, Versioned, decode_signed, encode_signed
from dvtfast.errors import InputError
from tests.unit.duties.test_duty_sets import (
    BLINDED,
    BLOCK,
    CONTRIBUTION,
    DATA,
    ELECTRA_VOTE,
    SCHEDULE,
    SIGNATURE,
)

VALUE = AttesterValue(DATA, AttestationDuty(bytes(48), 96, 7, 3, 10, 64, 9))


def root_of(duty, value):
    """Of the message that is signed; the value is one that is sent and read again."""
    signed = with_signature(value, SIGNATURE)
    assert decode_signed(duty, encode_signed(duty, signed)) == signed
    return signed_set(duty, [value], SCHEDULE).roots[0].tobytes()


@pytest.mark.parametrize("fork", [DENEB, ELECTRA, FULU], ids=lambda fork: fork.name)
def test_a_vote(fork):
    vote = signables.vote(fork, VALUE)
    assert vote.validator_index == 7
    assert root_of(DutyType.ATTESTER, vote) == codec(AttestationData).root(DATA)


def test_whose_vote_it_is():
    assert signables.vote(FULU, VALUE).message.committee_bits == bytes([8, *[0] * 7])
    assert signables.vote(FULU, VALUE).message.aggregation_bits == b"\x01"
    assert signables.vote(FULU, VALUE, MINIMAL_PRESET).message.committee_bits == b"\x08"
    assert signables.vote(DENEB, VALUE).message.aggregation_bits == bytes(
        [0, 0b110]
    )  # the ninth of ten, and the end
    for committee in (64, 2**64 - 1):
        with pytest.raises(InputError, match="positions"):
            signables.vote(FULU, replace(VALUE, duty=replace(VALUE.duty, committee_index=committee)))


def test_a_committee_that_is_too_long():
    for fork in (DENEB, FULU):
        with pytest.raises(InputError, match="committee_length: expected at most 2048"):
            signables.vote(fork, replace(VALUE, duty=replace(VALUE.duty, committee_length=2**64 - 1)))


def test_a_single_vote_there_and_back():
    single = SingleAttestation(3, 7, DATA, SIGNATURE)
    vote = signables.vote_of(FULU, single)
    assert vote == with_signature(signables.vote(FULU, VALUE), SIGNATURE)
    assert signables.single_attestation(vote) == single
    deneb = signables.vote(DENEB, VALUE)
    assert signables.single_attestation(deneb) is deneb.message
    for bits in (bytes(8), b"\x03" + bytes(7)):
        with pytest.raises(InputError, match="one committee"):
            signables.single_attestation(replace(vote, message=replace(vote.message, committee_bits=bits)))
    with pytest.raises(InputError, match="a validator's vote"):
        signables.single_attestation(replace(vote, validator_index=None))


def test_a_block():
    contents = blocks.BlockContentsFulu(BLOCK, (bytes(48),) * 2, ())
    value = signables.block(Versioned(FULU, contents))
    assert type(value.message) is blocks.SignedBlockContentsFulu
    assert (value.message.kzg_proofs, value.message.blobs) == (contents.kzg_proofs, contents.blobs)
    assert root_of(DutyType.PROPOSER, value) == codec(FULU.block).root(BLOCK)


def test_a_blinded_block():
    value = signables.block(Versioned(FULU, BLINDED, blinded=True))
    assert value.blinded
    assert root_of(DutyType.PROPOSER, value) == codec(FULU.blinded_block).root(BLINDED)


def test_proofs():
    value = signables.aggregate_and_proof(Versioned(FULU, ELECTRA_VOTE), 5, SIGNATURE)
    proof = FULU.aggregate_and_proof(5, ELECTRA_VOTE, SIGNATURE)
    assert value.message.signature == NO_SIGNATURE
    assert root_of(DutyType.AGGREGATOR, value) == codec(FULU.aggregate_and_proof).root(proof)
    contribution = signables.contribution_and_proof(CONTRIBUTION, 5, SIGNATURE)
    assert (contribution.message.aggregator_index, contribution.message.contribution) == (5, CONTRIBUTION)
    assert root_of(DutyType.SYNC_CONTRIBUTION, contribution) == codec(type(contribution.message)).root(
        contribution.message
    )
