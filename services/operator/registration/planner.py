"""Prepares the next registration of a vault: what it has, whose turn it is, who approves.

Nothing is signed by the operator here, and nothing sent to the chain. Everything is for one root of the
deposit contract: when that changes meanwhile, it begins again (`StaleError`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.networks import Network
from dvtfast.protocol_config import OracleConfig

from ... import wire
from ...chain import calls, units
from ...chain.calls import ApprovalParams
from ...chain.contracts.harvesting import Assets, vault_assets
from ...chain.contracts.reads import deposit_root, validators_manager, validators_min_oracles
from ...chain.encoding import write_data
from ...chain.execution.node import Block
from ...chain.index.choice import GivenIndex
from ...chain.index_source import BehindError, NextIndex
from ...process import logs
from ...relayer_client.client import RelayerClient
from ..chain import Chain, approval_deadline, positive
from ..oracles.agreement import TooFewOraclesError
from ..oracles.approvals import Approval, ApprovalRequest, approve
from ..oracles.client import OracleClient
from ..plan import NothingToDoError, NotReadyError, StaleError
from ..progress import ProgressReport, no_report
from ..sending.action import Action, ActionKind
from .batch import batch_amounts
from .plan import RegistrationPlan

DEFAULT_BATCH_LIMIT: Final = 10  # where the config names none
INDEX_AGE_SECONDS: Final = 2.5  # more than the sources of the next index take for now, on whichever fork

log = logs.get("operator")


@dataclass(frozen=True)
class VaultState:
    """A vault and the oracles at one block."""

    block: Block
    registry_root: bytes
    assets: Assets
    manager: bytes
    min_oracles: int
    config: OracleConfig

    @property
    def batch_limit(self) -> int:
        """Validators that the oracles approve of at once."""
        return positive(self.config.raw.get("validators_approval_batch_limit"), DEFAULT_BATCH_LIMIT)

    @property
    def deadline(self) -> int:
        """Until when an approval that is asked for now is good."""
        return approval_deadline(self.config, self.block)


class RegistrationMethod(Protocol):
    """One of the two ways to register: by a manager's signature (v4), or by deposit data (v3)."""

    validator_type: int

    async def remaining(self, state: VaultState) -> int:
        """How many validators there are to register yet, as far as that is known.

        Raises:
            NotReadyError: the vault is not one for this way.
        """

    async def request(self, state: VaultState, start_index: int, amounts: list[int]) -> ApprovalRequest:
        """Get what the oracles want of the next validators, all of it checked.

        Raises:
            NotReadyError, StaleError, UnavailableError: it cannot be had now.
        """

    def call(self, request: ApprovalRequest, params: ApprovalParams) -> tuple[bytes, bytes]:
        """The contract to call, and the call."""

    def harvest_call(self, vault: bytes, params: calls.HarvestParams) -> bytes:
        """How that contract takes the vault's rewards."""


@dataclass
class RegistrationPlanner:
    """Prepares registrations of one vault.

    Attributes:
        max_batch: validators in one batch at most; as many as the oracles approve of when None.
        reserve_wei: what stays in the vault.
        report: called with what happens, in words.
    """

    chain: Chain
    index: NextIndex
    method: RegistrationMethod
    oracle_client: OracleClient
    vault: bytes
    max_balance_gwei: int
    max_batch: int | None = None
    reserve_wei: int = 0
    report: ProgressReport = no_report
    _given_for: bytes | None = field(default=None, init=False)  # the root at which an index was given

    async def vault_state(self) -> VaultState:
        """The vault and the oracles now.

        Raises:
            UnavailableError, ContractError, CallRevertedError, OracleConfigError, RewardsError: it
                cannot be told.
        """
        chain, node = self.chain, self.chain.node
        head = await chain.head()
        config = await chain.oracle_config(head)
        return VaultState(
            block=head,
            registry_root=await deposit_root(node, chain.deposit_contract, block=head),
            assets=await vault_assets(node, chain.ipfs, chain.network, self.vault, at=head),
            manager=await validators_manager(node, self.vault, block=head),
            min_oracles=await validators_min_oracles(node, chain.keeper, block=head),
            config=config,
        )

    async def amounts(self, state: VaultState) -> list[int]:
        """What the next batch's validators get, each.

        Raises:
            NothingToDoError: there is too little for one, or no validator.
        """
        most = min(state.batch_limit, await self.method.remaining(state))
        if self.max_batch is not None:
            most = min(most, self.max_batch)
        network, withdrawable_wei = self.chain.network, state.assets.withdrawable_wei
        available = units.stake_gwei(max(withdrawable_wei - self.reserve_wei, 0), network)
        if most < 1:
            raise NothingToDoError("no validators are left to register")
        amounts = batch_amounts(
            available,
            validator_type=self.method.validator_type,
            max_balance_gwei=self.max_balance_gwei,
            most=most,
        )
        if not amounts:
            has = units.stake_of_wei(withdrawable_wei, network)
            kept = f", of which {units.stake_of_wei(self.reserve_wei, network)} stay" * bool(self.reserve_wei)
            needed = units.stake(GWEI_PER_VALIDATOR, network)
            raise NothingToDoError(f"the vault has {has} withdrawable{kept}; a validator needs {needed}")
        return amounts

    async def prepare(self) -> RegistrationPlan:
        """The next registration.

        Raises:
            NothingToDoError: there is nothing to register.
            NotReadyError: the relayer, or the oracles, are not ready.
            StaleError: somebody deposited meanwhile, or nodes are not equally far; begin again.
            UnavailableError, ContractError, CallRevertedError, OracleConfigError, RewardsError,
                IpfsContentError: somebody does not do its part.
        """
        state = await self.vault_state()
        amounts = await self.amounts(state)
        try:
            return await self._prepared(state, amounts)
        except NotReadyError:
            await self._require_same(state)  # for another root nobody can be ready
            raise
        except BehindError as error:
            raise StaleError(str(error)) from None

    async def _prepared(self, state: VaultState, amounts: list[int]) -> RegistrationPlan:
        await asyncio.sleep(INDEX_AGE_SECONDS)  # what its source saw may be so old: older than the root
        start_index = await self._start_index(state)
        await self._require_same(state)
        self.report(f"{len(amounts)} validators, from index {start_index}; asking the relayer")
        request = await self.method.request(state, start_index, amounts)
        await self._require_unused(request.public_keys, state)
        await self._require_same(state)
        self.report(f"asking {len(state.config.public_keys)} oracles")
        approval = await self._approval(request, state)
        await self._require_same(state)
        return self._plan(request, approval, state)

    async def _approval(self, request: ApprovalRequest, state: VaultState) -> Approval:
        try:
            return await approve(
                request,
                state.config,
                self.oracle_client,
                keeper_address=self.chain.keeper,
                chain_id=self.chain.network.chain_id,
                threshold=state.min_oracles,
            )
        except (TooFewOraclesError, ValueError) as error:
            raise NotReadyError(f"oracles: {error}") from None

    def _plan(self, request: ApprovalRequest, approval: Approval, state: VaultState) -> RegistrationPlan:
        params = ApprovalParams(
            request.registry_root,
            approval.deadline,
            request.validators,
            approval.signatures,
            approval.ipfs_hash,
        )
        to, data = self.method.call(request, params)
        harvest = state.assets.harvest
        if harvest is not None:
            data = calls.multicall([self.method.harvest_call(self.vault, harvest), data])
        action = Action(
            ActionKind.REGISTER,
            vault=self.vault,
            to=to,
            data=data,
            public_keys=tuple(map(bytes, request.public_keys)),
            registry_root=request.registry_root,
            deadline=approval.deadline,
            details={
                "validators": len(request.public_keys),
                "amount_gwei": sum(request.amounts_gwei),
                "validator_type": wire.ValidatorType.of(request.validator_type).value,
                "start_index": request.validator_index,
                "exit_signatures": approval.ipfs_hash,
                "approvals": state.min_oracles,
                "harvests": harvest is not None,
            },
            block_number=state.block.number,
        )
        return RegistrationPlan(
            action, self.chain.network, request.amounts_gwei, state.assets.withdrawable_wei
        )

    async def _require_same(self, state: VaultState) -> None:
        now = await self.chain.registry_root(at_least=state.block.number)
        if now != state.registry_root:
            raise StaleError("somebody deposited meanwhile: the registry root is another")

    async def _start_index(self, state: VaultState) -> int:
        """The index of the first validator, from a source that has seen all deposits of the root.

        Raises:
            NotReadyError: it was given, for another root.
        """
        index = await self.index.next_index(since=state.block.number)
        if isinstance(self.index, GivenIndex):
            self._given_for = self._given_for or state.registry_root
            if state.registry_root != self._given_for:
                raise NotReadyError(
                    f"--start-index {index} was before somebody deposited meanwhile, so it may be another"
                    " one now: find it out and start again"
                )
        return index

    async def _require_unused(self, public_keys: Sequence[bytes], state: VaultState) -> None:
        keys = [bytes(key) for key in public_keys]
        if used := await self.index.used(keys, since=state.block.number):
            first = next(key for key in keys if key in used)
            raise NotReadyError(
                f"{len(used)} of the validators have a deposit on chain already, such as {write_data(first)}"
            )


async def require_relayer(relayer: RelayerClient, network: Network) -> wire.InfoAnswer:
    """What a relayer says of itself.

    Raises:
        NotReadyError: it is of another network.
    """
    info = await relayer.info()
    if info.network != network.name:
        raise NotReadyError(f"relayer: it serves {info.network}, not {network.name}")
    return info
