"""What is sent to an oracle and what it answers: exactly these fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import msgspec

from ... import wire

MOST_VALIDATORS = 10_000  # in one request; the config says fewer
MOST_SHARDS = 255
MOST_PROOF = 2 * MOST_VALIDATORS
MARKS_LIMIT = 1_000_000  # of JSON in one request

Keys: TypeAlias = Annotated[list[wire.PublicKey], msgspec.Meta(min_length=1, max_length=MOST_VALIDATORS)]
KeyShards: TypeAlias = Annotated[
    list[Annotated[list[wire.PublicKey], msgspec.Meta(max_length=MOST_SHARDS)]],
    msgspec.Meta(max_length=MOST_VALIDATORS),
]
SignatureShards: TypeAlias = Annotated[
    list[Annotated[list[wire.EncryptedSignature], msgspec.Meta(max_length=MOST_SHARDS)]],
    msgspec.Meta(max_length=MOST_VALIDATORS),
]


class Shards(msgspec.Struct, forbid_unknown_fields=True):
    """Exits of validators, split and encrypted: the part that all requests have."""

    vault_address: wire.Address
    public_keys: Keys
    public_key_shards: KeyShards
    exit_signature_shards: SignatureShards
    deadline: wire.UInt64


class AnyApproval(Shards, forbid_unknown_fields=True):
    """What requests for approval have in both generations."""

    validator_index: wire.UInt64
    validators_root: wire.Root
    deposit_signatures: list[wire.Signature]
    validators_manager_signature: wire.ManagerSignature | None


class ApprovalV4(AnyApproval, forbid_unknown_fields=True):
    """Approval of a registration that the validators manager signed.

    Amounts are in gwei, for type 0x02; type 0x01 has null, which is 32 ETH each.
    """

    amounts: list[wire.UInt64] | None


class ApprovalV3(AnyApproval, forbid_unknown_fields=True):
    """Approval of a registration from the vault's deposit data.

    `proof_indexes` are the places in the deposit data, in the order of the leaves.
    """

    proof: Annotated[list[wire.Root], msgspec.Meta(max_length=MOST_PROOF)]
    proof_flags: Annotated[list[bool], msgspec.Meta(max_length=MOST_PROOF)]
    proof_indexes: Annotated[list[wire.UInt64], msgspec.Meta(max_length=MOST_VALIDATORS)]


class ReceivedRotation(Shards, forbid_unknown_fields=True):
    """Body of `POST /signatures`."""


class Consolidation(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /consolidate-validators/`: the key of a validator that is to switch to type 0x02."""

    vault_address: wire.Address
    public_keys: Keys


class _Generation(msgspec.Struct):
    amounts: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Approved(msgspec.Struct):
    """The answer to a request for approval or rotation."""

    ipfs_hash: str
    signature: wire.ManagerSignature
    deadline: int


class ConsolidationSignature(msgspec.Struct):
    """The answer to a request for consolidation."""

    signature: wire.ManagerSignature


class Index(msgspec.Struct):
    """A validator, by its place on the beacon chain."""

    index: int


class RotationInfoBody(msgspec.Struct):
    """The answer to `GET /signatures/{vault}`: validators whose exits the oracles of today do not hold.

    `exit_signature_block_number` is that of the vault's last rotation; null when the oracle knows of none.
    """

    exit_signature_block_number: int | None
    validators: Sequence[Index]


def read_approval(body: bytes) -> ApprovalV4 | ApprovalV3:
    """A request for approval, of the generation whose fields it has; raises `WireError`."""
    found = wire.decode_bounded(body, _Generation, MARKS_LIMIT)
    if found.amounts is not msgspec.UNSET:
        return wire.decode(body, ApprovalV4)
    return wire.decode(body, ApprovalV3)


def read_rotation(body: bytes) -> ReceivedRotation:
    """A request to rotate; raises `WireError`."""
    return wire.decode_bounded(body, ReceivedRotation, MARKS_LIMIT)


def read_consolidation(body: bytes) -> Consolidation:
    """A request to consolidate; raises `WireError`."""
    return wire.decode_bounded(body, Consolidation, MARKS_LIMIT)
