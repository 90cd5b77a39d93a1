"""When rounds end, by the clock: charon's timer `eager_dlinear`. Each node has its own; no two need to agree.

Rounds end at moments that are the same for all, counted from the slot, so that a node that begins late meets
the others in the present one.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

from dvtfast.duties.duty_types import DutyType
from dvtfast.qbft.messages import FIRST_ROUND

ROUND_SECONDS: Final = 1.0
# A proposal is a whole block, which takes longer to fetch and to send.
PROPOSER_SECONDS: Final = 0.5
# Which part of its slot is over when a duty begins.
OFFSETS: Final = {
    DutyType.ATTESTER: Fraction(1, 3),
    DutyType.AGGREGATOR: Fraction(2, 3),
    DutyType.SYNC_CONTRIBUTION: Fraction(2, 3),
}


def duty_offset(type: DutyType, seconds_per_slot: float) -> float:
    """When a duty begins, in seconds after the start of its slot."""
    return float(OFFSETS.get(type, 0) * Fraction(seconds_per_slot))


def round_end(type: DutyType, round: int, seconds_per_slot: float, *, extended: bool = False) -> float:
    """When a round ends, in seconds after the start of the slot of its duty.

    Args:
        type: of the duty.
        round: from 1.
        seconds_per_slot: of the network.
        extended: whether a proposal has come in it: it has its time once more.
    """
    length = round * ROUND_SECONDS + _more_seconds(type)
    return duty_offset(type, seconds_per_slot) + length * (2 if extended else 1)


def present_round(type: DutyType, seconds: float, seconds_per_slot: float) -> int:
    """The round that has not ended yet, so many seconds after the start of the slot of its duty."""
    begun = (seconds - duty_offset(type, seconds_per_slot) - _more_seconds(type)) / ROUND_SECONDS
    return max(FIRST_ROUND, math.floor(begun) + 1)


def _more_seconds(type: DutyType) -> float:
    return PROPOSER_SECONDS if type == DutyType.PROPOSER else 0.0
