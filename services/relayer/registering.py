"""What operators of v4 ask for: validators to register, and exits split anew for other oracles."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from time import time
from typing import Protocol

from .. import logs, wire
from ..chain.manager_messages import items_to_leave_off
from .clusters import ServedClusters
from .current_oracles import CurrentOracles
from .manager.signer import Manager, RegisterItem
from .pipeline import Pipeline
from .store.asking import AskedValidator, IndexRefusedError
from .store.database import Database
from .store.pending import Asker, TooManyPendingError
from .store.reserved import vaults_of
from .store.reserving import (
    Registration,
    ReservedValidator,
    hand_out_registration,
    reserve,
    signed_deposits,
)

FULL_DEPOSIT_GWEI = 32_000_000_000  # of a validator of type 0x01, and the least of one of type 0x02
LARGEST_DEPOSIT_GWEI = 2_048_000_000_000
PENDING_SECONDS = 60.0  # after which it is worth to ask for more validators again
NOT_OUR_VAULT = "this relayer does not serve the vault; name it with --vault"
ANOTHER_VAULTS = "reserved for another vault"
NOT_OUR_KEY = "no cluster named to this relayer has this validator"

log = logs.get("registering")


class KeysWatch(Protocol):
    """What looks which validators are used.

    Attributes:
        is_complete: whether it knows of all; until then one that is used may look unused.
    """

    is_complete: bool


@dataclass(frozen=True)
class Registered:
    """What an operator gets: nothing while it has to ask again."""

    validators: Sequence[ReservedValidator] = ()
    manager_signature: bytes | None = None


class Registering:
    """Reserves keys for vaults and answers from what is ready; it never waits for signatures."""

    def __init__(
        self,
        *,
        vaults: Collection[bytes],
        index_window: int,
        shows_exit_signatures: bool,
        clusters: ServedClusters,
        oracles: CurrentOracles,
        database: Database,
        pipeline: Pipeline,
        manager: Manager | None,
        watches: Collection[KeysWatch],
    ) -> None:
        self._vaults = frozenset(vaults)
        self._index_window = index_window
        self._shows_exit_signatures = shows_exit_signatures
        self._clusters = clusters
        self._oracles = oracles
        self._database = database
        self._pipeline = pipeline
        self._manager = manager
        self._watches = watches

    async def register(self, request: wire.RegisterRequest, asker: Asker) -> Registered:
        """Reserve validators for the vault, and give them as soon as all are signed; none before.

        Raises:
            wire.WireError: another vault, amounts that cannot be deposited, or too many validators.
        """
        self._require_vault(request.vault)
        _require_amounts(request)
        wanted = Registration(
            request.vault, request.validators_start_index, request.amounts, request.validator_type.byte
        )
        if not all(watch.is_complete for watch in self._watches):
            log.warning("registration put off: it is not known yet which validators are used")
            return Registered()
        try:
            keys = await self._database.run(
                reserve,
                wanted,
                self._clusters.keys,
                window=self._index_window,
                now=int(time()),
                asker=asker,
            )
        except IndexRefusedError as error:
            raise wire.WireError("validators_start_index", str(error)) from None
        except TooManyPendingError as error:
            raise wire.TooManyError("amounts", str(error), retry_after_seconds=PENDING_SECONDS) from None
        self._pipeline.wake()
        left_off = items_to_leave_off(len(keys), wanted.validator_type)
        return await self._given(wanted, keys[: len(keys) - left_off])

    async def _given(self, wanted: Registration, keys: Sequence[bytes]) -> Registered:
        """The validators, signed by the manager if there is one; none while something is missing.

        It is signed first: what is answered counts as handed out.
        """
        deposits = await self._database.run(signed_deposits, wanted, keys)
        if not deposits:
            return Registered()
        signature = None
        if self._manager is not None:
            items = [RegisterItem(d.public_key, d.signature, d.amount_gwei) for d in deposits]
            signature = await self._manager.register(wanted.vault, wanted.validator_type, items)
            if signature is None:
                return Registered()
        ready = await self._database.run(
            hand_out_registration, wanted, keys, self._oracles.digest, int(time())
        )
        return Registered() if ready is None else Registered(ready, signature)

    def encoded(self, registered: Registered) -> bytes:
        """The answer to `POST /register`; with thousands of validators it takes long to make."""
        signature = registered.manager_signature
        return wire.encode(
            wire.RegisterAnswer(
                [self._item(validator) for validator in registered.validators],
                None if signature is None else wire.ManagerSignature(signature),
            )
        )

    async def rotate(self, request: wire.RotateRequest) -> list[AskedValidator]:
        """Exits split for the oracles of today; what is not there yet is collected.

        Raises:
            wire.WireError: another vault, or keys of no cluster of ours.
        """
        self._require_vault(request.vault)
        for position, item in enumerate(request.validators):
            if not self._clusters.is_named(item.public_key):
                raise wire.WireError(f"validators[{position}].public_key", NOT_OUR_KEY)
        keys = [item.public_key for item in request.validators]
        vaults = await self._database.read(vaults_of, keys)
        for position, key in enumerate(keys):
            if vaults.get(key, request.vault) != request.vault:
                raise wire.WireError(f"validators[{position}].public_key", ANOTHER_VAULTS)
        indices = {bytes(item.public_key): int(item.validator_index) for item in request.validators}
        return await self._pipeline.rotate(indices)

    def _require_vault(self, vault: bytes) -> None:
        if vault not in self._vaults:
            raise wire.WireError("vault", NOT_OUR_VAULT)

    def _item(self, validator: ReservedValidator) -> wire.RegisterValidator:
        return wire.RegisterValidator(
            public_key=wire.PublicKey(validator.public_key),
            amount=wire.UInt64(validator.amount_gwei),
            deposit_signature=wire.Signature(validator.deposit_signature),
            exit_signature=(
                wire.Signature(validator.exit_signature) if self._shows_exit_signatures else None
            ),
            oracles_exit_signature_shares=wire.OraclesExitSignatureShares(
                wire.PublicKey.rows(validator.public_key_shares),
                wire.EncryptedSignature.rows(validator.encrypted_signatures),
            ),
        )


def _require_amounts(request: wire.RegisterRequest) -> None:
    compounds = request.validator_type is wire.ValidatorType.COMPOUNDING
    most = LARGEST_DEPOSIT_GWEI if compounds else FULL_DEPOSIT_GWEI
    for position, amount in enumerate(request.amounts):
        if not FULL_DEPOSIT_GWEI <= amount <= most:
            wanted = f"{FULL_DEPOSIT_GWEI}" + (f" to {most}" if compounds else "")
            raise wire.WireError(
                f"amounts[{position}]",
                f"expected {wanted} gwei for type {request.validator_type.value}, got {amount}",
            )
