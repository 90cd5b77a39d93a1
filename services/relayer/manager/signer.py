"""Whether a signature is given, and everything around it: what the chain says, what goes on record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol

from dvtfast.constants import GWEI_PER_VALIDATOR, ROOT_BYTES

from ... import wire
from ...chain.contracts.manager_messages import (
    COMPOUNDING,
    ETH1_ADDRESS,
    NONCE_BYTES,
    ManagerMessage,
    consolidate_bytes,
    fund_bytes,
    is_ambiguous,
    nonce_bytes,
    register_bytes,
    withdraw_bytes,
)
from ...process import logs
from ...process.offload import UnavailableError, Workers
from ..store.engine.database import Database
from ..store.manager_journal import ManagerAction, ManagerEntry, Spent, append, reserve_and_append
from .key import ManagerKey
from .manager_policy import ManagerPolicy, ManagerRefusedError

CHAIN_SECONDS = 4.0  # for the node; an operator waits ten for its answer
REFUSED_BYTES = 16 * 1024  # of a refused request, on record for ever
NOT_OURS = "no cluster of this relayer has this validator"

log = logs.get("manager")


class NodeAwayError(UnavailableError):
    """The execution node does not say what has to be signed; it may later."""


class VaultChain(Protocol):
    """What has to be known of the chain at the moment of signing; a cached answer is a wrong one.

    What they raise means that nothing can be signed now, and its text goes on record.
    `chain.vaults.VaultsAtHead` is one.
    """

    async def registry_root(self) -> bytes:
        """The deposit contract's `get_deposit_root()` at the head, 32 bytes."""
        ...

    async def manager_nonce(self, vault: bytes) -> int:
        """A vault's `validatorsManagerNonce()` at the head."""
        ...


class RegisterItem(NamedTuple):
    """A validator to register; its deposit signature is recovered and checked."""

    public_key: bytes
    deposit_signature: bytes
    amount_gwei: int


@dataclass(frozen=True)
class _Request:
    """An action, in the names of the fields that it came in."""

    action: ManagerAction
    vault: bytes
    validators: bytes
    keys: Mapping[str, Sequence[bytes]]
    amounts_gwei: Sequence[int] = ()
    deposit_type: int | None = None  # of what a vault reads as deposits

    @property
    def items(self) -> str:
        """The field that lists the items."""
        return next(iter(self.keys))

    @property
    def spends(self) -> Spent:
        exits = self.amounts_gwei.count(0) if self.action == ManagerAction.WITHDRAW else 0
        return Spent(len(self.keys[self.items]), sum(self.amounts_gwei), exits)

    def entry(self, at: int) -> ManagerEntry:
        spends = self.spends
        return ManagerEntry(
            at,
            self.action,
            self.vault,
            spends.items,
            spends.amount_gwei,
            spends.exits,
            self.validators,
        )


@dataclass(frozen=True)
class Manager:
    """Signs as the validators manager of vaults. Whatever comes of a call is in the journal first.

    A message that was signed before gets the same signature again, without a second entry.

    Attributes:
        is_ours: whether a key is a validator's of our clusters.
        chain_seconds: for what has to be known of the chain.
    """

    key: ManagerKey
    policy: ManagerPolicy
    chain: VaultChain
    chain_id: int
    is_ours: Callable[[bytes], bool]
    database: Database
    workers: Workers
    chain_seconds: float = CHAIN_SECONDS
    now: Callable[[], float] = time.time

    @property
    def address(self) -> wire.Address:
        """The account that signs."""
        return self.key.address

    async def register(
        self, vault: bytes, validator_type: int, items: Sequence[RegisterItem]
    ) -> bytes | None:
        """Sign a registration over the deposit root of this moment; None while the node is away.

        Args:
            validator_type: the first byte of the withdrawal credentials, 1 or 2.
            items: as many as a vault can read; see `items_to_leave_off`.

        Raises:
            ManagerRefusedError: the policy is against it, or a vault would be.
            UnavailableError: it cannot be put on record now.
        """
        keys = [item.public_key for item in items]
        signatures = [item.deposit_signature for item in items]
        amounts = [item.amount_gwei for item in items]
        validators = await self.workers.run(register_bytes, vault, validator_type, keys, signatures, amounts)
        request = _Request(
            ManagerAction.REGISTER, vault, validators, {"public_keys": keys}, amounts, validator_type
        )
        try:
            return await self._sign(request, self._root)
        except NodeAwayError:
            return None

    async def fund(self, vault: bytes, public_keys: Sequence[bytes], amounts_gwei: Sequence[int]) -> bytes:
        """Sign a top-up of validators.

        Raises:
            ManagerRefusedError: the policy is against it, a limit is reached, or a vault could not read it.
            UnavailableError: the node or the database is away.
        """
        validators = await self.workers.run(fund_bytes, vault, public_keys, amounts_gwei)
        keys = {"public_keys": public_keys}
        request = _Request(ManagerAction.FUND, vault, validators, keys, amounts_gwei, COMPOUNDING)
        return await self._sign(request, partial(self._nonce, vault))

    async def withdraw(
        self, vault: bytes, public_keys: Sequence[bytes], amounts_gwei: Sequence[int]
    ) -> bytes:
        """Sign a withdrawal from validators, in full where the amount is 0; raises as `fund`."""
        validators = await self.workers.run(withdraw_bytes, public_keys, amounts_gwei)
        keys = {"public_keys": public_keys}
        request = _Request(ManagerAction.WITHDRAW, vault, validators, keys, amounts_gwei)
        return await self._sign(request, partial(self._nonce, vault))

    async def consolidate(
        self, vault: bytes, source_public_keys: Sequence[bytes], target_public_keys: Sequence[bytes]
    ) -> bytes:
        """Sign a consolidation of validators into others, all of them ours; raises as `fund`."""
        validators = await self.workers.run(consolidate_bytes, source_public_keys, target_public_keys)
        keys = {"source_public_keys": source_public_keys, "target_public_keys": target_public_keys}
        return await self._sign(
            _Request(ManagerAction.CONSOLIDATE, vault, validators, keys), partial(self._nonce, vault)
        )

    async def _sign(self, request: _Request, root_or_nonce: Callable[[], Awaitable[bytes]]) -> bytes:
        entry = request.entry(int(self.now()))
        try:
            self._check(request)
            entry = replace(entry, root_or_nonce=await self._asked(root_or_nonce))
        except (ManagerRefusedError, NodeAwayError) as error:
            refused = replace(entry, validators=entry.validators[:REFUSED_BYTES], reason=str(error))
            await self.database.run(append, refused)
            raise
        return await self._sign_entry(request, entry)

    async def _sign_entry(self, request: _Request, entry: ManagerEntry) -> bytes:
        assert entry.root_or_nonce is not None
        message = ManagerMessage(self.chain_id, request.vault, entry.root_or_nonce, request.validators)
        digest = await self.workers.run(lambda: message.digest)
        outcome = await self.database.run(
            reserve_and_append,
            replace(entry, digest=digest),
            refuse=lambda spent: self.policy.limit_reached(
                request.action, spent, request.spends, request.items
            ),
            sign=partial(self.key.sign, message),
        )
        if isinstance(outcome, ManagerRefusedError):
            raise outcome
        return outcome

    def _check(self, request: _Request) -> None:
        """What can be said without the chain and the limits."""
        self.policy.check(request.action, request.vault)
        for name, keys in request.keys.items():
            foreign = [position for position, key in enumerate(keys) if not self.is_ours(key)]
            if foreign:
                rejected = [wire.Rejected(wire.PublicKey(keys[at]).to_wire(), NOT_OURS) for at in foreign]
                raise ManagerRefusedError(f"{name}[{foreign[0]}]", NOT_OURS, rejected)
        count = request.spends.items
        if count == 0:
            raise ManagerRefusedError(request.items, "expected at least one")
        if request.deposit_type is None:
            return
        if is_ambiguous(count, request.deposit_type):
            reason = f"a vault cannot tell {count} items of this type from those of another; leave one off"
            raise ManagerRefusedError(request.items, reason)
        if request.deposit_type == ETH1_ADDRESS and set(request.amounts_gwei) != {GWEI_PER_VALIDATOR}:
            raise ManagerRefusedError("amounts", f"expected {GWEI_PER_VALIDATOR} gwei for each of this type")

    async def _asked(self, root_or_nonce: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            async with asyncio.timeout(self.chain_seconds):
                value = await root_or_nonce()
        except Exception as error:  # also a contract that refuses, whose kind needs the extra `chain` to name
            kind = type(error).__name__
            log.warning("nothing to sign over", error=str(error), kind=kind)
            raise NodeAwayError(f"execution node: {str(error) or kind}") from error
        return value

    async def _root(self) -> bytes:
        root = await self.chain.registry_root()
        if len(root) != ROOT_BYTES:
            raise UnavailableError(f"expected a root of {ROOT_BYTES} bytes, got {len(root)}")
        return root

    async def _nonce(self, vault: bytes) -> bytes:
        nonce = await self.chain.manager_nonce(vault)
        if not 0 <= nonce < 1 << 8 * NONCE_BYTES:
            raise UnavailableError("expected a nonce of 256 bits")
        return nonce_bytes(nonce)
