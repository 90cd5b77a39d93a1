"""The file in which signers hand over what they have signed.

Source: EIP-3076, interchange format version 5.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Self

import msgspec

from dvtfast.duties.slashing import SignedAttestation, SignedBlock

from ... import wire

VERSION: Final = "5"
NUMBER_LIMIT: Final = 1 << 63  # what SQLite keeps; no slot or epoch comes near
MOST_DIGITS = 19


class InterchangeError(Exception):
    """A file that is no interchange of this chain."""


class Decimal(wire.UInt64):
    """A slot or an epoch: a decimal integer in a string."""

    __slots__ = ()

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Read a JSON string."""
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MOST_DIGITS:
            number = int(value)
            if number < NUMBER_LIMIT:
                return cls(number)
        raise ValueError("expected a decimal integer below 2^63 in a string")

    def to_wire(self) -> str:  # type: ignore[override] # these files have text where ours have numbers
        """The form in which it is written."""
        return str(int(self))


class Metadata(msgspec.Struct):
    """Of which version and chain a file is."""

    interchange_format_version: str
    genesis_validators_root: wire.Root


class BlockEntry(msgspec.Struct, omit_defaults=True):
    """A signed block."""

    slot: Decimal
    signing_root: wire.Root | None = None


class AttestationEntry(msgspec.Struct, omit_defaults=True):
    """A signed attestation."""

    source_epoch: Decimal
    target_epoch: Decimal
    signing_root: wire.Root | None = None


class ValidatorEntry(msgspec.Struct):
    """What a validator has signed; a file may have several of one."""

    pubkey: wire.PublicKey
    signed_blocks: list[BlockEntry]
    signed_attestations: list[AttestationEntry]


class Interchange(msgspec.Struct):
    """A file."""

    metadata: Metadata
    data: list[ValidatorEntry]


def chain_of(body: bytes) -> bytes:
    """The genesis validators root that a file states.

    Raises:
        InterchangeError: it is no such file.
    """
    try:
        return bytes(wire.decode(body, Interchange).metadata.genesis_validators_root)
    except wire.WireError as error:
        raise InterchangeError(str(error)) from None


def read_interchange(body: bytes, genesis_validators_root: bytes) -> Interchange:
    """What a file says.

    Raises:
        InterchangeError: it is no such file, or of another version or chain.
    """
    try:
        interchange = wire.decode(body, Interchange)
    except wire.WireError as error:
        raise InterchangeError(str(error)) from None
    metadata = interchange.metadata
    if metadata.interchange_format_version != VERSION:
        raise InterchangeError(f"expected format version {VERSION}")
    if metadata.genesis_validators_root != genesis_validators_root:
        raise InterchangeError("genesis_validators_root: it is of another chain")
    return interchange


def blocks_of(entry: ValidatorEntry) -> list[SignedBlock]:
    """The blocks of a validator."""
    return [SignedBlock(each.slot, each.signing_root or b"") for each in entry.signed_blocks]


def attestations_of(entry: ValidatorEntry) -> list[SignedAttestation]:
    """The attestations of a validator."""
    return [
        SignedAttestation(each.source_epoch, each.target_epoch, each.signing_root or b"")
        for each in entry.signed_attestations
    ]


def write_entry(
    public_key: bytes, blocks: Iterable[SignedBlock], attestations: Iterable[SignedAttestation]
) -> ValidatorEntry:
    """A validator's part of a file."""
    return ValidatorEntry(
        wire.PublicKey(public_key),
        [BlockEntry(Decimal(block.slot), _root(block.signing_root)) for block in blocks],
        [
            AttestationEntry(Decimal(vote.source_epoch), Decimal(vote.target_epoch), _root(vote.signing_root))
            for vote in attestations
        ],
    )


def write_interchange(genesis_validators_root: bytes, entries: list[ValidatorEntry]) -> bytes:
    """A file."""
    return wire.encode(Interchange(Metadata(VERSION, wire.Root(genesis_validators_root)), entries))


def _root(signing_root: bytes) -> wire.Root | None:
    return wire.Root(signing_root) if signing_root else None
