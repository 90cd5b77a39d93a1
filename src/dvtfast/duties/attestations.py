"""Attestations: what is voted for, single votes, aggregates, and what proves a slashable pair.

Sources: consensus-specs, phase0/beacon-chain.md and validator.md, electra/beacon-chain.md.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from dvtfast.duties.ssz import Bitlist, Bitvector, ByteVector, List, Of, Uint64, container

Root: TypeAlias = Annotated[bytes, Of(ByteVector, 32)]
PublicKeyBytes: TypeAlias = Annotated[bytes, Of(ByteVector, 48)]
SignatureBytes: TypeAlias = Annotated[bytes, Of(ByteVector, 96)]


@container
class Checkpoint:
    """The first block of an epoch."""

    epoch: Uint64
    root: Root


@container
class AttestationData:
    """What is voted for."""

    slot: Uint64
    index: Uint64
    beacon_block_root: Root
    source: Checkpoint
    target: Checkpoint


@container
class Attestation:
    """Votes of one committee, up to deneb."""

    aggregation_bits: Annotated[bytes, Of(Bitlist, "MAX_VALIDATORS_PER_COMMITTEE")]
    data: AttestationData
    signature: SignatureBytes


@container
class AttestationElectra(Attestation):
    """Votes of the committees that the last field names."""

    aggregation_bits: Annotated[bytes, Of(Bitlist, "MAX_VALIDATORS_PER_SLOT")]
    committee_bits: Annotated[bytes, Of(Bitvector, "MAX_COMMITTEES_PER_SLOT")]


@container
class SingleAttestation:
    """One vote, as it goes out since electra."""

    committee_index: Uint64
    attester_index: Uint64
    data: AttestationData
    signature: SignatureBytes


@container
class AggregateAndProof:
    """An aggregate, and the proof that its maker was to make it."""

    aggregator_index: Uint64
    aggregate: Attestation
    selection_proof: SignatureBytes


@container
class AggregateAndProofElectra(AggregateAndProof):
    """The same since electra."""

    aggregate: AttestationElectra


@container
class SignedAggregateAndProof:
    """The same, signed."""

    message: AggregateAndProof
    signature: SignatureBytes


@container
class SignedAggregateAndProofElectra(SignedAggregateAndProof):
    """The same since electra."""

    message: AggregateAndProofElectra


@container
class IndexedAttestation:
    """Votes, and whose they are."""

    attesting_indices: Annotated[tuple[Uint64, ...], Of(List, "MAX_VALIDATORS_PER_COMMITTEE")]
    data: AttestationData
    signature: SignatureBytes


@container
class IndexedAttestationElectra(IndexedAttestation):
    """The same since electra."""

    attesting_indices: Annotated[tuple[Uint64, ...], Of(List, "MAX_VALIDATORS_PER_SLOT")]


@container
class AttesterSlashing:
    """Two votes that nobody may both cast."""

    attestation_1: IndexedAttestation
    attestation_2: IndexedAttestation


@container
class AttesterSlashingElectra(AttesterSlashing):
    """The same since electra."""

    attestation_1: IndexedAttestationElectra
    attestation_2: IndexedAttestationElectra


@container
class AttestationDuty:
    """Where a validator attests, as charon agrees on it beside the data."""

    pubkey: PublicKeyBytes
    slot: Uint64
    validator_index: Uint64
    committee_index: Uint64
    committee_length: Uint64
    committees_at_slot: Uint64
    validator_committee_index: Uint64
