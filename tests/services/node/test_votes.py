"""Targets that a leader may name in the first slots of an epoch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dvtfast.duties.attestations import AttestationData, AttestationDuty, Checkpoint
from dvtfast.duties.fork_schedule import ForkEpoch, ForkSchedule
from dvtfast.duties.forks import FULU
from dvtfast.duties.wrappers import AttesterValue
from dvtfast.services.node.flows import votes
from dvtfast.services.node.slots import SlotClock

FIRST = 3200
SCHEDULE = ForkSchedule(bytes(32), 32, [ForkEpoch(0, b"\0\0\0\1", FULU)], b"\0\0\0\1", b"\0\0\0\1")
GENESIS, BEFORE, AT, HEAD, OTHER = (bytes([number]) * 32 for number in range(1, 6))
SLOTS = {GENESIS: 0, BEFORE: FIRST - 1, AT: FIRST, HEAD: FIRST + 1, OTHER: FIRST + 1}
DUTIES = {each: AttestationDuty(bytes(48), FIRST + 1, each, 1, 64, 2, each) for each in range(3)}


def data(head: bytes, target: bytes) -> AttestationData:
    return AttestationData(FIRST + 1, 0, head, Checkpoint(99, bytes(32)), Checkpoint(100, target))


@pytest.mark.parametrize(
    ("head", "target", "is_good"),
    [
        (HEAD, AT, True),
        (HEAD, GENESIS, False),
        (HEAD, BEFORE, False),
        (OTHER, AT, True),
        (OTHER, BEFORE, True),
        (OTHER, GENESIS, False),
        (OTHER, OTHER, False),
        (AT, AT, True),
        (AT, BEFORE, False),
        (AT, GENESIS, False),
    ],
    ids=[
        "ours",
        "genesis",
        "before",
        "other",
        "without the first",
        "old",
        "late",
        "at",
        "not it",
        "nor that",
    ],
)
async def test_targets_of_the_first_slots_of_an_epoch(head: bytes, target: bytes, is_good: bool) -> None:
    mine = data(HEAD, AT)

    async def attestation_data(slot: int) -> AttestationData:
        return mine

    async def block_slot(root: bytes) -> int | None:
        return SLOTS.get(root)

    beacon = SimpleNamespace(attestation_data=attestation_data, block_slot=block_slot)
    node: Any = SimpleNamespace(beacon=beacon, schedule=SCHEDULE, slots=SlotClock(0.0, 12.0, 32))
    own = votes.OwnVote(node, FIRST + 1)
    proposed = {position: AttesterValue(data(head, target), duty) for position, duty in DUTIES.items()}
    try:
        why = await votes.why_not_proposed(node, FIRST + 1, proposed, DUTIES, own)
    finally:
        own.end()
    assert why == ("" if is_good else votes.OTHER_TARGET)
