"""The way of v4: the relayer picks the validators, and its validators manager signs for them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import numpy as np

from dvtfast import EncodingError, PublicKeys, check_signatures, compute_signing_roots, deposit_message_roots

from ... import wire
from ...chain import calls
from ...chain.calls import ApprovalParams
from ...chain.contracts.manager_messages import (
    ManagerMessage,
    is_ambiguous,
    register_bytes,
    withdrawal_credentials,
)
from ...chain.contracts.signers import recover_signer
from ...relayer_client.client import RelayerClient, RelayerRefusedError
from ..chain import Chain
from ..oracles.approvals import ApprovalRequest
from ..plan import NotReadyError, StaleError
from ..progress import ProgressReport, no_report
from .checks import wrong_shares
from .planner import VaultState, require_relayer

NO_LIMIT: Final = 1 << 32


@dataclass
class ByManager:
    """Registers what the relayer gives.

    Attributes:
        validator_type: the first byte of the withdrawal credentials.
        wait_seconds: how long the relayer's nodes may take to sign.
    """

    chain: Chain
    relayer: RelayerClient
    vault: bytes
    validator_type: int
    poll_seconds: float
    wait_seconds: float
    report: ProgressReport = no_report

    async def remaining(self, state: VaultState) -> int:
        """The relayer knows; it must sign for the vault's manager."""
        info = await require_relayer(self.relayer, self.chain.network)
        signs_for = info.validators_manager_address
        if signs_for is not None and bytes(signs_for) != state.manager:
            raise NotReadyError(
                f"relayer: it signs as {signs_for.to_wire()}, the vault's validators manager is"
                f" {wire.Address(state.manager).to_wire()}"
            )
        return NO_LIMIT

    async def request(self, state: VaultState, start_index: int, amounts: list[int]) -> ApprovalRequest:
        """Ask the relayer until all is signed, and check what it gives."""
        answer = await self._answer(state, start_index, amounts)
        await asyncio.to_thread(self._check, answer, state, amounts)
        n = len(answer.validators)
        assert answer.validators_manager_signature is not None
        return ApprovalRequest(
            vault=self.vault,
            validator_type=self.validator_type,
            validator_index=start_index,
            registry_root=state.registry_root,
            public_keys=[each.public_key for each in answer.validators],
            deposit_signatures=[each.deposit_signature or b"" for each in answer.validators],
            amounts_gwei=amounts[:n],
            shares=[_shares(each) for each in answer.validators],
            deadline=state.deadline,
            manager_signature=bytes(answer.validators_manager_signature),
        )

    def call(self, request: ApprovalRequest, params: ApprovalParams) -> tuple[bytes, bytes]:
        """Of the vault."""
        return self.vault, calls.register_validators(params, request.manager_signature)

    def harvest_call(self, _: bytes, params: calls.HarvestParams) -> bytes:
        """Of the vault."""
        return calls.update_state(params)

    async def _answer(self, state: VaultState, start_index: int, amounts: list[int]) -> wire.RegisterAnswer:
        """What the relayer gives when it is ready: all that was asked for, or fewer that a vault can read."""
        request = wire.RegisterRequest(
            wire.Address(self.vault),
            wire.UInt64(start_index),
            [wire.UInt64(amount) for amount in amounts],
            wire.ValidatorType.of(self.validator_type),
        )
        try:
            async with asyncio.timeout(self.wait_seconds):
                while True:
                    answer = await self.relayer.post_register(request)
                    n = len(answer.validators)
                    if n and is_ambiguous(n, self.validator_type):
                        request.amounts = request.amounts[: n - 1]
                        continue
                    if n and answer.validators_manager_signature is not None:
                        return answer
                    self.report("waiting for the relayer's nodes to sign")
                    await asyncio.sleep(self.poll_seconds)
                    now = await self.chain.registry_root(at_least=state.block.number)
                    if now != state.registry_root:
                        raise StaleError("somebody deposited while the relayer's nodes signed")
        except TimeoutError:
            raise NotReadyError(f"relayer: not ready after {self.wait_seconds:g} s") from None
        except RelayerRefusedError as error:
            raise NotReadyError(f"relayer: {error}") from None

    def _check(self, answer: wire.RegisterAnswer, state: VaultState, amounts: list[int]) -> None:
        """Whether that can be registered.

        Raises:
            NotReadyError: it cannot.
            StaleError: the manager signed for another registry root, or is not the vault's.
        """
        validators = answer.validators
        if (got := [int(each.amount) for each in validators]) != amounts[: len(got)]:
            raise NotReadyError("relayer: it gives other amounts than were asked for")
        keys = [bytes(each.public_key) for each in validators]
        if len(set(keys)) != len(keys):
            raise NotReadyError("relayer: it gives a validator twice")
        signatures = [bytes(each.deposit_signature or b"") for each in validators]
        if not all(signatures):
            raise NotReadyError("relayer: a validator has no deposit signature")
        self._check_deposits(keys, signatures, got)
        shares = {key: _shares(each) for key, each in zip(keys, validators, strict=True)}
        for key, problem in wrong_shares(keys, shares, state.config).items():
            raise NotReadyError(f"relayer: {wire.PublicKey(key).to_wire()}: {problem}")
        joined = register_bytes(self.vault, self.validator_type, keys, signatures, got)
        message = ManagerMessage(self.chain.network.chain_id, self.vault, state.registry_root, joined)
        assert answer.validators_manager_signature is not None
        try:
            signer = recover_signer(message.digest, bytes(answer.validators_manager_signature))
        except ValueError as error:
            raise NotReadyError(f"relayer: manager's {error}") from None
        if signer != state.manager:
            raise StaleError(
                "the relayer's manager signed for another registry root, or is not"
                f" {wire.Address(state.manager).to_wire()}, the vault's"
            )

    def _check_deposits(self, keys: list[bytes], signatures: list[bytes], amounts: list[int]) -> None:
        credentials = [withdrawal_credentials(self.vault, self.validator_type)] * len(keys)
        roots = deposit_message_roots(keys, credentials, amounts)
        try:
            ok = check_signatures(
                PublicKeys(keys), compute_signing_roots(roots, self.chain.network.deposit_domain), signatures
            )
        except EncodingError as error:
            raise NotReadyError(f"relayer: validators {list(error.indices)[:5]}: no public keys") from None
        if bad := np.flatnonzero(~np.atleast_1d(ok)).tolist():
            key = wire.PublicKey(keys[bad[0]]).to_wire()
            raise NotReadyError(f"relayer: {len(bad)} deposit signatures are wrong, such as of {key}")


def _shares(validator: wire.RegisterValidator) -> wire.OraclesExitSignatureShares:
    if validator.oracles_exit_signature_shares is None:
        raise NotReadyError(f"relayer: {validator.public_key.to_wire()} has no oracle shares")
    return validator.oracles_exit_signature_shares
