"""What a validator makes of what was agreed on, not yet signed; and votes as the beacon API has them.

Sources: consensus-specs, validator.md of phase0, altair and electra; beacon API v3, SingleAttestation.
"""

from __future__ import annotations

from typing import Any

from dvtfast.duties.attestations import Attestation, SingleAttestation
from dvtfast.duties.bits import EMPTY_BITLIST, bitlist, bitvector, set_positions
from dvtfast.duties.forks import Fork
from dvtfast.duties.presets import MAINNET_PRESET, Preset
from dvtfast.duties.signed_sets import NO_SIGNATURE
from dvtfast.duties.sync_committees import (
    ContributionAndProof,
    SignedContributionAndProof,
    SyncCommitteeContribution,
)
from dvtfast.duties.wrappers import AttesterValue, Versioned
from dvtfast.errors import InputError


def vote(fork: Fork, value: AttesterValue, preset: Preset = MAINNET_PRESET) -> Versioned:
    """The vote of one validator.

    Raises:
        InputError: there is no such committee, or none of that length.
    """
    duty, most = value.duty, preset.sizes["MAX_VALIDATORS_PER_COMMITTEE"]
    if duty.committee_length > most:
        raise InputError(f"committee_length: expected at most {most}, got {duty.committee_length}")
    if fork.single_attestation is SingleAttestation:
        single = SingleAttestation(duty.committee_index, duty.validator_index, value.data, NO_SIGNATURE)
        return vote_of(fork, single, preset)
    bits = bitlist([duty.validator_committee_index], duty.committee_length)
    message = fork.attestation(bits, value.data, NO_SIGNATURE)
    return Versioned(fork, message, validator_index=duty.validator_index)


def block(value: Versioned) -> Versioned:
    """The agreed block, whole with its blobs or blinded."""
    fork, message = value.fork, value.message
    if value.blinded:
        return Versioned(fork, fork.signed_blinded_block(message, NO_SIGNATURE), blinded=True)
    signed = fork.signed_block(message.block, NO_SIGNATURE)
    return Versioned(fork, fork.signed_contents(signed, message.kzg_proofs, message.blobs))


def aggregate_and_proof(value: Versioned, aggregator_index: int, selection_proof: bytes) -> Versioned:
    """The agreed aggregate, with the proof of who makes it."""
    proof = value.fork.aggregate_and_proof(aggregator_index, value.message, selection_proof)
    return Versioned(value.fork, value.fork.signed_aggregate_and_proof(proof, NO_SIGNATURE))


def contribution_and_proof(
    contribution: SyncCommitteeContribution, aggregator_index: int, selection_proof: bytes
) -> SignedContributionAndProof:
    """An agreed contribution, with the proof of who makes it."""
    proof = ContributionAndProof(aggregator_index, contribution, selection_proof)
    return SignedContributionAndProof(proof, NO_SIGNATURE)


def vote_of(fork: Fork, single: SingleAttestation, preset: Preset = MAINNET_PRESET) -> Versioned:
    """The vote that a validator client hands in, as nodes exchange it.

    Raises:
        InputError: there is no such committee.
    """
    committee_bits = bitvector([single.committee_index], preset.sizes["MAX_COMMITTEES_PER_SLOT"])
    of_fork: type[Any] = fork.attestation
    message = of_fork(EMPTY_BITLIST, single.data, single.signature, committee_bits)
    return Versioned(fork, message, validator_index=single.attester_index)


def single_attestation(value: Versioned) -> SingleAttestation | Attestation:
    """A vote as it goes to a beacon node.

    Raises:
        InputError: it is not of one committee, or it is not said whose it is.
    """
    message = value.message
    if value.fork.single_attestation is not SingleAttestation:
        plain: Attestation = message
        return plain
    committees = set_positions(message.committee_bits)
    if len(committees) != 1 or value.validator_index is None:
        raise InputError(
            f"value: expected a validator's vote in one committee, got {len(committees)} of them"
        )
    return SingleAttestation(committees[0], value.validator_index, message.data, message.signature)
