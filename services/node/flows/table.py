"""All flows: of which duties each is, and at which part of the slot it begins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from dvtfast.duties.duty_types import DutyType

from ..parts import ActiveValidators, NodeParts
from ..validators import EpochDuties
from .attestations import attest

Start = Callable[[NodeParts, ActiveValidators, int, Sequence[Any]], Awaitable[None]]
"""Of a slot, with the duties of it; there is at least one."""


@dataclass(frozen=True)
class Flow:
    """How a kind of duty is done.

    Attributes:
        type: whose deadline ends it.
        duties: those of a slot.
        begins: which part of the slot is over then.
        is_ahead: it begins as soon as its duties are known, up to an epoch before, and waits by itself.
    """

    type: DutyType
    start: Start
    duties: Callable[[EpochDuties, int], Sequence[Any]]
    begins: Fraction
    is_ahead: bool = False


def _attesters(duties: EpochDuties, slot: int) -> Sequence[Any]:
    return duties.attesters.get(slot, ())


FLOWS: Final = (Flow(DutyType.ATTESTER, attest, _attesters, Fraction(1, 3)),)
