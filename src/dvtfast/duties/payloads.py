"""What a block has of the execution chain: payloads, their headers, requests.

Sources: consensus-specs, beacon-chain.md of bellatrix, capella, deneb and electra.
"""

from __future__ import annotations

from typing import Annotated

from dvtfast.duties.attestations import PublicKeyBytes, Root, SignatureBytes
from dvtfast.duties.ssz import ByteList, ByteVector, List, Of, Uint64, Uint256, container
from dvtfast.duties.validator_messages import ExecutionAddress


@container
class Withdrawal:
    """Stake, or rewards, that a block pays out."""

    index: Uint64
    validator_index: Uint64
    address: ExecutionAddress
    amount: Uint64


@container
class ExecutionPayload:
    """A block of the execution chain, since deneb."""

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
    blob_gas_used: Uint64
    excess_blob_gas: Uint64


@container
class ExecutionPayloadHeader:
    """The same, with the roots of what is long."""

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
    transactions_root: Root
    withdrawals_root: Root
    blob_gas_used: Uint64
    excess_blob_gas: Uint64


@container
class DepositRequest:
    """A deposit that the contract has logged."""

    pubkey: PublicKeyBytes
    withdrawal_credentials: Root
    amount: Uint64
    signature: SignatureBytes
    index: Uint64


@container
class WithdrawalRequest:
    """A withdrawal that the owner of the credentials asks for."""

    source_address: ExecutionAddress
    validator_pubkey: PublicKeyBytes
    amount: Uint64


@container
class ConsolidationRequest:
    """A validator's stake that is to go to another one."""

    source_address: ExecutionAddress
    source_pubkey: PublicKeyBytes
    target_pubkey: PublicKeyBytes


@container
class ExecutionRequests:
    """What the execution chain asks of the beacon chain."""

    deposits: Annotated[tuple[DepositRequest, ...], Of(List, "MAX_DEPOSIT_REQUESTS_PER_PAYLOAD")]
    withdrawals: Annotated[tuple[WithdrawalRequest, ...], Of(List, "MAX_WITHDRAWAL_REQUESTS_PER_PAYLOAD")]
    consolidations: Annotated[
        tuple[ConsolidationRequest, ...], Of(List, "MAX_CONSOLIDATION_REQUESTS_PER_PAYLOAD")
    ]
