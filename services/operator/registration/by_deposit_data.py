"""The way of v3: validators in the order of the vault's deposit data, with a proof that they are in it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from dvtfast.deposit_data_tree import DepositDataTree
from dvtfast.deposits import DepositData

from ... import wire
from ...chain import calls
from ...chain.calls import ApprovalParams
from ...chain.contracts.manager_messages import ETH1_ADDRESS
from ...chain.contracts.reads import view
from ...chain.encoding import read_address, write_address
from ...relayer_client.client import RelayerClient, RelayerRefusedError, WrongNetworkError
from ..chain import Chain
from ..oracles.approvals import ApprovalRequest
from ..plan import NotReadyError
from ..progress import ProgressReport, no_report
from .checks import wrong_shares
from .collection import OtherIndicesError, chunks_of, collect_shares
from .planner import VaultState, require_relayer


@dataclass
class ByDepositData:
    """Registers the next validators of a deposit data file.

    Attributes:
        deposits: all records of the file, checked.
        wait_seconds: how long the relayer's nodes may take to sign.
    """

    chain: Chain
    relayer: RelayerClient
    vault: bytes
    deposits: DepositData
    tree: DepositDataTree
    poll_seconds: float
    relayer_wait_seconds: float
    wait_seconds: float
    report: ProgressReport = no_report
    validator_type: int = ETH1_ADDRESS

    @property
    def registry(self) -> bytes:
        """The contract's address."""
        return read_address(self.chain.network.deposit_data_registry)

    async def remaining(self, state: VaultState) -> int:
        """The records from the vault's position on."""
        await require_relayer(self.relayer, self.chain.network)
        if state.manager != self.registry:
            raise NotReadyError(
                f"the vault's validators manager is {write_address(state.manager)}, not the"
                " DepositDataRegistry; register without --deposit-data"
            )
        node = self.chain.node
        root = await view(
            node, self.registry, "depositDataRoots(address)", "bytes32", self.vault, block=state.block
        )
        if root != self.tree.root:
            raise NotReadyError("--deposit-data is not the file whose root the vault's admin set")
        return len(self.deposits) - await self._first(state)

    async def request(self, state: VaultState, start_index: int, amounts: list[int]) -> ApprovalRequest:
        """Ask the relayer until all exits are signed, and check what it gives."""
        first, n = await self._first(state), len(amounts)
        rows = slice(first, first + n)
        keys = [row.tobytes() for row in self.deposits.public_keys[rows]]
        shares = await self._shares(keys, start_index)
        wrong = await asyncio.to_thread(wrong_shares, keys, shares, state.config)
        for key, problem in wrong.items():
            raise NotReadyError(f"relayer: {wire.PublicKey(key).to_wire()}: {problem}")
        return ApprovalRequest(
            vault=self.vault,
            validator_type=self.validator_type,
            validator_index=start_index,
            registry_root=state.registry_root,
            public_keys=keys,
            deposit_signatures=[row.tobytes() for row in self.deposits.signatures[rows]],
            amounts_gwei=[int(amount) for amount in self.deposits.amounts_gwei[rows]],
            shares=[shares[key] for key in keys],
            deadline=state.deadline,
            proof=self.tree.prove(first, n),
        )

    def call(self, request: ApprovalRequest, params: ApprovalParams) -> tuple[bytes, bytes]:
        """Of the DepositDataRegistry."""
        proof = request.proof
        assert proof is not None
        if len(request.public_keys) == 1:
            return self.registry, calls.register_deposit_data_validator(self.vault, params, proof.proof)
        return self.registry, calls.register_deposit_data_validators(
            self.vault, params, proof.indexes, proof.flags, proof.proof
        )

    def harvest_call(self, vault: bytes, params: calls.HarvestParams) -> bytes:
        """Of the DepositDataRegistry."""
        return calls.update_vault_state(vault, params)

    async def _first(self, state: VaultState) -> int:
        first: int = await self._read("depositDataIndexes(address)", "uint256", state)
        return first

    async def _read(self, function: str, returns: str, state: VaultState) -> Any:
        node = self.chain.node
        return await view(node, self.registry, function, returns, self.vault, block=state.block)

    async def _shares(
        self, keys: list[bytes], start_index: int
    ) -> dict[bytes, wire.OraclesExitSignatureShares]:
        try:
            async with asyncio.timeout(self.wait_seconds):
                collected = await collect_shares(
                    self.relayer,
                    chunks_of(keys, size=len(keys), start_index=start_index),
                    network=self.chain.network.name,
                    poll_seconds=self.poll_seconds,
                    wait_seconds=self.relayer_wait_seconds,
                    progress=lambda ready: self.report("validators signed", ready, len(keys)),
                )
        except TimeoutError:
            raise NotReadyError(f"relayer: not ready after {self.wait_seconds:g} s") from None
        except (RelayerRefusedError, WrongNetworkError, OtherIndicesError) as error:
            raise NotReadyError(f"relayer: {error}") from None
        for key, reason in collected.refused.items():
            raise NotReadyError(f"relayer: {wire.PublicKey(key).to_wire()}: {reason}")
        return collected.shares
