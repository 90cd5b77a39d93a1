"""What the chain says, for an oracle to compare with.

The index of a validator is its place among the keys with a valid deposit, in the order of their first
one: our chain begins with an empty deposit contract, and no beacon node knows better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from eth_abi.abi import decode, encode

from dvtfast import Network, PublicKeys, check_public_keys, check_signatures, deposit_signing_roots

from ...chain.calls import ContractError
from ...chain.contracts.reads import (
    CONFIG_UPDATED,
    DEPOSIT_EVENT,
    decode_deposits,
    deposit_root,
    validators_manager,
)
from ...chain.encoding import keccak256, write_address
from ...chain.execution.node import Block, CallRevertedError, Log, NodeClient
from ...wire import WireError

REGISTERED = keccak256(b"ValidatorRegistered(bytes)")
REGISTERED_V2 = keccak256(b"V2ValidatorRegistered(bytes,uint256)")
ROTATED = keccak256(b"ExitSignaturesUpdated(address,address,uint256,string)")
SELECTOR_BYTES = 4


@dataclass(frozen=True)
class Contracts:
    """Where they are."""

    deposit_contract: bytes
    keeper: bytes
    registry: bytes
    first_block: int


@dataclass(frozen=True)
class Rotated:
    """A rotation that the Keeper noted."""

    block_number: int
    ipfs_hash: str


class States:
    """The chain at any of its blocks."""

    def __init__(self, node: NodeClient, contracts: Contracts, network: Network) -> None:
        self.node = node
        self._contracts = contracts
        self._network = network
        self._verdicts: dict[bytes, bool] = {}  # of deposits, by all that is in them
        self._indices: tuple[bytes, Mapping[bytes, int]] = (b"", {})  # at the last registry root

    async def registry_root(self, block: Block) -> bytes:
        """The deposit contract's root."""
        return await deposit_root(self.node, self._contracts.deposit_contract, block=block)

    async def indices(self, block: Block) -> Mapping[bytes, int]:
        """All validators there are, by public key; the next index is their number."""
        root = await self.registry_root(block)
        if root != self._indices[0]:
            logs = await self._logs(self._contracts.deposit_contract, [DEPOSIT_EVENT], block)
            self._indices = root, await asyncio.to_thread(self._count, logs)
        return self._indices[1]

    async def check_vault(self, vault: bytes, block: Block) -> None:
        """WireError unless the Keeper knows the vault."""
        keeper = self._contracts.keeper
        if not await self._view(keeper, "is_vault(address)", "bool", [vault], block):
            raise WireError("vault_address", f"the Keeper does not know {write_address(vault)}")

    async def manager(self, vault: bytes, block: Block) -> bytes:
        """The vault's validators manager."""
        return await validators_manager(self.node, vault, block=block)

    async def deposit_data(self, vault: bytes, block: Block) -> tuple[bytes, int]:
        """The root of the vault's deposit data in the registry, and the place of its next validator."""
        registry = self._contracts.registry
        root = await self._view(registry, "depositDataRoots(address)", "bytes32", [vault], block)
        index = await self._view(registry, "depositDataIndexes(address)", "uint256", [vault], block)
        return root, index

    async def exit_signatures_nonce(self, vault: bytes, block: Block) -> int:
        """Of the next rotation."""
        keeper = self._contracts.keeper
        nonce: int = await self._view(keeper, "exitSignaturesNonces(address)", "uint256", [vault], block)
        return nonce

    async def registered(self, vault: bytes, block: Block) -> dict[bytes, int]:
        """The validators that the vault registered, with the number of the block of each."""
        logs = await self._logs(vault, [REGISTERED, REGISTERED_V2], block)
        names = {REGISTERED: ["bytes"], REGISTERED_V2: ["bytes", "uint256"]}
        return {decode(names[each.topics[0]], each.data)[0]: each.block_number for each in logs}

    async def rotations(self, vault: bytes, block: Block) -> list[Rotated]:
        """Those of the vault, in their order."""
        logs = await self._logs(self._contracts.keeper, [ROTATED], block)
        word = bytes(32 - len(vault)) + vault
        return [
            Rotated(each.block_number, decode(["uint256", "string"], each.data)[1])
            for each in logs
            if each.topics[2] == word
        ]

    async def config_block(self, block: Block) -> int:
        """Where the config was announced last; 0 if never."""
        logs = await self._logs(self._contracts.keeper, [CONFIG_UPDATED], block)
        return logs[-1].block_number if logs else 0

    async def _logs(self, contract: bytes, topics: Sequence[bytes], block: Block) -> list[Log]:
        return await self.node.logs(contract, topics, first=self._contracts.first_block, last=block)

    async def _view(self, contract: bytes, signature: str, returns: str, values: Any, block: Block) -> Any:
        selector = keccak256(signature.encode())[:SELECTOR_BYTES]
        arguments = encode(["address"], values)
        try:
            (value,) = decode([returns], await self.node.call(contract, selector + arguments, block=block))
        except (CallRevertedError, ValueError) as error:
            raise ContractError(f"{write_address(contract)} {signature}: {error}") from None
        return value

    def _count(self, logs: Sequence[Log]) -> Mapping[bytes, int]:
        """The first valid deposit of a key makes a validator; the others top it up, or are lost."""
        deposits = decode_deposits(logs)
        rows = np.concatenate(
            [
                deposits.public_keys,
                deposits.withdrawal_credentials,
                deposits.amounts_gwei[:, np.newaxis].astype("<u8").view(np.uint8).reshape(len(logs), 8),
                deposits.signatures,
            ],
            axis=1,
        )
        names = [row.tobytes() for row in rows]
        unseen = [i for i, name in enumerate(names) if name not in self._verdicts]
        valid = np.zeros(len(unseen), np.bool_)
        keys = deposits.public_keys[unseen]
        is_key = check_public_keys(keys)
        roots = deposit_signing_roots(
            keys, deposits.withdrawal_credentials[unseen], deposits.amounts_gwei[unseen], self._network
        )
        valid[is_key] = check_signatures(
            PublicKeys(keys[is_key]), roots[is_key], deposits.signatures[unseen][is_key]
        )
        self._verdicts.update((names[i], bool(ok)) for i, ok in zip(unseen, valid, strict=True))
        found: dict[bytes, int] = {}
        for row, name in zip(deposits.public_keys, names, strict=True):
            if self._verdicts[name]:
                found.setdefault(row.tobytes(), len(found))
        return found
