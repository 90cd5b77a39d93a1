"""What must never be signed: the rules of slashing protection, for one validator.

What was signed before is known whole, or as bounds alone: whoever has forgotten messages keeps the highest
numbers in them as bounds. Then, too, nothing slashable is signed, if less of what is harmless.

Source: EIP-3076, conditions 1 to 5; consensus-specs, phase0/beacon-chain.md (is_slashable_attestation_data).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

SAFE: Final = ""


@dataclass(frozen=True)
class SignedBlock:
    """A block as far as slashing goes; a signing root that nobody knows is empty."""

    slot: int
    signing_root: bytes = b""


@dataclass(frozen=True)
class SignedAttestation:
    """An attestation as far as slashing goes; a signing root that nobody knows is empty."""

    source_epoch: int
    target_epoch: int
    signing_root: bytes = b""


@dataclass(frozen=True)
class Bounds:
    """How low a message may be: the lowest of all that are known, or the highest of all that are forgotten.

    Attributes:
        slot: a block's has to be above it.
        source_epoch: an attestation's is not below it.
        target_epoch: an attestation's has to be above it.
    """

    slot: int | None = None
    source_epoch: int | None = None
    target_epoch: int | None = None


def why_not_block(block: SignedBlock, known: Iterable[SignedBlock], bounds: Bounds) -> str:
    """Why a block must not be signed, or `SAFE`.

    Args:
        known: those that were signed; of other slots none is needed.
        bounds: of all that were ever signed.
    """
    same = [each for each in known if each.slot == block.slot]
    if same:
        return SAFE if _is_one(block, same) else f"another block of slot {block.slot} is signed"
    if bounds.slot is not None and block.slot <= bounds.slot:
        return f"blocks up to slot {bounds.slot} are no more signed"
    return SAFE


def why_not_attestation(vote: SignedAttestation, known: Iterable[SignedAttestation], bounds: Bounds) -> str:
    """Why an attestation must not be signed, or `SAFE`.

    Args:
        known: those that were signed; those of another target that is not after its source are not needed.
        bounds: of all that were ever signed.
    """
    source, target = vote.source_epoch, vote.target_epoch
    if source > target:
        return f"its source {source} is after its target {target}"
    same = []
    for each in known:
        if each.target_epoch == target:
            same.append(each)
        elif each.source_epoch > each.target_epoch:  # what no chain takes, but files of others may have
            continue
        elif each.source_epoch < source and each.target_epoch > target:
            return f"that from {each.source_epoch} to {each.target_epoch} surrounds it, and is signed"
        elif each.source_epoch > source and each.target_epoch < target:
            return f"it surrounds that from {each.source_epoch} to {each.target_epoch}, which is signed"
    if same:
        return SAFE if _is_one(vote, same) else f"another attestation for epoch {target} is signed"
    if bounds.source_epoch is not None and source < bounds.source_epoch:
        return f"attestations from before epoch {bounds.source_epoch} are no more signed"
    if bounds.target_epoch is not None and target <= bounds.target_epoch:
        return f"attestations up to epoch {bounds.target_epoch} are no more signed"
    return SAFE


def lowest(blocks: Iterable[SignedBlock], attestations: Iterable[SignedAttestation]) -> Bounds:
    """The bounds of messages that are all known."""
    return _bounds(blocks, attestations, min)


def highest(blocks: Iterable[SignedBlock], attestations: Iterable[SignedAttestation]) -> Bounds:
    """The bounds of messages that are forgotten."""
    return _bounds(blocks, attestations, max)


def combined(one: Bounds, other: Bounds, choose: Callable[[int, int], int]) -> Bounds:
    """Bounds of both; where each has one, `choose` says which."""

    def of(mine: int | None, theirs: int | None) -> int | None:
        return theirs if mine is None else mine if theirs is None else choose(mine, theirs)

    return Bounds(
        of(one.slot, other.slot),
        of(one.source_epoch, other.source_epoch),
        of(one.target_epoch, other.target_epoch),
    )


def _bounds(
    blocks: Iterable[SignedBlock],
    attestations: Iterable[SignedAttestation],
    choose: Callable[[int, int], int],
) -> Bounds:
    found = Bounds()
    for block in blocks:
        found = combined(found, Bounds(slot=block.slot), choose)
    for vote in attestations:
        found = combined(found, Bounds(None, vote.source_epoch, vote.target_epoch), choose)
    return found


def _is_one(
    message: SignedBlock | SignedAttestation, same: Iterable[SignedBlock | SignedAttestation]
) -> bool:
    """Whether all are this message again, and are known to be."""
    return bool(message.signing_root) and all(each == message for each in same)
