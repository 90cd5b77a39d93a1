"""Blocks, whole and blinded, what they are made of, and with their blobs as proposers publish them.

Sources: consensus-specs, beacon-chain.md of phase0 to electra, fulu/validator.md; builder-specs, electra;
beacon API v3, BlockContents.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from dvtfast.duties.attestations import (
    Attestation,
    AttestationElectra,
    AttesterSlashing,
    AttesterSlashingElectra,
    PublicKeyBytes,
    Root,
    SignatureBytes,
)
from dvtfast.duties.payloads import ExecutionPayload, ExecutionPayloadHeader, ExecutionRequests
from dvtfast.duties.ssz import ByteVector, List, Of, Uint64, Vector, container
from dvtfast.duties.sync_committees import SyncAggregate
from dvtfast.duties.validator_messages import ExecutionAddress, SignedVoluntaryExit

KzgBytes: TypeAlias = Annotated[bytes, Of(ByteVector, 48)]
Blobs: TypeAlias = Annotated[
    tuple[Annotated[bytes, Of(ByteVector, "BYTES_PER_BLOB")], ...],
    Of(List, "MAX_BLOB_COMMITMENTS_PER_BLOCK"),
]
BlobProofs: TypeAlias = Annotated[tuple[KzgBytes, ...], Of(List, "MAX_BLOB_COMMITMENTS_PER_BLOCK")]
CellProofs: TypeAlias = Annotated[tuple[KzgBytes, ...], Of(List, "MAX_CELL_PROOFS_PER_BLOCK")]


@container
class Eth1Data:
    """The deposit contract, as a proposer saw it."""

    deposit_root: Root
    deposit_count: Uint64
    block_hash: Root


@container
class BeaconBlockHeader:
    """A block with the root of its body."""

    slot: Uint64
    proposer_index: Uint64
    parent_root: Root
    state_root: Root
    body_root: Root


@container
class SignedBeaconBlockHeader:
    """The same, signed."""

    message: BeaconBlockHeader
    signature: SignatureBytes


@container
class ProposerSlashing:
    """Two blocks that nobody may both sign."""

    signed_header_1: SignedBeaconBlockHeader
    signed_header_2: SignedBeaconBlockHeader


@container
class DepositData:
    """What was sent to the deposit contract."""

    pubkey: PublicKeyBytes
    withdrawal_credentials: Root
    amount: Uint64
    signature: SignatureBytes


@container
class Deposit:
    """The same, with its branch of the contract's tree and the number of leaves."""

    proof: Annotated[tuple[Root, ...], Of(Vector, 33)]
    data: DepositData


@container
class BLSToExecutionChange:
    """A validator's first withdrawal address."""

    validator_index: Uint64
    from_bls_pubkey: PublicKeyBytes
    to_execution_address: ExecutionAddress


@container
class SignedBLSToExecutionChange:
    """The same, signed."""

    message: BLSToExecutionChange
    signature: SignatureBytes


@container
class BodyStart:
    """What every body begins with, up to the payload."""

    randao_reveal: SignatureBytes
    eth1_data: Eth1Data
    graffiti: Root
    proposer_slashings: Annotated[tuple[ProposerSlashing, ...], Of(List, "MAX_PROPOSER_SLASHINGS")]
    attester_slashings: Annotated[tuple[AttesterSlashing, ...], Of(List, "MAX_ATTESTER_SLASHINGS")]
    attestations: Annotated[tuple[Attestation, ...], Of(List, "MAX_ATTESTATIONS")]
    deposits: Annotated[tuple[Deposit, ...], Of(List, "MAX_DEPOSITS")]
    voluntary_exits: Annotated[tuple[SignedVoluntaryExit, ...], Of(List, "MAX_VOLUNTARY_EXITS")]
    sync_aggregate: SyncAggregate


Changes: TypeAlias = Annotated[
    tuple[SignedBLSToExecutionChange, ...], Of(List, "MAX_BLS_TO_EXECUTION_CHANGES")
]


@container
class BeaconBlockBody(BodyStart):
    """A body of deneb."""

    execution_payload: ExecutionPayload
    bls_to_execution_changes: Changes
    blob_kzg_commitments: BlobProofs


@container
class BlindedBeaconBlockBody(BodyStart):
    """A body of deneb with the payload's header."""

    execution_payload_header: ExecutionPayloadHeader
    bls_to_execution_changes: Changes
    blob_kzg_commitments: BlobProofs


SlashingsElectra: TypeAlias = Annotated[
    tuple[AttesterSlashingElectra, ...], Of(List, "MAX_ATTESTER_SLASHINGS_ELECTRA")
]
AttestationsElectra: TypeAlias = Annotated[
    tuple[AttestationElectra, ...], Of(List, "MAX_ATTESTATIONS_ELECTRA")
]


@container
class BeaconBlockBodyElectra(BeaconBlockBody):
    """A body of electra and fulu."""

    attester_slashings: SlashingsElectra
    attestations: AttestationsElectra
    execution_requests: ExecutionRequests


@container
class BlindedBeaconBlockBodyElectra(BlindedBeaconBlockBody):
    """A body of electra and fulu with the payload's header."""

    attester_slashings: SlashingsElectra
    attestations: AttestationsElectra
    execution_requests: ExecutionRequests


@container
class BeaconBlock:
    """A block, of deneb."""

    slot: Uint64
    proposer_index: Uint64
    parent_root: Root
    state_root: Root
    body: BeaconBlockBody


@container
class BeaconBlockElectra(BeaconBlock):
    """A block of electra and fulu."""

    body: BeaconBlockBodyElectra


@container
class BlindedBeaconBlock:
    """A block with the payload's header, of deneb; it has the root of the whole one."""

    slot: Uint64
    proposer_index: Uint64
    parent_root: Root
    state_root: Root
    body: BlindedBeaconBlockBody


@container
class BlindedBeaconBlockElectra(BlindedBeaconBlock):
    """The same of electra and fulu."""

    body: BlindedBeaconBlockBodyElectra


@container
class SignedBeaconBlock:
    """A block, signed."""

    message: BeaconBlock
    signature: SignatureBytes


@container
class SignedBeaconBlockElectra(SignedBeaconBlock):
    """The same of electra and fulu."""

    message: BeaconBlockElectra


@container
class SignedBlindedBeaconBlock:
    """A blinded block, signed."""

    message: BlindedBeaconBlock
    signature: SignatureBytes


@container
class SignedBlindedBeaconBlockElectra(SignedBlindedBeaconBlock):
    """The same of electra and fulu."""

    message: BlindedBeaconBlockElectra


@container
class BlockContents:
    """A block, and the blobs that belong to it."""

    block: BeaconBlock
    kzg_proofs: BlobProofs
    blobs: Blobs


@container
class BlockContentsElectra(BlockContents):
    """The same of electra."""

    block: BeaconBlockElectra


@container
class BlockContentsFulu(BlockContentsElectra):
    """The same of fulu, with proofs of cells."""

    kzg_proofs: CellProofs


@container
class SignedBlockContents:
    """A signed block, and the blobs that belong to it."""

    signed_block: SignedBeaconBlock
    kzg_proofs: BlobProofs
    blobs: Blobs


@container
class SignedBlockContentsElectra(SignedBlockContents):
    """The same of electra."""

    signed_block: SignedBeaconBlockElectra


@container
class SignedBlockContentsFulu(SignedBlockContentsElectra):
    """The same of fulu, with proofs of cells."""

    kzg_proofs: CellProofs
