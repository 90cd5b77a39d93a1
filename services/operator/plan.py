"""The next registration, ready to be sent, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dvtfast.networks import Network

from .. import wire
from ..chain import units
from ..chain.calls import ApprovalParams, HarvestParams
from ..chain.encoding import write_address, write_data
from .sending.action import Action, Kind


class NothingToDoError(Exception):
    """There is nothing to register now; later there may be."""


class NotReadyError(Exception):
    """Somebody whose part it is has not done it yet, or does it wrong; nothing was sent."""


class StaleError(Exception):
    """The registry root changed while a registration was prepared; it begins again."""


class Proposal(Protocol):
    """An action that is ready to be sent, and what people are told of it."""

    @property
    def action(self) -> Action:
        """What would be sent."""

    @property
    def network(self) -> Network:
        """Where; it says what amounts are called."""

    @property
    def lines(self) -> Sequence[str]:
        """What a person reads before the questions."""

    @property
    def questions(self) -> Sequence[str]:
        """What a person must say yes to, one after the other; what gas costs is added to the first."""

    @property
    def size(self) -> tuple[int, ...]:
        """What a person says yes to is this or less."""

    def shown(self) -> dict[str, Any]:
        """All of it as JSON."""


@dataclass(frozen=True)
class Batch:
    """Validators that are to be registered together, with all that is needed of each; not approved of yet.

    Attributes:
        start_index: the validator index of the first one.
        registry_root: the deposit contract's root that this is for.
        public_keys, deposit_signatures, amounts_gwei, shares: in the same order.
    """

    vault: bytes
    validator_type: int
    start_index: int
    registry_root: bytes
    public_keys: Sequence[bytes]
    deposit_signatures: Sequence[bytes]
    amounts_gwei: Sequence[int]
    shares: Sequence[wire.OraclesExitSignatureShares]


@dataclass(frozen=True)
class Plan:
    """A registration that the oracles approved of.

    Attributes:
        withdrawable_wei: what the vault has for it.
        harvest: the rewards that it takes first, if any.
        approvals: how many oracles signed.
    """

    action: Action
    network: Network
    batch: Batch
    withdrawable_wei: int
    harvest: HarvestParams | None
    approvals: int

    @property
    def amount_gwei(self) -> int:
        """Of all validators."""
        return sum(self.batch.amounts_gwei)

    @property
    def lines(self) -> list[str]:
        """The validators."""
        pairs = zip(self.action.public_keys, self.batch.amounts_gwei, strict=True)
        return [f"{write_data(key)} {units.stake(amount, self.network)}" for key, amount in pairs]

    @property
    def questions(self) -> list[str]:
        """Whether that is meant."""
        count, stake = len(self.batch.public_keys), units.stake(self.amount_gwei, self.network)
        return [f"Register {count} validators with {stake} of {write_address(self.action.vault)}"]

    @property
    def size(self) -> tuple[int, ...]:
        """Validators and gwei."""
        return len(self.batch.public_keys), self.amount_gwei

    def shown(self) -> dict[str, Any]:
        """All that would be sent, as JSON."""
        action = self.action
        assert action.registry_root is not None
        return shown(action) | {
            "registry_root": write_data(action.registry_root),
            "deadline": action.deadline,
            "withdrawable_wei": str(self.withdrawable_wei),
            **action.details,
            "public_keys": [write_data(key) for key in action.public_keys],
            "amounts_gwei": list(map(int, self.batch.amounts_gwei)),
        }


def shown(action: Action) -> dict[str, Any]:
    """The call of an action as JSON."""
    return {
        "kind": action.kind.value,
        "vault": write_address(action.vault),
        "to": write_address(action.to),
        "value_wei": str(action.value_wei),
        "data": write_data(action.data),
    }


def plan_of(
    batch: Batch,
    params: ApprovalParams,
    *,
    network: Network,
    to: bytes,
    data: bytes,
    withdrawable_wei: int,
    harvest: HarvestParams | None,
    approvals: int,
    block_number: int,
) -> Plan:
    """The plan of a batch and its call."""
    action = Action(
        Kind.REGISTER,
        vault=batch.vault,
        to=to,
        data=data,
        public_keys=tuple(map(bytes, batch.public_keys)),
        registry_root=batch.registry_root,
        deadline=params.deadline,
        details={
            "validators": len(batch.public_keys),
            "amount_gwei": sum(batch.amounts_gwei),
            "validator_type": wire.ValidatorType.of(batch.validator_type).value,
            "start_index": batch.start_index,
            "exit_signatures": params.exit_signatures_ipfs_hash,
            "approvals": approvals,
            "harvests": harvest is not None,
        },
        block_number=block_number,
    )
    return Plan(action, network, batch, withdrawable_wei, harvest, approvals)
