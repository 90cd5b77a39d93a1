"""What is sent to contracts: the calls of a registration, encoded.

Sources: StakeWise v3-core `748bb38` (VaultValidators, VaultState, KeeperValidators, DepositDataRegistry,
Multicall).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_abi.grammar import parse

from .encoding import keccak256

SELECTOR_BYTES: Final = 4
APPROVAL_PARAMS: Final = "(bytes32,uint256,bytes,bytes,string)"
HARVEST_PARAMS: Final = "(bytes32,int160,uint160,bytes32[])"


class ContractError(Exception):
    """An address answers, but not as the contract does that should be there."""


@dataclass(frozen=True)
class ApprovalParams:
    """What the oracles approved of, as contracts take it.

    Attributes:
        validators_registry_root: the deposit contract's root that the approval is for.
        deadline: Unix seconds.
        validators: the validators, one behind the other, as the manager signs them.
        signatures: of the oracles, 65 bytes each, in the order of their addresses.
        exit_signatures_ipfs_hash: where the oracles keep their shares of the exits.
    """

    validators_registry_root: bytes
    deadline: int
    validators: bytes
    signatures: bytes
    exit_signatures_ipfs_hash: str


@dataclass(frozen=True)
class HarvestParams:
    """A vault's rewards as the oracles voted them, with their proof; amounts in wei."""

    rewards_root: bytes
    reward: int
    unlocked_mev_reward: int
    proof: tuple[bytes, ...]


def register_validators(params: ApprovalParams, manager_signature: bytes) -> bytes:
    """Vault: register validators whose manager signed for them; no signature where the manager sends it."""
    signature = f"registerValidators({APPROVAL_PARAMS},bytes)"
    return encode_call(signature, _approval(params), manager_signature)


def register_deposit_data_validators(
    vault: bytes,
    params: ApprovalParams,
    indexes: Sequence[int],
    proof_flags: Sequence[bool],
    proof: Sequence[bytes],
) -> bytes:
    """DepositDataRegistry: register the next validators of a vault's deposit data, with a multiproof.

    Args:
        indexes: of each validator, its place among the leaves of the proof.
    """
    signature = f"registerValidators(address,{APPROVAL_PARAMS},uint256[],bool[],bytes32[])"
    return encode_call(signature, vault, _approval(params), list(indexes), list(proof_flags), list(proof))


def register_deposit_data_validator(vault: bytes, params: ApprovalParams, proof: Sequence[bytes]) -> bytes:
    """DepositDataRegistry: register the next validator of a vault's deposit data."""
    signature = f"registerValidator(address,{APPROVAL_PARAMS},bytes32[])"
    return encode_call(signature, vault, _approval(params), list(proof))


def fund_validators(validators: bytes, manager_signature: bytes) -> bytes:
    """Vault: top validators up."""
    return encode_call("fundValidators(bytes,bytes)", validators, manager_signature)


def withdraw_validators(validators: bytes, manager_signature: bytes) -> bytes:
    """Vault: withdraw from validators; the value of the call pays the fee of the requests."""
    return encode_call("withdrawValidators(bytes,bytes)", validators, manager_signature)


def consolidate_validators(validators: bytes, manager_signature: bytes, oracle_signatures: bytes) -> bytes:
    """Vault: move the stake of validators to others; the value of the call pays the fee of the requests."""
    return encode_call(
        "consolidateValidators(bytes,bytes,bytes)", validators, manager_signature, oracle_signatures
    )


def update_exit_signatures(vault: bytes, deadline: int, ipfs_hash: str, oracle_signatures: bytes) -> bytes:
    """Keeper: note where the oracles keep the exits of a vault, split anew."""
    signature = "updateExitSignatures(address,uint256,string,bytes)"
    return encode_call(signature, vault, deadline, ipfs_hash, oracle_signatures)


def update_state(params: HarvestParams) -> bytes:
    """Vault: take its rewards."""
    return encode_call(f"updateState({HARVEST_PARAMS})", _harvest(params))


def update_vault_state(vault: bytes, params: HarvestParams) -> bytes:
    """DepositDataRegistry: let a vault take its rewards."""
    return encode_call(f"updateVaultState(address,{HARVEST_PARAMS})", vault, _harvest(params))


def multicall(calls: Sequence[bytes]) -> bytes:
    """Vault or DepositDataRegistry: several calls in one transaction, all or none."""
    return encode_call("multicall(bytes[])", list(calls))


def encode_call(signature: str, *arguments: Any) -> bytes:
    """A call of a function by its signature, such as `canHarvest(address)`; addresses are 20 bytes."""
    selector = keccak256(signature.encode())[:SELECTOR_BYTES]
    types = signature[signature.index("(") :]
    if types == "()":
        return selector
    return selector + encode([part.to_type_str() for part in parse(types).components], arguments)


def decode_values(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """What a call returned; ValueError when it is no such thing."""
    try:
        return tuple(decode(list(types), data))
    except (DecodingError, ValueError, OverflowError) as error:
        raise ValueError(
            f"expected {', '.join(types)}, got {len(data)} bytes: {type(error).__name__}"
        ) from None


def _approval(params: ApprovalParams) -> tuple[Any, ...]:
    return (
        params.validators_registry_root,
        params.deadline,
        params.validators,
        params.signatures,
        params.exit_signatures_ipfs_hash,
    )


def _harvest(params: HarvestParams) -> tuple[Any, ...]:
    return (params.rewards_root, params.reward, params.unlocked_mev_reward, list(params.proof))
