"""Blocks of capella: charon's mock of a beacon node has no others, in whatever fork it is; no chain has any.

They have no blobs, so they are published alone; here they stand for their own contents.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from dvtfast.duties import forks, signables
from dvtfast.duties.attestations import Root, SignatureBytes
from dvtfast.duties.blocks import BodyStart, Changes
from dvtfast.duties.payloads import Withdrawal
from dvtfast.duties.signed_sets import NO_SIGNATURE
from dvtfast.duties.ssz import ByteList, ByteVector, List, Of, Uint64, Uint256, container
from dvtfast.duties.validator_messages import ExecutionAddress
from dvtfast.duties.wrappers import Versioned


@container
class CapellaPayload:
    """A block of the execution chain."""

    parent_hash: Root
    fee_recipient: ExecutionAddress
    state_root: Root
    receipts_root: Root
    logs_bloom: Annotated[bytes, Of(ByteVector, "BYTES_PER_LOGS_BLOOM")]
    prev_randao: Root
    block_number: Uint64
    gas_limit: Uint64
    gas_used: Uint64
    timestamp: Uint64
    extra_data: Annotated[bytes, Of(ByteList, "MAX_EXTRA_DATA_BYTES")]
    base_fee_per_gas: Uint256
    block_hash: Root
    transactions: Annotated[
        tuple[Annotated[bytes, Of(ByteList, "MAX_BYTES_PER_TRANSACTION")], ...],
        Of(List, "MAX_TRANSACTIONS_PER_PAYLOAD"),
    ]
    withdrawals: Annotated[tuple[Withdrawal, ...], Of(List, "MAX_WITHDRAWALS_PER_PAYLOAD")]


@container
class CapellaBody(BodyStart):
    """A body."""

    execution_payload: CapellaPayload
    bls_to_execution_changes: Changes


@container
class CapellaBlock:
    """A block."""

    slot: Uint64
    proposer_index: Uint64
    parent_root: Root
    state_root: Root
    body: CapellaBody

    @property
    def block(self) -> CapellaBlock:
        return self


@container
class SignedCapellaBlock:
    """The same, signed."""

    message: CapellaBlock
    signature: SignatureBytes

    @property
    def signed_block(self) -> SignedCapellaBlock:
        return self


CAPELLA = replace(
    forks.DENEB,
    name="capella",
    version=3,
    block=CapellaBlock,
    contents=CapellaBlock,
    signed_block=SignedCapellaBlock,
    signed_contents=SignedCapellaBlock,
)  # type: ignore[arg-type]


def block_to_sign(value: Versioned) -> Versioned:
    """What `signables.block` is of other forks."""
    if value.fork is not CAPELLA:
        return BLOCK_OF_OTHER_FORKS(value)
    return Versioned(CAPELLA, SignedCapellaBlock(value.message, NO_SIGNATURE))


BLOCK_OF_OTHER_FORKS = signables.block


def know_capella() -> None:
    """Take blocks of it in this process, as those of any fork."""
    forks.FORKS = (CAPELLA, *forks.FORKS)  # type: ignore[misc]
    signables.block = block_to_sign
