"""All flows: of which duties each is, and at which part of the slot it begins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from dvtfast.duties.duty_types import DutyType

from ..parts import ActiveValidators, NodeParts
from ..validators import EpochDuties
from .aggregates import aggregate, select_aggregators
from .attestations import attest
from .blocks import propose, reveal
from .sync_committees import contribute, select_contributors, send_sync_messages

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


def _proposers(duties: EpochDuties, slot: int) -> Sequence[Any]:
    return duties.proposers.get(slot, ())


def _members(duties: EpochDuties, slot: int) -> Sequence[Any]:
    return duties.members.get(slot, ())


START, THIRD, TWO_THIRDS = Fraction(0), Fraction(1, 3), Fraction(2, 3)

FLOWS: Final = (
    Flow(DutyType.RANDAO, reveal, _proposers, START),
    Flow(DutyType.PROPOSER, propose, _proposers, START),
    Flow(DutyType.ATTESTER, attest, _attesters, THIRD),
    Flow(DutyType.PREPARE_AGGREGATOR, select_aggregators, _attesters, START, is_ahead=True),
    Flow(DutyType.AGGREGATOR, aggregate, _attesters, TWO_THIRDS),
    Flow(DutyType.SYNC_MESSAGE, send_sync_messages, _members, THIRD),
    Flow(DutyType.PREPARE_SYNC_CONTRIBUTION, select_contributors, _members, START, is_ahead=True),
    Flow(DutyType.SYNC_CONTRIBUTION, contribute, _members, TWO_THIRDS),
)
