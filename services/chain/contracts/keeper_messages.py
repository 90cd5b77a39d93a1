"""What the oracles sign: that validators may be registered, that their exits are on IPFS, consolidations.

Source: stakewise/v3-core `748bb38`, KeeperValidators.sol and ConsolidationsChecker.sol.
"""

from __future__ import annotations

from typing import Final

from .eip712 import TypedData, domain_separator, hash_struct

DOMAIN_NAME: Final = "KeeperOracles"
DOMAIN_VERSION: Final = "1"
APPROVAL_TYPE: Final = (
    "KeeperValidators(bytes32 validatorsRegistryRoot,address vault,bytes validators,"
    "string exitSignaturesIpfsHash,uint256 deadline)"
)
ROTATION_TYPE: Final = (
    "KeeperValidators(address vault,string exitSignaturesIpfsHash,uint256 nonce,uint256 deadline)"
)
CHECKER_NAME: Final = "ConsolidationsChecker"
CHECKER_VERSION: Final = "1"
CONSOLIDATION_TYPE: Final = "ConsolidationsChecker(address vault,bytes validators)"


def keeper_domain(chain_id: int, keeper: bytes) -> bytes:
    """The domain separator of a Keeper."""
    return domain_separator(DOMAIN_NAME, DOMAIN_VERSION, chain_id, keeper)


def approval_message(
    domain: bytes, registry_root: bytes, vault: bytes, validators: bytes, ipfs_hash: str, deadline: int
) -> TypedData:
    """That the validators may be registered for the vault.

    Args:
        domain: from `keeper_domain`.
        registry_root: the deposit contract's `get_deposit_root()`.
        validators: as `manager_messages.register_bytes` writes them.
        ipfs_hash: of the exits that the oracles hold.
        deadline: Unix time in seconds.
    """
    return TypedData(
        domain, hash_struct(APPROVAL_TYPE, registry_root, vault, validators, ipfs_hash, deadline)
    )


def rotation_message(domain: bytes, vault: bytes, ipfs_hash: str, nonce: int, deadline: int) -> TypedData:
    """That the vault's exits are split for the oracles of today.

    Args:
        domain: from `keeper_domain`.
        nonce: the Keeper's `exitSignaturesNonces(vault)`.
    """
    return TypedData(domain, hash_struct(ROTATION_TYPE, vault, ipfs_hash, nonce, deadline))


def consolidation_message(chain_id: int, checker: bytes, vault: bytes, validators: bytes) -> TypedData:
    """That the vault's validators may be consolidated into others.

    Args:
        checker: the address of the ConsolidationsChecker, which vaults ask.
        validators: as `manager_messages.consolidate_bytes` writes them.
    """
    domain = domain_separator(CHECKER_NAME, CHECKER_VERSION, chain_id, checker)
    return TypedData(domain, hash_struct(CONSOLIDATION_TYPE, vault, validators))
