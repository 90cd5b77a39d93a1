"""What the operator and the oracles say to each other in JSON.

Source: stakewise/v3-operator, `9c163d65` (v4) and v3.1.10 (v3).
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from ... import wire

INDICES_LIMIT = 100_000  # validators of one vault, more than there are


class OracleSignature(wire.Hex):
    """An oracle's secp256k1 signature: r, s, then v of 27 or 28."""

    __slots__ = ()
    width = 65


class _ApprovalBody(msgspec.Struct):
    """What both generations of approval requests have; the lists in the order of the validators.

    The inner lists are in the order of the oracles in their config; the validator at position i has the
    index `validator_index` + i.
    """

    validator_index: wire.UInt64
    vault_address: wire.Address
    validators_root: wire.Root
    public_keys: list[wire.PublicKey]
    deposit_signatures: list[wire.Signature]
    public_key_shards: list[list[wire.PublicKey]]
    exit_signature_shards: list[list[wire.EncryptedSignature]]
    validators_manager_signature: wire.ManagerSignature | None
    deadline: wire.UInt64


class ApprovalBody(_ApprovalBody):
    """Asks an oracle to approve of a registration, as of v4; amounts in gwei, null for type 0x01."""

    amounts: list[wire.UInt64] | None


class ApprovalBodyV3(_ApprovalBody):
    """Asks an oracle to approve of a registration from the vault's deposit data, as of v3.

    `proof_indexes` are positions in the deposit data, in the order of the leaves of the proof.
    """

    proof: list[wire.Root]
    proof_flags: list[bool]
    proof_indexes: list[int]


class RotationBody(msgspec.Struct):
    """Gives an oracle the exits of a vault's validators, split for the oracles of today."""

    vault_address: wire.Address
    public_keys: list[wire.PublicKey]
    public_key_shards: list[list[wire.PublicKey]]
    exit_signature_shards: list[list[wire.EncryptedSignature]]
    deadline: wire.UInt64


class ApprovalAnswer(msgspec.Struct):
    """What an oracle has signed: that the exits are in a file on IPFS, until a deadline."""

    ipfs_hash: str
    signature: OracleSignature
    deadline: wire.UInt64


class ConsolidationBody(msgspec.Struct):
    """Asks an oracle to approve that a validator switches to type 0x02; its key, once."""

    public_keys: list[wire.PublicKey]
    vault_address: wire.Address


class ConsolidationAnswer(msgspec.Struct):
    """What an oracle has signed."""

    signature: OracleSignature


class RotationValidator(msgspec.Struct):
    """A validator whose exit an oracle holds."""

    index: wire.UInt64


class RotationInfoAnswer(msgspec.Struct):
    """When a vault's exits were last split, and of which validators an oracle wants them split anew.

    The block is null where the oracle knows of no rotation of the vault, or of none yet.
    """

    exit_signature_block_number: wire.UInt64 | None
    validators: Annotated[list[RotationValidator], msgspec.Meta(max_length=INDICES_LIMIT)] | None = None
