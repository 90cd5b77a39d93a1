"""What operators of v4 ask for: validators to register, and exits split anew for other oracles."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from time import time

from dvtfast.deposits import AMOUNTS_GWEI

from .. import wire
from ..chain.contracts.manager_messages import items_to_leave_off
from ..process import logs
from .access.caller import Caller
from .manager.signer import RegisterItem
from .parts import RelayerParts
from .store.operators.handouts import AskedValidator
from .store.operators.index_assignment import IndexRefusedError
from .store.operators.moves import TooManyMovesError
from .store.operators.ownership import AskedByOthersError, ReservedError
from .store.operators.pending import TooManyPendingError
from .store.operators.reservations import (
    QuotaError,
    ReservedValidator,
    WantedRegistration,
    hand_out_registration,
    reserve,
    signed_deposits,
)

PENDING_SECONDS = 60.0  # after which it is worth to ask for more validators again
ANOTHER_VAULTS = "reserved for another vault"
ASKED_ELSEWHERE = "somebody else asks for its exit at another validator index"
NOT_OUR_KEY = "no cluster named to this relayer has this validator"

ROTATED = "validators[{}].public_key"

log = logs.get("registering")


@dataclass(frozen=True)
class ReadyRegistration:
    """What an operator gets: nothing while it has to ask again."""

    validators: Sequence[ReservedValidator] = ()
    manager_signature: bytes | None = None


class VaultRegistrations:
    """Reserves keys for vaults and answers from what is ready; it never waits for signatures."""

    def __init__(self, parts: RelayerParts) -> None:
        self._parts = parts

    async def register(self, request: wire.RegisterRequest, caller: Caller) -> ReadyRegistration:
        """Reserve validators for the vault, of its clusters and the caller's, and give them as soon as all
        are signed; none before.

        Raises:
            wire.WireError: another vault, amounts that cannot be deposited, or too many validators.
        """
        groups = self._parts.vaults.groups(request.vault, caller)
        _require_amounts(request)
        wanted = WantedRegistration(
            request.vault, request.validators_start_index, request.amounts, request.validator_type.byte
        )
        if not all(watch.is_complete for watch in self._parts.watches):
            log.warning("registration put off: it is not known yet which validators are used")
            return ReadyRegistration()
        try:
            keys = await self._parts.database.run(
                reserve,
                wanted,
                self._parts.clusters.keys_in(groups),
                window=self._parts.settings.index_window,
                now=int(time()),
                asker=caller.asker,
                quota=self._parts.settings.vault_quota,
            )
        except IndexRefusedError as error:
            raise wire.WireError("validators_start_index", str(error)) from None
        except (TooManyPendingError, QuotaError) as error:
            raise wire.TooManyError("amounts", str(error), retry_after_seconds=PENDING_SECONDS) from None
        except TooManyMovesError as error:
            raise too_many_moves("validators_start_index", error) from None
        self._parts.pipeline.wake()
        left_off = items_to_leave_off(len(keys), wanted.validator_type)
        return await self._given(wanted, keys[: len(keys) - left_off])

    async def _given(self, wanted: WantedRegistration, keys: Sequence[bytes]) -> ReadyRegistration:
        """The validators, signed by the manager if there is one; none while something is missing.

        It is signed first: what is answered counts as handed out.
        """
        deposits = await self._parts.database.run(signed_deposits, wanted, keys)
        if not deposits:
            return ReadyRegistration()
        signature = None
        if self._parts.manager is not None:
            items = [RegisterItem(d.public_key, d.signature, d.amount_gwei) for d in deposits]
            signature = await self._parts.manager.register(wanted.vault, wanted.validator_type, items)
            if signature is None:
                return ReadyRegistration()
        ready = await self._parts.database.run(
            hand_out_registration, wanted, keys, self._parts.oracles.digest, int(time())
        )
        return ReadyRegistration() if ready is None else ReadyRegistration(ready, signature)

    def encoded(self, registered: ReadyRegistration) -> bytes:
        """The answer to `POST /register`; with thousands of validators it takes long to make."""
        signature = registered.manager_signature
        return wire.encode(
            wire.RegisterAnswer(
                [self._item(validator) for validator in registered.validators],
                None if signature is None else wire.ManagerSignature(signature),
            )
        )

    async def rotate(self, request: wire.RotateRequest, caller: Caller) -> list[AskedValidator]:
        """Exits split for the oracles of today; what is not there yet is collected.

        Raises:
            wire.WireError: another vault, keys of no cluster of its or the caller's, or an exit that somebody
                else asks for at another index.
        """
        keys = [item.public_key for item in request.validators]
        self._parts.vaults.require_keys(request.vault, caller, {ROTATED: keys})
        for position, key in enumerate(keys):
            if not self._parts.clusters.is_named(key):
                raise wire.WireError(ROTATED.format(position), NOT_OUR_KEY)
        indices = {bytes(item.public_key): int(item.validator_index) for item in request.validators}
        try:
            return await self._parts.pipeline.rotate(request.vault, indices, caller.asker)
        except ReservedError as error:
            raise refusal(ROTATED, keys, error.public_keys, ANOTHER_VAULTS) from None
        except AskedByOthersError as error:
            raise refusal(ROTATED, keys, error.public_keys, ASKED_ELSEWHERE) from None
        except TooManyPendingError as error:
            raise wire.TooManyError("validators", str(error), retry_after_seconds=PENDING_SECONDS) from None
        except TooManyMovesError as error:
            raise too_many_moves("validators", error) from None

    def _item(self, validator: ReservedValidator) -> wire.RegisterValidator:
        shows_exit = self._parts.settings.show_exit_signatures
        return wire.RegisterValidator(
            public_key=wire.PublicKey(validator.public_key),
            amount=wire.UInt64(validator.amount_gwei),
            deposit_signature=wire.Signature(validator.deposit_signature),
            exit_signature=wire.Signature(validator.exit_signature) if shows_exit else None,
            oracles_exit_signature_shares=wire.OraclesExitSignatureShares(
                wire.PublicKey.rows(validator.public_key_shares),
                wire.EncryptedSignature.rows(validator.encrypted_signatures),
            ),
        )


def refusal(
    path: str, keys: Sequence[wire.PublicKey], refused: Collection[bytes], reason: str
) -> wire.WireError:
    """What says that some validators of a request are the reason why it is refused.

    Args:
        path: of each in the request, with `{}` for its position.
    """
    positions = [position for position, key in enumerate(keys) if key in refused]
    rejected = [wire.Rejected(keys[position].to_wire(), reason) for position in positions]
    return wire.WireError(path.format(positions[0]), reason, rejected)


def too_many_moves(field: str, error: TooManyMovesError) -> wire.TooManyError:
    """What says so, and when to come again."""
    return wire.TooManyError(field, str(error), retry_after_seconds=error.retry_after_seconds)


def _require_amounts(request: wire.RegisterRequest) -> None:
    least, most = AMOUNTS_GWEI[request.validator_type.byte]
    for position, amount in enumerate(request.amounts):
        if not least <= amount <= most:
            wanted = f"{least}" + (f" to {most}" if most > least else "")
            raise wire.WireError(
                f"amounts[{position}]",
                f"expected {wanted} gwei for type {request.validator_type.value}, got {amount}",
            )
