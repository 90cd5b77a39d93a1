"""What is ready to be sent, whatever it is; a planner in each of the rooms makes one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from dvtfast.networks import Network

from ..chain.encoding import write_address, write_data
from .sending.action import Action


class NothingToDoError(Exception):
    """There is nothing to do now; later there may be."""


class NotReadyError(Exception):
    """Somebody whose part it is has not done it yet, or does it wrong; nothing was sent."""


class StaleError(Exception):
    """What a plan is for changed on chain while it was made; it begins again."""


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


def shown(action: Action) -> dict[str, Any]:
    """The call of an action as JSON."""
    return {
        "kind": action.kind.value,
        "vault": write_address(action.vault),
        "to": write_address(action.to),
        "value_wei": str(action.value_wei),
        "data": write_data(action.data),
    }
