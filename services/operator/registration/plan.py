"""A registration that the oracles approved of, and how people are told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dvtfast.networks import Network

from ...chain import units
from ...chain.encoding import write_address, write_data
from ..plan import shown
from ..sending.action import Action


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
