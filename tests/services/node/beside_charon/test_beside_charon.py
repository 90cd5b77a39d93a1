"""`dvtfast node` beside real charon nodes: a black box whose path is in DVTFAST_CHARON.

Charon's mocks of a beacon node and of a validator client give it duties in slots of a second; ours has a
beacon node on the same chain, that refuses what a real one refuses, and signs by itself.
"""

from __future__ import annotations

import pytest

from tests.services.ceremony.charon import CHARON, NO_CHARON, charons_relay, our_relay

from .charons_chain import SLOTS_PER_EPOCH
from .clusters import COUNTED, NODES, VALIDATORS, WINDOW, MixedCluster

pytestmark = [pytest.mark.skipif(not CHARON, reason=NO_CHARON), pytest.mark.timeout(1200)]

DUTIES = ("attester", "proposer", "randao", "prepare_aggregator", "sync_message")
# The mock of a validator client does not get these done in every slot, whoever else takes part.
AS_FAR_AS_OTHERS = ("aggregator", "sync_contribution")
COUNTERS = EXPECTED, SUCCESS, MISSED = tuple(
    f"core_tracker_participation_{each}_total" for each in ("expected", "success", "missed")
)


def attesters(slots):
    """The validators that vote, by slot."""
    found = {}
    for slot in slots:
        for index in range(VALIDATORS):
            if 100 * index % SLOTS_PER_EPOCH == slot % SLOTS_PER_EPOCH:
                found.setdefault(slot, []).append(index)
    return found


CASES = [
    pytest.param(charons_relay, (3,), id="1 of 4, that leads votes, charon's relay"),
    pytest.param(our_relay, (2,), id="1 of 4, that leads blocks"),
    pytest.param(our_relay, (2, 3), id="2 of 4, that lead both"),
]


@pytest.mark.parametrize(("through", "ours"), CASES)
async def test_all_duties_for_fifty_slots(tmp_path, through, ours):
    with through(tmp_path) as relay:
        mixed = MixedCluster(tmp_path, relay, ours)
        async with mixed.running():
            begin = await mixed.until_sync_committee()
            slots = range(begin, begin + WINDOW)
            await mixed.until_slot(begin + WINDOW + max(COUNTED.values()) + 1)
            assert_participation(mixed, slots)
            assert_they_know_us(mixed)
            for beacon in mixed.beacons.values():
                assert beacon.refused == []
                assert_all_was_taken(beacon, slots)


def assert_participation(mixed, slots):
    """All of it by what charons count."""
    names = [mixed.peer_name(position) for position in range(NODES)]
    for position, charon in mixed.theirs.items():
        for duty in DUTIES:
            failed = charon.counted("core_tracker_failed_duties_total", slots, duty=duty)
            counts = {
                name: tuple(charon.counted(each, slots, duty=duty, peer=name) for each in COUNTERS)
                for name in names
            }
            expected = max(expected for expected, _, _ in counts.values())
            assert expected > 0
            # In the last slot of a period the next committee votes, and with the mock that of the period:
            # at both ends of its time only charons vote, or only ours.
            ends = 2 if duty == "sync_message" else 0
            most = ends * VALIDATORS
            assert failed <= ends, (position, duty, counts)
            assert all(missed <= most and done >= expected - most for _, done, missed in counts.values()), (
                position, duty, counts,
            )  # fmt: skip
        for duty in AS_FAR_AS_OTHERS:
            done = [charon.counted(SUCCESS, slots, duty=duty, peer=name) for name in names]
            assert min(done[each] for each in mixed.ours) == max(done), (position, duty, done)


def assert_they_know_us(mixed):
    """What charons say of ours, and that all nodes settled what they can do."""
    for position, charon in mixed.theirs.items():
        latest = charon.history[max(charon.history)]
        for name in map(mixed.peer_name, mixed.ours):
            assert latest.get("app_peerinfo_version", peer=name) == 1
            assert latest.get("app_peerinfo_version_support", peer=name) == 1, (position, name)
            assert abs(latest.get("app_peerinfo_clock_offset_seconds", peer=name)) < 0.2
        assert f"{{full {NODES}000}}" in charon.process.said  # all four have said it


def assert_all_was_taken(beacon, slots):
    """Votes, blocks and sync committee messages of the cluster, by ours's beacon node."""
    wanted = attesters(slots)
    in_committee = [slot for slot in slots if beacon.chain.votes_for_heads(slot)]
    for kind, by_slot in (
        ("attester", {slot: len(validators) for slot, validators in wanted.items()}),
        ("proposer", dict.fromkeys(wanted, 1)),
        ("sync_message", dict.fromkeys(in_committee, VALIDATORS)),
    ):
        taken = {slot: beacon.accepted[kind][slot] for slot in by_slot}
        assert (kind, taken) == (kind, by_slot)
    assert in_committee


async def test_a_charon_is_stopped_so_that_our_shares_count(tmp_path):
    """It led the first round of votes; ours leads the second. Ours dials the charons, without a relay."""
    with charons_relay(tmp_path) as relay:
        mixed = MixedCluster(tmp_path, relay, (0,), dials=True)
        async with mixed.running():
            await mixed.until_sync_committee()
            mixed.theirs.pop(3).process.stop()
            begin = mixed.chain.slot + 2
            slots = range(begin, begin + WINDOW)
            await mixed.until_slot(slots[-1] + 4)
            assert_all_was_taken(mixed.beacons[0], slots)
            assert mixed.beacons[0].refused == []
