"""What the vault's manager signed for, and how people and the journal are told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dvtfast.networks import Network

from ...settings.orders import AmountOrder, ConsolidationOrder
from ..plan import shown
from ..sending.action import Action


@dataclass(frozen=True)
class ManagerPlan:
    """A top-up, withdrawal or consolidation that the manager signed for.

    Attributes:
        lines, questions: what a person is told and asked.
    """

    action: Action
    network: Network
    lines: Sequence[str]
    questions: Sequence[str]

    @property
    def size(self) -> tuple[int, ...]:
        """All of it, and the fees."""
        return len(self.action.public_keys), self.action.value_wei

    def shown(self) -> dict[str, Any]:
        """All that would be sent, as JSON."""
        return shown(self.action) | dict(self.action.details)


def amount_details(wanted: Sequence[AmountOrder]) -> list[Any]:
    """Keys and gwei, as the journal has them; 0 is everything."""
    return [[each.shown, each.gwei or 0] for each in wanted]


def pair_details(pairs: Sequence[ConsolidationOrder]) -> list[Any]:
    """Sources and targets, as the journal has them."""
    return [[pair.source.to_wire(), pair.target.to_wire()] for pair in pairs]


def pair_line(pair: ConsolidationOrder) -> str:
    """A consolidation as a person is told of it."""
    if pair.is_switch:
        return f"{pair.source.to_wire()} becomes a compounding validator"
    return f"{pair.source.to_wire()} ENDS, its stake moves to {pair.target.to_wire()}"
