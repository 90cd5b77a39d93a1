"""Forks: which container is which kind of message in each.

A new fork is a row here, and the classes that it changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from dvtfast.duties import attestations, blocks
from dvtfast.errors import InputError


@dataclass(frozen=True)
class Fork:
    """The containers of one fork.

    Attributes:
        name: as the beacon API has it.
        version: charon's number in its wrappers, which is not a fork version.
        single_attestation: what goes out for one vote.
        contents: what a proposer gets: a whole block with its blobs.
        signed_contents: what it publishes.
    """

    name: str
    version: int
    attestation: type[attestations.Attestation]
    single_attestation: type[attestations.Attestation] | type[attestations.SingleAttestation]
    aggregate_and_proof: type[attestations.AggregateAndProof]
    signed_aggregate_and_proof: type[attestations.SignedAggregateAndProof]
    block: type[blocks.BeaconBlock]
    signed_block: type[blocks.SignedBeaconBlock]
    blinded_block: type[blocks.BlindedBeaconBlock]
    signed_blinded_block: type[blocks.SignedBlindedBeaconBlock]
    contents: type[blocks.BlockContents]
    signed_contents: type[blocks.SignedBlockContents]


DENEB: Final = Fork(
    name="deneb",
    version=4,
    attestation=attestations.Attestation,
    single_attestation=attestations.Attestation,
    aggregate_and_proof=attestations.AggregateAndProof,
    signed_aggregate_and_proof=attestations.SignedAggregateAndProof,
    block=blocks.BeaconBlock,
    signed_block=blocks.SignedBeaconBlock,
    blinded_block=blocks.BlindedBeaconBlock,
    signed_blinded_block=blocks.SignedBlindedBeaconBlock,
    contents=blocks.BlockContents,
    signed_contents=blocks.SignedBlockContents,
)
ELECTRA: Final = Fork(
    name="electra",
    version=5,
    attestation=attestations.AttestationElectra,
    single_attestation=attestations.SingleAttestation,
    aggregate_and_proof=attestations.AggregateAndProofElectra,
    signed_aggregate_and_proof=attestations.SignedAggregateAndProofElectra,
    block=blocks.BeaconBlockElectra,
    signed_block=blocks.SignedBeaconBlockElectra,
    blinded_block=blocks.BlindedBeaconBlockElectra,
    signed_blinded_block=blocks.SignedBlindedBeaconBlockElectra,
    contents=blocks.BlockContentsElectra,
    signed_contents=blocks.SignedBlockContentsElectra,
)
FULU: Final = replace(
    ELECTRA,
    name="fulu",
    version=6,
    contents=blocks.BlockContentsFulu,
    signed_contents=blocks.SignedBlockContentsFulu,
)
FORKS: Final = (DENEB, ELECTRA, FULU)


def fork_named(name: str) -> Fork:
    """The fork that the beacon API names.

    Raises:
        InputError: there is none here.
    """
    for fork in FORKS:
        if fork.name == name:
            return fork
    raise InputError(f"fork: expected one of {', '.join(fork.name for fork in FORKS)}, got {name!r}")


def fork_with_version(version: int) -> Fork:
    """The fork that has a number in charon's wrappers.

    Raises:
        InputError: there is none here.
    """
    for fork in FORKS:
        if fork.version == version:
            return fork
    raise InputError(f"version: expected one of {[fork.version for fork in FORKS]}, got {version}")
