"""The next registration, ready to be sent, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dvtfast.networks import Network

from ..chain import units
from ..chain.encoding import write_address, write_data
from .sending.action import Action


class NothingToDoError(Exception):
    """There is nothing to register now; later there may be."""


class NotReadyError(Exception):
    """Somebody whose part it is has not done it yet, or does it wrong; nothing was sent."""


class StaleError(Exception):
    """The registry root changed while a registration was prepared; it begins again."""


class Plan(Protocol):
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
class RegistrationPlan:
    """A registration that the oracles approved of.

    Attributes:
        amounts_gwei: of the action's validators.
        withdrawable_wei: what the vault has for it.
    """

    action: Action
    network: Network
    amounts_gwei: Sequence[int]
    withdrawable_wei: int

    @property
    def amount_gwei(self) -> int:
        """Of all validators."""
        return sum(self.amounts_gwei)

    @property
    def lines(self) -> list[str]:
        """The validators."""
        pairs = zip(self.action.public_keys, self.amounts_gwei, strict=True)
        return [f"{write_data(key)} {units.stake(amount, self.network)}" for key, amount in pairs]

    @property
    def questions(self) -> list[str]:
        """Whether that is meant."""
        count, stake = len(self.amounts_gwei), units.stake(self.amount_gwei, self.network)
        return [f"Register {count} validators with {stake} of {write_address(self.action.vault)}"]

    @property
    def size(self) -> tuple[int, ...]:
        """Validators and gwei."""
        return len(self.amounts_gwei), self.amount_gwei

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
            "amounts_gwei": list(map(int, self.amounts_gwei)),
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
