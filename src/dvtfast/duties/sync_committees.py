"""Sync committees: messages, contributions, and what selects who makes these.

Source: consensus-specs, altair/validator.md and beacon-chain.md.
"""

from __future__ import annotations

from typing import Annotated

from dvtfast.duties.attestations import Root, SignatureBytes
from dvtfast.duties.ssz import Bitvector, Of, Uint64, container


@container
class SyncAggregate:
    """What a block has of the sync committee."""

    sync_committee_bits: Annotated[bytes, Of(Bitvector, "SYNC_COMMITTEE_SIZE")]
    sync_committee_signature: SignatureBytes


@container
class SyncCommitteeMessage:
    """One member's vote for the head."""

    slot: Uint64
    beacon_block_root: Root
    validator_index: Uint64
    signature: SignatureBytes


@container
class SyncCommitteeContribution:
    """Votes of one subcommittee."""

    slot: Uint64
    beacon_block_root: Root
    subcommittee_index: Uint64
    aggregation_bits: Annotated[bytes, Of(Bitvector, "SYNC_SUBCOMMITTEE_SIZE")]
    signature: SignatureBytes


@container
class ContributionAndProof:
    """A contribution, and the proof that its maker was to make it."""

    aggregator_index: Uint64
    contribution: SyncCommitteeContribution
    selection_proof: SignatureBytes


@container
class SignedContributionAndProof:
    """The same, signed."""

    message: ContributionAndProof
    signature: SignatureBytes


@container
class SyncAggregatorSelectionData:
    """What a sync committee selection signs."""

    slot: Uint64
    subcommittee_index: Uint64


@container
class SyncCommitteeSelection:
    """A selection proof of a subcommittee; a partial one within a cluster."""

    validator_index: Uint64
    slot: Uint64
    subcommittee_index: Uint64
    selection_proof: SignatureBytes
