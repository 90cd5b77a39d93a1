"""The duties of a cluster by the numbers that charon has for them, and what each of them signs under.

Sources: charon's duty types as they are on the wire; consensus-specs, domain types of phase0 and altair;
builder-specs.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class DutyType(IntEnum):
    """What is to be done in a slot. 3 and 5 are no duties of a node."""

    PROPOSER = 1
    ATTESTER = 2
    EXIT = 4
    BUILDER_REGISTRATION = 6
    RANDAO = 7
    PREPARE_AGGREGATOR = 8
    AGGREGATOR = 9
    SYNC_MESSAGE = 10
    PREPARE_SYNC_CONTRIBUTION = 11
    SYNC_CONTRIBUTION = 12
    INFO_SYNC = 13


DOMAIN_TYPES: Final = {
    duty: number.to_bytes(4, "little")
    for duty, number in {
        DutyType.PROPOSER: 0,
        DutyType.ATTESTER: 1,
        DutyType.RANDAO: 2,
        DutyType.EXIT: 4,
        DutyType.PREPARE_AGGREGATOR: 5,
        DutyType.AGGREGATOR: 6,
        DutyType.SYNC_MESSAGE: 7,
        DutyType.PREPARE_SYNC_CONTRIBUTION: 8,
        DutyType.SYNC_CONTRIBUTION: 9,
        DutyType.BUILDER_REGISTRATION: 1 << 24,
    }.items()
}
