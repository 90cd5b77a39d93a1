"""Exits that the oracles of today took, and how people are told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from dvtfast.networks import Network

from ...chain.encoding import write_address, write_data
from ..plan import shown
from ..sending.action import Action

SHOWN_LEFT_OUT: Final = 5


@dataclass(frozen=True)
class RotationPlan:
    """Exits that the oracles of today took.

    Attributes:
        left_out: why validators of this batch are not in it.
        wanted: of how many validators the oracles want exits.
    """

    action: Action
    network: Network
    left_out: dict[int, str]
    wanted: int

    @property
    def lines(self) -> list[str]:
        """The validators."""
        return [write_data(key) for key in self.action.public_keys]

    @property
    def questions(self) -> list[str]:
        """Whether that is meant."""
        count, vault = len(self.action.public_keys), write_address(self.action.vault)
        return [f"Give the exits of {count} validators of {vault} to the oracles of today"]

    @property
    def size(self) -> tuple[int, ...]:
        """Validators."""
        return (len(self.action.public_keys),)

    def shown(self) -> dict[str, Any]:
        """All that would be sent, as JSON."""
        return (
            shown(self.action)
            | {"deadline": self.action.deadline, **self.action.details}
            | {"public_keys": [write_data(key) for key in self.action.public_keys]}
        )


def left_out_in_words(left_out: dict[int, str]) -> str:
    """Who was left out and why, at most a few by name."""
    named = [f"{index}: {why}" for index, why in list(left_out.items())[:SHOWN_LEFT_OUT]]
    more = [f"and {len(left_out) - SHOWN_LEFT_OUT} more"] if len(left_out) > SHOWN_LEFT_OUT else []
    return f"{len(left_out)} validators were left out: " + "; ".join(named + more)
