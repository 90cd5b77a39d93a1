"""Other messages of validators: exits, registrations with builders, selections, randao.

Sources: consensus-specs, phase0/beacon-chain.md and validator.md; builder-specs, bellatrix/builder.md.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from dvtfast.duties.attestations import PublicKeyBytes, SignatureBytes
from dvtfast.duties.ssz import ByteVector, Of, Uint64, container

ExecutionAddress: TypeAlias = Annotated[bytes, Of(ByteVector, 20)]


@container
class VoluntaryExit:
    """A validator's wish to leave, from an epoch on."""

    epoch: Uint64
    validator_index: Uint64


@container
class SignedVoluntaryExit:
    """The same, signed."""

    message: VoluntaryExit
    signature: SignatureBytes


@container
class ValidatorRegistration:
    """What a validator tells builders of itself."""

    fee_recipient: ExecutionAddress
    gas_limit: Uint64
    timestamp: Uint64
    pubkey: PublicKeyBytes


@container
class SignedValidatorRegistration:
    """The same, signed."""

    message: ValidatorRegistration
    signature: SignatureBytes


@container
class BeaconCommitteeSelection:
    """The proof that a validator aggregates in a slot; a partial one within a cluster."""

    validator_index: Uint64
    slot: Uint64
    selection_proof: SignatureBytes


@container
class SignedRandao:
    """A randao reveal, or a part of one, and its epoch, as charon exchanges it."""

    epoch: Uint64
    signature: SignatureBytes
